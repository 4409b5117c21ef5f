"""Samples of random sizes through random transforms, against one call after the other on each of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from loader import Loader, MapSource
from loader import transforms as T
from loader.data.rng import SampleGenerator
from tests.examples import examples

SIZES = st.lists(st.tuples(st.integers(6, 20), st.integers(6, 20)), min_size=1, max_size=9)
ANY_SIZE = st.sampled_from([T.Noise(1.0), T.Rescale(2.0), T.Flip("horizontal"), T.Gain(3)])
ONE_SIZE = st.sampled_from(
    [
        T.Crop((5, 6)),
        T.Crop((5, 6), "center"),
        T.Pad((21, 20), 1),
        T.Pad((21, 20), 1, "center"),
        T.Resize((7, 9)),
        T.Resize((7, 9), "area"),
        T.RandomResizedCrop(8),
    ]
)
CHAINS = st.tuples(st.lists(ANY_SIZE, max_size=2), ONE_SIZE, st.lists(ANY_SIZE, max_size=2))


@examples(60)
@given(SIZES, CHAINS, st.sampled_from([(), (1,), (3,)]), st.integers(1, 5), st.booleans())
def test_any_samples_become_what_the_transforms_make_of_each(
    sizes: list[tuple[int, int]], chain: tuple[list[Any], Any, list[Any]], channels: tuple[int, ...], batch_size: int, shuffle: bool
) -> None:
    before, sizing, after = chain
    transforms = [*before, sizing, *after]
    source = MapSource([(np.random.default_rng(n).normal(size=(*size, *channels)).astype(np.float32), n) for n, size in enumerate(sizes)])
    with Loader(source, batch_size, transforms=transforms, workers=0, seed=5, shuffle=shuffle) as loader:
        made = {int(number): np.array(row) for x, y in loader for row, number in zip(x, y, strict=True)}
    generator = SampleGenerator(5)
    assert sorted(made) == list(range(len(sizes)))
    for number, row in made.items():
        sample: Any = source[number]
        for place, transform in enumerate(transforms):
            sample = transform(sample, generator.at(0, number, place))
        np.testing.assert_array_equal(row, sample[0])
