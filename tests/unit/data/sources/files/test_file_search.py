"""Which files of a folder or glob are meant, what is said of the others, and files with one ID."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import ByteFiles, Loader, NpyArrays, NpyFiles, Zip
from loader.errors import ConfigError, DataNotFoundError, DecodeError, LabelError, LoaderError, NpyError


def of_bytes(content: bytes) -> Any:
    return np.frombuffer(content, np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, name in enumerate(("a/0.npy", "a/old/1.npy", "b/2.npy", "b/3_mask.npy")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        np.save(tmp_path / name, np.full(3, number))
    return tmp_path


def test_files_of_other_kinds_are_counted_in_one_line(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("a/x.txt", "a/y.TXT", "b/z.json", ".hidden.txt", "a/README"):
        (folder / name).write_text("")
    for make in (NpyFiles, NpyFiles.from_folder):
        caplog.clear()
        make(folder)
        (record,) = caplog.records
        assert record.name.startswith("loader")
        assert record.getMessage() == f"NpyFiles: skipped 4 files of other kinds in {folder}: 2 .txt, 1 .json, 1 without extension"
    caplog.clear()
    NpyFiles(f"{folder}/a/*")
    assert [record.getMessage() for record in caplog.records] == [
        f"NpyFiles: skipped 3 files of other kinds in {folder}/a: 2 .txt, 1 without extension"
    ]
    caplog.clear()
    NpyFiles(folder, exclude=["*.txt", "*.TXT", "*/README", "*.json"])
    ByteFiles(folder, decode=of_bytes)
    assert caplog.records == []


def test_files_beside_the_folders_of_the_classes_are_named(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("1.npy", "2.NPY", "labels.csv", ".3.npy"):
        (folder / name).write_text("")
    NpyFiles.from_folder(folder)
    assert [record.getMessage() for record in caplog.records] == [
        f"NpyFiles.from_folder: left out 2 files in {folder}, beside the folders of the classes: 1.npy, 2.NPY"
    ]
    caplog.clear()
    NpyFiles.from_folder(folder, exclude="?.npy")
    assert len(caplog.records) == 1
    ByteFiles.from_folder(folder, decode=of_bytes)
    assert len(caplog.records) == 1


def test_where_all_files_are_meant_nothing_is_said(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "loader")
    NpyFiles(folder)
    NpyFiles.from_folder(folder)
    assert caplog.records == []


@pytest.mark.parametrize(
    ("exclude", "left"),
    [
        ("a/old/*", ["a/0", "b/2", "b/3_mask"]),
        ("*_mask.npy", ["a/0", "a/old/1", "b/2"]),
        (["a/*", "b/2.npy"], ["b/3_mask"]),
        ([], ["a/0", "a/old/1", "b/2", "b/3_mask"]),
        ("elsewhere/*", ["a/0", "a/old/1", "b/2", "b/3_mask"]),
    ],
)
def test_excluded_files_are_left_out_of_folders_globs_and_classes(folder: Path, exclude: Any, left: list[str]) -> None:
    assert NpyFiles(folder, exclude=exclude).ids() == left
    assert NpyFiles(f"{folder}/**/*.npy", exclude=exclude).ids() == left
    assert NpyFiles("**/*.npy", root=folder, exclude=exclude).ids() == left
    source = NpyFiles.from_folder(folder, exclude=exclude)
    assert source.ids() == left
    assert source.classes == ("a", "b")
    assert ByteFiles(folder, decode=of_bytes, exclude=exclude).ids() == left


def test_what_excludes_everything_or_is_no_pattern_is_refused(folder: Path) -> None:
    for make in (NpyFiles, NpyFiles.from_folder):
        with pytest.raises(DataNotFoundError, match="exclude= leaves out all 4"):
            make(folder, exclude="*")
    with pytest.raises(DataNotFoundError, match="matches 4 files, and exclude= leaves out all of them"):
        NpyFiles(f"{folder}/**/*.npy", exclude="*")
    for exclude in (3, [3], [""], {"a"}):
        with pytest.raises(ConfigError, match="give a pattern"):
            NpyFiles(folder, exclude=exclude)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="leave the files out of the list"):
        NpyFiles([folder / "a/0.npy"], exclude="a/*")


def test_paths_are_those_of_the_samples_also_in_subsets_sums_and_zips(folder: Path) -> None:
    source = NpyFiles(folder)
    expected = [str(folder / f"{name}.npy") for name in ("a/0", "a/old/1", "b/2", "b/3_mask")]
    assert source.paths == expected
    assert source.subset([2, 0]).paths == [expected[2], expected[0]]  # type: ignore[attr-defined]
    assert (source + source.subset([1])).paths == [*expected, expected[1]]  # type: ignore[attr-defined]
    assert Zip(source, y=source).paths == expected
    for without in (NpyArrays(np.zeros(4)), NpyArrays(np.zeros(4)).subset([1]), source + NpyArrays(np.zeros((4, 3)))):
        assert not hasattr(without, "paths")
    with Loader(source.subset([3, 1]), 2, workers=0) as batches:
        assert [x[:, 0].tolist() for (x,) in batches] == [[3, 1]]


def test_errors_name_the_class_that_was_used(folder: Path) -> None:
    (folder / "flat").mkdir()
    np.save(folder / "flat/0.npy", np.zeros(2))
    for make, words in (
        (lambda: ByteFiles([folder], decode=of_bytes), r"For one folder: ByteFiles\('.*', decode=\.\.\.\)"),
        (lambda: ByteFiles(["*.png"], decode=of_bytes), r"For one pattern: ByteFiles\('\*\.png', decode"),
        (lambda: ByteFiles.from_folder(folder / "flat", decode=of_bytes), r"Without classes: ByteFiles\('.*', labels=\.\.\., decode"),
        (lambda: ByteFiles({"a": "b"}, decode=of_bytes), r"'a': ByteFiles\("),  # type: ignore[arg-type]
        (lambda: ByteFiles(folder, labels=None, decode=of_bytes, exclude="*"), "contains no file"),
    ):
        with pytest.raises(LoaderError, match=words) as caught:
            make()
        assert "NpyFiles" not in str(caught.value)


def test_a_folder_in_the_place_of_a_file_is_an_error_of_its_kind(folder: Path) -> None:
    for make, kind in ((lambda path: NpyFiles([path]), NpyError), (lambda path: ByteFiles([path], decode=of_bytes), DecodeError)):
        source = make(folder / "b/2.npy")
        (folder / "b/2.npy").unlink()
        (folder / "b/2.npy").mkdir()
        with pytest.raises(DecodeError, match="is a folder, not a file") as caught:
            _ = source.spec
        assert type(caught.value) is kind
        (folder / "b/2.npy").rmdir()
        np.save(folder / "b/2.npy", np.zeros(3))


def test_a_data_frame_in_the_place_of_paths_is_a_manifest() -> None:
    frame = pytest.importorskip("pandas").DataFrame({"path": ["a.png"]})
    with pytest.raises(ConfigError, match=r"of type DataFrame; .* ByteFiles\.from_manifest\(frame\)"):
        ByteFiles(frame, decode=of_bytes)


def test_a_folder_in_the_midst_of_a_list_is_named(folder: Path) -> None:
    with pytest.raises(DataNotFoundError, match="/b is a folder, but the list must contain files"):
        ByteFiles([folder / "a/0.npy", folder / "b"], decode=of_bytes)


def test_two_files_with_one_id_are_refused_where_labels_go_by_id_and_allowed_elsewhere(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.png", "b.png"):
        (tmp_path / name).write_bytes(b"x")
    words = r"'a\.jpg' and 'a\.png' have one ID, 'a', a path without its extension"
    with pytest.raises(LabelError, match=words):
        ByteFiles(tmp_path, labels={"a": 0, "b": 1}, decode=of_bytes)
    (tmp_path / "y.csv").write_text("id,label\na,0\nb,1\n")
    with pytest.raises(LabelError, match=words):
        ByteFiles(tmp_path, labels=tmp_path / "y.csv", exclude="*.csv", decode=of_bytes)
    (tmp_path / "y.csv").write_text("path,label\na.png,0\nb.png,1\na.jpg,2\n")
    assert ByteFiles(tmp_path, labels=tmp_path / "y.csv", exclude="*.csv", decode=of_bytes).labels().tolist() == [2, 0, 1]  # type: ignore[union-attr]
    assert ByteFiles(tmp_path, labels=[0, 1, 2], exclude="*.csv", decode=of_bytes).ids() == ["a", "a", "b"]
    both = ["a.png", "a.png", "b.png"]  # one file twice, as in oversampling
    assert ByteFiles(both, root=tmp_path, labels={"a": 0, "b": 1}, decode=of_bytes).labels().tolist() == [0, 0, 1]  # type: ignore[union-attr]
