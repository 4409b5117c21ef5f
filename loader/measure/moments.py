"""What the counters say at one moment, and what lies between two: who did how much, who waited, and when the trainer paused.

Everything that looks at rates is made of this:

    stats.Meter            the last ten seconds, for `stats()` and its verdict
    minute.LastMinute      a point for each second of the last minute
    timed_stretch          an epoch, a validation, a loop until now
    readers.readers_of     what each reader of a shared loader did
    tuning.Intervals       since the last change of the number of workers, for `workers="auto"`
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

from loader.data.stopwatch import TIMING_CELLS, Timing
from loader.ipc.board import Board, Cells, SupervisorCell, TrainerCell, WorkerCell, WorkerState
from loader.ipc.who_reads import who_reads
from loader.measure.network import FETCH_CELLS
from loader.measure.reading import Reading
from loader.measure.remote.counts import RemoteCounts

# A pause is at least this long, and this many times as long as a step usually takes.
_PAUSE_S = 1.0
_PAUSE_STEPS = 4
# A trainer that waits for this share of a gap does not pause: it has no data to continue with.
_WAITS = 0.5


class Moment(NamedTuple):
    """The counters at one time. If only the trainer's counters are needed, the others are left out.

    Attributes:
        at_s: time.monotonic().
        wait_ns, samples, batches, copies: of the trainer.
        made: samples, of all workers.
        busy_ns: of each worker.
        running: whether each worker runs.
        nothing_to_fill_ns: for how long all slots were filled.
        lent: slots that the trainer holds.
        wanted: workers.
        timing: of the stopwatches of this machine, added up.
        fetches: the same of `FETCH_CELLS`.
        readers: of a shared loader, that has told who they are.
        remote: what is counted of other machines; None if there can be no workers on them.
    """

    at_s: float
    wait_ns: int
    samples: int
    batches: int = 0
    copies: int = 0
    made: int = 0
    busy_ns: tuple[int, ...] = ()
    running: tuple[bool, ...] = ()
    nothing_to_fill_ns: int = 0
    lent: int = 0
    wanted: int = 0
    timing: tuple[int, ...] = (0,) * TIMING_CELLS
    fetches: tuple[int, ...] = (0,) * len(FETCH_CELLS)
    readers: tuple[Reading, ...] = ()
    remote: RemoteCounts | None = None

    @classmethod
    def of(cls, board: Board, at_s: float) -> Moment:
        """Read all counters. Takes a few µs for each worker."""
        trainer, supervisor, local = board.trainer, board.supervisor, board.workers[: board.first_remote]
        makers = [cells for cells in local if cells[WorkerCell.PID_GAUGE] or cells[WorkerCell.BUSY_NS]] if local else [trainer]
        remote = RemoteCounts.of(board) if len(board.workers) > board.first_remote else None
        timings = [cells.timing().tolist() for cells in makers]
        return cls(
            at_s=at_s,
            wait_ns=trainer[TrainerCell.WAIT_NS],
            samples=trainer[TrainerCell.SAMPLES],
            batches=trainer[TrainerCell.BATCHES],
            copies=trainer[TrainerCell.COPIES],
            made=sum(cells[WorkerCell.SAMPLES] for cells in board.workers) if local else trainer[TrainerCell.SAMPLES],
            busy_ns=tuple(busy_ns(cells, int(at_s * 1e9)) for cells in board.workers),
            running=tuple(cells[WorkerCell.STATE_GAUGE] != WorkerState.ABSENT for cells in board.workers),
            nothing_to_fill_ns=supervisor[SupervisorCell.NOTHING_TO_FILL_NS],
            lent=trainer[TrainerCell.LENT_GAUGE],
            wanted=supervisor[SupervisorCell.WORKERS_GAUGE],
            fetches=tuple(sum(cells[cell] for cells in makers) for cell in FETCH_CELLS) if local else (0,) * len(FETCH_CELLS),
            timing=tuple(map(sum, zip(*timings, strict=True))) if timings else (0,) * TIMING_CELLS,
            readers=tuple(Reading.of(reader, board) for reader in who_reads(board.readers)),
            remote=remote,
        )

    @property
    def crew(self) -> tuple[int, int]:
        """Workers that are wanted on this machine, and that run on others."""
        return self.wanted, sum(self.running[self.remote.local :]) if self.remote is not None else 0

    @property
    def taken(self) -> int:
        """Samples that were taken by anyone. It changes when somebody takes some, or comes, or goes."""
        return self.samples + sum(reader.samples for reader in self.readers)

    def seen_by(self, reader: Reading) -> Moment:
        """Return the same moment with the counters of a reader in the place of those of the trainer."""
        return self._replace(wait_ns=reader.wait_ns, samples=reader.samples, batches=reader.batches, copies=reader.copies, lent=reader.lent)


class Pace(NamedTuple):
    """How the trainer got on.

    Attributes:
        elapsed_s: seconds.
        waited_s: seconds of them that it waited for data.
        samples: that it took.
    """

    elapsed_s: float
    waited_s: float
    samples: int

    @property
    def wait_ratio(self) -> float:
        """Share of the time that the trainer waited for data, 0 to 1."""
        return min(1.0, self.waited_s / self.elapsed_s) if self.elapsed_s > 0 else 0.0

    @property
    def samples_per_s(self) -> float:
        """Samples that the trainer took per second."""
        return self.samples / self.elapsed_s if self.elapsed_s > 0 else 0.0


def between(then: Moment, now: Moment) -> Pace:
    """Return how the trainer got on from one moment to a later one."""
    return Pace(now.at_s - then.at_s, (now.wait_ns - then.wait_ns) / 1e9, now.samples - then.samples)


class Span(NamedTuple):
    """From one moment to a later one."""

    then: Moment
    now: Moment

    @property
    def elapsed_s(self) -> float:
        """Its length."""
        return self.now.at_s - self.then.at_s

    @property
    def batches(self) -> int:
        """That the trainer took."""
        return self.now.batches - self.then.batches

    @property
    def pace(self) -> Pace:
        """How the trainer got on."""
        return between(*self)


class Spans:
    """Some spans taken together, such as those of a window without the trainer's pauses.

    Attributes:
        each: the spans, the oldest first.
        elapsed_s: seconds, of all.
    """

    def __init__(self, each: Sequence[Span]) -> None:
        self.each = each
        self._stretches = _stretches(each)
        self.elapsed_s = sum(now.at_s - then.at_s for then, now in self._stretches)

    def gained(self, count: Callable[[Moment], float]) -> float:
        """Return by how much a counter grew; never negative, although the counter of a process that has died may have been set back a little."""
        return max(0.0, sum(count(now) - count(then) for then, now in self._stretches))

    @cached_property
    def pace(self) -> Pace:
        """How the trainer got on in all of them."""
        each = [between(then, now) for then, now in self._stretches]
        return Pace(self.elapsed_s, sum(pace.waited_s for pace in each), sum(pace.samples for pace in each))

    @property
    def batches(self) -> int:
        """That the trainer took."""
        return sum(span.batches for span in self._stretches)

    @property
    def made(self) -> int:
        """Samples that the workers finished."""
        return round(self.gained(lambda moment: moment.made))

    @property
    def made_remotely(self) -> int:
        """Those of them that were made on other machines."""
        return round(self.gained(lambda moment: 0 if moment.remote is None else moment.remote.made))

    @property
    def busy_s(self) -> float:
        """Seconds of all workers together that they had work."""
        return self.gained(lambda moment: sum(moment.busy_ns)) / 1e9

    @property
    def local_busy_s(self) -> float:
        """The same of the workers of this machine."""
        return self.gained(lambda moment: sum(moment.busy_ns if moment.remote is None else moment.busy_ns[: moment.remote.local])) / 1e9

    def busy_s_of(self, worker: int) -> float:
        """Return the seconds that one worker had work."""
        return self.gained(lambda moment: moment.busy_ns[worker]) / 1e9

    def timed(self, cell: int) -> float:
        """Return what was added to a cell of the stopwatches."""
        return self.gained(lambda moment: moment.timing[cell])

    @property
    def cpu_s(self) -> float:
        """Seconds of all workers together that they had a core."""
        return self.timed(Timing.CPU_NS) / 1e9

    @property
    def queue_s(self) -> float:
        """Seconds of all workers together that they were ready to run and had no core."""
        return self.timed(Timing.QUEUE_NS) / 1e9


def busy_ns(worker: Cells, now_ns: int) -> int:
    """Return for how long a worker has been busy; a slow ticket counts while it lasts, not all at once when it is done.

    Args:
        worker: its row of the board.
        now_ns: of the monotonic clock.
    """
    under_way = now_ns - worker[WorkerCell.TICKET_STARTED_NS_GAUGE] if worker[WorkerCell.TICKET_GAUGE] else 0
    return worker[WorkerCell.BUSY_NS] + max(0, under_way)


def led(moments: Sequence[Moment]) -> tuple[int, Sequence[Moment]]:
    """Return who took most samples between these moments, and the moments as they were for it, since it came.

    Where nobody has told who reads, it is the trainer that made the loader.
    """
    each = [read_by(reader, moments) for reader in moments[-1].readers]
    if not each:
        return 0, moments
    best = max(each, key=lambda seen: seen[-1][1].samples - seen[0][1].samples)
    return best[-1][1].number, [moment.seen_by(reading) for moment, reading in best]


def read_by(reader: Reading, moments: Sequence[Moment]) -> list[tuple[Moment, Reading]]:
    """Return what a reader, which is one at the last of these moments, had done at each of them, since it came: its counters begin with it."""
    seen: list[tuple[Moment, Reading]] = []
    for moment in reversed(moments):
        before = next((one for one in moment.readers if one[:2] == reader[:2]), None)
        if before is None or before.batches > reader.batches:
            break
        seen.append((moment, reader := before))
    return seen[::-1]


def taken_by_anyone(board: Board) -> int:
    """Return what `Moment.taken` is now."""
    readers = [board.reader(reader.number) for reader in who_reads(board.readers)]
    return sum(cells[TrainerCell.SAMPLES] for cells in (board.trainer, *readers))


def _stretches(spans: Sequence[Span]) -> list[Span]:
    """Return the same time in as few spans as possible, usually one: then each counter is read twice instead of 40 times."""
    found: list[Span] = []
    for span in spans:
        follows = found and found[-1].now is span.then
        found.append(Span(found.pop().then, span.now) if follows else span)
    return found


def without_pauses(moments: Sequence[Moment]) -> Spans:
    """Return the spans from each moment to the next in which the trainer did not pause, nor began or ended a pause.

    While it validates or compiles, nobody waits, all slots are filled, and some are lent, just as if it kept them for good.
    """
    spans = [Span(*pair) for pair in pairwise(moments)]
    elapsed_s, batches = moments[-1].at_s - moments[0].at_s, max(1, moments[-1].batches - moments[0].batches)
    kept = set(range(len(spans)))
    for first, last in _runs(spans):
        gap, taken = between(spans[first].then, spans[last].now), spans[last].now.batches - spans[first].then.batches
        step_s = (elapsed_s - gap.elapsed_s) / max(1, batches - taken)
        if gap.wait_ratio < _WAITS and gap.elapsed_s - taken * step_s > max(_PAUSE_S, _PAUSE_STEPS * step_s):
            kept -= set(range(first - 1, last + 2))
    return Spans([spans[number] for number in sorted(kept)])


def _runs(spans: Sequence[Span]) -> list[tuple[int, int]]:
    """Return first and last of the spans that belong together: a supervisor looks several times during a pause."""
    runs: list[tuple[int, int]] = []
    idle = False
    for number, span in enumerate(spans):
        was_idle, idle = idle, not span.batches
        runs.append((runs.pop()[0] if idle and was_idle else number, number))
    return runs
