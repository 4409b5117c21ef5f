"""Saves in a folder: complete, or not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from loader.train.keras.saves import Saves


def write(saves: Saves, text: str) -> None:
    with saves.new() as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "text").write_text(text)


def newest_of(saves: Saves) -> Path | None:
    with saves.newest() as folder:
        return folder


def test_the_newest_save_is_the_only_one(tmp_path: Path) -> None:
    saves = Saves(tmp_path / "some" / "folder")
    assert newest_of(saves) is None
    for text in ("one", "two", "three"):
        write(saves, text)
        newest = newest_of(Saves(tmp_path / "some" / "folder"))
        assert newest is not None
        assert (newest / "inner" / "text").read_text() == text
        assert list(newest.parent.iterdir()) == [newest]


def test_a_save_that_fails_leaves_the_one_before(tmp_path: Path) -> None:
    saves = Saves(tmp_path)
    write(saves, "one")
    before = newest_of(saves)
    with pytest.raises(FileNotFoundError), saves.new() as folder:
        (folder / "missing" / "text").write_text("half")
    assert newest_of(saves) == before
    write(saves, "two")
    assert [path.name for path in tmp_path.iterdir()] == ["save-00000002"]


def test_what_a_killed_process_left_is_removed_by_the_next_save(tmp_path: Path) -> None:
    for name in (".writing/model", "save-00000008/model", "save-00000009/model"):  # killed while removing 8, and again while writing 10
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "save-notes.txt").write_text("mine")
    saves = Saves(tmp_path)
    assert newest_of(saves) == tmp_path / "save-00000009"
    write(saves, "ten")
    assert {path.name for path in tmp_path.iterdir()} == {"save-00000010", "save-notes.txt"}
