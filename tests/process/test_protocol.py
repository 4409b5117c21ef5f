"""What does not fit what came before raises, with the history, also where Python runs without its asserts."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import script_environment

SLOT = """
from loader.supervise.schedule.slots import Slot, SlotState
Slot(3).become(SlotState.HANDED)
"""
SCHEDULE = """
from tests.plans import sample_batches
from loader.ipc.records import Done, Failed
from loader.supervise.schedule.schedule import Schedule
schedule = Schedule(sample_batches(64, 16), 3, 1, None, row_ns=1e6, cores=2)
schedule.worker_joined(0)
numbers = [command.ticket.number for command in schedule.commands()]
"""
RECORD = """
from loader.ipc import records
records.unpack_inbox(bytes([255]) * records.INBOX_BYTES)
"""
TEXT = """
from loader.supervise.bad_samples import BadSampleTracker
BadSampleTracker._note(None, {"error": "PipelineError", "message": "hm"})
"""
BROKEN = {
    "a slot that nobody fills is handed over": (SLOT, "slot 3 can't go from FREE to HANDED"),
    "a ticket is reported done out of turn": (f"{SCHEDULE}schedule.done(Done(0, numbers[1], 1))", "worker 0 reported ticket 2"),
    "a ticket fails out of turn": (f"{SCHEDULE}schedule.failed(Failed(0, numbers[1], 0))", "worker 0 reported ticket 2"),
    "a worker that does not exist reports": (f"{SCHEDULE}schedule.done(Done(7, 1, 1))", "worker 7 reported ticket 1"),
    "a record of an unknown kind": (RECORD, "of kind 4294967295"),
    "a text about a bad sample that is none": (TEXT, "is no error of a sample"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_breaks_the_protocol_raises_without_asserts_too(case: str) -> None:
    script, words = BROKEN[case]
    result = subprocess.run([sys.executable, "-O", "-c", script], capture_output=True, text=True, env=script_environment(None), timeout=60)
    assert result.returncode == 1
    last = result.stderr.splitlines()[-1]
    assert last.startswith("loader.errors.ProtocolError: "), result.stderr
    assert words in last
