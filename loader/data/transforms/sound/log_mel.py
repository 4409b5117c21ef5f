"""Spectrograms on the mel scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from loader.data.spec import Array, Leaf
from loader.data.transforms.arguments import choice_of, count_of, number_of, positive_of
from loader.data.transforms.leaf_transform import Fields, LeafTransform
from loader.data.transforms.sound.mel_bank import Formula, MelBank
from loader.errors import ConfigError


class LogMel(LeafTransform):
    """Turn each sound into the logarithm of its mel spectrogram.

    From float32 (samples,) to float32 (frames, mels); from (samples, channels) to (frames, mels, channels). With `center`, there are
    `1 + samples // hop` frames; without, `1 + (samples - n_fft) // hop`.

    The result is, but for 1e-5, what librosa makes of float64: `np.log(np.maximum(librosa.feature.melspectrogram(y=x, sr=sample_rate, n_fft=n_fft,
    hop_length=hop, n_mels=mels, fmin=fmin, fmax=fmax), floor)).T`. That is: frames times a periodic Hann window, the squared magnitude of their
    Fourier transform, weighted with triangular filters at equal distances on the mel scale, the natural logarithm. For decibels, multiply by
    `10 / np.log(10)`, as `T.Rescale` does.

    Args:
        sample_rate: samples in a second: that of `decode.audio`.
        n_fft: samples in a frame.
        hop: samples from one frame to the next.
        mels: number of filters.
        fmin: where the first filter begins, in Hz.
        fmax: where the last filter ends, in Hz; by default at half of `sample_rate`.
        formula: `"slaney"`: mel scale and filters of Slaney's Auditory Toolbox, each filter of area 1, the default of librosa. `"htk"`: mel scale of
            HTK, each filter of height 1, the default of torchaudio.
        center: whether frames have their middle at 0, `hop`, `2 * hop`, …, with zeros beyond both ends of the sound. Otherwise the first begins at 0,
            and all lie within the sound.
        floor: smaller energies are taken for this one, so that silence has a logarithm.
        fields: the arrays to change.
    """

    kept = True

    def __init__(
        self,
        sample_rate: float,
        n_fft: int = 400,
        hop: int = 160,
        mels: int = 80,
        fmin: float = 0.0,
        fmax: float | None = None,
        formula: Formula = "slaney",
        center: bool = True,
        floor: float = 1e-10,
        fields: Fields = "x",
    ) -> None:
        super().__init__(fields)
        self.sample_rate = positive_of(sample_rate, "LogMel: sample_rate")
        self.n_fft, self.hop, self.mels = count_of(n_fft, "LogMel: n_fft"), count_of(hop, "LogMel: hop"), count_of(mels, "LogMel: mels")
        self.fmin = number_of(fmin, "LogMel: fmin")
        self.fmax = self.sample_rate / 2 if fmax is None else number_of(fmax, "LogMel: fmax")
        if not 0 <= self.fmin < self.fmax <= self.sample_rate / 2:
            raise ConfigError(
                f"LogMel: fmin={self.fmin:g}, fmax={self.fmax:g}; give 0 <= fmin < fmax <= {self.sample_rate / 2:g}, half of sample_rate: "
                "sound has no frequencies above"
            )
        self.formula = choice_of(formula, ("slaney", "htk"), "LogMel: formula")
        if not isinstance(center, bool | np.bool_):
            raise ConfigError(f"LogMel: center={center!r}; give True or False")
        self.center = bool(center)
        self.floor = positive_of(floor, "LogMel: floor")
        self._bank = MelBank(self.sample_rate, self.n_fft, self.mels, self.fmin, self.fmax, formula)
        self._window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(self.n_fft) / self.n_fft)
        self._margin = self.n_fft // 2 if self.center else 0

    def result(self, leaf: Leaf) -> Leaf:
        if len(leaf.shape) not in (1, 2) or leaf.dtype != np.float32:
            raise ConfigError(
                f"LogMel: {leaf}; it takes sound as float32, (samples,) or (samples, channels). What to do: for another dtype, put a Cast before it"
            )
        frames = self._frames(leaf.shape[0])
        if not leaf.shape[0] or frames < 1:
            raise ConfigError(f"LogMel: {leaf} is shorter than one frame, n_fft={self.n_fft}. What to do: put an Excerpt or a Pad before it")
        return Leaf(leaf.part, leaf.key, (frames, self.mels, *leaf.shape[1:]), leaf.dtype)

    def apply(self, rows: Array, out: Array, draws: Sequence[Any]) -> None:
        samples, margin = rows.shape[1], self._margin
        padded = np.zeros(samples + 2 * margin)
        frames = np.lib.stride_tricks.sliding_window_view(padded, self.n_fft)[:: self.hop]
        windowed = np.empty(frames.shape)
        sounds, targets = (rows, out) if rows.ndim == 3 else (rows[..., None], out[..., None])
        for row, channel in np.ndindex(len(rows), sounds.shape[2]):
            padded[margin : margin + samples] = sounds[row, :, channel]
            np.multiply(frames, self._window, out=windowed)
            # In float64: float32 would miss the energy of quiet bands beside loud ones by more than 1e-5.
            spectra = np.fft.rfft(windowed)
            power = np.square(spectra.real)
            power += np.square(spectra.imag)
            energies = self._bank.energies(power.astype(np.float32))
            np.log(np.maximum(energies, np.float32(self.floor), out=energies), out=targets[row, :, :, channel])

    def _frames(self, samples: int) -> int:
        return 1 + (samples + 2 * self._margin - self.n_fft) // self.hop
