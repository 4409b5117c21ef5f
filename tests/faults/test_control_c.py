"""Ctrl-C, as SIGINT to the whole process group, which is how a terminal sends it: one traceback, the user's own, and nothing remains."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from loader import Loader, NpyArrays
from tests.batches import assert_same, copied, inline, take
from tests.processes import wait_until_gone
from tests.scripts import AT_ONCE, IMPORTING, ITERATING, Script, assert_only_control_c

SOURCE = NpyArrays(np.arange(200 * 3000, dtype=np.float32).reshape(200, 3000))


TRAINING = ITERATING.replace("time.sleep(0.001)", "time.sleep(0.001 if number < 21 else 1000)")


@pytest.mark.parametrize("moment", [IMPORTING, TRAINING], ids=["importing", "training"])
def test_control_c_ends_a_script_with_one_traceback(moment: str, start: Callable[[str], Script]) -> None:
    script = start(moment)
    pids = script.wait_until_ready()
    script.stop()
    wait_until_gone(pids)


@pytest.mark.cold  # a start of usual length has more moments
def test_control_c_at_any_moment_of_the_start_is_one_traceback(start: Callable[[str], Script]) -> None:
    for delay in (0, 0.01, 0.05, 0.1, 0.2):
        script = start(AT_ONCE)
        script.wait_until_ready()
        time.sleep(delay)
        script.stop()


LOSES_ONE = """
class Loses:
    def __del__(self):
        say("ready")
        time.sleep(1000)
Loses()
try:
    os.no_such_name
except AttributeError:
    time.sleep(1000)
"""


def test_what_python_loses_or_chains_is_still_one_traceback(start: Callable[[str], Script]) -> None:
    script = start(LOSES_ONE)
    script.wait_until_ready()
    script.stop()
    assert script.stderr.startswith("Exception ignored")
    with pytest.raises(AssertionError):
        assert_only_control_c(script.stderr + "Traceback (most recent call last):\n  of another process\nKeyboardInterrupt\n")


def test_control_c_in_a_notebook_ends_the_epoch_and_the_loader_stays_usable() -> None:
    def slowly(sample: Any, rng: np.random.Generator) -> Any:
        import time

        time.sleep(0.002)
        return sample

    def go_on(loader: Loader, found: list[Any]) -> None:
        threading.Timer(0.08, os.kill, (os.getpid(), signal.SIGINT)).start()
        while True:
            found.clear()
            for batch in loader:
                found.append(copied(batch))

    expected = inline(SOURCE, 20)
    with Loader(SOURCE, 20, workers=2, transforms=[slowly]) as loader:
        for _ in range(4):
            found: list[Any] = []
            with pytest.raises(KeyboardInterrupt):
                go_on(loader, found)
            assert_same(found, expected[: len(found)])
        assert_same(take(loader), expected[:10])
