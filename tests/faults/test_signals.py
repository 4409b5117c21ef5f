"""What a script makes of its signals is its own business: no write of ours may end it, and what it hands on harms nobody."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from loader import Loader, NpyArrays
from loader.ipc.control_socket import home
from tests.batches import assert_same, inline, inline_first, take, take_until_replaced
from tests.faults.test_dying_supervisor import kill, silently
from tests.processes import supervisor_of, workers_of
from tests.scripts import Script

SOURCE = NpyArrays(np.arange(200 * 3000, dtype=np.float32).reshape(200, 3000))

SIGPIPE_ENDS = """
import signal, warnings
warnings.simplefilter("ignore")
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
def kill_supervisor():
    pid = loader._producer.pid
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
loader = Loader(source, 4, workers=2)
batches = iter(loader)
held = [next(batches), next(batches)]
kill_supervisor()
held.pop()
loader.resize(1)
for batch in batches:
    held.append(batch)
kill_supervisor()
batches.close()
held.clear()
next(loader.batches())
kill_supervisor()
loader.close()
assert signal.getsignal(signal.SIGPIPE) is signal.SIG_DFL
"""


def test_sigpipe_ends_no_script_whose_supervisor_has_died(start: Callable[[str], Script]) -> None:
    script = start(SIGPIPE_ENDS)
    script.wait_until_gone()
    assert (script.process.returncode, script.stderr) == (0, "")


def numbers_in(pid: int, field: str) -> set[int]:
    """Return the signals in a mask of a process, such as `SigIgn`; see proc(5)."""
    (mask,) = re.findall(rf"^{field}:\s+(\w+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return {number for number in range(1, 65) if int(mask, 16) >> (number - 1) & 1}


def test_sigpipe_ends_no_supervisor_that_imports_a_module_which_sets_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "for_head.py").write_text("import signal\nsignal.signal(signal.SIGPIPE, signal.SIG_DFL)\ndef step(sample, rng):\n    return sample\n")
    before = signal.getsignal(signal.SIGPIPE)
    monkeypatch.syspath_prepend(tmp_path)
    try:
        import for_head  # type: ignore[import-not-found]

        with Loader(SOURCE, 5, workers=2, transforms=[for_head.step]) as loader:
            take(loader)
            assert signal.SIGPIPE in numbers_in(supervisor_of(loader), "SigIgn")
    finally:
        signal.signal(signal.SIGPIPE, before)


def test_signals_that_the_script_has_blocked_are_not_blocked_where_they_are_needed() -> None:
    needed = {signal.SIGALRM, signal.SIGRTMAX}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, needed)
    try:
        with Loader(SOURCE, 5, workers=1) as loader:
            for pid in (supervisor_of(loader), *workers_of(loader)):
                assert not needed & numbers_in(pid, "SigBlk")
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@silently
def test_a_script_that_ignores_the_end_of_its_children_gets_another_supervisor_all_the_same() -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with Loader(SOURCE, 5, workers=2) as loader:
            take(loader)
            pid = kill(loader)
            with pytest.warns(RuntimeWarning, match="or the script has taken its exit status"):
                found = take_until_replaced(loader, loader.batches())
            assert_same(found, inline_first(SOURCE, 5, len(found)))
            assert not Path(home(), f"{pid}.sock").exists()
    finally:
        signal.signal(signal.SIGCHLD, before)


@silently
def test_with_pipes_of_one_page_a_stopped_supervisor_holds_up_no_release_and_no_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loader.ipc.channels._CAPACITY_BYTES", 4096)
    expected = inline(SOURCE, 5, epochs=2)

    with Loader(SOURCE, 5, workers=2) as loader:
        batches = iter(loader)
        held = [next(batches)]
        supervisor = supervisor_of(loader)
        os.kill(supervisor, signal.SIGSTOP)
        for number in range(200):
            loader.resize(1 + number % 2)
        held.clear()
        batches.close()
        os.kill(supervisor, signal.SIGCONT)
        time.sleep(0.1)
        assert_same(take(loader), expected[len(loader) :])
