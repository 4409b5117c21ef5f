"""What a verdict is based on, read from the board: the counters at two moments, and what they say about the time between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from loader.config import available_cores
from loader.data.stopwatch import SLOW_KNOWN_NS, TIMING_CELLS, Timing
from loader.ipc.board import SLOT_GAUGES, Board, SupervisorCell, TrainerCell, WorkerCell, WorkerState, busy_ns
from loader.measure.measurements import Measurements, StageStats, stages


@dataclass(frozen=True)
class Moment:
    """The counters of a board at one time.

    Attributes:
        at: time.monotonic() in seconds.
        batches, samples, wait_ns, copies: of the trainer.
        busy_ns: of each worker.
        running: whether each worker runs.
        made: samples, of all workers.
        nothing_to_fill_ns: for how long all slots were filled.
        lent: slots that the trainer holds.
        wanted: workers.
        timing: of the stopwatches, added up.
    """

    at: float
    batches: int
    samples: int
    wait_ns: int
    copies: int
    busy_ns: tuple[int, ...]
    running: tuple[bool, ...]
    made: int
    nothing_to_fill_ns: int
    lent: int
    wanted: int
    timing: tuple[int, ...]

    @classmethod
    def of(cls, board: Board, at: float) -> Moment:
        """Read the counters. Takes some µs for each worker."""
        trainer, supervisor = board.trainer, board.supervisor
        makers = [cells for cells in board.workers if cells[WorkerCell.PID_GAUGE] or cells[WorkerCell.BUSY_NS]] if board.workers else [trainer]
        timings = [cells.timing().tolist() for cells in makers]
        return cls(
            at,
            trainer[TrainerCell.BATCHES],
            trainer[TrainerCell.SAMPLES],
            trainer[TrainerCell.WAIT_NS],
            trainer[TrainerCell.COPIES],
            tuple(busy_ns(cells, int(at * 1e9)) for cells in board.workers),
            tuple(cells[WorkerCell.STATE_GAUGE] != WorkerState.ABSENT for cells in board.workers),
            sum(cells[WorkerCell.SAMPLES] for cells in makers) if board.workers else trainer[TrainerCell.SAMPLES],
            supervisor[SupervisorCell.NOTHING_TO_FILL_NS],
            trainer[TrainerCell.LENT_GAUGE],
            supervisor[SupervisorCell.WORKERS_GAUGE],
            tuple(map(sum, zip(*timings, strict=True))) if timings else (0,) * TIMING_CELLS,
        )


# Shorter than this, nothing is a pause, and a pause is this many times as long as a step usually takes.
_PAUSE_S = 1.0
_PAUSE_STEPS = 4


class Window:
    """The time between the first and the last of some moments.

    Args:
        board: for what is no counter.
        moments: two or more.
    """

    def __init__(self, board: Board, moments: Sequence[Moment]) -> None:
        self._board = board
        then, now = moments[0], moments[-1]
        self._moments, self._then, self._now = moments, then, now
        self._timing = [new - old for new, old in zip(now.timing, then.timing, strict=True)]
        self.elapsed_s = max(now.at - then.at, 1e-9)
        self.samples_per_s = (now.samples - then.samples) / self.elapsed_s
        self.wait_ratio = min(1.0, (now.wait_ns - then.wait_ns) / 1e9 / self.elapsed_s)

    def busy_ratio(self, worker: int) -> float:
        """Return the share of the time that a worker was busy, of that in which it ran: one that has just started is not one that was idle."""
        then = self._since(worker)
        return max(0.0, min(1.0, (self._now.busy_ns[worker] - then.busy_ns[worker]) / 1e9 / max(self._now.at - then.at, 1e-9)))

    def _since(self, worker: int) -> Moment:
        """Return the first moment from which on a worker was seen to run."""
        since = self._now
        for moment in reversed(self._moments):
            if not moment.running[worker]:
                break
            since = moment
        return since

    def stages(self) -> list[StageStats]:
        """Return what the time went into."""
        known = self._board.stages.read_text().get("names", ["read", "write"])
        return stages(self._timing, known, self._now.made - self._then.made)

    def measurements(self, workers: Sequence[int], found: list[StageStats]) -> Measurements:
        """Return what a verdict needs to know.

        Args:
            workers: numbers of those that run.
            found: what `stages` returned.
        """
        board, moments = self._board, since_resize(self._moments)
        first, last, spans = moments[0], moments[-1], without_pauses(moments)
        taking_s = max(1e-9, sum(new.at - old.at for old, new in spans))

        def gained(count: Callable[[Moment], float]) -> float:
            return sum(count(new) - count(old) for old, new in spans)

        def busy_ns(worker: int) -> float:
            return gained(lambda moment: moment.busy_ns[worker])

        def timed(cell: Timing) -> float:
            return gained(lambda moment: moment.timing[cell])

        batches, made = round(gained(lambda moment: moment.batches)), max(1.0, gained(lambda moment: moment.made))
        work_ns, taking_ns = max(1.0, gained(lambda moment: sum(moment.busy_ns))), 1e9 * taking_s
        return Measurements(
            begun=last.batches > 0,
            delivered=last.batches > first.batches,
            elapsed_s=last.at - first.at,
            taking_s=taking_s,
            batches=batches,
            inline=not board.workers,
            wait=_share(gained(lambda moment: moment.wait_ns), taking_ns),
            step_s=taking_s / max(1, batches),
            busy=tuple(_share(busy_ns(worker), taking_ns) for worker in workers),
            present=sum(new.at - old.at for old, new in spans for worker in workers if old.running[worker]) / taking_s,
            work_s=work_ns / 1e9 / made * gained(lambda moment: moment.samples) / max(1, batches),
            computing=_share(timed(Timing.CPU_NS), work_ns),
            queueing=_share(timed(Timing.QUEUE_NS), work_ns),
            cores=available_cores(),
            ceiling=len(board.workers),
            reduced_to=board.supervisor[SupervisorCell.MEMORY_WORKERS_GAUGE] or None,
            wanted=last.wanted,
            nothing_to_fill=_share(gained(lambda moment: moment.nothing_to_fill_ns), taking_ns),
            slots=sum(board.supervisor[cell] for cell in SLOT_GAUGES),
            lent=sum(new.lent for _, new in spans) / max(1, len(spans)),
            copied=gained(lambda moment: moment.copies) / max(1, batches),
            slow_share=_share(timed(Timing.SLOW_NS), work_ns),
            slow_samples=timed(Timing.SLOW_TICKETS) / made,
            slow_ms=timed(Timing.SLOW_NS) / 1e6 / max(1, timed(Timing.SLOW_TICKETS)),
            slow_sample=self._slow_sample(),
            stages=tuple(found),
        )

    def _slow_sample(self) -> int | None:
        """Return a slow sample of the last ten seconds, the latest that is known of."""
        timings = [cells.timing() for cells in self._board.workers]
        known = [(timing[Timing.SLOW_AT_NS_GAUGE], timing[Timing.SLOW_SAMPLE_GAUGE] - 1) for timing in timings if timing[Timing.SLOW_SAMPLE_GAUGE]]
        at_ns, sample = max(known, default=(0, None))
        return sample if self._now.at * 1e9 - at_ns <= SLOW_KNOWN_NS else None


def _share(part_ns: float, whole_ns: float) -> float:
    return max(0.0, min(1.0, part_ns / whole_ns))


def since_resize(moments: Sequence[Moment]) -> Sequence[Moment]:
    """Return the moments since the number of workers was changed the last time: what was before says nothing about what is now."""
    changed = [number for number, (old, new) in enumerate(pairwise(moments), 1) if new.wanted != old.wanted]
    return moments[changed[-1] :] if changed else moments


def without_pauses(moments: Sequence[Moment]) -> list[tuple[Moment, Moment]]:
    """Return the spans from each moment to the next in which the trainer did not pause, nor began or ended a pause.

    While it validates or compiles, nobody waits, all slots are filled and some are lent, as where it keeps them for good.
    """
    spans = list(pairwise(moments))
    elapsed, batches = moments[-1].at - moments[0].at, max(1, moments[-1].batches - moments[0].batches)
    kept = set(range(len(spans)))
    for first, last in _runs(spans):
        then, now = spans[first][0], spans[last][1]
        length = now.at - then.at
        if _waited(then, now) < 0.5 and length > max(_PAUSE_S, _PAUSE_STEPS * (elapsed - length) / batches):
            kept -= set(range(first - 1, last + 2))
    return [spans[number] for number in sorted(kept)]


def _runs(spans: Sequence[tuple[Moment, Moment]]) -> list[tuple[int, int]]:
    """Return first and last of spans that belong together: a trainer looks when it takes a batch, a supervisor several times in a pause."""
    runs: list[tuple[int, int]] = []
    for number, (then, now) in enumerate(spans):
        again = number > 0 and now.batches == then.batches == spans[number - 1][0].batches
        runs.append((runs.pop()[0] if again else number, number))
    return runs


def _waited(then: Moment, now: Moment) -> float:
    return (now.wait_ns - then.wait_ns) / 1e9 / max(now.at - then.at, 1e-9)
