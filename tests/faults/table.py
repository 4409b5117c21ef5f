"""What happens when something goes wrong: which fault, at which moment, and what must hold afterwards. Data only, readable from top to bottom.

`tests/faults/test_table.py` makes every cell happen to real processes, `docs/make_faults.py` writes docs/faults.md from it.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from typing import Any, Literal

# --- outcomes -------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """What must hold after a fault, besides: within a deadline, and nothing left behind.

    Attributes:
        word: in the matrix.
        text: what a user sees.
        error: class name of the error that is raised; None for none.
        says: part of its message.
        lasting: whether the next epochs raise it, too; else they are those of a quiet run.
        warns: part of the warning that is printed; "" for none.
    """

    word: Literal["same", "stand-in", "error", "ends", "goes on", "stops"]
    text: str
    error: str | None = None
    says: str = ""
    lasting: bool = False
    warns: str = ""


def raises(error: str, says: str, *, lasting: bool = False) -> Outcome:
    """Return the outcome that the batch in question, and it alone, raises `error`; or each use from then on."""
    return Outcome("error", f"`{error}` that says “{says}”", error, says, lasting)


SAME = Outcome("same", "the batches of a quiet run, bit for bit")
ENDS = Outcome("ends", "supervisor and workers end at once, silently")
GOES_ON = Outcome("goes on", "the others read on, undisturbed; supervisor and workers end with the last of them")
STOPS = Outcome("stops", "the script ends with one traceback, the user's own")

SUBSTITUTED = Outcome(
    "stand-in",
    "the batches of a quiet run, except that another sample, the same as with `workers=0`, takes the bad one's place",
    warns="is bad, and another one takes its place",
)

SHORT = {
    "same": SAME.text,
    "stand-in": SUBSTITUTED.text,
    "error": "one error, when its batch is due, that says what happened",
    "ends": ENDS.text,
    "goes on": GOES_ON.text,
    "stops": STOPS.text,
    "-": "can't happen at that moment, or is left out (see the end of this page)",
}


def replaced(death: str) -> Outcome:
    """Return the outcome that another supervisor goes on, and a warning says how the first one died."""
    return Outcome("same", SAME.text, warns=death)


# --- when -----------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class When:
    """A moment in the life of a loader.

    Attributes:
        key: short name.
        text: in words.
        how: it is brought about.
        code: whether a process of the loader is in code of the user's, or reads a file of theirs, at that moment.
        after: `(epoch, batch)`: the trainer waits for the moment when it has taken this batch; None: before the first.
        waits: whether the trainer stays away from the loader until the fault has happened.
    """

    key: str
    text: str
    how: str
    code: bool = True
    after: tuple[int, int] | None = (0, 1)
    waits: bool = False


WHENS = (
    When("boots", "the supervisor boots", "the process that tries the first sample waits inside it", after=None),
    When(
        "idle", "before a worker's first ticket", "a worker was killed while all slots were full, and has just been replaced", code=False, waits=True
    ),
    When("reads", "a worker reads", "it waits between two rows, inside the source's `read`"),
    When("transforms", "a worker transforms", "it waits inside a function of the user's"),
    When(
        "reports",
        "after a worker's last byte, before its report",
        "the worker hangs while it writes its report: the supervisor is stopped and its pipe is full",
        code=False,
    ),
    When("full", "every slot is full", "the trainer takes no batch until no slot is free and none is being filled", code=False, waits=True),
    When("leases", "the trainer holds leases", "it holds the arrays of two batches, and checks them again at the end of the epoch"),
    When(
        "epoch",
        "at the end of an epoch",
        "the trainer has taken the last batch; a worker is working on the first batch of the next epoch",
        after=(0, 11),
    ),
    When("resize", "during `resize`", "`resize(4)` and `resize(1)` have been sent while a worker works"),
    When("close", "during `close`", "`close()` waits for a supervisor that is stopped for a moment, while a worker works", waits=True),
)

# --- how ------------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class How:
    """A fault.

    Attributes:
        key: short name.
        text: in words.
        by: who brings it about: "code" of the user's in a worker; a "signal" to a worker; a "file" that fails; the "supervisor", the "trainer" or the
            "reader", another script or rank that reads the loader, to which something happens; the "machine", which is so from the start.
        outcome: what must hold, unless `at` says otherwise.
        at: outcomes of single moments.
        only: moments to which it is limited, and why.
        place: where the worker waits: inside the source or inside a function.
        signal: to send.
        every: whether it happens each time, not once.
        timeout_s: `sample_timeout_s` of the loader.
        options: more settings of the loader.
    """

    key: str
    text: str
    by: Literal["code", "signal", "file", "supervisor", "trainer", "reader", "machine"]
    outcome: Outcome
    at: dict[str, Outcome]
    only: tuple[tuple[str, ...], str] | None = None
    place: Literal["transform", "read"] = "transform"
    signal: int = 0
    every: bool = False
    timeout_s: float = 60.0
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def shared(self) -> bool:
        """Whether another script or rank reads the loader."""
        return "name" in self.options

    @property
    def ranks(self) -> bool:
        """Whether that is another rank of the same job, with batches of its own."""
        return self.options.get("shard") == "local"

    @property
    def kills_reader(self) -> bool:
        """Whether that one is killed."""
        return self.by == "reader" and self.signal == signal.SIGKILL


def _first(says: str) -> dict[str, Outcome]:
    """While booting, the process that is hit tries the first sample; at the end, nobody wants the batch any more."""
    return {"boots": raises("PipelineError", says, lasting=True), "close": SAME}


def _bad(says: str, *, every: bool = True) -> dict[str, Outcome]:
    return {"boots": raises("SampleError", says, lasting=every), "close": SAME}


_CLOSED = {"close": SAME}
_SUBSTITUTE = {"on_error": "substitute"}
_SHARED = {"shared": True, "name": "faults", "slots": 16}
_RANKS = {"shard": "local", "name": "faults", "slots": 8}
_WITH_READER = ("reads", "transforms", "leases", "resize"), "it takes two scripts each time, so it is played at a few moments only"
_MACHINE = ("boots", "full"), "this is a state of the machine, not an event"

HOWS = (
    How("exception", "a function raises an exception", "code", raises("SampleError", "a fault of the test"), _bad("a fault of the test")),
    How("sys.exit", "a function calls `sys.exit(3)`", "code", raises("SampleError", "SystemExit: 3"), _bad("SystemExit: 3")),
    How("MemoryError", "a function asks for more memory than exists, once", "code", SAME, _bad("MemoryError")),
    How(
        "memory",
        "a sample takes more memory than `memory_limit` leaves",
        "code",
        raises("SampleError", "for one worker, and it was the only one", lasting=True),
        _CLOSED,
        every=True,
        options={"memory_limit": "1GiB"},
    ),
    How("os._exit", "a function calls `os._exit(3)`, once", "code", SAME, _first("exited with status 3")),
    How(
        "crash",
        "a sample crashes each worker that touches it",
        "code",
        raises("SampleError", "killed its worker", lasting=True),
        _first("SIGSEGV"),
        every=True,
    ),
    How(
        "exception, substitute",
        'a sample raises an exception, `on_error="substitute"`',
        "code",
        SUBSTITUTED,
        _CLOSED,
        every=True,
        options=_SUBSTITUTE,
    ),
    How(
        "exit, substitute",
        'a sample ends its worker by `os._exit(3)`, `on_error="substitute"`',
        "code",
        SUBSTITUTED,
        _first("exited with status 3"),
        every=True,
        options=_SUBSTITUTE,
    ),
    How(
        "kill, substitute",
        'a sample kills its worker by SIGKILL, `on_error="substitute"`',
        "code",
        SUBSTITUTED,
        _first("SIGKILL"),
        every=True,
        options=_SUBSTITUTE,
    ),
    How(
        "hang, substitute",
        'a sample hangs, `on_error="substitute"`',
        "code",
        SUBSTITUTED,
        {"boots": raises("SampleTimeout", "took more than 1.0 s", lasting=True), "close": SAME},
        every=True,
        timeout_s=1.0,
        options=_SUBSTITUTE,
    ),
    How("SIGKILL", "a worker is killed by SIGKILL, as by the OOM killer", "signal", SAME, {}, signal=signal.SIGKILL),
    How("SIGSEGV", "a worker is killed by SIGSEGV", "signal", SAME, _first("SIGSEGV"), signal=signal.SIGSEGV),
    How("SIGTERM", "a worker is killed by SIGTERM", "signal", SAME, {}, signal=signal.SIGTERM),
    How(
        "SIGSTOP",
        "a worker is stopped by SIGSTOP: it hangs",
        "signal",
        SAME,
        {"boots": raises("SampleTimeout", "took more than 1.0 s", lasting=True), "close": SAME},
        signal=signal.SIGSTOP,
        timeout_s=1.0,
    ),
    How("SIGBUS", "a mapped file is truncated under a worker, and complete again later", "file", SAME, _first("SIGBUS"), place="read"),
    How("EIO", "the kernel returns EIO for a file, for a moment", "file", SAME, {}, place="read"),
    How("ENOENT", "a file is missing", "file", raises("SampleError", "No such file", lasting=True), _bad("No such file"), place="read"),
    How(
        "EACCES", "a file may not be read", "file", raises("SampleError", "Permission denied", lasting=True), _bad("Permission denied"), place="read"
    ),
    How(
        "FIFO",
        "there is a FIFO in place of a file",
        "file",
        raises("SampleError", "no regular file but a FIFO", lasting=True),
        _bad("no regular file but a FIFO"),
        place="read",
    ),
    How("kill -9", "the supervisor is killed by SIGKILL", "supervisor", replaced("killed by SIGKILL"), _CLOSED, signal=signal.SIGKILL),
    How(
        "SIGPIPE",
        "the supervisor is killed by SIGKILL, and the script lets SIGPIPE end it",
        "supervisor",
        replaced("killed by SIGKILL"),
        _CLOSED,
        signal=signal.SIGKILL,
    ),
    How("kill", "the supervisor is killed by SIGTERM", "supervisor", replaced("killed by SIGTERM"), _CLOSED, signal=signal.SIGTERM),
    How(
        "stopped",
        "the supervisor is stopped by SIGSTOP",
        "supervisor",
        replaced("it was stopped (SIGSTOP) for 10 s and was killed"),
        _CLOSED,
        only=(("boots", "transforms", "leases", "close"), "it takes ten seconds each time, so it is played at a few moments only"),
        signal=signal.SIGSTOP,
    ),
    How("killed", "the trainer is killed by SIGKILL", "trainer", ENDS, {}, signal=signal.SIGKILL),
    How("Ctrl-C", "Ctrl-C: SIGINT to all processes of the terminal", "trainer", STOPS, {}, signal=signal.SIGINT),
    How("fork ends", "the trainer forks, and the child ends by `sys.exit`", "trainer", SAME, {}),
    How("fork stays", "the trainer forks, and the child outlives it", "trainer", SAME, {}),
    How("no descriptor", "the trainer has used up its 64 descriptors", "trainer", SAME, {}),
    How("leak", "a worker has used up its 64 descriptors", "code", SAME, _bad("may have 64 files open"), place="read"),
    How(
        "leaks",
        "a sample uses up the descriptors of every worker",
        "code",
        raises("SampleError", "its worker was a fresh one, which had opened nothing before", lasting=True),
        _bad("may have 64 files open"),
        place="read",
        every=True,
    ),
    How(
        "reader killed",
        "another script, which has attached, is killed by SIGKILL",
        "reader",
        SAME,
        {},
        only=_WITH_READER,
        signal=signal.SIGKILL,
        options=_SHARED,
    ),
    How(
        "reader stopped",
        "another script, which has attached, is stopped by SIGSTOP, and continued when this one has taken all batches",
        "reader",
        SAME,
        {},
        only=_WITH_READER,
        signal=signal.SIGSTOP,
        options=_SHARED,
    ),
    How(
        "reader in breakpoint",
        "another script, which has attached, is in a breakpoint with a batch in its hands, until this one has taken all batches",
        "reader",
        SAME,
        {},
        only=_WITH_READER,
        options=_SHARED,
    ),
    How(
        "kill -9, shared",
        "the supervisor is killed by SIGKILL, and another script has attached",
        "supervisor",
        replaced("killed by SIGKILL"),
        {},
        only=_WITH_READER,
        signal=signal.SIGKILL,
        options=_SHARED,
    ),
    How(
        "killed, shared",
        "the trainer is killed by SIGKILL, and another script has attached, which goes on",
        "trainer",
        GOES_ON,
        {},
        only=_WITH_READER,
        signal=signal.SIGKILL,
        options=_SHARED,
    ),
    How(
        "rank killed", 'another rank (`shard="local"`) is killed by SIGKILL', "reader", SAME, {}, _WITH_READER, signal=signal.SIGKILL, options=_RANKS
    ),
    How(
        "rank stopped",
        "another rank is stopped by SIGSTOP, and continued when this one has taken all batches",
        "reader",
        SAME,
        {},
        only=_WITH_READER,
        signal=signal.SIGSTOP,
        options=_RANKS,
    ),
    How(
        "SIGKILL, ranks",
        "a worker is killed by SIGKILL, and another rank reads",
        "signal",
        SAME,
        {},
        _WITH_READER,
        signal=signal.SIGKILL,
        options=_RANKS,
    ),
    How(
        "kill -9, ranks",
        "the supervisor is killed by SIGKILL, and another rank reads",
        "supervisor",
        replaced("killed by SIGKILL"),
        {},
        only=_WITH_READER,
        signal=signal.SIGKILL,
        options=_RANKS,
    ),
    How(
        "killed, ranks",
        "the trainer, which is local rank 0 and has made the pool, is killed by SIGKILL, and another rank reads, which goes on",
        "trainer",
        GOES_ON,
        {},
        only=_WITH_READER,
        signal=signal.SIGKILL,
        options=_RANKS,
    ),
    How("small shm", "`/dev/shm` has 64 MB, and the batches need more", "machine", SAME, {}, only=_MACHINE),
    How("no shm", "`/dev/shm` can't be written to", "machine", SAME, {}, only=_MACHINE),
)

# --- the matrix -----------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cell:
    """A fault at a moment. `outcome` is None where it can't happen, and `reason` says why."""

    when: When
    how: How
    outcome: Outcome | None
    reason: str = ""

    @property
    def name(self) -> str:
        """For people and for pytest."""
        return f"{self.when.key}: {self.how.key}"


def cell(when: When, how: How) -> Cell:
    """Return what the table says of a fault at a moment."""
    if how.only and when.key not in how.only[0]:
        return Cell(when, how, None, how.only[1])
    if how.by == "code" and not when.code:
        return Cell(when, how, None, "no code of the user's runs at that moment")
    if how.by == "file" and not when.code:
        return Cell(when, how, None, "no file is read at that moment")
    return Cell(when, how, how.at.get(when.key, how.outcome))


CELLS = tuple(cell(when, how) for how in HOWS for when in WHENS)
POSSIBLE = tuple(cell for cell in CELLS if cell.outcome)


def sample() -> frozenset[str]:
    """Return the names of the cells that `make test` runs: for the n-th fault, the first possible moment from the n-th on, in a circle.

    There are more faults than moments, so that each moment occurs, too; a test looks after that.
    """
    chosen = []
    for number, how in enumerate(HOWS):
        moments = [WHENS[(number + step) % len(WHENS)] for step in range(len(WHENS))]
        chosen.append(next(found.name for when in moments if (found := cell(when, how)).outcome and (how.key != "stopped" or when.key == "close")))
    return frozenset(chosen)
