"""Makes `Stats` of a board and of what it was at moments before."""

from __future__ import annotations

from collections.abc import Sequence

from loader.ipc.board import SLOT_GAUGES, Board, SupervisorCell, TrainerCell, WorkerCell, WorkerState
from loader.ipc.who_reads import who_reads
from loader.measure.moments import Moment
from loader.measure.readers import ReaderStats, held_up_by, readers_of, sharing_of
from loader.measure.stats import MemoryStats, SlotStats, Stats, WorkerStats
from loader.measure.verdict import judge
from loader.measure.window import Window


def snapshot(name: str, board: Board, moments: Sequence[Moment], cores: int) -> Stats:
    """Return what a loader is doing.

    Args:
        name: of the loader.
        board: its counters.
        moments: of the last seconds, the present one last.
        cores: that the loader may use.
    """
    window = Window(board, [*moments], cores)
    now, cells = moments[-1], board.trainer
    running = [number for number, runs in enumerate(now.running) if runs]
    local = [number for number in running if number < board.first_remote]
    stages = window.stages()
    readers = _readers(board, moments)
    verdict = judge(window.measurements(local, stages, held_up_by(board.seen_from, readers)))
    return Stats(
        name=name,
        epoch=cells[TrainerCell.EPOCH_GAUGE],
        batch=cells[TrainerCell.BATCH_GAUGE],
        batches_delivered=now.batches,
        samples_per_s=window.pace.samples_per_s,
        trainer_wait_ratio=window.pace.wait_ratio,
        slots=_slots(board),
        workers=[_worker(board, now, number, window.busy_ratio(number)) for number in running],
        memory=_memory(board),
        errors=board.supervisor[SupervisorCell.ERRORS] + cells[TrainerCell.ERRORS],
        supervisor_restarts=cells[TrainerCell.SUPERVISOR_RESTARTS],
        substituted=board.supervisor[SupervisorCell.SUBSTITUTED] + cells[TrainerCell.SUBSTITUTED],
        quarantined=board.supervisor[SupervisorCell.QUARANTINED] + cells[TrainerCell.QUARANTINED],
        verdict=verdict.sentence,
        verdict_kind=verdict.kind.value,
        verdict_gain=verdict.gain,
        stages=stages,
        network=window.network(),
        readers=readers,
        sharing=sharing_of(moments) if readers else None,
        remote=window.remote(),
    )


def _readers(board: Board, moments: Sequence[Moment]) -> list[ReaderStats]:
    numbers = [reading.number for reading in moments[-1].readers]
    companies = {reader.number: reader.company for reader in who_reads(board.readers)}
    rows = [board.reader(number) for number in numbers]
    places = [(cells[TrainerCell.EPOCH_GAUGE], cells[TrainerCell.BATCH_GAUGE]) for cells in rows]
    waiting = [number for number, cells in zip(numbers, rows, strict=True) if cells[TrainerCell.WAITING_GAUGE]]
    return readers_of(moments, places, [companies.get(number, number) for number in numbers], waiting)


def _slots(board: Board) -> SlotStats:
    free, filling, filled = (board.supervisor[cell] for cell in SLOT_GAUGES)
    lent = board.trainer[TrainerCell.LENT_GAUGE]
    return SlotStats(free, filling, max(0, filled - lent), lent)


def _worker(board: Board, now: Moment, number: int, busy_ratio: float) -> WorkerStats:
    cells = board.workers[number]
    state, place = WorkerState(cells[WorkerCell.STATE_GAUGE]), cells[WorkerCell.NODE_GAUGE] - 1
    nodes = now.remote.nodes if now.remote is not None else ()
    node = nodes[place].node if 0 <= place < len(nodes) else None
    return WorkerStats(cells[WorkerCell.PID_GAUGE], state.name.lower(), cells[WorkerCell.SAMPLES], busy_ratio, number, node)


def _memory(board: Board) -> MemoryStats:
    cells = board.supervisor
    return MemoryStats(
        cells[SupervisorCell.ARENA_BYTES_GAUGE] + cells[SupervisorCell.PAYLOAD_BYTES_GAUGE],
        cells[SupervisorCell.PRIVATE_BYTES_GAUGE],
        cells[SupervisorCell.LIMIT_BYTES_GAUGE] or None,
        bool(cells[SupervisorCell.LIMIT_IS_DEFAULT_GAUGE]),
        cells[SupervisorCell.MEMORY_REPLACED],
        cells[SupervisorCell.MEMORY_WORKERS_GAUGE] or None,
    )
