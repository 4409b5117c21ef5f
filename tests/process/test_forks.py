"""A trainer may fork, in whatever way, at whatever moment: its batches stay right, its slots come back, and nothing outlives it.

What runs here is a script of its own each time: a child that ends by `sys.exit` or an exception would end pytest a second time.
"""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.processes import alive, wait_until, wait_until_gone

# `loader` is in the middle of its first epoch, of which `found` holds copies and `held` the last two batches, in their slots. A slot holds one
# batch, and the default is that a batch which had to be copied, since a slot did not come back, is an error.
START = """
import copy, gc, itertools, os, pickle, signal, subprocess, sys, time, warnings
import numpy as np
from loader import Loader, LoaderClosed, NpyArrays, PipelineError

warnings.simplefilter("error", RuntimeWarning)
source = NpyArrays(np.arange(60 * 20_000, dtype=np.float32).reshape(60, 20_000), np.arange(60))

def make(workers):
    return Loader(source, 4, shuffle=True, workers=workers, slots=4)

def plain(batch):
    return tuple(array.tobytes() for array in batch)

with make(0) as inline:
    expected = [plain(batch) for _ in range(4) for batch in inline]

loader = make(2)
"""
TAKE = """
iterator = iter(loader)
held = [next(iterator) for _ in range(2)]
found = [plain(batch) for batch in held]
"""
# In the child, everything is refused, what the parent holds can be read, and letting go of all of it is nothing to the parent.
CHILD = """
def child():
    global loader, iterator, held
    assert [plain(batch) for batch in held] == expected[:2]
    uses = [lambda: next(iterator)] * 3 + [lambda: next(iter(loader)), lambda: next(loader.batches()), lambda: list(loader)]
    uses += [loader.stats, lambda: loader.resize(1), lambda: loader.spec]
    for use in uses:
        try:
            use()
        except LoaderClosed as error:
            assert "another process" in str(error)
        else:
            raise AssertionError("a fork may use the loader")
    loader.close()
    iterator.close()
    loader = iterator = held = None
    gc.collect()
"""
CHECK = """
assert [plain(batch) for batch in held] == expected[:2], "batches that were held have changed"
del held
found += [plain(batch) for batch in iterator]
found += [plain(batch) for _ in range(3) for batch in loader]
assert found == expected, "wrong batches"
del iterator
assert not loader.stats().slots.lent
loader.close()
print("as it should be")
"""


def ok(result: subprocess.CompletedProcess[str]) -> None:
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("as it should be") == 1, result.stdout + result.stderr


ENDS = {
    "os._exit": "os._exit(7)",
    "sys.exit": "sys.exit(7)",
    "an exception": "sys.stderr.close(); raise ValueError",
    "SIGKILL": "os.kill(os.getpid(), signal.SIGKILL)",
}
STATUS = {"os._exit": 7, "sys.exit": 7, "an exception": 1, "SIGKILL": -9}
FORK = """
def fork(act):
    pid = os.fork()
    if pid == 0:
        act()
        print("the child is through", flush=True)
        END
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == STATUS

def refused_at_once():
    try:
        next(iter(loader))
    except LoaderClosed:
        return
    raise AssertionError("a fork may use the loader")
"""


@pytest.mark.parametrize("end", [pytest.param(end, marks=[] if end in ("an exception", "SIGKILL") else pytest.mark.thorough) for end in ENDS])
def test_a_fork_can_take_nothing_away_however_it_ends(end: str, run_script: Any) -> None:
    fork = FORK.replace("END", ENDS[end]).replace("STATUS", str(STATUS[end]))
    result = run_script(START + fork + "fork(lambda: None)\nfork(refused_at_once)\n" + TAKE + CHILD + "fork(child)\nfork(lambda: None)\n" + CHECK)
    ok(result)
    assert result.stdout.count("the child is through") == 4


def test_both_sides_of_a_fork_may_have_loaders_of_their_own(run_script: Any) -> None:
    own = """
def own():
    with make(2) as mine:
        assert [plain(batch) for _ in range(4) for batch in mine] == expected, "wrong batches in the child"
"""
    fork = FORK.replace("END", "os._exit(7)").replace("STATUS", "7")
    meanwhile = "early = os.fork()\nif not early:\n    own()\n    os._exit(7)\n"
    wait = "assert os.waitstatus_to_exitcode(os.waitpid(early, 0)[1]) == 7\n"
    ok(run_script(START.replace("loader = make(2)", own + meanwhile + "loader = make(2)") + fork + TAKE + "fork(own)\n" + wait + CHECK))


# --- libraries that fork --------------------------------------------------------------------------------------------------------------

LIBRARIES = {
    "multiprocessing.Process": """
import multiprocessing
context = multiprocessing.get_context("fork")
for act in (child, lambda: sys.exit(7), lambda: os._exit(7)):
    process = context.Process(target=act)
    process.start()
    process.join()
    assert process.exitcode == (0 if act is child else 7)
    process.close()
""",
    "multiprocessing.Pool": """
import multiprocessing
def first(number):
    return number, plain(held[number % 2])
def sums(batch):
    return [float(array.sum()) for array in batch]
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map(first, range(8)) == [(number, found[number % 2]) for number in range(8)]
    for _ in range(3):
        batch = next(iterator)
        found.append(plain(batch))
        assert pool.apply(sums, [batch]) == sums(batch)  # a batch may be sent to whom one likes
        del batch
    try:
        pool.apply(refused_in_a_pool)
    except LoaderClosed as error:
        assert "another process" in str(error)
    else:
        raise AssertionError("a fork may use the loader")
    pool.close()
    pool.join()
""",
    "joblib with loky": """
import joblib
from joblib.externals.loky import get_reusable_executor
def sums(batch):
    return [float(array.sum()) for array in batch]
def batches():
    for batch in itertools.islice(iterator, 8):
        found.append(plain(batch))
        right.append(sums(batch))
        yield batch
right = []
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # joblib may keep as many batches as there are slots
    results = joblib.Parallel(n_jobs=2, max_nbytes=10_000, temp_folder=os.getcwd())(joblib.delayed(sums)(batch) for batch in batches())
assert results == right and len(right) == 8
try:
    joblib.Parallel(n_jobs=2)(joblib.delayed(print)(loader) for _ in range(2))
except Exception as error:
    causes = [error, error.__cause__, error.__context__]
    assert any("make the Loader where you use it" in str(cause) for cause in causes), causes
else:
    raise AssertionError("a loader may travel")
get_reusable_executor().shutdown(kill_workers=True)
""",
    "joblib with multiprocessing": """
import joblib
def sums(batch):
    return [float(array.sum()) for array in batch]
parallel = joblib.Parallel(n_jobs=2, backend="multiprocessing", max_nbytes=10_000, temp_folder=os.getcwd())
assert parallel(joblib.delayed(sums)(batch) for batch in held) == [sums(batch) for batch in held]
""",
    "subprocess": """
for settings in ({}, {"close_fds": False}, {"shell": True, "start_new_session": True}, {"preexec_fn": child}):
    subprocess.run("true", check=True, **settings)
    os.system("true")
    assert os.spawnlp(os.P_WAIT, "true", "true") == 0
""",
}
IN_A_POOL = """
def refused_in_a_pool():
    loader.stats()
"""


@pytest.mark.parametrize("library", LIBRARIES)
def test_libraries_that_start_processes_change_nothing(library: str, run_script: Any) -> None:
    ok(run_script(START + TAKE + CHILD + IN_A_POOL + LIBRARIES[library] + CHECK))


# --- who outlives whom ----------------------------------------------------------------------------------------------------------------

OUTLIVING = """
import psutil
children = [process.pid for process in psutil.Process().children(recursive=True)]
assert len(children) == 3, children
STAY
print(other, *children, flush=True)
END
"""
STAYS = {
    "a fork": """
parent = os.getpid()
other = os.fork()
if other == 0:
    while os.getppid() == parent:
        time.sleep(0.01)
    while not os.path.exists("let go"):
        assert [plain(batch) for batch in held] == expected[:2]
        open("could read", "w").close()
        time.sleep(0.05)
    child()
    open("through", "w").close()
    os._exit(0)
""",
    "a program with all descriptors": "other = subprocess.Popen(['sleep', '1000'], close_fds=False).pid\n",
}
PARENT_ENDS = {"by itself": "", "os._exit": "os._exit(0)", "SIGKILL": "os.kill(os.getpid(), signal.SIGKILL)"}


@pytest.mark.cold  # its only child is the supervisor
@pytest.mark.parametrize(
    ("stay", "end"),
    [("a fork", "by itself"), ("a fork", "SIGKILL"), ("a program with all descriptors", "os._exit"), ("a program with all descriptors", "SIGKILL")],
)
def test_a_process_that_outlives_the_trainer_keeps_nothing_of_ours_alive(stay: str, end: str, run_script: Any, tmp_path: Path) -> None:
    text = OUTLIVING.replace("STAY", STAYS[stay]).replace("END", PARENT_ENDS[end])
    result = run_script(START + TAKE + CHILD + text)
    assert result.returncode == (-signal.SIGKILL if end == "SIGKILL" else 0), result.stderr
    other, *ours = map(int, result.stdout.split())
    try:
        wait_until_gone(ours)
        assert alive(other), result.stderr
        if stay == "a fork":
            wait_until((tmp_path / "could read").exists, "the fork has read the batches of its dead parent")
            (tmp_path / "let go").touch()
            wait_until((tmp_path / "through").exists, "the fork is refused and lets go of everything")
    finally:
        os.kill(other, signal.SIGKILL)


# --- pickling -------------------------------------------------------------------------------------------------------------------------

TRAVEL = """
import cloudpickle, multiprocessing
spawn = multiprocessing.get_context("spawn")
ways = [pickle.dumps, cloudpickle.dumps, copy.copy, copy.deepcopy, lambda it: spawn.Process(target=print, args=(it,)).start()]
for way in ways:
    for what in (loader, iterator) if way is copy.copy else (loader, iterator, [loader], {"iterator": iterator}):
        try:
            way(what)
        except PipelineError as error:
            assert str(error).startswith(loader.name), error
            assert str(error).endswith("make the Loader where you use it"), error
        else:
            raise AssertionError((way, what))
assert [plain(batch) for batch in pickle.loads(pickle.dumps(held))] == found  # batches may
"""


def test_a_loader_that_should_travel_says_what_to_do_and_goes_on(run_script: Any) -> None:
    ok(run_script("if __name__ == '__main__':\n" + "".join(f"    {line}\n" for line in (START + TAKE + TRAVEL + CHECK).splitlines())))
