"""One `.npy` file per sample: how files are named, found, labelled and read, and what a bad one is told."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader.data.pipeline.segments import read_rows
from loader.data.rows import BadSample, RowGauge
from loader.data.sources.files.npy_files import NpyFiles
from loader.data.sources.source import Source
from loader.data.sources.zip_source import Zip
from loader.errors import ConfigError, DataNotFoundError, LabelError, NpyError

Folder = Callable[..., Path]


def read(source: Source, indices: list[int]) -> list[np.ndarray]:
    out = [np.full((len(indices), *leaf.shape), 99, leaf.dtype) for leaf in source.spec.leaves]
    source.read(np.array(indices, np.int64), out)
    return out


def cause_of(source: Source, indices: list[int], index: int) -> BaseException:
    with pytest.raises(BadSample) as caught:
        read(source, indices)
    assert caught.value.index == index
    assert caught.value.__cause__ is not None
    return caught.value.__cause__


def names(source: NpyFiles) -> list[str]:
    return source.ids()


# --- which files ----------------------------------------------------------------------------------------------------------------------


def test_a_folder_means_all_files_below_it_sorted_without_hidden_ones(tmp_path: Path) -> None:
    for name in ("b/2.npy", "a/deep/1.npy", "0.npy", ".hidden.npy", ".ipynb_checkpoints/3.npy", "note.txt", "._0.npy"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        np.save(tmp_path / name, np.zeros(2)) if name.endswith(".npy") else (tmp_path / name).write_text("")
    source = NpyFiles(tmp_path)
    assert names(source) == ["0", "a/deep/1", "b/2"]
    assert source.name_of(1) == str(tmp_path / "a/deep/1.npy")


def test_links_to_folders_are_followed_but_not_in_circles(npy_folder: Folder, tmp_path: Path) -> None:
    data = npy_folder(3)
    (tmp_path / "links").mkdir()
    (tmp_path / "links/data").symlink_to(data)
    (data / "back").symlink_to(tmp_path / "links")
    assert names(NpyFiles(tmp_path / "links")) == [f"data/{i:06d}" for i in range(3)]


def test_a_glob_means_its_matches_sorted_with_ids_from_its_fixed_part(npy_folder: Folder) -> None:
    folder = npy_folder(6, classes=2)
    assert names(NpyFiles(f"{folder}/c1/*.npy")) == ["000001", "000003", "000005"]
    assert names(NpyFiles(f"{folder}/*/00000[01]*")) == ["c0/000000", "c1/000001"]
    assert names(NpyFiles(f"{folder}/**/000005.npy")) == ["c1/000005"]


def test_a_list_keeps_its_order_and_takes_ids_without_extension(npy_folder: Folder) -> None:
    folder = npy_folder(5)
    source = NpyFiles(["000003", "000001.npy", folder / "000002.npy"], root=folder)
    assert names(source) == ["000003", "000001", "000002"]
    assert read(source, [0, 1, 2])[0][:, 0, 0].tolist() == [3, 1, 2]


def test_relative_paths_are_made_absolute_at_construction(npy_folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = npy_folder(2)
    monkeypatch.chdir(folder.parent)
    sources = [NpyFiles(folder.name), NpyFiles(f"{folder.name}/*.npy"), NpyFiles([f"{folder.name}/000000.npy"]), NpyFiles.from_folder(".")]
    assert repr(sources[0]) == f"NpyFiles(2 files in {folder.name})"
    assert sources[2].ids() == [f"{folder.name}/000000"]
    monkeypatch.chdir("/")
    assert all(source[0][0][0, 0] == 0 for source in sources)


def test_a_folder_whose_name_looks_like_a_glob_is_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "run[1]"
    folder.mkdir()
    np.save(folder / "a.npy", np.zeros(2))
    assert names(NpyFiles(folder)) == ["a"]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda here: NpyFiles(here / "none/deeper"), "does not exist.*exists as far as"),
        (lambda here: NpyFiles(here / "empty"), r"contains no \.npy file.*empty"),
        (lambda here: NpyFiles(here / "texts"), r"contains no \.npy file.*It contains a\.txt.*MapSource"),
        (lambda here: NpyFiles(f"{here}/*.npy"), "matches no file"),
        (lambda here: NpyFiles(f"{here}/texts/*"), r"none that ends with \.npy"),
        (lambda here: NpyFiles([]), "list of paths is empty"),
        (lambda here: NpyFiles.from_folder(here / "none"), "does not exist"),
        (lambda here: NpyFiles.from_folder(here / "empty"), "no sub-folders"),
        (lambda here: NpyFiles.from_folder(here), r"contains no \.npy file"),
        (lambda here: NpyFiles.from_manifest(here / "none.csv"), "does not exist"),
    ],
)
def test_where_nothing_is_found_the_error_says_what_to_do(tmp_path: Path, make: Callable[[Path], NpyFiles], words: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts/a.txt").write_text("")
    with pytest.raises(DataNotFoundError, match=words) as caught:
        make(tmp_path)
    assert isinstance(caught.value, FileNotFoundError)


# --- labels ---------------------------------------------------------------------------------------------------------------------------


def test_a_folder_of_classes_labels_by_sub_folder(npy_folder: Folder) -> None:
    source = NpyFiles.from_folder(npy_folder(7, classes=3))
    assert source.classes == ("c0", "c1", "c2")
    x, y = read(source, list(range(7)))
    assert y.dtype == np.int32
    assert (x[:, 0, 0] % 3 == y).all()
    assert "7 files" in repr(source)
    assert "3 classes" in repr(source)


def test_a_class_that_is_missing_shifts_nothing_and_an_unknown_one_is_refused(npy_folder: Folder) -> None:
    folder = npy_folder(4, classes=2)
    source = NpyFiles.from_folder(folder, classes=["b", "c1", "c0"])
    assert source.labels() is not None
    assert source.labels().tolist() == [2, 2, 1, 1]  # sub-folders in their own order, numbers of the given classes
    with pytest.raises(ConfigError, match="not in classes: c1"):
        NpyFiles.from_folder(folder, classes=["c0"])


def test_labels_come_by_id(npy_folder: Folder) -> None:
    folder = npy_folder(3)
    source = NpyFiles(folder, labels={f"{i:06d}": f"name{2 - i}" for i in range(9)}, classes=["name2", "name1", "name0"])
    assert read(source, [2, 0])[1].tolist() == [2, 0]
    with pytest.raises(LabelError, match="'000001'"):
        NpyFiles(folder, labels={"000000": 1, "000002": 1})


def test_labels_may_be_arrays_and_weights_follow(npy_folder: Folder) -> None:
    source = NpyFiles(npy_folder(3), labels=np.arange(6.0).reshape(3, 2), sample_weight=[1, 2, 3])
    _, y, w = read(source, [1, 2])
    assert y.tolist() == [[2, 3], [4, 5]]
    assert (w.dtype, w.tolist()) == (np.float32, [2, 3])
    with pytest.raises(ConfigError, match="needs labels"):
        NpyFiles(npy_folder(3), sample_weight=[1, 2, 3])


def test_a_csv_manifest_names_files_labels_and_weights(npy_folder: Folder) -> None:
    folder = npy_folder(4)
    manifest = folder / "list.csv"
    manifest.write_text("label,path,weight\ndog,000003.npy,0.5\ncat,./000001.npy,2\ndog,000000,1\n")
    source = NpyFiles.from_manifest(manifest)
    assert source.classes == ("cat", "dog")
    x, y, w = read(source, [0, 1, 2])
    assert (x[:, 0, 0].tolist(), y.tolist(), w.tolist()) == ([3, 1, 0], [1, 0, 1], [0.5, 2, 1])
    assert source.ids() == ["000003", "000001", "000000"]


def test_a_text_manifest_has_a_path_that_may_hold_spaces_and_a_label_per_line(npy_folder: Folder, tmp_path: Path) -> None:
    folder = npy_folder(2)
    (folder / "000001.npy").rename(folder / "my file.npy")
    (tmp_path / "list.txt").write_text("000000.npy 5\n\nmy file.npy   7\n")
    source = NpyFiles.from_manifest(tmp_path / "list.txt", root=folder)
    assert read(source, [0, 1])[1].tolist() == [5, 7]
    assert source.classes == ()


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.csv", "file,label\nx,1\n", "header 'path,label'"),
        ("a.csv", "path,label\nx\n", "line 2"),
        ("a.csv", "path,label,weight\nx,1,heavy\n", "line 2.*'heavy'"),
        ("a.csv", "path,label\n", "lists no files"),
        ("a.txt", "x 1\ny\n", "line 2"),
        ("a.txt", "", "lists no files"),
    ],
)
def test_a_manifest_that_lacks_something_says_where(tmp_path: Path, name: str, text: str, words: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError if "header" in words or "lists" in words else LabelError, match=words):
        NpyFiles.from_manifest(tmp_path / name)


# --- reading --------------------------------------------------------------------------------------------------------------------------


def test_the_spec_comes_from_the_first_header_and_the_labels(npy_folder: Folder) -> None:
    source = NpyFiles(npy_folder(2, (4, 3), ">i2"), labels=[0, 1])
    assert [(leaf.name, leaf.shape, leaf.dtype) for leaf in source.spec.leaves] == [
        ("x", (4, 3), np.dtype(np.int16)),
        ("y", (), np.dtype(np.int32)),
    ]


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (5,), (2, 3, 4)])
@pytest.mark.parametrize("dtype", ["bool", "<f2", ">f4", "complex64", "longdouble"])
def test_rows_and_single_samples_are_what_was_saved(npy_folder: Folder, shape: tuple[int, ...], dtype: str) -> None:
    folder = npy_folder(4, shape, dtype)
    source = NpyFiles(folder)
    (rows,) = read(source, [2, 0, 2])
    for row, number in zip(rows, [2, 0, 2], strict=True):
        saved = np.load(folder / f"{number:06d}.npy")
        np.testing.assert_array_equal(row, saved)
        np.testing.assert_array_equal(source[number][0], saved)
        assert source[number][0].dtype == row.dtype == saved.dtype.newbyteorder("=")


def test_a_single_sample_is_the_callers_to_change(npy_folder: Folder) -> None:
    source = NpyFiles(npy_folder(2), labels=np.zeros((2, 3)))
    x, y = source[1]
    x[:], y[:] = 7, 7
    assert source[1][0][0, 0] == 1
    assert not source[1][1].any()


def test_a_source_travels_without_its_reader_and_its_arrays_out_of_band(npy_folder: Folder) -> None:
    source = NpyFiles(npy_folder(5), labels=np.arange(5))
    first = read(source, [4])
    buffers: list[pickle.PickleBuffer] = []
    small = pickle.dumps(source, protocol=5, buffer_callback=buffers.append)
    again = pickle.loads(small, buffers=[bytes(buffer.raw()) for buffer in buffers])
    assert len(buffers) == 3
    for left, right in zip(read(again, [4]), first, strict=True):
        np.testing.assert_array_equal(left, right)


def test_nothing_stays_open_after_a_good_or_a_bad_sample(npy_folder: Folder) -> None:
    folder = npy_folder(3)
    (folder / "000002.npy").write_bytes(b"")
    source = NpyFiles(folder)
    before = len(os.listdir("/proc/self/fd"))
    read(source, [0, 1])
    cause_of(source, [0, 2], 2)
    assert len(os.listdir("/proc/self/fd")) == before


# --- bad samples ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda raw: b"", "0 bytes"),
        (lambda raw: raw[:5], "header"),
        (lambda raw: raw[:60], "header"),
        (lambda raw: raw[:128], "truncated.*48 bytes.*holds 0"),
        (lambda raw: raw[:-1], "truncated.*48 bytes.*holds 47"),
        (lambda raw: raw + b"\0", "over-long.*48 bytes.*holds 49"),
        (lambda raw: raw + raw, "over-long.*holds 224"),
        (lambda raw: b"\x89PNG\r\n\x1a\n" + raw[8:], "PNG"),
        (lambda raw: raw.replace(b"'<f4'", b"'|O' "), "allow_pickle=True"),
    ],
)
def test_a_bad_file_is_named_and_the_rows_before_it_are_whole(npy_folder: Folder, spoil: Callable[[bytes], bytes], words: str) -> None:
    folder = npy_folder(6)
    path = folder / "000003.npy"
    path.write_bytes(spoil(path.read_bytes()))
    source = NpyFiles(folder, labels=np.arange(6))
    out = [np.full((4, 4, 3), 99, np.float32), np.full(4, 99)]
    with pytest.raises(BadSample) as caught:
        source.read(np.array([5, 0, 3, 1]), out)
    assert caught.value.index == 3
    error = caught.value.__cause__
    assert isinstance(error, NpyError)
    assert error.path == str(path)
    with pytest.raises(NpyError, match=words):
        raise error
    assert out[0][:2, 0, 0].tolist() == [5, 0]
    assert out[1][:2].tolist() == [5, 0]
    assert read(source, [1, 4])[0][:, 0, 0].tolist() == [1, 4]  # the reader goes on as before


@pytest.mark.parametrize(("shape", "dtype"), [((3, 4), "f4"), ((12,), "f4"), ((4, 3), "f8"), ((4, 3), "i4"), ((4, 3, 1), "f4")])
def test_a_file_of_another_shape_or_dtype_names_both(npy_folder: Folder, shape: tuple[int, ...], dtype: str) -> None:
    folder = npy_folder(3)
    np.save(folder / "000002.npy", np.zeros(shape, dtype))
    error = cause_of(NpyFiles(folder), [0, 1, 2], 2)
    assert isinstance(error, NpyError)
    for part in (str(folder / "000002.npy"), str(folder / "000000.npy"), str(shape), np.dtype(dtype).name, "(4, 3)", "float32"):
        assert part in str(error)


def test_a_file_deleted_after_construction_is_an_os_error_with_its_path(npy_folder: Folder) -> None:
    folder = npy_folder(3)
    source = NpyFiles(folder)
    (folder / "000001.npy").unlink()
    error = cause_of(source, [0, 1], 1)
    assert isinstance(error, FileNotFoundError)
    assert error.filename == str(folder / "000001.npy")
    with pytest.raises(FileNotFoundError, match=r"000001\.npy"):
        source[1]


def test_a_folder_in_the_place_of_a_file_is_an_os_error_with_its_path(npy_folder: Folder) -> None:
    folder = npy_folder(3)
    source = NpyFiles(folder)
    (folder / "000001.npy").unlink()
    (folder / "000001.npy").mkdir()
    error = cause_of(source, [0, 1], 1)
    assert isinstance(error, IsADirectoryError)
    assert "000001.npy" in str(error)


def test_a_bad_first_file_is_told_when_the_spec_is_asked(npy_folder: Folder) -> None:
    folder = npy_folder(2)
    (folder / "000000.npy").write_text("1, 2, 3")
    with pytest.raises(NpyError, match=r"000000\.npy.*text"):
        _ = NpyFiles(folder).spec


# --- progress -------------------------------------------------------------------------------------------------------------------------


class Seen:
    """A cell that remembers what was put into it."""

    def __init__(self) -> None:
        self.values: list[int] = []

    def __setitem__(self, place: int, value: int) -> None:
        self.values.append(value)


def test_the_row_that_is_being_read_is_shown_also_in_a_subset_a_zip_and_a_sum(npy_folder: Folder) -> None:
    files = NpyFiles(npy_folder(6))
    indices = np.array([4, 2, 0])
    for source in (files, files.subset(range(6)), Zip(files), files + files):
        seen: Any = Seen()
        out = [np.empty((3, *leaf.shape), leaf.dtype) for leaf in source.spec.leaves]
        read_rows(source, indices, out, RowGauge(seen, 10))
        assert seen.values == [10, 11, 12, -1]
