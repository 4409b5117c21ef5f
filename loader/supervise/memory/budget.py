"""Whether a configuration fits into memory, decided before anything is allocated; and the limit, if none was given.

What counts towards `memory_limit`: the arena, arrays that travelled from the trainer, samples that are kept in memory, and the anonymous memory of
supervisor and workers. What does not: the page cache and mapped data files, which the kernel takes back by itself. Covers only the start; later,
`control` keeps the workers' growth below the limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from loader.config import mib
from loader.errors import MemoryLimitError
from loader.machine import available_memory, free_memory

# Anonymous memory of a supervisor that holds numpy, and of a worker forked from it (docs/measurements.md), rounded up.
_SUPERVISOR_BYTES = 48 * 2**20
WORKER_BYTES = 4 * 2**20

# Of the gateway to remote workers, which holds Ray (docs/measurements.md), rounded up. What comes from them is received into the slots; only what
# goes to them lies in the object store.
_GATEWAY_BYTES = 96 * 2**20

# Of a worker whose samples are far away: stacks of the threads that fetch them, and buffers; and, of all such workers together, what has come and is
# not read yet. They have to fit, as these threads end the process if they get no memory.
_FETCHING_BYTES = 32 * 2**20
_FETCHED_BYTES = 128 * 2**20

# Without `memory_limit`, each worker may at least grow by this much, even if that is more than half of what is available.
_DEFAULT_WORKER_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Need:
    """What a configuration takes, in bytes.

    Attributes:
        slots: number of slots.
        slot_bytes: of one slot.
        other_arena_bytes: of the rest of the arena.
        payload_bytes: of arrays that travelled from the trainer.
        workers: number of workers.
        cache_bytes: of samples that sources keep in memory, once all are there.
        cached_bytes: of those that are there.
        worker_bytes: of each worker, before it grows.
        remote: whether there are workers on other machines.
    """

    slots: int
    slot_bytes: int
    other_arena_bytes: int
    payload_bytes: int
    workers: int
    cache_bytes: int = 0
    cached_bytes: int = 0
    worker_bytes: int = WORKER_BYTES
    remote: bool = False

    @property
    def there_bytes(self) -> int:
        """What is allocated already: the arrays from the trainer, and samples in memory."""
        return self.payload_bytes + self.cached_bytes

    @property
    def new_bytes(self) -> int:
        """What is not allocated yet."""
        return self.total - self.there_bytes

    @property
    def total(self) -> int:
        """All together."""
        shared = self.slots * self.slot_bytes + self.other_arena_bytes + self.payload_bytes + self.cache_bytes
        return shared + _SUPERVISOR_BYTES + self.workers * self.worker_bytes + self._remote_bytes

    @property
    def _remote_bytes(self) -> int:
        return _GATEWAY_BYTES + self.payload_bytes if self.remote else 0

    def arithmetic(self) -> str:
        """Return the sum in words."""
        shared = f"{self.slots} slots × {mib(self.slot_bytes)} + {mib(self.other_arena_bytes)} order and texts"
        processes = f"{mib(_SUPERVISOR_BYTES)} supervisor + {self.workers} workers × {mib(self.worker_bytes)}"
        cache = f" + {mib(self.cache_bytes)} samples kept in memory" if self.cache_bytes else ""
        remote = f" + {mib(_GATEWAY_BYTES)} gateway + {mib(self.payload_bytes)} the same arrays in Ray's object store" if self.remote else ""
        return f"{shared} + {mib(self.payload_bytes)} arrays from the script{cache} + {processes}{remote} = {mib(self.total)}"


def worker_bytes(workers: int, *, far: bool) -> int:
    """Return what each of so many workers needs before it grows; `far`: samples are far away."""
    return _FETCHING_BYTES + _FETCHED_BYTES // max(1, workers) if far else WORKER_BYTES


def check(need: Need, limit: int | None, batch_size: int | Sequence[int] | None) -> None:
    """Raise MemoryLimitError, with the arithmetic and what to do, unless `need` fits the limit and what is available now.

    `batch_size` is None where files are batches, and a list where buckets have batches of their own size.
    """
    available = available_bytes()
    reasons = [] if limit is None or need.total <= limit else [f"memory_limit is {mib(limit)}"]
    reasons += [] if need.new_bytes <= available else [f"only {mib(available)} are available now"]
    if reasons:
        available += need.there_bytes
        bound = min(available, limit or available)
        raise MemoryLimitError(f"{' and '.join(reasons)}, but {need.arithmetic()}. What to do: {_remedy(need, bound, batch_size)}")


def admit_arrays(nbytes: int, limit: int | None) -> None:
    """Raise MemoryLimitError if what travels from the script does not fit the limit or what is available now. Runs in: the trainer."""
    available = available_bytes()
    reasons = [] if limit is None or nbytes <= limit else [f"memory_limit is {mib(limit)}"]
    reasons += [] if nbytes <= available else [f"only {mib(available)} are available now"]
    if reasons:
        raise MemoryLimitError(
            f"{' and '.join(reasons)}, but arrays and other data of the script take {mib(nbytes)} with them to the workers. "
            'What to do: give a source the path of a file, or map it with np.load(path, mmap_mode="r"): then it is not copied'
        )


def fitting_slots(need: Need, limit: int | None, fewest: int = 2) -> int:
    """Return how many slots of `need` fit the limit and what is available: at least `fewest`, at most what was asked for."""
    bound = min(available_bytes() + need.there_bytes, limit or 2**63)
    spare = bound - (need.total - need.slots * need.slot_bytes)
    return max(fewest, min(need.slots, spare // need.slot_bytes))


def default_limit(need: Need) -> int:
    """Return the limit where none was given, in bytes.

    Half of what the loader could take now: the model, and perhaps a second loader, need some too. More if the configuration needs more with 256 MiB
    of growth for each worker; never more than there is, nor less than the configuration needs.
    """
    could = available_bytes() + need.there_bytes
    roomy = need.total + need.workers * _DEFAULT_WORKER_BYTES
    return max(need.total, min(could, max(could // 2, roomy)))


def available_bytes() -> int:
    """Return the memory that can be allocated now without swapping: the machine's, or the cgroup's where that is less."""
    return min([free_memory(), *available_memory()])


def _remedy(need: Need, bound: int, batch_size: int | Sequence[int] | None) -> str:
    fixed = need.total - need.slots * need.slot_bytes
    room = bound - fixed
    if need.cache_bytes and room < 2 * need.slot_bytes:
        left = bound - (fixed - need.cache_bytes) - 2 * need.slot_bytes
        return f"cache fewer samples, max_bytes={left}, or " * (left > 0) + "cache in a folder: source.cache(folder)"
    if room <= 0:
        workers = (bound - need.total) // need.worker_bytes + need.workers
        if workers > 0:
            return f"workers={workers} would fit"
        return f"allow more than {mib(fixed)}, which is needed without a single slot"
    if need.slots > 2 and room >= 2 * need.slot_bytes:
        return f"slots={room // need.slot_bytes} would fit"
    if batch_size is None:
        return f"a slot holds the largest file; split it, or allow {mib(fixed + 2 * need.slot_bytes)}"
    sizes = [batch_size] if isinstance(batch_size, int) else batch_size
    fitting = [int(size * room / (2 * need.slot_bytes)) for size in sizes]
    if all(fitting):
        return f"{'slots=2 and ' if need.slots > 2 else ''}batch_size={fitting[0] if isinstance(batch_size, int) else fitting} would fit"
    return f"even one sample in each of 2 slots is too much; allow {mib(fixed + 2 * need.slot_bytes // min(sizes))}"
