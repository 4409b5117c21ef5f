"""How large the arena becomes: how many slots, of how many batches each, with how many blocks of the order; and which memory limit that means."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from loader.config import Config, mib
from loader.data.layout import SlotLayout
from loader.data.plans.epoch_plan import EpochPlan
from loader.data.sources.source import Source, with_members
from loader.data.spec import SampleSpec
from loader.errors import MemoryLimitError
from loader.ipc import memfd
from loader.ipc.arena import ArenaLayout
from loader.machine import available_cores
from loader.supervise.memory import budget
from loader.supervise.schedule import sizing

# For the readers of a shared loader, which differ in speed: three more, with three for each (`sizing.quota`).
_FOR_READERS = 8


@dataclass(frozen=True)
class SharedBytes:
    """Memory that all processes share, beside the arena.

    Attributes:
        payload: of arrays that travelled from the trainer.
        cache: of samples that sources keep in memory, once all are there.
        cached: of those that are there by now.
    """

    payload: int
    cache: int
    cached: int

    @classmethod
    def of(cls, source: Source, payload: int) -> SharedBytes:
        """Return it for a source, and the bytes of arrays that travelled."""
        members = {id(member): member for member in with_members(source)}.values()  # parts of one source share what it keeps
        found = [member.memory_bytes() for member in members]
        return cls(payload, sum(wanted for wanted, _ in found), sum(there for _, there in found))


def lay_out(
    config: Config, plan: EpochPlan, specs: Sequence[SampleSpec], row_ns: float, shared: SharedBytes, changed: int, far_rows: int = 0
) -> tuple[ArenaLayout, int]:
    """Return the layout of the arena and the memory limit that it was made for.

    Args:
        config: settings; slots and memory limit may be None.
        plan: batches of an epoch.
        specs: of a sample, one for each layout of the plan's batches.
        row_ns: time that a row takes, roughly.
        shared: memory beside the arena.
        changed: the limit that was set while running, for the supervisor before this one; 0 if it was not.
        far_rows: how many rows are to be on their way at once; 0 if samples are not far away.

    Raises:
        MemoryLimitError: it can't fit.
    """
    workers, size, remote = config.worker_count, plan.batch_size, bool(config.most_remote)
    batch_bytes = max(spec.nbytes * rows for spec, rows in zip(specs, plan.batch_sizes, strict=True))
    alike = plan.one_size and len(specs) == 1  # all in a slot are full, but for the last one, and have one layout
    capacity = sizing.slot_capacity(batch_bytes, plan.batches, 0.0 if remote else size * row_ns) if alike and not far_rows else 1
    wanted = config.slots or _default_slots(config, size, round(row_ns), batch_bytes // size, batch_bytes * capacity, far_rows)
    least = _need(_arena(plan, specs, config.slots or config.fewest_slots, 1, config.shared), shared, workers, far_rows, remote)
    limit = changed or config.memory_limit_bytes or budget.default_limit(least)
    wanted = wanted if config.slots else _with_others(wanted, config)
    layout = _arena(plan, specs, wanted, capacity, config.shared)
    if capacity > 1 and budget.fitting_slots(_need(layout, shared, workers, far_rows, remote), limit, config.fewest_slots) < wanted:
        layout = _arena(plan, specs, wanted, 1, config.shared)
    if config.slots is None:
        fitting = budget.fitting_slots(_need(layout, shared, workers, far_rows, remote), limit, config.fewest_slots)
        layout = _arena(plan, specs, fitting, layout.layouts[0].capacity, config.shared)
    need = _need(layout, shared, workers, far_rows, remote)
    budget.check(need, config.memory_limit_bytes, config.batch_size)
    return layout, max(limit, need.total)


def shared_bytes(config: Config, layout: ArenaLayout, shared: SharedBytes) -> int:
    """Return what belongs to no process alone: the arena, what has travelled, and what sources keep.

    What goes to remote workers lies in Ray's object store as well.
    """
    return layout.nbytes + shared.payload * (2 if config.most_remote else 1) + shared.cache


def make_pages(arena: int, layout: ArenaLayout) -> Iterator[bool]:
    """Make the arena's pages, a piece at each step.

    Args:
        arena: its memory.
        layout: what is in it.

    Raises:
        MemoryLimitError: the system gives no more.
    """
    try:
        yield from memfd.allocate(arena, layout.nbytes)
    except OSError as error:
        made = os.fstat(arena).st_blocks * 512  # stat(2)
        raise MemoryLimitError(
            f"the system gave only {mib(made)} of the {mib(layout.nbytes)} of shared memory for {layout.slots} slots × {mib(layout.slot_nbytes)}: "
            f"{error.strerror}. Likely cause: a limit of the container, or other programs that have taken the memory meanwhile. "
            "What to do: fewer slots (slots=), a smaller batch_size=, or a lower memory_limit=, from which the number of slots follows"
        ) from error


def _default_slots(config: Config, batch_rows: int, row_ns: int, row_bytes: int, slot_bytes: int, far_rows: int) -> int:
    most_workers = config.worker_ceiling if config.workers == "auto" else config.worker_count
    slots = sizing.slots(batch_rows, row_ns, config.worker_count, most_workers, available_cores(), slot_bytes, far_rows)
    return slots + sizing.remote_slots(batch_rows, row_ns, row_bytes, config.most_remote, slot_bytes)


def _with_others(slots: int, config: Config) -> int:
    """Return how many slots there are by default if trainers other than the one that makes the loader read them as well.

    Each rank of a job has three, at least: with two, a loop that keeps no batch would be handed copies (`loader.train.remote.starvation`). And beside
    those of the workers, each has one more, for the batch in its hands; a second one would gain little (docs/measurements.md).
    """
    if config.sharing > 1:
        return max(slots + config.sharing - 1, 3 * config.sharing)
    return slots + _FOR_READERS * config.shared


def _arena(plan: EpochPlan, specs: Sequence[SampleSpec], slots: int, capacity: int, shared: bool) -> ArenaLayout:
    rows = sizing.block_rows(plan.batch_size, capacity, plan.rows)
    places = sizing.block_places(slots, capacity, plan.batch_size, rows) if plan.in_blocks else 0
    if places and shared:
        places += slots // 2  # so many readers may be at so many places of the order
    layouts = tuple(SlotLayout(spec, size, capacity) for spec, size in zip(specs, plan.batch_sizes, strict=True))
    return ArenaLayout(layouts, slots, rows, places)


def _need(layout: ArenaLayout, shared: SharedBytes, workers: int, far_rows: int, remote: bool) -> budget.Need:
    slots_bytes = layout.slots * layout.slot_nbytes
    other = layout.nbytes - slots_bytes
    each = budget.worker_bytes(workers, far=far_rows > 0)
    return budget.Need(layout.slots, layout.slot_nbytes, other, shared.payload, workers, shared.cache, shared.cached, each, remote)
