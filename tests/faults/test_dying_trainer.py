"""The trainer is killed, at any moment: the supervisor and the workers end at once, in silence, and nothing remains."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.processes import alive, wait_until_gone
from tests.scripts import AT_ONCE, MOMENTS, START, Script


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
    child = int((script.folder / "child").read_text())
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
