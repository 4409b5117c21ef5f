"""What a verdict is based on: what the moments of a window say about the time between them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from loader.data.stopwatch import SLOW_KNOWN_NS, Timing
from loader.ipc.board import SLOT_GAUGES, Board, SupervisorCell, WorkerCell
from loader.measure.measurements import Measurements, StageStats, stages
from loader.measure.moments import Moment, Span, Spans, without_pauses
from loader.measure.network import FETCH_CELLS, NetworkStats
from loader.measure.readers import ReaderStats
from loader.measure.remote.nodes import RemoteStats, remote_stats


class Window:
    """The time between the first and the last of some moments.

    Args:
        board: for what is not a counter.
        moments: two or more.
        cores: that the loader may use.

    Attributes:
        pace: of the trainer.
    """

    def __init__(self, board: Board, moments: Sequence[Moment], cores: int) -> None:
        self._board = board
        self._cores = cores
        self._moments = moments
        self._whole = Span(moments[0], moments[-1])
        self.pace = self._whole.pace

    def busy_ratio(self, worker: int) -> float:
        """Return the share of its running time that a worker was busy: one that has just started was not idle before."""
        ran = Spans([Span(self._since(worker), self._whole.now)])
        return _share(ran.busy_s_of(worker), ran.elapsed_s)

    def _since(self, worker: int) -> Moment:
        """Return the moment since which a worker has been running."""
        since = self._whole.now
        for moment in reversed(self._moments):
            if not moment.running[worker]:
                break
            since = moment
        return since

    def stages(self) -> list[StageStats]:
        """Return what the time went into."""
        known = self._board.stages.read_text()
        names, batch_name = known.get("names", ["read", "write", "decode"]), known.get("batch", "batch_transforms")
        then, now = self._whole
        return stages([new - old for new, old in zip(now.timing, then.timing, strict=True)], names, now.made - then.made, batch_name)

    def network(self) -> NetworkStats | None:
        """Return what comes from afar; None if nothing ever did."""
        then, now = self._whole
        local = self._board.workers[: self._board.first_remote]
        in_flight = sum(cells[WorkerCell.IN_FLIGHT_GAUGE] for cells in local)
        if not (any(now.fetches) or in_flight):
            return None
        objects, nbytes, _, waited_ns, hits, took_ns = (new - old for new, old in zip(now.fetches, then.fetches, strict=True))
        elapsed_s, busy_s = max(1e-9, self._whole.elapsed_s), Spans([self._whole]).local_busy_s
        return NetworkStats(
            in_flight=in_flight,
            objects_per_s=objects / elapsed_s,
            bytes_per_s=nbytes / elapsed_s,
            waiting=_share(waited_ns / 1e9, busy_s),
            retries=now.fetches[FETCH_CELLS.index(WorkerCell.FETCH_RETRIES)],
            hits=now.fetches[FETCH_CELLS.index(WorkerCell.FETCH_HITS)],
            latency_ms=took_ns / 1e6 / max(1, objects),
            depth=sum(cells[WorkerCell.FETCH_DEPTH_GAUGE] for cells in local),
            hit_ratio=_share(hits, objects + hits),
        )

    def remote(self, since: Moment | None = None) -> RemoteStats | None:
        """Return what workers on other machines did, in all of the time or since a moment; None if there can be none."""
        then, now = since or self._whole.then, self._whole.now
        if then.remote is None or now.remote is None:
            return None
        whole = Spans([Span(then, now)])
        local_s, elapsed_s, made = whole.local_busy_s, max(1e-9, whole.elapsed_s), whole.made
        return remote_stats(
            then.remote.nodes,
            now.remote.nodes,
            elapsed_s,
            wanted=now.remote.wanted,
            most=len(now.running) - self._board.first_remote,
            busy_s=whole.busy_s - local_s,
            gateway_s=(now.remote.gateway_ns - then.remote.gateway_ns) / 1e9,
            rate=made / elapsed_s,
            local_rate=(made - whole.made_remotely) * sum(now.running[: self._board.first_remote]) / max(1e-9, local_s),
        )

    def measurements(self, workers: Sequence[int], found: list[StageStats], slow_reader: ReaderStats | None = None) -> Measurements:
        """Return what a verdict needs to know.

        Args:
            workers: numbers of those that run on this machine.
            found: what `stages` returned.
            slow_reader: for which the trainer would wait.
        """
        board, moments = self._board, _since_resize(self._moments)
        first, last, spans = moments[0], moments[-1], without_pauses(moments)
        taking_s, work_s, made = max(1e-9, spans.elapsed_s), max(1e-9, spans.local_busy_s), max(1, spans.made - spans.made_remotely)
        batches, slow_s, slow_tickets = spans.batches, spans.timed(Timing.SLOW_NS) / 1e9, spans.timed(Timing.SLOW_TICKETS)
        return Measurements(
            begun=last.batches > 0,
            delivered=last.batches > first.batches,
            elapsed_s=last.at_s - first.at_s,
            taking_s=taking_s,
            batches=batches,
            inline=not board.workers,
            wait=spans.pace.wait_ratio,
            step_s=taking_s / max(1, batches),
            busy=tuple(_share(spans.busy_s_of(worker), taking_s) for worker in workers),
            present=sum(span.elapsed_s for span in spans.each for worker in workers if span.then.running[worker]) / taking_s,
            work_s=work_s / made * spans.pace.samples / max(1, batches),
            computing=_share(spans.cpu_s, work_s),
            queueing=_share(spans.queue_s, work_s),
            cores=self._cores,
            ceiling=board.first_remote,
            reduced_to=board.supervisor[SupervisorCell.MEMORY_WORKERS_GAUGE] or None,
            wanted=last.wanted,
            nothing_to_fill=_share(spans.gained(lambda moment: moment.nothing_to_fill_ns) / 1e9, taking_s),
            slots=sum(board.supervisor[cell] for cell in SLOT_GAUGES),
            lent=sum(span.now.lent for span in spans.each) / max(1, len(spans.each)),
            copied=spans.gained(lambda moment: moment.copies) / max(1, batches),
            slow_share=_share(slow_s, work_s),
            slow_samples=slow_tickets / made,
            slow_ms=slow_s * 1e3 / max(1, slow_tickets),
            slow_sample=self._slow_sample(),
            stages=tuple(found),
            network=self.network(),
            slow_reader=slow_reader,
            remote=self.remote(first),
        )

    def _slow_sample(self) -> int | None:
        """Return a slow sample of the last ten seconds, the latest that is known of."""
        timings = [cells.timing() for cells in self._board.workers]
        known = [(timing[Timing.SLOW_AT_NS_GAUGE], timing[Timing.SLOW_SAMPLE_GAUGE] - 1) for timing in timings if timing[Timing.SLOW_SAMPLE_GAUGE]]
        at_ns, sample = max(known, default=(0, None))
        return sample if self._whole.now.at_s * 1e9 - at_ns <= SLOW_KNOWN_NS else None


def _share(part_s: float, whole_s: float) -> float:
    return max(0.0, min(1.0, part_s / max(whole_s, 1e-9)))


def _since_resize(moments: Sequence[Moment]) -> Sequence[Moment]:
    """Return the moments since the number of workers has changed the last time: what was before says nothing about what is now."""
    changed = [number for number, (old, new) in enumerate(pairwise(moments), 1) if new.crew != old.crew]
    return moments[changed[-1] :] if changed else moments
