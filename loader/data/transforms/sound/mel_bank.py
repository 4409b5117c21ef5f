"""Mel filters: triangles along the frequencies of a Fourier transform, and their sums without a matrix product.

A frequency between two neighbouring corners lies in two triangles: on the rising side of one, and on the falling side of the one below. So each
bin has two weights, and a filter is the rising part of one interval plus the falling part of the next. The product with the filters' matrix would
take a quarter of the time, but BLAS gives other bits on one thread than on two, and so for `workers=0` than for workers (docs/measurements.md).
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from loader.data.spec import Array
from loader.errors import ConfigError

Formula = Literal["slaney", "htk"]

_LINEAR_HZ, _HZ_PER_MEL = 1000.0, 200.0 / 3
_LOG_STEP = math.log(6.4) / 27


class MelBank:
    """Filters that lie at equal distances on the mel scale, each a triangle from the middle of the one below to that of the one above.

    Args:
        sample_rate: of the sound.
        n_fft: length of the Fourier transform.
        mels: number of filters.
        fmin: where the first begins, in Hz.
        fmax: where the last ends, in Hz.
        formula: see `LogMel`.
    """

    def __init__(self, sample_rate: float, n_fft: int, mels: int, fmin: float, fmax: float, formula: Formula) -> None:
        corners = corners_of(mels, fmin, fmax, formula)
        bins = np.arange(n_fft // 2 + 1) * (sample_rate / n_fft)
        starts = np.searchsorted(bins, corners)
        self._bins = slice(int(starts[0]), int(starts[-1]))
        interval = np.searchsorted(corners, bins[self._bins], side="right") - 1
        along = (bins[self._bins] - corners[interval]) / np.diff(corners)[interval]
        heights = 2 / (corners[2:] - corners[:-2]) if formula == "slaney" else np.ones(mels)
        weights = along * np.append(heights, 0)[interval] + 1j * (1 - along) * np.append(0, heights)[interval]
        self._weights = weights.astype(np.complex64)
        self._filled = np.flatnonzero(np.diff(starts))
        self._starts = starts[self._filled] - starts[0]
        self._intervals = mels + 1
        empty = np.count_nonzero(self.energies(np.ones((1, len(bins)), np.float32)) == 0)
        if empty:
            raise ConfigError(
                f"LogMel: {empty} of {mels} filters are so narrow that no frequency of the Fourier transform lies in them: with n_fft={n_fft}, "
                f"those are {sample_rate / n_fft:.4g} Hz apart. What to do: give a larger n_fft or fewer mels"
            )

    def energies(self, power: Array) -> Array:
        """Return the energy in each filter, float32 of shape `(frames, mels)`, of power spectra, float32 of shape `(frames, n_fft // 2 + 1)`.

        The rising parts are added up as real, the falling ones as imaginary numbers, in one pass.
        """
        sums = np.add.reduceat(power[:, self._bins] * self._weights, self._starts, axis=1)
        if len(self._filled) < self._intervals:
            filled, sums = sums, np.zeros((len(power), self._intervals), np.complex64)
            sums[:, self._filled] = filled
        energies: Array = sums.real[:, :-1] + sums.imag[:, 1:]
        return energies


def corners_of(mels: int, fmin: float, fmax: float, formula: Formula) -> Array:
    """Return the frequencies in Hz at which filters begin, have their middle and end, of shape `(mels + 2,)`."""
    low, high = (_mel_of(hz, formula) for hz in (fmin, fmax))
    places: Any = np.linspace(low, high, mels + 2)
    corners: Array = 700 * (10 ** (places / 2595) - 1)
    if formula == "htk":
        return corners
    bend = _LINEAR_HZ / _HZ_PER_MEL
    corners = np.where(places < bend, places * _HZ_PER_MEL, _LINEAR_HZ * np.exp(_LOG_STEP * (places - bend)))
    return corners


def _mel_of(hz: float, formula: Formula) -> float:
    if formula == "htk":
        return 2595 * math.log10(1 + hz / 700)
    return hz / _HZ_PER_MEL if hz < _LINEAR_HZ else _LINEAR_HZ / _HZ_PER_MEL + math.log(hz / _LINEAR_HZ) / _LOG_STEP
