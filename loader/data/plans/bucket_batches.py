"""The plan of buckets (`bucket_by=`): batches of samples of similar length, each of the shape of its bucket."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from loader.config import Config
from loader.data.order import Order
from loader.data.plans.buckets import Buckets
from loader.data.plans.epoch_plan import EpochPlan
from loader.data.rows import Indices

# Turns that are worked out together: one by one, each would cost as much as all of these.
_TURNS = 256


@dataclass(frozen=True)
class BucketBatches(EpochPlan):
    """Batches of the samples of one bucket each. Their layouts are numbered as the buckets are.

    The samples of a bucket have an order of their own, which is cut into global batches and shared by the ranks as `SampleBatches` does. The batches
    of all buckets are numbered through, bucket by bucket, and `order` says whose turn is when; if nothing is shuffled, it is that of the batch whose
    first sample comes first in the source. So all ranks see a batch of the same bucket at the same step.

    Attributes:
        buckets: with the lengths of all samples.
        sizes: rows of a full batch of each bucket; `batch_size` is the largest of them.
    """

    buckets: Buckets = field(kw_only=True)
    sizes: tuple[int, ...] = field(kw_only=True)
    _members: list[Indices] = field(init=False, repr=False)
    _orders: list[Order] = field(init=False, repr=False)
    _full: list[int] = field(init=False, repr=False)
    _last: list[int] = field(init=False, repr=False)
    _ends: Indices = field(init=False, repr=False)
    _turns: _Turns = field(init=False, repr=False)

    @classmethod
    def of(cls, buckets: Buckets, config: Config) -> BucketBatches:
        """Return the batches of an epoch, for these settings.

        Args:
            buckets: with the lengths of all samples.
            config: has one batch size, or one for each bucket.
        """
        size = config.batch_size
        sizes = tuple(map(int, size)) if isinstance(size, Sequence) else (int(size or 1),) * len(buckets.edges)
        order = Order(0, config.seed, bool(config.shuffle))  # its length follows from the buckets
        return cls(order, max(sizes), config.drop_last, *config.rank_and_world, buckets=buckets, sizes=sizes)

    def __post_init__(self) -> None:
        numbers, seed, shuffle = self.buckets.numbers, self.order.seed, self.order.shuffle
        members = [np.flatnonzero(numbers == number) for number in range(len(self.sizes))]
        cuts = [divmod(len(own), size * self.world) for own, size in zip(members, self.sizes, strict=True)]
        last = [0 if self.drop_last or rest % self.world else rest // self.world for _, rest in cuts]
        full = [count for count, _ in cuts]
        ends = np.cumsum([count + (rows > 0) for count, rows in zip(full, last, strict=True)], dtype=np.int64)
        batches = int(ends[-1])
        firsts = [own[:: size * self.world][: full[n] + (last[n] > 0)] for n, (own, size) in enumerate(zip(members, self.sizes, strict=True))]
        in_source = None if shuffle else np.argsort(np.concatenate(firsts), kind="stable")
        order = Order(batches, seed, shuffle)
        made = {
            "order": order,
            "batches": batches,
            "rows": batches * self.batch_size,
            "left_out": len(numbers) - sum(count * size * self.world for count, size in zip(full, self.sizes, strict=True)) - sum(last) * self.world,
            "one_size": False,
            "has_partial": any(last) or len(set(self.sizes)) > 1,
            "_members": members,
            "_orders": [Order(len(own), seed, shuffle, stream=1 + number) for number, own in enumerate(members)],
            "_full": full,
            "_last": last,
            "_ends": ends,
            "_turns": _Turns(order, in_source),
        }
        for name, value in made.items():
            object.__setattr__(self, name, value)

    @property
    def whole_batches(self) -> int:
        return sum(self._full)

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        return self.sizes

    @property
    def by_length(self) -> bool:
        return len(self.sizes) > 1

    @property
    def samples(self) -> int:
        return len(self.buckets.numbers)

    @property
    def in_blocks(self) -> bool:
        return False

    @property
    def fingerprint(self) -> str:
        return self.buckets.fingerprint([size * self.world for size in self.sizes])

    @property
    def shared(self) -> int:
        return self.samples - self.dropped

    @property
    def dropped(self) -> int:
        return self.samples - sum(map(len, self._members))

    def fellows(self, index: int) -> Indices:
        return self.buckets.fellows(index)

    def layout_of(self, epoch: int, batch: int) -> int:
        return self._place(epoch, batch)[0]

    def rows_of(self, epoch: int, batch: int) -> int:
        bucket, number = self._place(epoch, batch)
        return self.sizes[bucket] if number < self._full[bucket] else self._last[bucket]

    def indices(self, epoch: int, start: int, stop: int) -> Indices:
        batch, row = divmod(start, self.batch_size)
        bucket, number = self._place(epoch, batch)
        share = self.sizes[bucket] if number < self._full[bucket] else self._last[bucket]
        first = number * self.sizes[bucket] * self.world + self.rank * share + row
        positions = np.arange(first, first + stop - start, dtype=np.int64)
        found: Indices = self._members[bucket][self._orders[bucket].indices(epoch, positions)]
        return found

    def _place(self, epoch: int, batch: int) -> tuple[int, int]:
        """Return the bucket of a batch, and its number among the batches of that bucket."""
        turn = self._turns.at(epoch, batch)
        bucket = int(np.searchsorted(self._ends, turn, side="right"))
        return bucket, turn - (int(self._ends[bucket - 1]) if bucket else 0)


class _Turns:
    """Which batch comes when. It works out many turns at once and keeps them, since it is asked for one after the other.

    Args:
        order: of the batches.
        in_source: the batches in the order in which they come if nothing is shuffled; None if it is.
    """

    def __init__(self, order: Order, in_source: Indices | None) -> None:
        self._order = order
        self._in_source = in_source
        self._known: tuple[int, int] = (-1, 0)  # epoch and first position of those that are kept
        self._kept: list[int] = []

    def at(self, epoch: int, position: int) -> int:
        """Return the number of the batch at a position of an epoch."""
        if self._in_source is not None:
            return int(self._in_source[position])
        first = position - position % _TURNS
        if self._known != (epoch, first):
            stop = min(first + _TURNS, self._order.samples)
            self._kept = self._order.indices(epoch, np.arange(first, stop, dtype=np.int64)).tolist()
            self._known = epoch, first
        return self._kept[position - first]
