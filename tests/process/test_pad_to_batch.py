"""Samples padded to the longest one of their batch (`Pad(length="batch")`): the same bits for any number of workers, also when processes die."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import ConfigError, IterSource, Loader, MapSource, NpyFiles, SampleError, StateError
from loader import transforms as T
from tests.batches import Batch, assert_same, copied, inline, take
from tests.processes import wait_until_gone, workers_of

LENGTHS = np.random.default_rng(0).integers(1, 41, 150)
SOURCE = MapSource([(np.full((length, 2), number, np.float32), np.int32(number)) for number, length in enumerate(LENGTHS.tolist())])
MASKED = T.Pad(length="batch", mask="mask")


def noisy(sample: Any, rng: np.random.Generator) -> Any:
    x, y = sample
    return (x + rng.random(x.shape, np.float32), y)


def stretched(sample: Any, rng: np.random.Generator) -> Any:
    """Return the sample twice as long, with noise."""
    x, y = sample
    return (np.repeat(x, 2, axis=0) + rng.random((2 * len(x), 2), np.float32), y)


SETTINGS: list[dict[str, Any]] = [
    {"transforms": [T.Pad(length="batch")]},
    {"transforms": [noisy, T.Rescale(0.5), T.Pad(length="batch", mask="mask", value=-1, multiple_of=8)], "drop_last": True},
    {"transforms": [stretched, T.Pad(length="batch", lengths=lambda shape: 2 * shape[0])], "shuffle": 40},
    {"transforms": [MASKED], "class_weight": dict.fromkeys(range(150), 2.0), "shuffle": False},
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_batches_are_the_same_for_any_number_of_workers(settings: dict[str, Any]) -> None:
    settings = {"batch_size": 8, "shuffle": True, "seed": 3, **settings}
    expected = inline(SOURCE, epochs=2, **settings)
    for workers in (1, 3):
        with Loader(SOURCE, workers=workers, **settings) as loader:
            assert len(loader) == len(expected) // 2
            assert_same(take(loader, epochs=2), expected)


@pytest.mark.parametrize("multiple", [1, 8])
def test_batches_are_those_of_one_shape_but_as_long_as_their_longest_sample(multiple: int) -> None:
    whole = inline(SOURCE, 8, shuffle=True, transforms=[T.Pad((40, 2), -1)])
    found = inline(SOURCE, 8, shuffle=True, transforms=[T.Pad(length="batch", value=-1, mask="there", multiple_of=multiple)])
    assert len({x["x"].shape[1] for x, _ in found}) > 1
    for (x, y), (expected, labels) in zip(found, whole, strict=True):
        lengths = LENGTHS[y]
        length = -(-int(lengths.max()) // multiple) * multiple
        assert x["x"].shape[1] == length
        assert (x["x"] == expected[:, :length]).all()
        assert (x["there"] == (np.arange(length) < lengths[:, None])).all()
        assert (y == labels).all()


def test_lengths_of_files_are_read_from_their_headers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "data").mkdir()
    for number, length in enumerate((5, 17, 9, 30)):
        np.save(tmp_path / "data" / f"{number}.npy", np.full((3, length), number, np.int16))
    with Loader(NpyFiles(tmp_path / "data"), 2, transforms=[T.Pad(length="batch", axis=1)], workers=2) as loader:
        assert [x.shape for (x,) in loader] == [(2, 3, 17), (2, 3, 30)]
        assert loader.batch_shapes == [(2, 3, None)]


def test_killed_workers_and_supervisors_change_nothing() -> None:
    settings: dict[str, Any] = {"transforms": [noisy, MASKED], "shuffle": True}
    expected = inline(SOURCE, 8, epochs=3, **settings)
    found: list[Batch] = []
    with Loader(SOURCE, 8, workers=2, slots=2, **settings) as loader:
        os.kill(workers_of(loader)[0], signal.SIGKILL)
        found += take(loader, epochs=2)
        batches = iter(loader)
        found += [copied(next(batches)) for _ in range(4)]
        os.kill(loader.pid, signal.SIGKILL)
        wait_until_gone([loader.pid])
        with pytest.warns(RuntimeWarning, match="another one continues"):
            found += [copied(batch) for batch in batches]
    assert_same(found, expected)


def test_an_epoch_goes_on_where_it_was_left_also_with_other_ranks() -> None:
    settings: dict[str, Any] = {"transforms": [MASKED], "shuffle": True, "drop_last": True}
    expected = inline(SOURCE, 8, epochs=2, **settings)
    with Loader(SOURCE, 8, workers=0, **settings) as loader:
        batches = iter(loader)
        for _ in range(3):
            next(batches)
        state = json.loads(json.dumps(loader.state_dict()))
    with Loader(SOURCE, 8, workers=2, **settings) as loader:
        loader.load_state_dict(state)
        assert_same(take(loader, epochs=2), expected[3:])
    halves = []
    for rank in range(2):
        with Loader(SOURCE, 4, workers=0, shard=(rank, 2), **settings) as loader:
            loader.load_state_dict(state)
            halves.append(take(loader, epochs=2))
    for (left, y), (right, z), (x, labels) in zip(*halves, expected[3:], strict=True):
        assert (np.concatenate([left["x"], right["x"]]) == x["x"]).all()
        assert (np.concatenate([y, z]) == labels).all()


def test_a_position_among_batches_of_other_lengths_is_refused() -> None:
    with Loader(SOURCE, 8, transforms=[T.Pad(length="batch")], workers=0) as loader:
        state = loader.state_dict()
    edges = np.unique(LENGTHS).tolist()
    others: list[dict[str, Any]] = [
        {"transforms": [T.Pad(length="batch", multiple_of=2)]},
        {"transforms": [T.Pad(length="batch", value=1)]},
        {"bucket_by": edges},
    ]
    for other in others:
        with Loader(SOURCE, 8, workers=0, **other) as loader, pytest.raises(StateError, match="buckets: '"):
            loader.load_state_dict(state)


def test_a_loader_with_other_settings_pads_as_well() -> None:
    with Loader(SOURCE, 8, transforms=[noisy, MASKED], workers=0) as loader:
        expected = inline(SOURCE, 16, transforms=[noisy, MASKED], shuffle=20)
        assert_same(take(loader.with_settings(batch_size=16, shuffle=20)), expected)
        with pytest.raises(ConfigError, match=r"batch_size=\[8\]: must be one number with Pad"):
            loader.with_settings(batch_size=[8])


def failing(sample: Any, rng: np.random.Generator) -> Any:
    if int(sample[1]) % 20 == 0:
        raise ValueError("bad")
    return sample


@pytest.mark.filterwarnings("ignore:sample .* is bad:RuntimeWarning")
def test_what_stands_in_for_a_bad_sample_fits_its_batch() -> None:
    settings: dict[str, Any] = {"transforms": [failing, MASKED], "shuffle": True, "on_error": "substitute"}
    source = SOURCE.subset(np.arange(1, 150))
    expected = inline(source, 8, epochs=2, **settings)
    with Loader(source, 8, workers=2, **settings) as loader:
        assert_same(take(loader, epochs=2), expected)
    for x, y in expected:
        assert not (y % 20 == 0).any()
        assert (x["mask"].sum(1) == LENGTHS[y]).all()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_transform_that_makes_samples_longer_is_an_error_that_names_one(workers: int) -> None:
    words = r"x has length \d+, and is in a batch that is padded to \d+\. .* What to do: Pad\(\.\.\., lengths=\.\.\.\)"
    with Loader(SOURCE, 8, transforms=[stretched, MASKED], workers=workers) as loader, pytest.raises(SampleError, match=words):
        take(loader)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"transforms": [MASKED, noisy]}, r"transform 0 is Pad\(value=0, .*mask='mask'.*\), which must be the last one"),
        ({"transforms": [MASKED, MASKED]}, "transform 0 is Pad.*, which must be the last one"),
        ({"transforms": [MASKED], "bucket_by": [40]}, r"bucket_by=\[40\] pads samples, too; leave out Pad\(length='batch'\), or that"),
        ({"transforms": [MASKED], "batch_size": None}, r"batch_size=None: must be a number with Pad"),
        ({"transforms": [T.Pad(length="batch", fields="z")]}, r"no field 'z'; there are \['x', 'y'\]"),
        ({"transforms": [T.Pad(length="batch", fields="y")]}, r"Pad\(length='batch'\) needs a length along axis 0 of y: .* Pad\(\.\.\., axis="),
        ({"transforms": [T.Pad(length="batch", lengths=[1, 2])]}, r"Pad: lengths has shape \(2,\) and dtype int64"),
        ({"transforms": [T.Pad(length="batch", lengths=range(10_000, 1_510_000, 10_000))], "batch_size": 200, "drop_last": True}, "leave no batch"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Loader(SOURCE, **{"batch_size": 8, "workers": 0, **settings})


def test_padding_that_an_array_can_not_hold_is_refused() -> None:
    source = MapSource([(np.zeros(length, np.uint8),) for length in (3, 5)])
    for value in (-1, 0.5):
        with (
            Loader(source, 2, workers=0, transforms=[T.Pad(length="batch", value=value)]) as loader,
            pytest.raises(ConfigError, match=rf"Pad: value={float(value)} does not fit into x"),
        ):
            take(loader)


def test_too_many_lengths_are_refused_with_a_multiple_that_makes_them_few() -> None:
    source, lengths = MapSource([(np.zeros(1),)] * 9_000), range(1, 9_001)
    with pytest.raises(ConfigError, match=r"could have 9,000 different lengths, .* Pad\(\.\.\., multiple_of=4\)"):
        Loader(source, 8, transforms=[T.Pad(length="batch", lengths=lengths)], workers=0)
    with Loader(source, 8, transforms=[T.Pad(length="batch", lengths=lengths, multiple_of=4)], workers=2) as loader:
        assert next(iter(loader))[0].shape == (8, 8)


def test_a_generator_has_no_lengths_beforehand() -> None:
    with pytest.raises(ConfigError, match=r"can't be used with Pad\(length='batch'\)"):
        Loader(IterSource(lambda: iter([(np.zeros(3),)])), 1, transforms=[T.Pad(length="batch")])


def test_samples_without_any_steps_get_one_of_padding() -> None:
    source = MapSource([(np.zeros((0, 2), np.float32),)] * 4)
    ((x,),) = inline(source, 4, transforms=[T.Pad(length="batch", value=7)])
    assert x.tolist() == [[[7, 7]]] * 4
