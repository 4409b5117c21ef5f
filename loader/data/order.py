"""The order of an epoch: a pure function of `(seed, epoch, position)`, in O(√n) memory, from any position at once.

A shuffle is a permutation of `0 … n-1` that can be evaluated anywhere without storing it: a Feistel network whose halves are the digits of
a mixed radix. With `a = ⌈√n⌉` and `b = ⌈n/a⌉` every position is `left × b + right`; each round adds, modulo `a` or `b`, a random function of
one half to the other half, which is invertible whatever the function is. `a × b` exceeds `n` by less than `a`, so the few values that land
outside are sent through again until they land inside (cycle walking; Black and Rogaway, "Ciphers with arbitrary finite domains", 2002).

The random functions are tables of √n entries, drawn once per epoch: a round costs one gather from the cache.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from loader.data.rng import order_generator
from loader.data.rows import Indices

# Below this a permutation is drawn and kept: it costs 30 µs and is exactly uniform, which a network on a handful of values is not.
_DRAWN_BELOW = 1_024

# Four rounds of random functions make a pseudo-random permutation (Luby and Rackoff, 1988); eight matched a drawn one in every statistic of
# tests/property/test_order.py from n = 100 on, six did not always.
_ROUNDS = 8

# Each worker has tables of its own. Large ones are kept in few bytes an entry: those of 10⁹ samples in 0.5 MB instead of 2, which is also
# faster; of small ones the conversion costs more than the cache gains.
_WIDE_BELOW = 8_192


class Order:
    """Which sample stands at which position of an epoch.

    Args:
        samples: n, the number of samples in the source.
        seed: another seed gives other orders.
        shuffle: False keeps the source's order in every epoch.
    """

    def __init__(self, samples: int, seed: int, shuffle: bool) -> None:
        self.samples = samples
        self.seed = seed
        self.shuffle = shuffle
        self._left = math.isqrt(max(samples - 1, 0)) + 1
        self._right = -(-max(samples, 1) // self._left)
        self._tables: list[npt.NDArray[Any]] = []
        self._epoch = -1

    def indices(self, epoch: int, positions: Indices) -> Indices:
        """Return the sample at each of `positions` (0 ≤ position < n) of `epoch`."""
        if not self.shuffle:
            return positions
        if epoch != self._epoch:
            self._tables, self._epoch = self._draw(epoch), epoch
        if self.samples < _DRAWN_BELOW:
            return self._tables[0][positions]
        indices = self._permute(positions)
        outside = np.flatnonzero(indices >= self.samples)
        while outside.size:
            indices[outside] = self._permute(indices[outside])
            outside = outside[indices[outside] >= self.samples]
        return indices

    def _draw(self, epoch: int) -> list[npt.NDArray[Any]]:
        rng = order_generator(self.seed, epoch)
        if self.samples < _DRAWN_BELOW:
            return [rng.permutation(self.samples)]
        sizes = [(self._left, self._right), (self._right, self._left)] * (_ROUNDS // 2)
        kept = np.int64 if self._left < _WIDE_BELOW else np.min_scalar_type(self._left)
        return [rng.integers(0, modulus, entries, dtype=np.int64).astype(kept, copy=False) for modulus, entries in sizes]

    def _permute(self, positions: Indices) -> Indices:
        left, right = np.divmod(positions, self._right)
        for number in range(0, _ROUNDS, 2):
            _add_modulo(left, self._tables[number].take(right), self._left)
            _add_modulo(right, self._tables[number + 1].take(left), self._right)
        left *= self._right
        left += right
        return left


def _add_modulo(values: Indices, addend: Indices, modulus: int) -> None:
    """Set `values` to `values + addend` modulo `modulus`; both are below it, so a subtraction that would wrap around is not wanted."""
    values += addend
    unsigned = values.view(np.uint64)
    np.minimum(unsigned, unsigned - np.uint64(modulus), out=unsigned)
