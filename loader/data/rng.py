"""Random generators that are a pure function of what they are for.

Philox is a counter-based generator: its stream is chosen by a key and a counter instead of a history (Salmon et al., "Parallel random
numbers: as easy as 1, 2, 3", SC 2011). We put the purpose into both, so that no two purposes share a stream and no process needs to know
what another one drew:

    key = (seed, epoch)    counter = (0, 0, index in the source, place)

`place` is the transform's place in the list; the last possible one is the order of the epoch, the one before it the choice of samples that
stand in for bad ones, the one before that the source, and the one before that a batch, whose number is then in the place of the index. The counter's
second word is, for an order, 0, or the number of a window from 1 up; for a sample that stands in for another one, the attempt; for a batch, the place
of the batch transform; for a transform or source, 1 where global generators are set. An order has in the third word 0, or the number of a
bucket from 1 up. Drawing advances the counter's first word, so each stream has 2⁶⁶ values of its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_ORDER_PLACE = 2**64 - 1
_SUBSTITUTE_PLACE = 2**64 - 2
SOURCE_PLACE = 2**64 - 3
_BATCH_PLACE = 2**64 - 4


def order_generator(seed: int, epoch: int, stream: int = 0) -> np.random.Generator:
    """Return the generator that draws the order of one epoch; another `stream`, for another thing that has an order, draws another one."""
    counter = np.array([0, 0, stream, _ORDER_PLACE], np.uint64)
    return np.random.Generator(np.random.Philox(key=np.array([seed, epoch], np.uint64), counter=counter))


def window_generator(seed: int, epoch: int, window: int) -> np.random.Generator:
    """Return the generator that draws the order within one window of an epoch, where samples are mixed within windows."""
    counter = np.array([0, 1 + window, 0, _ORDER_PLACE], np.uint64)
    return np.random.Generator(np.random.Philox(key=np.array([seed, epoch], np.uint64), counter=counter))


def substitute_generator(seed: int, epoch: int, index: int, attempt: int) -> np.random.Generator:
    """Return the generator that draws what stands in for sample `index` at its `attempt`-th failure in one epoch."""
    counter = np.array([0, attempt, index, _SUBSTITUTE_PLACE], np.uint64)
    return np.random.Generator(np.random.Philox(key=np.array([seed, epoch], np.uint64), counter=counter))


def batch_generator(seed: int, epoch: int, batch: int, place: int) -> np.random.Generator:
    """Return the generator of the batch transform at a place in their list, for one batch of an epoch, counted over all ranks."""
    counter = np.array([0, place, batch, _BATCH_PLACE], np.uint64)
    return np.random.Generator(np.random.Philox(key=np.array([seed, epoch], np.uint64), counter=counter))


class SampleGenerator:
    """One generator, set to the stream of a sample and transform each time it is asked.

    Args:
        seed: of the loader.
        stream: second word of the counter.

    Attributes:
        seed: of the loader.

    Making a `Generator` costs 20 µs, setting the state of one that exists 0.4 µs (docs/measurements.md).
    """

    def __init__(self, seed: int, stream: int = 0) -> None:
        self.seed = seed
        self._philox = np.random.Philox(key=np.array([seed, 0], np.uint64))
        self._generator = np.random.Generator(self._philox)
        self._key = [seed, 0]
        self._counter = [0, stream, 0, 0]
        # Lists of ints: taking them out of arrays would cost as much again.
        self._state: Any = {
            "bit_generator": "Philox",
            "state": {"counter": self._counter, "key": self._key},
            "buffer": [0, 0, 0, 0],
            "buffer_pos": 4,
            "has_uint32": 0,
            "uinteger": 0,
        }

    def at(self, epoch: int, index: int, place: int) -> np.random.Generator:
        """Return the generator for transform `place` on sample `index` in `epoch`; it is valid until the next call."""
        self._key[1] = epoch
        self._counter[2] = index
        self._counter[3] = place
        self._philox.state = self._state
        return self._generator
