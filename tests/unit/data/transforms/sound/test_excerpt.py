from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from loader.data.spec import Array, Leaf
from loader.data.transforms import Excerpt
from loader.errors import ConfigError

RNG = np.random.default_rng(0)


def made(excerpt: Excerpt, sound: Array, draws: Any = ()) -> Array:
    result = excerpt.result(Leaf(0, None, sound.shape, sound.dtype))
    out = np.full((1, *result.shape), 77, result.dtype)
    excerpt.apply(sound[None], out, draws)
    return out[0]


@pytest.mark.parametrize(("drawn", "start"), [(0.0, 0), (0.5, 3), (0.999, 6)])
@pytest.mark.parametrize("dtype", ["float32", "int16"])
def test_the_part_that_was_drawn_is_cut_out(drawn: float, start: int, dtype: str) -> None:
    sound = np.arange(20).reshape(10, 2).astype(dtype)
    assert np.array_equal(made(Excerpt(0.5, 8), sound, [drawn]), sound[start : start + 4])


def test_every_place_is_as_likely() -> None:
    excerpt = Excerpt(0.5, 8)
    starts = [int(made(excerpt, np.arange(10), [excerpt.draw(RNG)])[0]) for _ in range(3_500)]
    assert (abs(np.bincount(starts, minlength=7) - 500) < 100).all()


def test_the_middle_takes_no_chance() -> None:
    excerpt = Excerpt(0.5, 8, "center")
    assert not excerpt.random
    assert made(excerpt, np.arange(9)).tolist() == [2, 3, 4, 5]


@pytest.mark.parametrize("position", ["random", "center"])
def test_a_shorter_sound_is_kept_whole_with_zeros_behind_it(position: Any) -> None:
    assert made(Excerpt(1, 5, position), np.array([3, 4, 5]), [0.7]).tolist() == [3, 4, 5, 0, 0]


def test_the_length_is_seconds_times_sample_rate() -> None:
    assert Excerpt(0.1, 44_100).result(Leaf(0, None, (9_000, 2), np.dtype("f4"))).shape == (4_410, 2)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((0, 8), "seconds=0; give a number above 0"),
        ((1, -8), "sample_rate=-8; give a number above 0"),
        (("1", 8), "seconds='1'; give one finite number"),
        ((0.01, 8), "0.01 s are less than one sample at sample_rate=8"),
        ((1, 8, "end"), "position='end'; must be one of 'random', 'center'"),
    ],
)
def test_nonsense_is_refused(arguments: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=f"Excerpt: {problem}"):
        Excerpt(*arguments)


def test_a_number_is_no_sound() -> None:
    with pytest.raises(ConfigError, match="is one number, without an axis to cut"):
        Excerpt(1, 8).result(Leaf(0, None, (), np.dtype("f4")))
