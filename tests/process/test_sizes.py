"""Samples that differ in size, in real workers: the same bits for any number of them, when some are killed, and from a saved position."""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from loader import ByteFiles, Loader, MapSource, NpyFiles, Source, Zip, decode
from loader import transforms as T
from tests.batches import Batch, assert_same, copied, inline, take
from tests.processes import workers_of

BATCH = 5


def arrays(folder: Path) -> Source:
    folder.mkdir()
    for number in range(37):
        np.save(folder / f"{number:02}.npy", np.full((10 + 7 * number % 30, 2), number, np.float32))
    return NpyFiles(folder, labels=np.arange(37))


def pictures(folder: Path) -> Source:
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(37):
        file = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (*rng.integers(20, 60, 2), 3), np.uint8)).save(file, ("PNG", "JPEG")[number % 2])
        (folder / f"{number:02}.png").write_bytes(file.getvalue())
    return ByteFiles(folder, decode=decode.image())


def pairs(folder: Path) -> Source:
    folder.mkdir()
    return Zip({"image": pictures(folder / "a"), "mask": pictures(folder / "b")}, y=MapSource(range(37)))


KINDS: dict[str, tuple[Callable[[Path], Source], list[Any]]] = {
    "arrays, padded": (arrays, [T.Pad((64, 2))]),
    "arrays, cut": (arrays, [T.Noise(1.0), T.Crop(9), T.Rescale(2.0)]),
    "pictures, stretched": (pictures, [T.Resize((24, 32)), T.Flip()]),
    "pictures, cut": (pictures, [T.Crop((16, 16)), T.Brightness(0.3)]),
    "pictures, cut and stretched": (pictures, [T.Affine(20), T.RandomResizedCrop(24), T.Normalize(100, 50)]),
    "pictures with masks": (pairs, [T.RandomResizedCrop(16, fields="image", masks="mask")]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_bits_are_the_same_for_any_number_of_workers(kind: str, tmp_path: Path) -> None:
    make, transforms = KINDS[kind]
    source = make(tmp_path / "data")
    settings: dict[str, Any] = {"transforms": transforms, "shuffle": True, "seed": 4}
    expected = inline(source, BATCH, 2, **settings)
    for workers in (1, 3):
        with Loader(source, BATCH, workers=workers, **settings) as loader:
            assert_same(take(loader, 2), expected)


@pytest.fixture
def settings() -> dict[str, Any]:
    return {"transforms": [T.Crop(9), T.Noise(1.0)], "shuffle": True, "seed": 4}


def test_a_killed_workers_rows_are_written_again(tmp_path: Path, settings: dict[str, Any]) -> None:
    source = arrays(tmp_path / "data")
    found: list[Batch] = []
    with Loader(source, BATCH, workers=2, **settings) as loader:
        for _ in range(3):
            for number, batch in enumerate(loader):
                found.append(copied(batch))
                if number % 3 == 1:
                    os.kill(workers_of(loader)[0], signal.SIGKILL)
    assert_same(found, inline(source, BATCH, 3, **settings))


def test_a_saved_position_goes_on_with_the_same_batches(tmp_path: Path, settings: dict[str, Any]) -> None:
    source = arrays(tmp_path / "data")
    with Loader(source, BATCH, workers=2, **settings) as loader:
        stream = loader.batches()
        found = [copied(next(stream)) for _ in range(3)]
        state = loader.state_dict()
    with Loader(source, BATCH, workers=1, **settings) as loader:
        loader.load_state_dict(state)
        stream = loader.batches()
        found += [copied(next(stream)) for _ in range(8)]
    assert_same(found, inline(source, BATCH, 2, **settings)[: len(found)])


def test_what_is_too_small_is_substituted_alike_by_all(tmp_path: Path) -> None:
    source = arrays(tmp_path / "data")
    settings: dict[str, Any] = {"transforms": [T.Crop(17)], "shuffle": True, "seed": 4, "on_error": "substitute"}
    with pytest.warns(RuntimeWarning, match="smaller than shape"):
        expected = inline(source.subset(range(1, 37)), BATCH, 2, **settings)
    for workers in (1, 3):
        with Loader(source.subset(range(1, 37)), BATCH, workers=workers, **settings) as loader, pytest.warns(RuntimeWarning):
            assert_same(take(loader, 2), expected)
