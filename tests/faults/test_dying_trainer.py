"""The trainer is killed while the loader starts: the supervisor ends at once, in silence, and nothing remains. Later moments: `table.py`."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import pytest

from tests.processes import alive, wait_until_gone
from tests.scripts import AT_ONCE, IMPORTING, Script

pytestmark = pytest.mark.cold  # a start of usual length has more moments


def test_when_the_trainer_is_killed_while_its_modules_are_imported_nothing_remains(start: Callable[[str], Script]) -> None:
    script = start(IMPORTING)
    pids = script.wait_until_ready()
    assert len(pids) == 1
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


def test_a_child_that_was_forked_while_the_supervisor_boots_keeps_nothing_alive(start: Callable[[str], Script]) -> None:
    text = IMPORTING.replace("loader = Loader(", "loader = FORKED(", 1)
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
