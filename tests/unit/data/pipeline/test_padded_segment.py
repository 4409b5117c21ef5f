"""Samples that differ in length and are padded: built-in transforms and functions on them, one sample at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import MapSource, NpyFiles, Source
from loader import transforms as T
from loader.data.pipeline import leaf_segment
from loader.data.pipeline.pipeline import Pipeline
from loader.data.plans.buckets import Buckets
from loader.data.rng import SampleGenerator
from loader.data.rows import BadSample
from loader.data.spec import Array, Sample
from tests.unit.data.pictures import EPOCH, SEED, compiled, filled

LENGTHS = [5, 12, 7, 12, 3, 9, 5, 1]
RNG = np.random.default_rng(0)
SAMPLES: list[Any] = [(RNG.integers(0, 256, (length, 6, 3)).astype(np.uint8), np.int32(number)) for number, length in enumerate(LENGTHS)]
INDICES = [3, 0, 6, 1, 4, 2, 5, 7, 0]


def brighter(sample: Sample, rng: np.random.Generator) -> Sample:
    x, *rest = sample
    return (x + x.dtype.type(rng.integers(5)), *rest)


def now_and_then_wider(sample: Sample, rng: np.random.Generator) -> Sample:
    """Return every other sample with numbers of another dtype."""
    x, y = sample
    return (x.astype(np.float64) if y % 2 else x, y)


CHAINS: dict[str, list[Any]] = {
    "none": [],
    "mirrored": [T.Flip()],
    "mirrored and scaled": [T.Flip("vertical"), T.Rescale(1 / 255), T.Normalize(0.5, 0.25)],
    "coloured": [T.Crop((1, 4)), T.Brightness(0.3), T.Noise(3)],
    "around functions": [T.Flip(1), brighter, T.Rescale(0.5), brighter, T.Flip(0)],
    "labels": [T.OneHot(len(SAMPLES)), T.Cast("float32")],
    "of two dtypes, made alike": [now_and_then_wider, T.Rescale(2)],
}


def padded(transforms: Sequence[Any], indices: Sequence[int], length: int) -> list[Array]:
    """Return the arrays of a batch, made in the plainest way there is."""
    rows = []
    for index in indices:
        sample: Any = SAMPLES[index]
        for place, transform in enumerate(transforms):
            sample = transform(sample, SampleGenerator(SEED).at(EPOCH, index, place))
        x, y = sample
        rows.append((np.concatenate([x, np.full((length - len(x), *x.shape[1:]), 7, x.dtype)]), y))
    return [np.stack(part) for part in zip(*rows, strict=True)]


@pytest.mark.parametrize("name", CHAINS)
def test_rows_are_what_the_transforms_make_of_each_sample(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = padded(CHAINS[name], INDICES, 12)
    pipeline = compiled(MapSource(SAMPLES), CHAINS[name], buckets=Buckets([12], pad_value=7))
    for most in (1024, 2):  # shapes that are remembered
        monkeypatch.setattr(leaf_segment, "_MOST_SHAPES", most)
        for made, wanted in zip(filled(pipeline, INDICES), expected, strict=True):
            assert made.dtype == wanted.dtype
            assert np.array_equal(made, wanted)


def test_an_inner_axis_is_padded_at_its_end() -> None:
    turned = MapSource([(np.ascontiguousarray(x.swapaxes(0, 1)), y) for x, y in SAMPLES])
    made, _ = filled(compiled(turned, [T.Rescale(2, dtype="float32")], buckets=Buckets([12], axis=1, pad_value=7)), INDICES)
    assert np.array_equal(made.swapaxes(1, 2), padded([T.Rescale(2, dtype="float32")], INDICES, 12)[0])


def test_a_sample_that_is_too_small_for_a_transform_is_named() -> None:
    pipeline = compiled(MapSource(SAMPLES), [T.Crop((5, 6))], buckets=Buckets([12]))
    with pytest.raises(BadSample) as caught:
        filled(pipeline, INDICES)
    assert caught.value.index == 4
    assert "is smaller than shape=(5, 6)" in str(pipeline.error(caught.value))


def test_a_label_that_a_transform_refuses_is_named() -> None:
    pipeline = compiled(MapSource([*SAMPLES, (SAMPLES[0][0], np.int32(99))]), [T.OneHot(9)], buckets=Buckets([12]))
    with pytest.raises(BadSample) as caught:
        filled(pipeline, [0, 8])
    assert caught.value.index == 8
    assert "the label is 99" in str(pipeline.error(caught.value))


def test_a_sample_of_another_kind_is_named_whatever_the_transforms_are() -> None:
    source: Source = MapSource([(np.zeros((3, 2), np.float32), 1), ({"a": np.zeros((3, 2), np.float32)}, 1)])
    pipeline = compiled(source, [T.Cast("float32")], buckets=Buckets([4]))
    with pytest.raises(BadSample) as caught:
        filled(pipeline, [0, 1])
    assert caught.value.index == 1
    assert "returned a different kind of sample than for the first one" in str(pipeline.error(caught.value))


def test_files_of_many_lengths_are_what_lies_in_them(tmp_path: Path) -> None:
    for number, (x, _) in enumerate(SAMPLES):
        np.save(tmp_path / f"{number}.npy", np.asfortranarray(x) if number % 3 == 1 else x)
    pipeline: Pipeline = compiled(NpyFiles(tmp_path), buckets=Buckets([12], pad_value=7))
    for _ in range(2):
        assert np.array_equal(filled(pipeline, INDICES)[0], padded([], INDICES, 12)[0])
