"""The order of an epoch: a pure function of `(seed, epoch, position)`, in O(√n) memory, from any position at once.

A shuffle is a permutation of `0 … n-1` that can be evaluated anywhere without storing it: a Feistel network whose halves are the digits of
a mixed radix. With `a = ⌈√n⌉` and `b = ⌈n/a⌉` every position is `left × b + right`; each round adds, modulo `a` or `b`, a random function of
one half to the other half, which is invertible whatever the function is. `a × b` exceeds `n` by less than `a`, so the few values that land
outside are sent through again until they land inside (cycle walking; Black and Rogaway, "Ciphers with arbitrary finite domains", 2002).

The random functions are tables of √n entries, drawn once per epoch: a round costs one gather from the cache.

A shuffle within windows is made of such permutations: the source is cut into blocks of neighbours, the blocks are permuted, and then the samples
of each window, which are those of some 32 blocks. So a window can be read in long pieces, and what comes out of it is mixed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from loader.data.rng import order_generator, window_generator
from loader.data.rows import Indices

# Below this a permutation is drawn and kept: it costs 30 µs and is exactly uniform, which a network on a handful of values is not.
_DRAWN_BELOW = 1_024

# Four rounds of random functions make a pseudo-random permutation (Luby and Rackoff, 1988); eight matched a drawn one in every statistic of
# tests/property/test_order.py from n = 100 on, six did not always.
_ROUNDS = 8

# Each worker has tables of its own. Large ones are kept in few bytes an entry: those of 10⁹ samples in 0.5 MB instead of 2, which is also
# faster; of small ones the conversion costs more than the cache gains.
_WIDE_BELOW = 8_192


# Blocks in a window. With fewer, a batch would have samples from fewer places in the source; with more, the pieces that a disk reads without seeking
# would be shorter.
_BLOCKS_PER_WINDOW = 32

# For "blocks". A block then has 8 MiB, which a hard disk reads in the time of six seeks; two windows are in the page cache at a time.
_WINDOW_BYTES = 256 * 2**20
_WINDOW_SAMPLES = 4096  # if the size of a sample is not known


class Order:
    """Which sample stands at which position of an epoch.

    Args:
        samples: n, the number of samples in the source.
        seed: another seed gives other orders.
        shuffle: False keeps the source's order in every epoch.
        window: samples in a window, roughly, if samples are mixed only within windows; 0: all with all.
        stream: another one gives other orders, too: for things that are ordered side by side.

    Attributes:
        window: positions in a window, from the first one on; the last one may have fewer. 0 if there are none.
    """

    _whole: _Permutation  # of all samples, or of the blocks; of this epoch

    def __init__(self, samples: int, seed: int, shuffle: bool, window: int = 0, stream: int = 0) -> None:
        self.samples = samples
        self.seed = seed
        self.shuffle = shuffle
        self._stream = stream
        self.window = -(-samples // max(1, round(samples / window))) if window else 0
        self._block = max(1, self.window // _BLOCKS_PER_WINDOW)
        self._shift = 0
        self._epoch = -1

    @classmethod
    def as_set(cls, samples: int, seed: int, shuffle: bool | int | str, sample_bytes: Callable[[], int | None]) -> Order:
        """Return the order that the setting `shuffle` of a loader asks for.

        Args:
            samples: in the source.
            seed: of the loader.
            shuffle: the setting.
            sample_bytes: returns the bytes of a sample of the source, or None if that is not known without reading one.
        """
        if isinstance(shuffle, bool):
            return cls(samples, seed, shuffle)
        if shuffle != "blocks":
            return cls(samples, seed, True, int(shuffle))
        nbytes = sample_bytes()
        return cls(samples, seed, True, _WINDOW_SAMPLES if nbytes is None else max(2, _WINDOW_BYTES // max(nbytes, 1)))

    def indices(self, epoch: int, positions: Indices) -> Indices:
        """Return the sample at each of `positions` (0 ≤ position < n) of `epoch`."""
        if not self.shuffle:
            return positions
        if epoch != self._epoch:
            self._draw(epoch)
        return self._in_windows(epoch, positions) if self.window else self._whole.at(positions)

    def unmixed(self, epoch: int, positions: Indices) -> Indices:
        """Return the samples of the same window as `indices` does, but in the order in which they lie in the source, block by block."""
        if epoch != self._epoch:
            self._draw(epoch)
        return self._in_blocks(positions.copy())

    def _draw(self, epoch: int) -> None:
        rng = order_generator(self.seed, epoch, self._stream)
        self._whole = _Permutation(self.samples // self._block if self.window else self.samples, rng)
        # Where the first block begins. So other samples are left over (less than a block) in each epoch.
        self._shift = int(rng.integers(self.samples)) if self.window else 0
        self._epoch = epoch

    def _in_windows(self, epoch: int, positions: Indices) -> Indices:
        windows, places = np.divmod(positions, self.window)
        for number in np.unique(windows).tolist():
            inside = np.flatnonzero(windows == number)
            size = min(self.window, self.samples - number * self.window)
            places[inside] = _Permutation(size, window_generator(self.seed, epoch, number)).at(places[inside])
        places += windows * self.window
        return self._in_blocks(places)

    def _in_blocks(self, places: Indices) -> Indices:
        blocks, within = np.divmod(places, self._block)
        moved = np.flatnonzero(blocks < self.samples // self._block)
        places[moved] = self._whole.at(blocks[moved]) * self._block + within[moved]
        places += self._shift
        places[places >= self.samples] -= self.samples
        return places


class _Permutation:
    """A permutation of `0 … size - 1`, and where each of them goes.

    Args:
        size: how many.
        rng: draws it.
    """

    def __init__(self, size: int, rng: np.random.Generator) -> None:
        self._size = size
        self._left = math.isqrt(max(size - 1, 0)) + 1
        self._right = -(-max(size, 1) // self._left)
        self._drawn = size < _DRAWN_BELOW
        self._tables = self._draw(rng)

    def at(self, positions: Indices) -> Indices:
        """Return what stands at each of `positions`."""
        if self._drawn:
            return self._tables[0][positions]
        indices = self._permute(positions)
        outside = np.flatnonzero(indices >= self._size)
        while outside.size:
            indices[outside] = self._permute(indices[outside])
            outside = outside[indices[outside] >= self._size]
        return indices

    def _draw(self, rng: np.random.Generator) -> list[npt.NDArray[Any]]:
        if self._drawn:
            return [rng.permutation(self._size)]
        sizes = [(self._left, self._right), (self._right, self._left)] * (_ROUNDS // 2)
        kept = np.int64 if self._left < _WIDE_BELOW else np.min_scalar_type(self._left)
        return [rng.integers(0, modulus, entries, dtype=np.int64).astype(kept, copy=False) for modulus, entries in sizes]

    def _permute(self, positions: Indices) -> Indices:
        left = positions // self._right  # sooner than by `np.divmod`
        right = positions - left * self._right
        spare = np.empty(len(positions), np.uint64)
        for number in range(0, _ROUNDS, 2):
            _add_modulo(left, self._tables[number].take(right), self._left, spare)
            _add_modulo(right, self._tables[number + 1].take(left), self._right, spare)
        left *= self._right
        left += right
        return left


def _add_modulo(values: Indices, addend: Indices, modulus: int, spare: npt.NDArray[np.uint64]) -> None:
    """Set `values` to `values + addend` modulo `modulus`; both are below it, so a subtraction that would wrap around is not wanted."""
    values += addend
    unsigned = values.view(np.uint64)
    np.subtract(unsigned, np.uint64(modulus), out=spare)
    np.minimum(unsigned, spare, out=unsigned)
