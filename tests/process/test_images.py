"""Images as samples: the same ones for any number of workers, and errors, substitutes, positions and statistics as `.npy` files have them."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from loader import ByteFiles, Loader, SampleError, decode
from loader import transforms as T
from tests.batches import assert_same, copied, inline, take
from tests.cli.commands import COMMAND
from tests.conftest import script_environment

N, BATCH, BAD = 24, 4, 14
SETTINGS: dict[str, Any] = {"shuffle": True, "seed": 5}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two class folders of small pictures, JPEG and PNG, of many sizes."""
    rng = np.random.default_rng(0)
    for number in range(N):
        place = tmp_path / "pictures" / ("cat", "dog")[number % 2]
        place.mkdir(exist_ok=True, parents=True)
        noise = rng.integers(0, 256, (20 + number, 50 - number, 3), np.uint8)
        cv2.imwrite(str(place / f"{number:03d}{'.JPG' if number % 3 else '.png'}"), cv2.GaussianBlur(noise, (5, 5), 0))
    return tmp_path / "pictures"


def pictures(folder: Path, **options: Any) -> ByteFiles:
    return ByteFiles.from_folder(folder, decode=decode.image(**{"size": 12, **options}))


def half_of(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.fixture
def bad(folder: Path) -> str:
    """Return the path of a picture that has been cut in the middle."""
    path = pictures(folder).name_of(BAD)
    half_of(Path(path))
    return path


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("transforms", [[], [T.Rescale(1 / 255), T.Flip("horizontal")]], ids=["plain", "flipped"])
def test_the_same_pictures_come_from_any_number_of_workers(folder: Path, workers: int, transforms: list[Any]) -> None:
    source = pictures(folder)
    with Loader(source, BATCH, workers=workers, transforms=transforms, **SETTINGS) as loader:
        assert_same(take(loader, 2), inline(source, BATCH, 2, transforms=transforms, **SETTINGS))


def crop(sample: Any, rng: np.random.Generator) -> Any:
    x, y = sample
    top, left = rng.integers(0, x.shape[0] - 9), rng.integers(0, x.shape[1] - 9)
    return x[top : top + 10, left : left + 10], y


def test_pictures_of_many_sizes_are_made_alike_by_a_function(folder: Path) -> None:
    source = pictures(folder, size=None)
    with Loader(source, BATCH, workers=2, transforms=[crop], **SETTINGS) as loader:
        assert_same(take(loader, 2), inline(source, BATCH, 2, transforms=[crop], **SETTINGS))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_cut_picture_is_named_when_its_batch_is_due(folder: Path, bad: str, workers: int) -> None:
    with Loader(pictures(folder), BATCH, workers=workers) as loader, pytest.raises(SampleError, match="ends in the middle of the picture") as caught:
        for _ in loader:
            pass
    assert (caught.value.index, caught.value.name) == (BAD, bad)


@pytest.mark.filterwarnings("ignore:sample .* is bad, and another one takes its place:RuntimeWarning")
def test_another_picture_takes_the_place_of_a_cut_one(folder: Path, bad: str, tmp_path: Path) -> None:
    settings = {**SETTINGS, "on_error": "substitute"}
    with Loader(pictures(folder), BATCH, workers=2, quarantine=tmp_path / "bad.jsonl", **settings) as loader:
        assert_same(take(loader, 2), inline(pictures(folder), BATCH, 2, **settings))
        stats = loader.stats()
    assert stats.quarantined == 1
    assert stats.substituted >= 2  # in two epochs, and perhaps in one that has been begun
    (line,) = (tmp_path / "bad.jsonl").read_text().splitlines()
    assert json.loads(line)["path"] == bad


def test_training_goes_on_where_it_was_interrupted(folder: Path) -> None:
    quiet = inline(pictures(folder), BATCH, 2, **SETTINGS)
    with Loader(pictures(folder), BATCH, workers=2, **SETTINGS) as loader:
        list(itertools.islice(loader, 3))
        state = loader.state_dict()
    with Loader(pictures(folder), BATCH, workers=1, **SETTINGS) as loader:
        loader.load_state_dict(state)
        rest = [copied(batch) for batch in itertools.islice(loader.batches(), len(quiet) - 3)]
    assert_same(rest, quiet[3:])


def test_cut_pictures_are_found_beforehand(folder: Path, bad: str, tmp_path: Path) -> None:
    script = f"""
from loader import ByteFiles, decode

def make():
    return ByteFiles.from_folder({str(folder)!r}, decode=decode.image(size=12))
"""
    (tmp_path / "script.py").write_text(script)
    words = [*COMMAND, "inspect", "--verify", "script.py:make", "--jobs", "2", "--json"]
    result = subprocess.run(words, cwd=tmp_path, env=script_environment(None), capture_output=True, text=True, timeout=90)
    assert result.returncode == 1, result.stderr
    found = json.loads(result.stdout)
    assert found["verified"] == N
    assert [(item["index"], item["path"]) for item in found["bad"]] == [(BAD, bad)]
    assert "ends in the middle of the picture" in found["bad"][0]["reason"]


def blank(path: Path, height: int, width: int) -> None:
    """Write a picture that is small on disk and large in memory."""
    cv2.imwrite(str(path), np.zeros((height, width), np.uint8), [cv2.IMWRITE_PNG_COMPRESSION, 1])


def test_a_picture_that_needs_the_memory_of_several_workers_gets_it(folder: Path) -> None:
    blank(folder / "cat" / "large.png", 5000, 5000)
    source = pictures(folder)
    with Loader(source, BATCH, workers=3, memory_limit="300MiB", **SETTINGS) as loader:
        assert_same(take(loader, 1), inline(source, BATCH, 1, **SETTINGS))
        assert loader.stats().memory.replaced_workers > 0


def test_a_picture_that_fits_no_worker_is_named_with_its_size(folder: Path) -> None:
    blank(folder / "cat" / "large.png", 13_000, 13_000)
    words = r"large\.png.*a picture of 13,000 × 13,000 pixels \(height × width\) takes 507 MB to decode, but the process may have"
    with Loader(pictures(folder), BATCH, workers=2, memory_limit="300MiB") as loader, pytest.raises(SampleError, match=words):
        for _ in loader:
            pass
