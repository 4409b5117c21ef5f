"""`loader.show()` while workers fill batches."""

from __future__ import annotations

import numpy as np

from loader import Loader, NpyArrays
from loader import transforms as T
from tests.batches import assert_same, copied, inline

PICTURES = np.random.default_rng(0).integers(0, 256, (24, 12, 12, 3), "u1")
STEPS = [T.Flip("horizontal"), T.Noise(20)]


def test_the_workers_go_on_and_what_is_shown_is_what_they_make() -> None:
    source = NpyArrays(PICTURES, np.arange(24))
    settings = {"shuffle": True, "seed": 2, "transforms": STEPS}
    with Loader(source, 4, workers=2, **settings) as loader:
        batches = iter(loader)
        taken = [copied(next(batches))]
        sheet = loader.show(samples=8)
        taken += [copied(batch) for batch in batches]
        with Loader(source, 4, workers=0, **settings) as alone:
            np.testing.assert_array_equal(sheet.pixels[100:], alone.show(samples=8).pixels[100:])  # below the loader's name
    assert_same(taken, inline(source, 4, **settings))
