"""A cache of samples that differ in size."""

from __future__ import annotations

import errno
import os
import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import Buckets, Loader, MapSource, NpyFiles, Source
from loader import transforms as T
from loader.data.spec import Sample
from tests.batches import assert_same, inline

LENGTHS = [12, 3, 9, 12, 1, 7, 12, 0, 4, 8, 6, 2]
MADE: list[int] = []


class Various:
    """Samples of several lengths, which tell when they are made."""

    def __len__(self) -> int:
        return len(LENGTHS)

    def __getitem__(self, i: int) -> Sample:
        MADE.append(i)
        return {"a": np.full((LENGTHS[i], 2), i, np.float32), "b": np.arange(LENGTHS[i], dtype=np.int8)}, i


def as_one(sample: Sample, rng: np.random.Generator) -> Sample:
    """Return a sample of one size, and check it."""
    x, y = sample
    assert (x["a"] == y).all()
    assert x["b"].tolist() == [*range(LENGTHS[y])]
    assert x["a"].shape == (LENGTHS[y], 2)
    return np.float32(x["a"].sum()), y


@pytest.fixture(params=["in memory", "in a folder"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return None if request.param == "in memory" else tmp_path / "cache"


def epochs(source: Source, count: int = 2) -> list[list[int]]:
    """Return which samples were made in each of some epochs."""
    made = []
    with Loader(source, 4, workers=0, transforms=[as_one]) as loader:
        loader.spec  # noqa: B018  # the first sample is made for it, too
        for _ in range(count):
            MADE.clear()
            for _ in loader:
                pass
            made.append(sorted(MADE))
    return made


EVERY = [*range(12)]


def test_samples_that_differ_in_size_are_made_once(place: Path | None) -> None:
    source = MapSource(Various()).cache(place)
    assert epochs(source, 3) == [EVERY, [], []]
    assert epochs(source.subset([2, 7, 1])) == [[], []]
    assert [sample[0]["b"].tolist() for sample in source] == [[*range(length)] for length in LENGTHS]  # type: ignore[attr-defined]
    if place is not None:
        assert epochs(MapSource(Various()).cache(place), 1) == [[]]


@pytest.mark.parametrize(
    "settings",
    [
        {"bucket_by": Buckets([4, 12], mask="mask", fields=("a", "b"))},
        {"transforms": [T.Pad(length="batch", fields=("a", "b"))]},
        {"transforms": [T.Pad((12,), fields=("a", "b")), T.Crop((4,), fields=("a", "b"))]},
        {"transforms": [T.Crop((1,), fields=("a", "b"))], "on_error": "substitute"},
    ],
    ids=["buckets", "longest", "head", "crop"],
)
@pytest.mark.filterwarnings("ignore:sample 7 is bad")
def test_batches_are_the_same_as_without_a_cache(place: Path | None, settings: dict[str, Any]) -> None:
    settings = {"shuffle": True, "seed": 3, **settings}
    source = MapSource(Various()).cache(place)
    expected = inline(MapSource(Various()), 2, 2, **settings)
    for _ in range(2):
        assert_same(inline(source, 2, 2, **settings), expected)


def test_files_of_several_sizes_are_kept_as_they_are(tmp_path: Path, place: Path | None) -> None:
    (tmp_path / "data").mkdir()
    for number, length in enumerate(LENGTHS):
        np.save(tmp_path / "data" / f"{number:02d}.npy", np.full((length + 1, 3), number))
    settings = {"transforms": [T.Crop((1, 3)), T.Flip()], "shuffle": True}
    expected = inline(NpyFiles(tmp_path / "data"), 3, 2, **settings)
    source = NpyFiles(tmp_path / "data").cache(place)
    assert_same(inline(source, 3, 2, **settings), expected)
    for path in (tmp_path / "data").iterdir():
        path.unlink()
    assert_same(inline(source, 3, 2, **settings), expected)


def test_no_more_than_max_bytes_are_kept(place: Path | None, caplog: pytest.LogCaptureFixture) -> None:
    source = MapSource(Various()).cache(place, max_bytes=400)
    first, second, third = epochs(source, 3)
    assert first == EVERY
    assert 3 <= len(second) == len(third) < 12
    assert not caplog.messages
    if place is not None:
        rows = np.count_nonzero(np.fromfile(place / "checksums.bin", np.uint32))
        assert os.stat(place / "others.bin").st_size + rows * source.spec.nbytes <= 400


def test_memory_takes_no_more_than_was_counted(caplog: pytest.LogCaptureFixture) -> None:
    source = MapSource([np.full(length, length) for length in (1, 2, 3, 4, 5)]).cache()
    with Loader(source, 1, workers=0, bucket_by=[5]) as loader:
        for _ in loader:
            pass
    total, _ = source.memory_bytes()
    kept = source._kept()  # type: ignore[attr-defined]
    assert kept.records.used * 8 + kept.others.nbytes <= 5 * 8 < total
    assert len([message for message in caplog.messages if "as if all samples had the size of the first one" in message]) == 1


def damage(folder: Path, how: str) -> None:
    others, places = folder / "others.bin", folder / "places.bin"
    if how == "a byte":
        content = bytearray(others.read_bytes())
        content[16 + 3] ^= 1  # of the first one, which is sample 1
        others.write_bytes(content)
    elif how == "truncated":
        os.truncate(others, 16 + 5)
    elif how == "no places":
        places.unlink()
    elif how == "wild places":
        places.write_bytes(np.full(places.stat().st_size // 8, 2**40).tobytes())
    else:  # of another sample
        table = np.fromfile(places, np.int64).reshape(12, -1)
        table[2] = table[4]
        table.tofile(places)


OTHERS = [number for number, length in enumerate(LENGTHS) if length != 12]


@pytest.mark.parametrize(
    ("how", "again"), [("a byte", [1]), ("truncated", OTHERS), ("no places", OTHERS), ("wild places", OTHERS), ("wrong places", [2])]
)
def test_what_is_damaged_is_made_again(tmp_path: Path, how: str, again: list[int]) -> None:
    epochs(MapSource(Various()).cache(tmp_path))
    damage(tmp_path, how)
    assert epochs(MapSource(Various()).cache(tmp_path)) == [again, []]


def test_a_disk_that_gets_full_ends_the_filling_and_nothing_else(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = MapSource(Various()).cache(tmp_path)
    source[0]  # makes the files
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (150, before[1]))
    try:
        made = epochs(source)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert 0 < len(made[1]) < 12 or made[1] == EVERY
    assert "no more samples of other sizes are added to the cache by this process, which can't write to it" in caplog.text


def test_a_cache_that_can_not_be_written_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    epochs(MapSource(Various()).cache(tmp_path).subset(range(8)))
    real = os.open

    def read_only(path: Any, flags: int, *rest: Any) -> int:
        if str(path).startswith(str(tmp_path)) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise OSError(errno.EROFS, "Read-only file system", path)
        return real(path, flags, *rest)

    monkeypatch.setattr(os, "open", read_only)
    assert epochs(MapSource(Various()).cache(tmp_path)) == [[8, 9, 10, 11]] * 2
