"""The transforms that a source which keeps samples runs before it keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import ConfigError, Loader, MapSource, SampleError, Source
from loader import transforms as T
from loader.data.pipeline.head import head
from loader.data.pipeline.pipeline import Pipeline
from loader.data.pipeline.segments import Transform
from tests.batches import assert_same, inline

MADE: list[int] = []


class Pictures:
    """Pictures that differ in size, and tell when they are made."""

    def __init__(self, bad: int | None = None) -> None:
        self.bad = bad

    def __len__(self) -> int:
        return 12

    def __getitem__(self, i: int) -> Any:
        MADE.append(i)
        rows = 2 if i == self.bad else 8 + i
        return (np.arange(rows * 10 * 3).reshape(rows, 10, 3) % (200 + i)).astype(np.uint8), i


def function(sample: Any, rng: Any) -> Any:
    return sample


@pytest.fixture(params=["in memory", "in a folder"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return None if request.param == "in memory" else tmp_path / "cache"


def made_by(source: Source, transforms: Sequence[Transform]) -> list[int]:
    """Return which samples are made in an epoch."""
    with Loader(source, 4, workers=0, transforms=transforms) as loader:
        loader.spec  # noqa: B018  # the first sample is made for it, too
        MADE.clear()
        for _ in loader:
            pass
    return sorted(MADE)


@pytest.mark.parametrize(
    ("transforms", "expected"),
    [
        ([], 0),
        ([T.Crop((4, 4), "center"), T.Flip()], 1),
        ([T.Normalize(1, 2), T.Resize(8), T.Rescale(2)], 2),
        ([T.Rescale(2), T.Pad((30, 30)), T.Crop((20, 20)), T.Crop((4, 4), "center")], 2),
        ([function, T.Crop((4, 4), "center")], 0),
        ([T.Flip(), T.Crop((4, 4), "center")], 0),
        ([T.Rescale(2), T.OneHot(3)], 0),
        ([T.LogMel(16_000), T.Normalize(1, 2)], 1),
    ],
)
def test_the_head_ends_with_the_last_transform_that_is_worth_keeping_before_any_that_may_draw(transforms: list[Transform], expected: int) -> None:
    assert head(transforms) == expected


STEPS = [T.Rescale(2), T.Pad((30, 12)), T.Crop((20, 8), "center"), T.Flip(), T.Noise(0.1)]


def test_batches_are_the_same_and_samples_that_differ_in_size_are_made_once(place: Path | None) -> None:
    settings = {"shuffle": True, "transforms": STEPS, "seed": 3}
    expected = inline(MapSource(Pictures()), 4, 3, **settings)
    source = MapSource(Pictures()).cache(place)
    assert_same(inline(source, 4, 3, **settings), expected)
    assert made_by(source, STEPS) == []
    left, right = source.split(0.5)
    assert made_by(left, STEPS) == made_by(right, STEPS) == []


def test_validation_may_end_its_head_elsewhere(place: Path | None) -> None:
    source = MapSource(Pictures()).cache(place)
    training, validation = source.split(0.5)
    steps = [T.Pad((30, 12)), T.Flip()], [T.Pad((30, 12)), T.Crop((20, 8), "center")]
    for _ in range(2):
        made = made_by(training, steps[0]), made_by(validation, steps[1])
    assert made == ([], [])
    if place is not None:
        assert sorted(path.name for path in place.iterdir()) == ["Pad", "Pad-Crop"]
        assert np.load(place / "Pad-Crop" / "x.npy").shape == (12, 20, 8, 3)
        assert made_by(MapSource(Pictures()).cache(place), steps[0]) != [*range(12)]  # another run


def test_a_folder_of_other_parameters_is_refused_and_memory_is_not(tmp_path: Path) -> None:
    made_by(MapSource(Pictures()).cache(tmp_path), [T.Pad((30, 12))])
    with pytest.raises(ConfigError, match=r"Pad was made of something else: source.transforms\[0\].shape was \(30, 12\), and now is \(32, 12\)"):
        Loader(MapSource(Pictures()).cache(tmp_path), 4, workers=0, transforms=[T.Pad((32, 12))])
    source = MapSource(Pictures()).cache()
    for length in (30, 32):
        with Loader(source, 4, workers=0, transforms=[T.Pad((length, 12))]) as loader:
            assert loader.spec.leaves[0].shape == (length, 12, 3)


def test_another_version_of_what_transforms_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import cv2

    made_by(MapSource(Pictures()).cache(tmp_path), [T.Resize(8)])
    monkeypatch.setattr(cv2, "__version__", "0.1")
    with pytest.raises(ConfigError, match=r"cv2 .* now it is 0.1"):
        made_by(MapSource(Pictures()).cache(tmp_path), [T.Resize(8)])


@pytest.mark.parametrize("bad", [0, 5])
def test_a_sample_that_does_not_fit_is_named_and_those_before_it_are_kept(place: Path | None, bad: int) -> None:
    source, steps = MapSource(Pictures(bad)).cache(place), [T.Crop((6, 6), "center")]
    with (
        Loader(source, 10, workers=0, transforms=steps) as loader,
        pytest.raises(SampleError, match=rf"sample {bad}: .*is smaller than shape=\(6, 6\); put a Pad or Resize before it"),
    ):
        next(iter(loader))
    if bad:
        assert made_by(source.subset(range(bad)), steps) == []


def test_transforms_that_do_not_fit_are_the_error_that_they_are_without_a_cache(place: Path | None) -> None:
    def error(source: Source) -> str:
        with Loader(source, 4, workers=0, transforms=[T.Crop((6, 6), "center", fields="z")]) as loader, pytest.raises(ConfigError) as caught:
            loader.spec  # noqa: B018
        return str(caught.value)

    assert error(MapSource(Pictures()).cache(place)) == error(MapSource(Pictures()))


def test_a_pipeline_without_a_cache_is_left_alone() -> None:
    source = MapSource(Pictures())
    assert Pipeline(source, STEPS, 0).source is source
    parts = source.cache() + source.cache()
    assert Pipeline(parts, STEPS, 0).source is parts
