"""The plan of batches that are padded to their longest sample (`Pad(length="batch")`)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from loader.data.plans.batch_lengths import BatchLengths
from loader.data.plans.sample_batches import SampleBatches
from loader.data.rows import Indices

# Samples whose place in the order is worked out together: one by one, each would cost as much as hundreds of them.
_SAMPLES = 16_384


@dataclass(frozen=True)
class LongestBatches(SampleBatches):
    """The batches of `SampleBatches`, each with the length of its longest sample. Their layouts are numbered as the lengths are.

    What counts is the global batch, so all ranks see the same length at the same step.

    Attributes:
        lengths: that batches can have, and which of them each sample needs.
    """

    lengths: BatchLengths = field(kw_only=True)
    _kept: dict[tuple[int, int], list[int]] = field(init=False, repr=False, compare=False, default_factory=dict)

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        return (self.batch_size,) * len(self.lengths.edges)

    @property
    def fingerprint(self) -> str:
        return self.lengths.fingerprint([self.batch_size * self.world])

    def fellows(self, index: int) -> Indices:
        return self.lengths.fellows(index)

    def layout_of(self, epoch: int, batch: int) -> int:
        batches = max(1, _SAMPLES // (self.batch_size * self.world))
        part, place = divmod(batch, batches)
        if (epoch, part) not in self._kept:  # it is asked for one after the other, so that the last part is enough
            self._kept.clear()
            self._kept[epoch, part] = self._layouts(epoch, part * batches, min((part + 1) * batches, self.batches))
        return self._kept[epoch, part][place]

    def _layouts(self, epoch: int, start: int, stop: int) -> list[int]:
        """Return the layouts of batches `start` to `stop`."""
        size = self.batch_size * self.world
        positions = np.arange(start * size, min(stop * size, self.order.samples - self.left_out), dtype=np.int64)
        needed = self.lengths.numbers[self.order.indices(epoch, positions)]
        layouts: list[int] = np.maximum.reduceat(needed, np.arange(0, len(needed), size)).tolist()
        return layouts
