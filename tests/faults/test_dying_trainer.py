"""The trainer or the supervisor is killed, or Ctrl-C is pressed: everything ends, at once, with one traceback, and nothing remains."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from loader import Loader, NpyArrays, SupervisorDied
from tests.batches import assert_same, copied, inline, take
from tests.conftest import kill_with_stacks, script_environment
from tests.processes import alive, family, supervisor_of, wait_until, wait_until_gone, workers_of

SOURCE = NpyArrays(np.arange(200 * 3000, dtype=np.float32).reshape(200, 3000))


# The supervisor.


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_a_killed_supervisor_is_an_error_and_takes_its_workers_along(how: signal.Signals) -> None:
    with Loader(SOURCE, 5, workers=2) as loader:
        iterator = iter(loader)
        kept = next(iterator)
        supervisor, workers = supervisor_of(loader), workers_of(loader, 2)
        os.kill(supervisor, how)
        wait_until_gone(workers)
        with pytest.raises(SupervisorDied, match=f"killed by signal {how.value}") as caught:
            list(itertools.chain(iterator, loader.batches()))  # what was ready comes first
        assert str(supervisor) in str(caught.value)
        for use in (lambda: take(loader), lambda: next(iter(loader))):
            with pytest.raises(SupervisorDied):
                use()
        assert loader.stats().batches_delivered >= 1
        loader.resize(1)
        assert_same([kept], inline(SOURCE, 5)[:1])


def test_a_trainer_that_waits_hears_of_the_supervisors_death() -> None:
    def hang(sample: Any, rng: np.random.Generator) -> Any:
        import time

        time.sleep(1000 if sample[0][0] >= 30_000 else 0.001)
        return sample

    with Loader(SOURCE, 5, workers=2, transforms=[hang]) as loader:
        iterator = iter(loader)
        next(iterator)
        supervisor = supervisor_of(loader)
        killer = threading.Timer(0.3, os.kill, (supervisor, signal.SIGKILL))
        killer.start()
        with pytest.raises(SupervisorDied, match="signal 9"):
            list(iterator)
        killer.join()


def test_a_stopped_supervisor_is_killed_by_close() -> None:
    loader = Loader(SOURCE, 5, workers=2)
    take(loader)
    pids = [supervisor_of(loader), *workers_of(loader, 2)]
    os.kill(pids[0], signal.SIGSTOP)
    loader.close()
    wait_until_gone(pids)


def test_a_supervisor_that_dies_while_it_boots_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deadly_elsewhere.py").write_text(
        "import os, sys\nif 'loader.supervise.boot' in sys.modules:\n    os._exit(7)\ndef step(sample, rng):\n    return sample\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import deadly_elsewhere  # type: ignore[import-not-found]

    with Loader(SOURCE, 5, workers=1, transforms=[deadly_elsewhere.step]) as loader, pytest.raises(SupervisorDied, match="status 7"):
        take(loader)


# The trainer, as a script of its own.

START = """
import os, sys, time
import numpy as np
from loader import Loader, NpyArrays
source = NpyArrays(np.arange(2000).reshape(1000, 2))
os.mkdir("silence")
def say(what):
    os.rename("silence", "said")  # nothing is open here: Python loses a Ctrl-C that hits while it closes a file
"""
ITERATING = """
loader = Loader(source, 4, workers=2, shuffle=True)
for number, batch in enumerate(loader.batches()):
    time.sleep(0.001)
    if number == 20:
        say("ready")
"""
WAITING = """
def hang(sample, rng):
    time.sleep(1000 if sample[0][0] > 100 else 0.001)
    return sample
loader = Loader(source, 4, workers=2, transforms=[hang])
for number, batch in enumerate(loader):
    if number == 5:
        say("ready")
"""
IN_THE_FIRST_SAMPLE = """
def hang(sample, rng):
    open(FILE, "w").write("ready\\n")
    time.sleep(1000)
FILE = os.path.abspath("said")
loader = Loader(source, 4, workers=2, transforms=[hang])
next(iter(loader))
"""
IMPORTING = """
sys.path.insert(0, os.getcwd())
open("slow_elsewhere.py", "w").write('''
import sys, time
if "loader.supervise.boot" in sys.modules:
    open(FILE, "w").write("ready")
    while True:
        time.sleep(100)
def step(sample, rng):
    return sample
'''.replace("FILE", repr(os.path.abspath("said"))))
import slow_elsewhere
loader = Loader(source, 4, workers=2, transforms=[slow_elsewhere.step])
next(iter(loader))
"""
AT_ONCE = """
say("ready")
loader = Loader(source, 4, workers=2)
for batch in loader.batches():
    time.sleep(0.0005)
"""
MOMENTS = {"iterating": ITERATING, "waiting": WAITING, "in the first sample": IN_THE_FIRST_SAMPLE, "importing": IMPORTING}


class Script:
    """A script that runs, in a session and process group of its own."""

    def __init__(self, text: str, folder: Path) -> None:
        folder.mkdir()
        (folder / "script.py").write_text(START + text)
        self._folder = folder
        with (folder / "err").open("wb") as err, (folder / "out").open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "script.py"], cwd=folder, env=script_environment(None), stdout=out, stderr=err, start_new_session=True
            )

    def wait_until_ready(self) -> list[int]:
        """Wait until the script says that it is; return the pids of all that run below it."""
        wait_until(lambda: (self._folder / "said").exists() or self.process.poll() is not None, "the script is ready")
        assert self.process.poll() is None, self.stderr
        return family(self.process.pid)

    def wait_until_gone(self) -> None:
        """Wait until the script has ended, and with it all that it had started in its session."""
        wait_until(lambda: self.process.poll() is not None, f"the script ends, which says {self.stderr!r}", 5)
        wait_until(lambda: not session(self.process.pid), "nobody is left in its session", 3)

    @property
    def stderr(self) -> str:
        return (self._folder / "err").read_text()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], Script]]:
    scripts: list[Script] = []

    def run(text: str) -> Script:
        scripts.append(Script(text, tmp_path / f"run{len(scripts)}"))
        return scripts[-1]

    yield run
    for script in scripts:
        if script.process.poll() is None:
            kill_with_stacks(script.process)


@pytest.mark.parametrize("moment", MOMENTS)
def test_when_the_trainer_is_killed_nothing_remains(moment: str, start: Callable[[str], Script]) -> None:
    script = start(MOMENTS[moment])
    pids = script.wait_until_ready()
    assert len(pids) == {"iterating": 3, "waiting": 3, "in the first sample": 2, "importing": 1}[moment]
    script.process.kill()
    wait_until_gone(pids)
    script.process.wait()
    assert script.stderr == ""


def test_when_the_trainer_is_killed_at_any_moment_of_the_start_nothing_remains(start: Callable[[str], Script]) -> None:
    for delay in (0, 0.02, 0.05, 0.1, 0.15, 0.25):
        script = start(AT_ONCE)
        script.wait_until_ready()
        time.sleep(delay)
        script.process.kill()
        script.wait_until_gone()
        assert script.stderr == "", f"killed after {delay} s"


def session(leader: int) -> list[int]:
    """Return who runs in the session of a process, also if it is dead."""
    found = []
    for pid in psutil.pids():
        try:
            if os.getsid(pid) == leader and alive(pid):
                found.append(pid)
        except ProcessLookupError:
            continue
    return found


@pytest.mark.parametrize("moment", ["iterating", "importing"])
def test_a_child_that_the_trainer_has_forked_keeps_nothing_alive(moment: str, start: Callable[[str], Script]) -> None:
    text = MOMENTS[moment].replace("loader = Loader(", "loader = FORKED(", 1)
    fork = """
def FORKED(*arguments, **settings):
    made = Loader(*arguments, **settings)
    child = os.fork()
    if child == 0:
        time.sleep(1000)
    open("child", "w").write(str(child))
    return made
"""
    script = start(fork + text)
    below = script.wait_until_ready()
    child = int((script._folder / "child").read_text())
    script.process.kill()
    try:
        wait_until_gone([pid for pid in below if pid != child])
        assert alive(child)
    finally:
        os.kill(child, signal.SIGKILL)
    script.process.wait()


def test_a_child_that_the_trainer_has_forked_may_end_while_the_trainer_goes_on(run_script: Any) -> None:
    result = run_script(
        START
        + """
loader = Loader(source, 4, workers=2)
iterator = iter(loader)
kept = [next(iterator) for _ in range(3)]
for how in range(3):
    child = os.fork()
    if child == 0:
        if how == 2:
            loader.close()
        sys.exit(0)
    assert os.waitpid(child, 0)[1] == 0
kept += list(iterator)
assert len(kept) == 250 and len(list(loader)) == 250
assert np.array_equal(np.concatenate([x for (x,) in kept]), np.arange(2000).reshape(1000, 2))
print("as it should be")
"""
    )
    assert result.stdout == "as it should be\n", result.stderr
    assert result.stderr == ""


# Ctrl-C: SIGINT to the whole process group, as a terminal sends it.


@pytest.mark.parametrize("moment", [*MOMENTS, "training"])
def test_control_c_ends_a_script_with_one_traceback(moment: str, start: Callable[[str], Script]) -> None:
    text = ITERATING.replace("time.sleep(0.001)", "time.sleep(0.001 if number < 21 else 1000)") if moment == "training" else MOMENTS[moment]
    script = start(text)
    pids = script.wait_until_ready()
    os.killpg(script.process.pid, signal.SIGINT)
    script.wait_until_gone()
    wait_until_gone(pids)
    assert script.process.returncode == -signal.SIGINT
    assert script.stderr.count("Traceback") == 1, script.stderr
    assert script.stderr.rstrip().endswith("KeyboardInterrupt"), script.stderr


def test_control_c_at_any_moment_of_the_start_is_one_traceback(start: Callable[[str], Script]) -> None:
    for delay in (0, 0.005, 0.02, 0.05, 0.1, 0.15, 0.25):
        script = start(AT_ONCE)
        script.wait_until_ready()
        time.sleep(delay)
        os.killpg(script.process.pid, signal.SIGINT)
        script.wait_until_gone()
        assert script.process.returncode == -signal.SIGINT
        assert script.stderr.count("Traceback") == 1, f"interrupted after {delay} s: {script.stderr}"


def test_control_c_in_a_notebook_ends_the_epoch_and_the_loader_stays_usable() -> None:
    def slowly(sample: Any, rng: np.random.Generator) -> Any:
        import time

        time.sleep(0.002)
        return sample

    def go_on(loader: Loader, found: list[Any]) -> None:
        while True:
            found.clear()
            for batch in loader:
                found.append(copied(batch))

    expected = inline(SOURCE, 20)
    with Loader(SOURCE, 20, workers=2, transforms=[slowly]) as loader:
        for _ in range(4):
            found: list[Any] = []
            threading.Timer(0.08, os.kill, (os.getpid(), signal.SIGINT)).start()
            with pytest.raises(KeyboardInterrupt):
                go_on(loader, found)
            assert_same(found, expected[: len(found)])
        assert_same(take(loader), expected[:10])
