"""Samples that differ in length, in batches of similar length (`bucket_by`): the same bits for any number of workers, also when processes die."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import Buckets, ConfigError, Loader, MapSource, MemoryLimitError, NpyFiles, SampleError, StateError
from loader import transforms as T
from tests.batches import Batch, assert_same, copied, inline, take
from tests.processes import wait_until_gone, workers_of

EDGES = [10, 20, 40]
LENGTHS = np.random.default_rng(0).integers(1, 41, 150)
SOURCE = MapSource([(np.full((length, 2), number, np.float32), np.int32(number)) for number, length in enumerate(LENGTHS.tolist())])


def stretched(sample: Any, rng: np.random.Generator) -> Any:
    """Return the sample twice as long, with noise."""
    x, y = sample
    return (np.repeat(x, 2, axis=0) + rng.random((2 * len(x), 2), np.float32), y)


SETTINGS: list[dict[str, Any]] = [
    {"bucket_by": EDGES},
    {"bucket_by": Buckets(EDGES, mask="mask", weights=True, pad_value=-1), "batch_size": [12, 6, 3], "transforms": [T.Rescale(0.5)]},
    {"bucket_by": Buckets([20, 40, 80], lengths=lambda shape: 2 * shape[0]), "transforms": [stretched], "drop_last": True},
    {"bucket_by": Buckets([10, 20], longer="crop"), "class_weight": dict.fromkeys(range(150), 2.0)},
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_batches_are_the_same_for_any_number_of_workers(settings: dict[str, Any]) -> None:
    settings = {"batch_size": 8, "shuffle": True, "seed": 3, **settings}
    expected = inline(SOURCE, epochs=2, **settings)
    for workers in (1, 3):
        with Loader(SOURCE, workers=workers, **settings) as loader:
            assert len(loader) == len(expected) // 2
            assert_same(take(loader, epochs=2), expected)


def test_each_sample_comes_once_padded_to_the_length_of_its_bucket() -> None:
    with Loader(SOURCE, 8, bucket_by=EDGES, shuffle=True, workers=0) as loader:
        batches = take(loader)
    assert sorted(int(number) for _, y in batches for number in y) == list(range(150))
    for x, y in batches:
        edge = x.shape[1]
        assert edge in EDGES
        for row, number in zip(x, y.tolist(), strict=True):
            length = LENGTHS[number]
            assert length <= edge
            assert edge == EDGES[0] or length > EDGES[EDGES.index(edge) - 1]
            assert (row[:length] == number).all()
            assert not row[length:].any()


def test_a_mask_and_weights_say_where_there_is_data() -> None:
    with Loader(SOURCE, [16, 8, 4], bucket_by=Buckets(EDGES, mask="there", weights=True, pad_value=-1), workers=0) as loader:
        for x, y, weight in loader:
            lengths = LENGTHS[y]
            expected = np.arange(x["x"].shape[1]) < lengths[:, None]
            assert (x["there"] == expected).all()
            assert (weight == expected).all()
            assert weight.dtype == np.float32
            assert ((x["x"] == -1).all(2) == ~expected).all()


def test_a_weight_of_the_sample_is_that_of_its_steps() -> None:
    source = MapSource([({"tokens": np.ones(n, np.int64), "age": 3.0}, np.ones(n, bool), float(n)) for n in (3, 9)])
    with Loader(source, 2, bucket_by=Buckets([10], fields=("tokens", "y"), mask="mask", weights=True), workers=0) as loader:
        ((x, y, weight),) = take(loader)
    assert list(x) == ["tokens", "age", "mask"]
    assert x["tokens"].sum(1).tolist() == y.sum(1).tolist() == x["mask"].sum(1).tolist() == [3, 9]
    assert weight.sum(1).tolist() == [9, 81]


def test_lengths_of_files_are_read_from_their_headers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "data").mkdir()
    for number, length in enumerate((5, 17, 9, 30)):
        np.save(tmp_path / "data" / f"{number}.npy", np.full((3, length), number, np.int16))
    with Loader(NpyFiles(tmp_path / "data"), 2, bucket_by=Buckets([10, 30], axis=1), workers=2) as loader:
        assert [x.shape for (x,) in loader] == [(2, 3, 10), (2, 3, 30)]
        assert loader.batch_shapes == [(2, 3, None)]
    with pytest.raises(ConfigError, match=r"1 of 4 samples are longer than 20, the last bucket: .*3\.npy \(30\)\. The longest has 30\."):
        Loader(NpyFiles(tmp_path / "data"), 2, bucket_by=Buckets([20], axis=1), workers=0)


def test_a_killed_workers_rows_are_written_again() -> None:
    settings: dict[str, Any] = {"bucket_by": EDGES, "shuffle": True, "transforms": [stretched_by_none], "seed": 3}
    expected = inline(SOURCE, 8, epochs=4, **settings)
    found: list[Batch] = []
    with Loader(SOURCE, 8, workers=2, **settings) as loader:
        for _ in range(4):
            os.kill(workers_of(loader)[0], signal.SIGKILL)
            found += take(loader)
    assert_same(found, expected)


def stretched_by_none(sample: Any, rng: np.random.Generator) -> Any:
    x, y = sample
    return (x + rng.random(x.shape, np.float32), y)


def test_a_supervisor_that_follows_another_goes_on_with_the_same_batches() -> None:
    settings: dict[str, Any] = {"bucket_by": Buckets(EDGES, mask="mask"), "shuffle": True, "transforms": [stretched_by_none]}
    expected = inline(SOURCE, 8, epochs=2, **settings)
    with Loader(SOURCE, 8, workers=2, slots=2, **settings) as loader:
        batches = iter(loader)
        found = [copied(next(batches)) for _ in range(4)]
        os.kill(loader.pid, signal.SIGKILL)
        wait_until_gone([loader.pid])
        with pytest.warns(RuntimeWarning, match="another one continues"):
            found += [copied(batch) for batch in batches]
        found += take(loader)
    assert_same(found, expected)


def test_an_epoch_goes_on_where_it_was_left_also_with_other_ranks() -> None:
    settings: dict[str, Any] = {"bucket_by": EDGES, "shuffle": True, "drop_last": True}
    with Loader(SOURCE, 8, workers=0, **settings) as loader:
        expected = take(loader, epochs=2)
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
    whole = [tuple(np.concatenate(parts) for parts in zip(left, right, strict=True)) for left, right in zip(*halves, strict=True)]
    assert_same(whole, expected[3:])


def test_a_position_among_other_buckets_is_refused() -> None:
    with Loader(SOURCE, 8, bucket_by=EDGES, workers=0) as loader:
        state = loader.state_dict()
    for other in ([20, 40], Buckets(EDGES, pad_value=1), None):
        source = SOURCE if other is not None else SOURCE.subset([0])
        with Loader(source, 8, bucket_by=other, workers=0) as loader, pytest.raises(StateError, match="buckets: '"):
            loader.load_state_dict(state)
    with Loader(SOURCE, [8, 8, 4], bucket_by=EDGES, workers=0) as loader, pytest.raises(StateError, match="buckets: '"):
        loader.load_state_dict(state)


def failing(sample: Any, rng: np.random.Generator) -> Any:
    if int(sample[1]) % 20 == 0:
        raise ValueError("bad")
    return sample


@pytest.mark.filterwarnings("ignore:sample .* is bad:RuntimeWarning")
def test_what_stands_in_for_a_bad_sample_fits_its_bucket() -> None:
    settings: dict[str, Any] = {"bucket_by": EDGES, "shuffle": True, "transforms": [failing], "on_error": "substitute"}
    source = SOURCE.subset(np.arange(1, 150))
    expected = inline(source, 8, epochs=2, **settings)
    with Loader(source, 8, workers=2, **settings) as loader:
        assert_same(take(loader, epochs=2), expected)
    for x, y in expected:
        assert not (y % 20 == 0).any()
        assert (LENGTHS[y] <= x.shape[1]).all()


def killing(sample: Any, rng: np.random.Generator) -> Any:
    if int(sample[1]) == 37:
        os.kill(os.getpid(), signal.SIGKILL)
    return sample


@pytest.mark.filterwarnings("ignore:sample .* is bad:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:sample . .* is bad")
@pytest.mark.parametrize("bad", [0, 5])
@pytest.mark.parametrize("padding", [{"bucket_by": [8, 16]}, {"transforms": [T.Pad(length="batch")]}], ids=["buckets", "batch"])
def test_a_file_without_a_length_is_substituted_by_any_other(tmp_path: Path, bad: int, padding: dict[str, Any]) -> None:
    for number in range(12):
        np.save(tmp_path / f"{number:02d}.npy", np.full(3 + number, 1 + number, np.float32))
    (tmp_path / f"{bad:02d}.npy").write_bytes(b"garbage")
    with pytest.raises(SampleError, match=f"sample {bad} "):
        Loader(NpyFiles(tmp_path), 2, workers=0, **padding)
    expected = inline(NpyFiles(tmp_path), 2, 1, on_error="substitute", shuffle=True, **padding)
    rows = [row for (x,) in expected for row in x]
    assert len(rows) == 12
    assert {number: int((np.array([row[0] for row in rows]) == 1 + number).sum()) for number in range(12)}[bad] == 0
    with Loader(NpyFiles(tmp_path), 2, workers=2, on_error="substitute", shuffle=True, **padding) as loader:
        assert_same(take(loader), expected)
        assert loader.stats().as_dict()["substituted"] >= 1  # the next epoch may have begun


def test_what_stands_in_for_a_sample_that_kills_fits_its_bucket() -> None:
    settings: dict[str, Any] = {"bucket_by": EDGES, "shuffle": True}
    expected = inline(SOURCE, 8, **settings)
    with Loader(SOURCE, 8, workers=2, transforms=[killing], on_error="substitute", **settings) as loader:
        found = take(loader)
    assert [x.shape for x, _ in found] == [x.shape for x, _ in expected]
    assert all((LENGTHS[y] <= x.shape[1]).all() for x, y in found)
    assert sum(int((y != other).sum()) for (_, y), (_, other) in zip(found, expected, strict=True)) == 1


@pytest.mark.parametrize("workers", [0, 1])
def test_a_sample_that_is_longer_than_was_said_is_an_error_that_names_it(workers: int) -> None:
    lengths = np.minimum(LENGTHS, 20)
    with (
        Loader(SOURCE, 8, bucket_by=Buckets(EDGES, lengths=lengths), workers=workers) as loader,
        pytest.raises(SampleError, match=r"x has length \d+, and is in a batch that is padded to 20\. Likely cause: a transform changes the length"),
    ):
        take(loader)


def another_shape(sample: Any, rng: np.random.Generator) -> Any:
    x, y = sample
    return (x[:, : 1 + int(y) % 2], y)


def another_label(sample: Any, rng: np.random.Generator) -> Any:
    x, y = sample
    return (x, np.arange(int(y)))


@pytest.mark.parametrize(
    ("transform", "words"),
    [
        (
            another_shape,
            r"x has shape \(\d+, 2\), but the first sample's had shape \(35, 1\); only axis 0 may differ",
        ),
        (another_label, r"y has shape \(1,\), but the first sample's had shape \(0,\), and bucket_by pads only \['x'\]"),
    ],
)
def test_what_differs_in_more_than_the_length_is_an_error(transform: Any, words: str) -> None:
    with Loader(SOURCE, 8, bucket_by=EDGES, transforms=[transform], workers=0) as loader, pytest.raises(SampleError, match=words):
        take(loader)


@pytest.mark.parametrize("value", [-1, 0.5, 256, float("nan")])
def test_a_value_to_fill_up_with_that_an_array_can_not_hold_is_refused(value: float) -> None:
    source = MapSource([np.zeros(length, np.uint8) for length in (3, 5)])
    with (
        Loader(source, 2, bucket_by=Buckets([8], pad_value=value), workers=0) as loader,
        pytest.raises(ConfigError, match=r"=.* does not fit into x: "),
    ):
        take(loader)


def test_arrays_of_different_lengths_have_no_mask() -> None:
    source = MapSource([(np.ones(length), np.ones(length + 1)) for length in (3, 5)])
    with Loader(source, 2, bucket_by=Buckets([8], fields=("x", "y")), workers=0) as loader:
        ((x, y),) = take(loader)
    assert (x.sum(1) + 1 == y.sum(1)).all()
    with (
        Loader(source, 2, bucket_by=Buckets([8], fields=("x", "y"), mask="mask"), workers=0) as loader,
        pytest.raises(SampleError, match=r"x and y have lengths \[3, 4\]; a mask, or weights, can tell of one length only"),
    ):
        take(loader)


def test_what_is_left_out_is_told() -> None:
    longer = int((LENGTHS > 20).sum())
    with pytest.warns(RuntimeWarning, match=f"{longer} of 150 samples are longer than the last bucket and are left out"):
        loader = Loader(SOURCE, 8, bucket_by=Buckets([10, 20], longer="drop"), workers=0)
    assert loader.left_out == longer
    assert sorted(int(number) for _, y in loader for number in y) == np.flatnonzero(LENGTHS <= 20).tolist()


def test_a_slot_is_as_large_as_the_largest_batch_and_memory_that_lacks_is_told_in_batch_sizes() -> None:
    source = MapSource([(np.zeros(length, np.uint8),) for length in (1024, 4096)])
    with (
        Loader(source, [2_048, 1_024], bucket_by=[1024, 4096], workers=1, memory_limit="80MiB", slots=20) as loader,
        pytest.raises(MemoryLimitError, match=r"20 slots × 4\.0 MiB .* What to do: slots=\d would fit"),
    ):
        take(loader)
    with (
        Loader(source, [20_480, 10_240], bucket_by=[1024, 4096], workers=1, memory_limit="80MiB", slots=2) as loader,
        pytest.raises(MemoryLimitError, match=r"2 slots × 40\.0 MiB .* What to do: batch_size=\[\d{4}, \d{4}\] would fit"),
    ):
        take(loader)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"bucket_by": "abc"}, "bucket_by='abc': must be ascending lengths such as"),
        ({"bucket_by": [20, 10]}, r"Buckets: edges=\[20, 10\]: must be ascending lengths from 1 up"),
        ({"bucket_by": []}, r"Buckets: edges=\[\]: must be ascending"),
        ({"bucket_by": [40], "batch_size": [8, 4]}, r"batch_size=\[8, 4\] has 2 numbers, but there are 1 buckets: \[40\]"),
        ({"bucket_by": [40], "batch_size": None}, "with bucket_by, give a number of rows, or one for each bucket"),
        ({"batch_size": [8, 4]}, "several sizes are for bucket_by"),
        ({"bucket_by": [40], "shuffle": "blocks"}, "with bucket_by, there are no windows of samples"),
        ({"bucket_by": Buckets([40], fields="z")}, r"no field 'z'; there are \['x', 'y'\]"),
        ({"bucket_by": Buckets([40], fields=("x", "y"))}, r"bucket_by needs a length along axis 0 of y: \(\) int32, which has no such axis"),
        ({"bucket_by": Buckets([40], lengths=[1, 2])}, r"lengths has shape \(2,\) and dtype int64, but MapSource\(list of 150\) has 150 samples"),
        ({"bucket_by": Buckets([40], lengths=-LENGTHS)}, r"lengths\[\d+\] is -40; a length is 0 or more"),
        (
            {"bucket_by": Buckets([40], weights=True), "class_weight": {0: 1.0}},
            r"class_weight is one number for each sample, and Buckets",
        ),
        ({"bucket_by": [40], "batch_size": 200, "drop_last": True}, "batch_size=200 and drop_last=True leave no batch of 150 samples"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Loader(SOURCE, **{"batch_size": 8, "workers": 0, **settings})


def test_all_wrong_settings_of_buckets_are_told_at_once() -> None:
    with pytest.raises(ConfigError, match=r"wrong settings of buckets:\n  axis=-1: must be 0.*\n  longer='cut': must be 'error' or"):
        Buckets([8], axis=-1, longer="cut")  # type: ignore[arg-type]


def test_stats_and_progress_count_batches_of_any_length(capsys: pytest.CaptureFixture[str]) -> None:
    with Loader(SOURCE, [16, 8, 4], bucket_by=EDGES, workers=2) as loader:
        assert sum(len(y) for _, y in loader.progress()) == 150
        stats = loader.stats()
        assert stats.batches_delivered == len(loader)
        assert "up to 16" in repr(loader)
