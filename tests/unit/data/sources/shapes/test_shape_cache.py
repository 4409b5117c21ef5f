"""Shapes that are remembered from one run to the next."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import loader.data.sources.files.npy_files as npy_files
from loader import ByteFiles, MapSource, NpyFiles, decode
from loader.data.sources import remembering

SIZES = [(3, 7), (5, 2), (1, 9), (4, 4)]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "loader" / "shapes"


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the files whose headers have been read since."""
    names: list[str] = []
    inspect = npy_files.inspect_file

    def noted(path: str) -> Any:
        names.append(Path(path).name)
        return inspect(path)

    monkeypatch.setattr(npy_files, "inspect_file", noted)
    return names


@pytest.fixture
def source(tmp_path: Path) -> NpyFiles:
    (tmp_path / "data").mkdir()
    for number, shape in enumerate(SIZES):
        np.save(tmp_path / "data" / f"{number}.npy", np.zeros(shape))
    made = NpyFiles(tmp_path / "data")
    assert made.spec
    return made


def shapes(source: Any) -> list[tuple[int, ...]]:
    return [tuple(shape) for shape in source.shapes(workers=0)["x"].tolist()]


def test_the_second_time_no_file_is_opened(source: NpyFiles, looked_at: list[str]) -> None:
    assert shapes(source) == SIZES
    assert len(looked_at) == 4
    assert shapes(source) == shapes(NpyFiles(source.paths)) == SIZES
    assert len(looked_at) == 5  # one for what the first sample of the second source is like


def test_a_file_that_changed_is_looked_at_again(source: NpyFiles, looked_at: list[str]) -> None:
    shapes(source)
    looked_at.clear()
    np.save(source.paths[2], np.zeros((8, 8)))
    assert shapes(source) == [*SIZES[:2], (8, 8), SIZES[3]]
    assert looked_at == ["2.npy"]


def test_a_file_of_the_same_size_with_another_time_is_looked_at_again(source: NpyFiles, looked_at: list[str]) -> None:
    shapes(source)
    looked_at.clear()
    np.save(source.paths[0], np.zeros((7, 3)))
    os.utime(source.paths[0], ns=(1, 1))
    assert shapes(source)[0] == (7, 3)
    assert looked_at == ["0.npy"]


@pytest.mark.parametrize("damage", ["", "nonsense", "cut", "bit", "folder"])
def test_what_is_damaged_is_found_out_again(damage: str, source: NpyFiles, looked_at: list[str], cache: Path) -> None:
    shapes(source)
    (place,) = cache.iterdir()
    whole = place.read_bytes()
    if damage == "folder":
        place.unlink()
        place.mkdir()
    else:
        flipped = bytearray(whole)
        flipped[len(whole) // 2] ^= 1
        place.write_bytes({"": b"", "nonsense": b"nonsense", "cut": whole[:-30], "bit": bytes(flipped)}[damage])
    looked_at.clear()
    assert shapes(source) == SIZES
    assert len(looked_at) == 4


def test_what_holds_something_else_is_found_out_again(source: NpyFiles, cache: Path) -> None:
    shapes(source)
    (place,) = cache.iterdir()
    for wrong in (np.zeros((4, 4)), np.zeros((3, 4), np.int64), np.full((4, 4), -1)):
        np.savez(place, table=wrong)
        assert shapes(source) == SIZES


def test_nothing_is_remembered_of_files_that_are_bad(source: NpyFiles, cache: Path) -> None:
    Path(source.paths[1]).write_bytes(b"")
    with pytest.raises(Exception, match=r"1\.npy"):
        shapes(source)
    assert not cache.exists()


def test_a_folder_that_can_not_be_written_costs_nothing_but_time(source: NpyFiles, cache: Path) -> None:
    cache.parent.parent.write_text("a file where the folder should be")
    assert shapes(source) == shapes(source) == SIZES


def test_without_a_home_nothing_is_remembered(source: NpyFiles, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert shapes(source) == SIZES
    assert not cache.exists()
    assert not Path("relative").exists()


def test_another_decoder_has_its_own_shapes(tmp_path: Path, cache: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    for number in range(2):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.zeros((3 + number, 4, 3), np.uint8))
    for mode, channels in (("RGB", 3), ("L", 1)):
        assert shapes(ByteFiles(str(tmp_path / "*.png"), decode=decode.image(mode=mode))) == [(3, 4, channels), (4, 4, channels)]
    assert len(list(cache.iterdir())) == 2


def test_a_file_that_could_not_be_read_is_looked_at_again(source: NpyFiles, cache: Path, tmp_path: Path) -> None:
    path = Path(source.paths[1])
    content, stamp = path.read_bytes(), path.stat().st_mtime_ns
    path.write_bytes(b"\0" * len(content))
    os.utime(path, ns=(stamp, stamp))
    assert list(map(tuple, source.shapes(workers=0, on_error="unknown")["x"].tolist())) == [SIZES[0], (-1,) * len(SIZES[1]), *SIZES[2:]]
    path.write_bytes(content)
    os.utime(path, ns=(stamp, stamp))
    assert shapes(source) == SIZES


def test_what_code_of_the_user_makes_is_not_remembered(source: NpyFiles, cache: Path) -> None:
    shapes(ByteFiles(source.paths, decode=lambda content: np.zeros(len(content))))
    shapes(MapSource([(np.zeros(3),)]))
    assert not cache.exists()


def test_the_least_recently_used_are_forgotten(source: NpyFiles, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembering, "_MOST", 2)
    parts = [source.subset([number]) for number in range(3)]
    for number, part in enumerate(parts):
        shapes(part)
        newest = max(cache.iterdir(), key=lambda path: path.stat().st_mtime_ns)
        os.utime(newest, (number, number))
    assert len(list(cache.iterdir())) == 2
    assert not [path for path in cache.iterdir() if path.suffix != ".npz"]
