"""The progress bar of a plain loop, on a real terminal and elsewhere."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.conftest import kill_with_stacks, script_environment

SETUP = """
import sys
import numpy as np
from loader import Loader, NpyArrays
def make(**more):
    return Loader(NpyArrays(np.arange(400.0)), 8, **{"workers": 1, "name": "train", **more})
"""


def on_a_terminal(tmp_path: Path, script: str, timeout: float = 60.0) -> tuple[int, str, str]:
    """Run a script whose standard error is a terminal. Return its status, its standard output, and what the terminal got."""
    path, out = tmp_path / "script.py", tmp_path / "out"
    path.write_text(SETUP + script)
    ours, theirs = pty.openpty()
    shown: list[bytes] = []

    def read() -> None:
        with contextlib.suppress(OSError):  # EIO: nobody has the other end any more
            while piece := os.read(ours, 65536):
                shown.append(piece)

    environment = script_environment({"TERM": "xterm", "COLUMNS": "100"})
    with out.open("wb") as stdout:
        process = subprocess.Popen([sys.executable, str(path)], stdout=stdout, stderr=theirs, env=environment, start_new_session=True)
    os.close(theirs)
    reader = threading.Thread(target=read)
    reader.start()
    try:
        process.wait(timeout)
    except subprocess.TimeoutExpired:
        kill_with_stacks(process)
        pytest.fail(f"still ran after {timeout:g} s\n{b''.join(shown).decode(errors='replace')}")
    finally:
        reader.join()
        os.close(ours)
    return process.returncode, out.read_text(), b"".join(shown).decode()


def lines(shown: str) -> list[str]:
    """Return what the terminal got, line by line, the redrawn ones as well, without colours."""
    return [line for line in re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)) if line.strip()]


def test_each_epoch_has_a_bar_that_ends_full(tmp_path: Path) -> None:
    status, out, shown = on_a_terminal(
        tmp_path,
        """
import time
with make() as loader:
    for epoch in range(2):
        rows = []
        for x, in loader.progress():
            rows.extend(x.tolist())
            time.sleep(0.01)
            if len(rows) == 80: print("from the loop", file=sys.stderr)
        print(rows == list(range(400)))
""",
    )
    assert status == 0, shown
    assert out.split() == ["True", "True"]
    for epoch in range(2):
        bars = [line for line in lines(shown) if line.startswith(f"train epoch {epoch} ")]
        assert "0/50" in bars[0], shown
        assert re.search(r"50/50 [\d,]+ samples/s, waits \d+% 0\d:\d\d", bars[-1]), shown
    assert lines(shown).count("from the loop") == 2
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") == 2  # the cursor is hidden, and comes back


def test_leaving_the_loop_ends_bar_and_epoch(tmp_path: Path) -> None:
    status, out, shown = on_a_terminal(
        tmp_path,
        """
with make(workers=0) as loader:
    for x, in loader.progress():
        if x[0] == 16: break
    print(loader.stats().epoch, flush=True)
    try:
        for x, in loader.progress():
            raise ValueError("of the loop")
    except ValueError as error:
        print(loader.stats().epoch, error, flush=True)
    print([x[0] for x, in loader.progress()] == [8.0 * i for i in range(50)], flush=True)
    for x, in loader.progress():
        raise KeyboardInterrupt
""",
    )
    assert status != 0
    assert out.splitlines() == ["1", "2 of the loop", "True"]
    assert "train epoch 0 " in shown
    assert any(re.match(r"train epoch 0 .* 3/50", line) for line in lines(shown)), shown
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") == 4
    assert lines(shown)[-1].startswith("KeyboardInterrupt")


def test_an_error_of_the_loader_ends_the_bar(tmp_path: Path) -> None:
    status, out, shown = on_a_terminal(
        tmp_path,
        """
from loader import SampleError
def fail(sample, rng):
    if sample[0] == 30: raise ValueError("no 30")
    return sample
with make(transforms=[fail]) as loader:
    try:
        for x, in loader.progress(): pass
    except SampleError as error:
        print("no 30" in str(error))
""",
    )
    assert (status, out.strip()) == (0, "True"), shown
    assert "3/50" in lines(shown)[-1]
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") == 1


def test_a_bar_begins_where_the_epoch_does(tmp_path: Path) -> None:
    status, out, shown = on_a_terminal(
        tmp_path,
        """
with make(workers=0) as loader:
    state = loader.state_dict() | {"epoch": 2, "batch": 40}
    loader.load_state_dict(state)
    print(sum(1 for x in loader.progress()))
""",
    )
    assert (status, out.strip()) == (0, "10"), shown
    assert re.match(r"train epoch 2 .* 40/50", lines(shown)[0]), shown
    assert "50/50" in lines(shown)[-1]


def test_disabled_or_a_dumb_terminal_means_no_bar(tmp_path: Path) -> None:
    status, out, shown = on_a_terminal(
        tmp_path,
        """
import os
with make(workers=0) as loader:
    print(sum(1 for x in loader.progress(disable=True)))
    os.environ["TERM"] = "dumb"
    print(sum(1 for x in loader.progress()))
""",
    )
    assert (status, out.split(), shown) == (0, ["50", "50"], "")


def test_no_terminal_means_no_bar(run_script) -> None:  # type: ignore[no-untyped-def]
    result = run_script(
        SETUP
        + """
import io
with make(workers=0) as loader:
    print(sum(1 for x in loader.progress()), sum(1 for x in loader.progress(file=io.StringIO())))
"""
    )
    assert (result.returncode, result.stdout.split(), result.stderr) == (0, ["50", "50"], "")
