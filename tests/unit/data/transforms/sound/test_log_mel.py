"""`LogMel` against the published formulas, written out in float64 with a matrix product, and against librosa where it is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from loader.data.spec import Array, Leaf
from loader.data.transforms import LogMel
from loader.errors import ConfigError

RNG = np.random.default_rng(0)
SWEEP = np.sin(2 * np.pi * 3_000 * np.linspace(0, 0.5, 4_000) ** 2).astype(np.float32)
SETTINGS: list[dict[str, Any]] = [
    {},
    {"n_fft": 512, "hop": 100, "mels": 40},
    {"n_fft": 401, "hop": 128, "mels": 64, "fmin": 125.0, "fmax": 3_800.0},
    {"n_fft": 256, "hop": 256, "mels": 20, "fmin": 1_000.0, "center": False},
    {"n_fft": 200, "hop": 80, "mels": 26, "fmax": 3_000.0, "floor": 1e-3},
]


def mel_of(hz: Any, formula: str) -> Any:
    """Slaney, Auditory Toolbox (1998): linear up to 1 kHz, then 27 steps for a factor of 6.4. HTK Book, 5.4: 2595 log10(1 + f / 700)."""
    hz = np.asarray(hz, float)
    if formula == "htk":
        return 2595 * np.log10(1 + hz / 700)
    return np.where(hz < 1000, hz * 3 / 200, 15 + 27 * np.log(np.maximum(hz, 1) / 1000) / np.log(6.4))


def filters(rate: float, n_fft: int, mels: int, fmin: float, fmax: float, formula: str) -> Array:
    """Return the matrix of filters, of shape `(n_fft // 2 + 1, mels)`. The inverse of the scale is looked up, not computed."""
    fine = np.linspace(0, rate / 2, 100_001)
    corners = np.interp(np.linspace(mel_of(fmin, formula), mel_of(fmax, formula), mels + 2), mel_of(fine, formula), fine)
    bins = np.fft.rfftfreq(n_fft, 1 / rate)[:, None]
    low, middle, high = corners[:-2], corners[1:-1], corners[2:]
    triangles = np.maximum(0, np.minimum((bins - low) / (middle - low), (high - bins) / (high - middle)))
    return triangles * 2 / (high - low) if formula == "slaney" else triangles


def reference(sound: Array, rate: float, formula: str = "slaney", **settings: Any) -> Array:
    own = {"n_fft": 400, "hop": 160, "mels": 80, "fmin": 0.0, "fmax": rate / 2, "center": True, "floor": 1e-10} | settings
    n_fft, hop = own["n_fft"], own["hop"]
    padded = np.pad(sound.astype(np.float64), n_fft // 2 if own["center"] else 0)
    window = np.hanning(n_fft + 1)[:-1]
    frames = [padded[start : start + n_fft] * window for start in range(0, len(padded) - n_fft + 1, hop)]
    power = abs(np.fft.fft(frames)[:, : n_fft // 2 + 1]) ** 2
    mel = power @ filters(rate, n_fft, own["mels"], own["fmin"], own["fmax"], formula)
    return np.log(np.maximum(mel, own["floor"]))


def made(transform: LogMel, sounds: Array) -> Array:
    result = transform.result(Leaf(0, None, sounds.shape[1:], sounds.dtype))
    out = np.full((len(sounds), *result.shape), 77, result.dtype)
    transform.apply(sounds, out, ())
    return out


@pytest.mark.parametrize("formula", ["slaney", "htk"])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("loudness", [1e-3, 1, 3e4])
def test_the_result_is_that_of_the_formula(settings: dict[str, Any], formula: Any, loudness: float) -> None:
    sounds = loudness * np.stack([SWEEP, RNG.standard_normal(4_000), np.zeros(4_000)]).astype(np.float32)
    transform = LogMel(8_000, formula=formula, **settings) if settings else LogMel(8_000, 400, mels=40, formula=formula)
    expected = [reference(sound, 8_000, formula, **(settings or {"mels": 40})) for sound in sounds]
    result = made(transform, sounds)
    assert result.dtype == np.float32
    assert np.allclose(result, expected, rtol=0, atol=1e-5)


def test_filters_without_a_frequency_on_one_of_their_sides_are_right() -> None:
    settings: dict[str, Any] = {"n_fft": 256, "mels": 100}
    assert np.allclose(made(LogMel(8_000, **settings), SWEEP[None])[0], reference(SWEEP, 8_000, **settings), rtol=0, atol=1e-5)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_the_result_is_that_of_librosa(settings: dict[str, Any]) -> None:
    librosa = pytest.importorskip("librosa")
    own = {"n_fft": 400, "hop": 160, "mels": 40} | settings
    floor = own.pop("floor", 1e-10)
    transform = LogMel(8_000, floor=floor, **own)
    names = {"hop": "hop_length", "mels": "n_mels"}
    power = librosa.feature.melspectrogram(y=SWEEP.astype(np.float64), sr=8_000, **{names.get(name, name): value for name, value in own.items()})
    assert np.allclose(made(transform, SWEEP[None])[0], np.log(np.maximum(power, floor)).T, rtol=0, atol=1e-5)


def test_channels_come_last() -> None:
    sounds = RNG.standard_normal((2, 4_000, 3)).astype(np.float32)
    transform = LogMel(8_000, mels=40)
    together = made(transform, sounds)
    assert together.shape == (2, 26, 40, 3)
    for channel in range(3):
        assert np.array_equal(together[..., channel], made(transform, np.ascontiguousarray(sounds[..., channel])))


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"sample_rate": 0}, "sample_rate=0; give a number above 0"),
        ({"n_fft": 400.0}, "n_fft=400.0; give a whole number"),
        ({"hop": 0}, "hop=0; give a whole number, 1 or more"),
        ({"mels": True}, "mels=True; give a whole number"),
        ({"fmin": 5_000}, "fmin=5000, fmax=4000; give 0 <= fmin < fmax <= 4000, half of sample_rate"),
        ({"fmax": 9_000}, "fmin=0, fmax=9000; give 0 <= fmin < fmax <= 4000"),
        ({"fmin": -1}, "fmin=-1"),
        ({"formula": "bark"}, "formula='bark'; must be one of 'slaney', 'htk'"),
        ({"center": "no"}, "center='no'; give True or False"),
        ({"floor": 0}, "floor=0; give a number above 0"),
        ({"n_fft": 64, "mels": 80}, r"\d+ of 80 filters are so narrow .* n_fft=64, those are 125 Hz apart"),
        ({"n_fft": 1, "mels": 1}, "1 of 1 filters are so narrow"),
        ({"fmin": 3_990, "mels": 1}, "1 of 1 filters are so narrow"),
    ],
)
def test_nonsense_is_refused(arguments: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=f"LogMel: {problem}"):
        LogMel(**{"sample_rate": 8_000} | arguments)


@pytest.mark.parametrize(
    ("shape", "dtype", "center", "problem"),
    [
        ((4_000,), "int16", True, "it takes sound as float32, .* put a Cast before it"),
        ((4_000, 2, 2), "float32", True, "it takes sound as float32"),
        ((399,), "float32", False, "is shorter than one frame, n_fft=400. What to do: put an Excerpt or a Pad before it"),
        ((0,), "float32", True, "is shorter than one frame"),
    ],
)
def test_arrays_that_are_no_sound_are_refused(shape: Any, dtype: str, center: bool, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        LogMel(8_000, mels=40, center=center).result(Leaf(0, None, shape, np.dtype(dtype)))
