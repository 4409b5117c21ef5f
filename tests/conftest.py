"""What every test has: a watchdog with stacks, a check that nothing of ours remains, and the fixtures that more than one folder uses.

Watchdog: a phase of a test that runs longer than its limit (120 s, or `@pytest.mark.time_limit(seconds)`) fails, after the stacks of all
threads were written to the terminal. Where the main thread is stuck in C code and can't be failed, the whole run ends 30 s later.

Leak check: after every test in a folder of `CHECKED_FOLDERS`, the processes, descriptors and mappings that the test added must be gone.
It is skipped for a test that failed already: the traceback keeps the test's objects alive.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import psutil
import pytest
from hypothesis import HealthCheck, settings

from tests.examples import ALL
from tests.holdings import holdings

pytest_plugins = ["tests.servers.fixtures"]

ROOT = Path(__file__).parent.parent
CHECKED_FOLDERS = ("process", "frameworks", "faults", "cli")
TIME_LIMIT_S = 120.0
LAST_RESORT_S = 30.0
LEAK_PATIENCE_S = 20.0

# Every process started from this run inherits it, also one whose parent was killed and that psutil finds among nobody's children.
RUN_MARK = ("LOADER_TEST_RUN", uuid.uuid4().hex)

# What passed once passes again, however busy the machine is. `make test` tries few examples; `--hypothesis-profile random` looks for new ones.
whenever = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("same", derandomize=True, **whenever)
settings.register_profile("few", derandomize=True, max_examples=ALL // 3, **whenever)
settings.register_profile("random", derandomize=False, **whenever)
settings.load_profile("same")

terminal = pytest.StashKey[int]()
modules = pytest.StashKey[int]()
failed = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    os.environ[RUN_MARK[0]] = RUN_MARK[1]
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's background job; what the tests start would inherit it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ["XDG_RUNTIME_DIR"] = tempfile.mkdtemp(prefix="loader-tests-")  # control sockets of this run only
    os.environ["USE_TORCH"] = "0"  # of `datasets`, which would import it for nothing
    os.environ["XDG_CACHE_HOME"] = os.path.join(os.environ["XDG_RUNTIME_DIR"], "cache")
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))  # tests abort processes on purpose
    config.stash[terminal] = os.dup(sys.__stderr__.fileno() if sys.__stderr__ else 2)  # output is not captured yet


def pytest_unconfigure(config: pytest.Config) -> None:
    os.close(config.stash[terminal])
    shutil.rmtree(os.environ["XDG_RUNTIME_DIR"])


@pytest.hookimpl(trylast=True)  # when those that are not to be run have been left out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where several processes run the tests, let each have a part of every kind: those that compute use the cores while others wait for processes.

    Each process begins with a part of the list, file by file. The tests of a framework, or of a cluster, are the first ones of one process, which
    starts it for all of them, and each framework has a process of its own.
    """
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0"))
    if not processes:
        return
    first: list[list[pytest.Item]] = [[] for _ in range(processes)]
    others: dict[str, list[pytest.Item]] = {"wait": [], "compute": []}
    for item in items:
        folder = item.path.relative_to(ROOT / "tests").parts[0]
        if folder in ("frameworks", "ray"):
            first[_framework_of(item) % processes].append(item)
        else:
            others["compute" if folder in ("unit", "property", "fuzz") else "wait"].append(item)
    places: dict[Path, float] = {}
    for kind in others.values():
        for number, item in enumerate(kind):
            places.setdefault(item.path, number / len(kind))
    rest = sorted(others["wait"] + others["compute"], key=lambda item: places[item.path])
    left = len(items)
    items.clear()
    for number, own in enumerate(first):  # as xdist cuts the list
        part = max(left // (processes - number), len(own))
        items += own + rest[: part - len(own)]
        del rest[: part - len(own)]
        left -= part


def _framework_of(item: pytest.Item) -> int:
    """Return a number for each framework that a process keeps for its tests; those that fork another process for each test are one more."""
    params = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    return ("tensorflow", "jax", "torch").index(params["keras_script"]) if "keras_script" in params else 3


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[Any]:
    """Collect the tests without the garbage collector, which would look at them again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Keep the garbage collector from looking at all tests each time: they stay until the end, and are 400,000 objects."""
    freeze(session.config)


def freeze(config: pytest.Config) -> None:
    """Hide what is there from the garbage collector, after a collection."""
    gc.collect()
    gc.freeze()
    config.stash[modules] = len(sys.modules)


# --- watchdog -------------------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def watchdog(item: pytest.Item) -> Iterator[None]:
    """Fail what runs inside when it takes longer than the test's limit."""
    marker = item.get_closest_marker("time_limit")
    limit_s = float(marker.args[0]) if marker else TIME_LIMIT_S
    output = item.config.stash[terminal]

    def on_alarm(number: int, frame: FrameType | None) -> None:
        os.write(output, f"\n{item.nodeid}: still running after {limit_s:g} s\n".encode())
        faulthandler.dump_traceback(output, all_threads=True)
        pytest.fail(f"still running after {limit_s:g} s; the stacks of all threads are on the terminal")

    before = signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    faulthandler.dump_traceback_later(limit_s + LAST_RESORT_S, exit=True, file=output)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, before)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    with watchdog(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    with watchdog(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    with watchdog(item):
        result = yield
    if len(sys.modules) > item.config.stash[modules] + 100:  # a library, whose objects would be looked at in each collection of the tests to come
        freeze(item.config)
    return result


# --- leak check -----------------------------------------------------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[Any]:
    report = yield
    item.stash[failed] = item.stash.get(failed, False) or report.failed
    return report


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves processes, descriptors or mappings."""
    folder = request.path.relative_to(ROOT / "tests").parts[0]
    if folder not in CHECKED_FOLDERS or request.node.get_closest_marker("leaves_behind") or not Path("/proc/self/fd").is_dir():
        yield
        return
    mark = "=".join(RUN_MARK)
    before = holdings(mark)
    yield
    if request.node.stash.get(failed, False):
        return
    request.node.funcargs.clear()  # a closed loader that a fixture made would still be held
    deadline = time.monotonic() + LEAK_PATIENCE_S
    looks = 0
    while left := holdings(mark) - before:
        if time.monotonic() > deadline:
            pytest.fail("left behind:\n" + "\n".join(f"  {count} × {what}" for what, count in sorted(left.items())))
        if looks % 25 == 0:  # a collection takes a tenth of a second, and most of what is waited for are processes that end
            gc.collect()
        looks += 1
        time.sleep(0.02)


# --- fixtures -------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def npy_folder(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes `n` small `.npy` files and returns their folder.

    Sample i is `i, i + 1, i + 2, …` in the given shape, so that a row of a batch tells which file it came from (its first element), and
    a row that was written in part is seen. With `classes`, file i lies in the sub-folder `c<i mod classes>`.
    """
    made = 0

    def write(n: int = 20, shape: tuple[int, ...] = (4, 3), dtype: str = "float32", classes: int = 0) -> Path:
        nonlocal made
        folder = tmp_path / f"samples{made or ''}"
        made += 1
        pattern = np.arange(np.prod(shape, dtype=int)).reshape(shape)
        for i in range(n):
            target = folder / f"c{i % classes}" if classes else folder
            target.mkdir(parents=True, exist_ok=True)
            np.save(target / f"{i:06d}.npy", (pattern + i).astype(dtype))
        return folder

    return write


RunScript = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run_script(tmp_path: Path) -> RunScript:
    """Return `run_script(script, *args, timeout=60, env=None)`: run Python text, or a file's path, in a process of its own.

    The result has `stdout`, `stderr` and `returncode`; a status other than 0 is for the test to judge. On a timeout every Python process that
    the script started writes its stacks, all of them are killed, and the test fails with what they said. Output goes through files, so that a
    process that outlives the script and holds its output open is a matter for the leak check, not a wait here.
    """
    runs = 0

    def run(script: str | Path, *args: object, timeout: float = 60.0, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        nonlocal runs
        runs += 1
        if isinstance(script, str):
            path = tmp_path / f"script{runs}.py"
            path.write_text(script)
        else:
            path = script
        command = [sys.executable, str(path), *map(str, args)]
        out, err = tmp_path / f"script{runs}.out", tmp_path / f"script{runs}.err"
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, cwd=tmp_path, env=script_environment(env), start_new_session=True
            )
            try:
                process.wait(timeout)
            except subprocess.TimeoutExpired:
                kill_with_stacks(process)
                pytest.fail(f"{path.name} still ran after {timeout:g} s\n--- stdout\n{_text(out)}\n--- stderr, with stacks\n{_text(err)}")
            except BaseException:  # the watchdog, Ctrl-C
                kill_with_stacks(process)
                raise
        return subprocess.CompletedProcess(command, process.returncode, _text(out), _text(err))

    return run


def script_environment(more: dict[str, str] | None) -> dict[str, str]:
    search = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}
    return {**os.environ, **quiet, "PYTHONPATH": os.pathsep.join(search), "PYTHONFAULTHANDLER": "1", "PYTHONUNBUFFERED": "1", **(more or {})}


def kill_with_stacks(process: subprocess.Popen[bytes]) -> None:
    """Let `process` and all below it write their stacks (SIGABRT under faulthandler), then kill whatever is left, its process group included."""
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for member in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.send_signal(signal.SIGABRT)
    psutil.wait_procs(family, timeout=2)
    for member in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _text(path: Path) -> str:
    return path.read_text(errors="replace")
