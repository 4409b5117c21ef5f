"""`loader bench` with batches of several shapes: a model is compiled for all of them before it is measured, and figures are means."""

from __future__ import annotations

import numpy as np

from loader import Loader, MapSource
from loader.watch.bench.bench import _bytes_per_sample, _until_all_shapes
from loader.watch.bench.replay import Replay

LENGTHS = [4] * 40 + [8] * 20 + [16] * 4
SOURCE = MapSource([(np.zeros((length, 2), np.float32), np.float32(1)) for length in LENGTHS])


def test_batches_are_counted_until_each_shape_has_come() -> None:
    with Loader(SOURCE, [8, 4, 4], bucket_by=[4, 8, 16], workers=0) as loader:
        assert _until_all_shapes(loader) == len(loader) == 11  # in the order of the source, the last one is the first of 16 steps
    with Loader(SOURCE.subset([0, 1]), 1, workers=0) as loader:
        assert _until_all_shapes(loader) == 0


def test_a_sample_has_the_bytes_that_it_has_on_average() -> None:
    with Loader(SOURCE, [8, 4, 4], bucket_by=[4, 8, 16], workers=0) as loader:
        assert _bytes_per_sample(loader) == 4 + 8 * np.mean(LENGTHS)
        assert loader.plan.mean_rows == 64 / 11
        assert sum(x.nbytes + y.nbytes for x, y in loader) / 64 == _bytes_per_sample(loader)


def test_a_replay_tells_in_which_axes_its_batches_differ() -> None:
    with Loader(SOURCE, 4, bucket_by=[4, 8, 16], workers=0) as loader:
        replay = Replay.of(loader)
        assert replay.shapes == 3
        assert replay.batch_shapes == loader.batch_shapes == [(4, None, 2), (4,)]
    assert not replay.by_length
