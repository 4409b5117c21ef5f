"""What transforms print reaches the trainer, and costs nobody anything."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import Loader, NpyArrays
from loader.ipc.line_file import LIMIT_BYTES
from tests.batches import assert_same, copied, inline, take
from tests.processes import wait_until

SOURCE = NpyArrays(np.arange(100 * 30, dtype=np.float32).reshape(100, 30))


def chatty(sample: Any, rng: np.random.Generator) -> Any:
    import sys

    print("saw", int(sample[0][0]) // 30)
    print("complained about", int(sample[0][0]) // 30, file=sys.stderr)
    return sample


def test_what_a_transform_prints_appears_where_the_script_prints(capsys: pytest.CaptureFixture[str]) -> None:
    with Loader(SOURCE, 10, workers=2, transforms=[chatty]) as loader:
        take(loader)
    out, err = map(str.splitlines, capsys.readouterr())
    assert set(out) == {f"saw {number}" for number in range(100)}
    assert set(err) == {f"complained about {number}" for number in range(100)}


def test_it_appears_while_training_goes_on_and_in_stats(capfd: pytest.CaptureFixture[str]) -> None:
    with Loader(SOURCE, 10, workers=2, slots=2, transforms=[chatty]) as loader:
        batches = loader.batches()
        next(batches)
        loader.stats()
        assert {f"saw {number}" for number in range(10)} <= set(capfd.readouterr().out.splitlines())
        time.sleep(0.2)  # longer than it waits between two looks
        wait_until(lambda: next(batches) and "saw" in capfd.readouterr().out, "there is a free slot again, for which a sample is made")


def test_it_appears_while_the_trainer_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def tells_and_waits(sample: Any, rng: np.random.Generator) -> Any:
        import os
        import time

        if sample[0][0] == 30 * 60:
            print("this takes a while")
            while not os.path.exists(file):
                time.sleep(0.01)
        return sample

    class Screen:
        """Lets the sample go on once its line has been seen: a test that never ends if it is not."""

        encoding = "utf-8"

        def write(self, text: str) -> None:
            if "a while" in text:
                open(file, "w").close()

        def flush(self) -> None:
            """Nothing is kept back."""

    file = str(tmp_path / "seen")
    monkeypatch.setattr(sys, "stdout", Screen())
    with Loader(SOURCE, 10, workers=2, transforms=[tells_and_waits]) as loader:
        assert len(take(loader)) == 10


def test_what_a_worker_said_before_a_crash_is_not_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def crashes_once(sample: Any, rng: np.random.Generator) -> Any:
        import os
        import signal

        if sample[0][0] == 30 * 60 and not os.path.exists(marker):
            open(marker, "w").close()
            print("about to crash")
            os.kill(os.getpid(), signal.SIGKILL)
        return sample

    marker = str(tmp_path / "crashed")
    with Loader(SOURCE, 10, workers=2, transforms=[crashes_once]) as loader:
        assert_same(take(loader), inline(SOURCE, 10))
    assert capsys.readouterr().out.count("about to crash\n") == 1


def test_a_hundred_megabytes_of_output_neither_stop_the_workers_nor_gather(capsys: pytest.CaptureFixture[str]) -> None:
    def floods(sample: Any, rng: np.random.Generator) -> Any:
        import sys
        import time

        line = "x" * 1023 + "\n"
        for _ in range(1024):
            sys.stdout.write(line)
        time.sleep(0.02)
        return sample

    most = 0
    with Loader(SOURCE, 10, workers=2, transforms=[floods]) as loader:
        descriptor = loader._producer._relay.descriptors["stdout"]
        found = []
        for batch in loader:
            found.append(copied(batch))
            most = max(most, os.fstat(descriptor).st_blocks * 512)
            capsys.readouterr()
        wait_until(lambda: loader.stats() and os.fstat(descriptor).st_blocks * 512 <= LIMIT_BYTES, "the memory is given back")
    assert_same(found, inline(SOURCE, 10))
    assert most < 60 << 20  # what two workers print within a tick, or within a batch


def test_output_that_nobody_takes_is_bounded_while_the_trainer_is_busy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    busy = tmp_path / "busy"

    def floods(sample: Any, rng: np.random.Generator) -> Any:
        import sys
        import time

        if sample[0][0] >= 30 * 10:  # all but the first batch
            while not busy.exists():
                time.sleep(0.01)
            sys.stdout.write(("x" * 1023 + "\n") * 1024)
        return sample

    with Loader(SOURCE, 10, workers=2, transforms=[floods], slots=6) as loader:
        descriptor = loader._producer._relay.descriptors["stdout"]
        next(iter(loader))
        busy.touch()
        wait_until(lambda: os.fstat(descriptor).st_size > 2 * LIMIT_BYTES, "the workers have run ahead")
        wait_until(lambda: os.fstat(descriptor).st_blocks * 512 <= LIMIT_BYTES + (2 << 20), "the supervisor has dropped the oldest")
        wait_until(lambda: loader.stats() and "bytes of output were dropped here" in capsys.readouterr().out, "it is told")


def test_a_script_without_standard_streams_gets_its_batches(run_script: Callable[..., Any]) -> None:
    result = run_script(
        """
import os, sys
import numpy as np
from loader import Loader, NpyArrays
def chatty(sample, rng):
    print("text")
    os.write(2, b"raw\\n")
    return sample
out = os.dup(1)
sys.stdout = None
os.close(1); os.close(2)
with Loader(NpyArrays(np.arange(40)), 4, workers=2, transforms=[chatty]) as loader:
    found = [x.tolist() for (x,) in loader]
assert sum(found, []) == list(range(40))
os.write(out, b"as it should be")
"""
    )
    assert result.stdout == "as it should be", result.stdout + result.stderr
