from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from loader.data.spec import Leaf
from loader.data.transforms import Gain
from loader.errors import ConfigError

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(50,), (50, 2)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_values_are_multiplied_by_what_was_drawn_for_their_sample(shape: Any, dtype: str) -> None:
    sounds = RNG.standard_normal((3, *shape)).astype(dtype)
    gain = Gain((-20, 20))
    drawn = [gain.draw(RNG) for _ in sounds]
    out = np.full_like(sounds, 77)
    gain.apply(sounds, out, drawn)
    for sound, made, factor in zip(sounds, out, drawn, strict=True):
        assert np.array_equal(made, sound * sounds.dtype.type(factor))


def test_twenty_decibels_are_ten_times_the_amplitude() -> None:
    (made,) = Gain((20, 20))((np.array([0.5, -0.25]),), RNG)
    assert np.allclose(made, [5, -2.5])


def test_decibels_are_drawn_from_their_range() -> None:
    drawn = 20 * np.log10([Gain(6).draw(RNG) for _ in range(500)])
    assert -6 <= drawn.min() < -5.8
    assert 5.8 < drawn.max() <= 6


def test_what_it_can_not_take_is_refused() -> None:
    with pytest.raises(ConfigError, match="Gain: decibels=-3; give a number that is not negative, or a pair"):
        Gain(-3)
    with pytest.raises(ConfigError, match=r"Gain: x: .* it takes floats\. What to do: put a Cast or a Rescale before it"):
        Gain(3).result(Leaf(0, None, (5,), np.dtype("i2")))
