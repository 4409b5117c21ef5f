"""Tables that list files and labels, in every form in which people have them, and all that is wrong with one in a single error."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import ByteFiles, Loader, NpyFiles
from loader.errors import ConfigError, DataNotFoundError, LabelError
from tests.lazily import lazily

pd = lazily("pandas")
pl = lazily("polars")

COUNT = 4


def first_byte(content: bytes) -> Any:
    return np.frombuffer(content, np.uint8)[:1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files `img 0.png` to `img 3.png` in `a/`, each with its number as the only byte, and `.npy` files of the same numbers."""
    (tmp_path / "a").mkdir()
    for number in range(COUNT):
        (tmp_path / "a" / f"img {number}.png").write_bytes(bytes([number]))
        np.save(tmp_path / "a" / f"{number}.npy", np.full(2, number, np.float32))
    return tmp_path


@pytest.fixture
def source(folder: Path) -> Callable[..., ByteFiles]:
    """Return `source(text, name="m.csv", **options)`: what a manifest of this text is."""

    def make(text: str | bytes, name: str = "m.csv", **options: Any) -> ByteFiles:
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return ByteFiles.from_manifest(folder / name, decode=first_byte, **options)

    return make


def samples(made: Any) -> list[Any]:
    return [tuple(np.asarray(part).tolist() for part in made[index]) for index in range(len(made))]


@pytest.mark.parametrize(
    "text",
    [
        "path,label\na/img 2.png,7\na/img 0.png,8\n",
        "label,who,path\n7,me,a/img 2.png\n8,you,a/img 0.png\n",
        'path,label\r\n"a/img 2.png","7"\r\n\'a\'/../a/img 0.png,8',
        '# made by a tool\npath,label\n# more, with a " in it\na/img 2.png,7\n\n a/img 0.png , 8 \n',
        "\ufeffpath,label\na/img 2.png,7\na/img 0.png,8\n",
        "path,label\na\\img 2.png,7\n.\\a/img 0.png,8\n",
        'path,label,note\na/img 2.png,7,"two\n# lines"\na/img 0.png,8,\n',
        "path,label\na/img 2.png,7,,\na/img 0.png,8,,\n",
    ],
)
def test_columns_come_in_any_order_quoted_commented_marked_and_from_windows(source: Callable[..., ByteFiles], text: str) -> None:
    assert samples(source(text)) == [([2], 7), ([0], 8)]


def test_utf_16_of_a_spreadsheet_and_tabs_are_read(source: Callable[..., ByteFiles]) -> None:
    assert samples(source("path,label\na/img 1.png,5\n".encode("utf-16"))) == [([1], 5)]
    assert samples(source("label\tpath\n5\ta/img 1.png\n", "m.tsv")) == [([1], 5)]


def test_a_file_keeps_its_extension_and_an_id_of_a_npy_file_gets_one(folder: Path, source: Callable[..., ByteFiles]) -> None:
    assert source("path\na/img 1.png\n").paths == [str(folder / "a/img 1.png")]
    (folder / "n.csv").write_text("path,label\na/1,5\na/2.npy,6\n")
    assert [(float(x[0]), int(y)) for x, y in map(NpyFiles.from_manifest(folder / "n.csv").__getitem__, range(2))] == [(1, 5), (2, 6)]
    with pytest.raises(DataNotFoundError, match=r"img 1\.png\.npy\. What to do: .*img 1\.png does; for other files than \.npy: ByteFiles"):
        NpyFiles.from_manifest(folder / "m.csv")


def test_a_decoder_of_one_kind_of_files_appends_nothing(folder: Path) -> None:
    (folder / "n.csv").write_text("path\na/1\n")
    with pytest.raises(DataNotFoundError, match="a/1"):
        ByteFiles.from_manifest(folder / "n.csv", decode=first_byte)


def test_paths_are_relative_to_the_manifest_or_to_root(folder: Path) -> None:
    (folder / "lists").mkdir()
    (folder / "lists/m.csv").write_text("path,label\nimg 1.png,5\n")
    assert samples(ByteFiles.from_manifest(folder / "lists/m.csv", root=folder / "a", decode=first_byte)) == [([1], 5)]
    with pytest.raises(DataNotFoundError, match=r"lists/img 1\.png"):
        ByteFiles.from_manifest(folder / "lists/m.csv", decode=first_byte)


def test_without_labels_a_sample_is_the_file_alone(source: Callable[..., ByteFiles]) -> None:
    for made in (
        source("path,who\na/img 3.png,x\n"),
        source("path,label\na/img 3.png,x\n", label_columns=()),
        source("a/img 3.png\n", "m.txt", label_columns=()),
        source('{"path": "a/img 3.png"}\n', "m.jsonl"),
    ):
        assert samples(made) == [([3],)]


def test_lines_of_a_text_are_paths_alone_if_none_has_a_second_word(folder: Path) -> None:
    (folder / "m.txt").write_text("# all of it\na/1\na/0.npy\n")
    assert [float(NpyFiles.from_manifest(folder / "m.txt")[index][0][0]) for index in range(2)] == [1, 0]


def test_columns_go_by_the_names_that_are_given(source: Callable[..., ByteFiles]) -> None:
    text = "File,Age,Quality\na/img 1.png,31,0.5\na/img 0.png,64,1\n"
    made = source(text, path_column="file", label_columns="Age", weight_column="quality")
    assert samples(made) == [([1], 31, 0.5), ([0], 64, 1.0)]
    assert made.spec.leaves[1].dtype == np.int32


def test_several_columns_of_numbers_are_one_vector(source: Callable[..., ByteFiles]) -> None:
    text = "path,age,height,weight\na/img 1.png,31,1.75,2\na/img 0.png,64,1.5,1\n"
    made = source(text, label_columns=["height", "age"])
    assert samples(made) == [([1], [1.75, 31.0], 2.0), ([0], [1.5, 64.0], 1.0)]
    assert str(made.spec) == "(x: (1,) uint8, y: (2,) float32, sample_weight: () float32)"


def test_names_are_classes_and_names_that_look_like_numbers_if_told_so(source: Callable[..., ByteFiles]) -> None:
    assert source("path,label\na/img 1.png,dog\na/img 0.png,cat\n").classes == ("cat", "dog")
    made = source("path,label\na/img 1.png,10\na/img 0.png,2\n", classes=["2", "10"])
    assert (made.classes, samples(made)) == (("2", "10"), [([1], 1), ([0], 0)])


ROWS = [{"path": "a/img 1.png", "label": "dog", "age": 31, "height": 1.75}, {"path": "a/img 0.png", "label": "cat", "age": 64, "height": 1.5}]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "pandas", "polars"])
def test_the_same_table_is_the_same_source_in_every_form(folder: Path, kind: str) -> None:
    if kind == "csv":
        pd.DataFrame(ROWS).to_csv(folder / "m.csv", index=False)
    if kind == "jsonl":
        (folder / "m.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    table = {"pandas": pd.DataFrame(ROWS, index=[7, 3]), "polars": pl.DataFrame(ROWS)}.get(kind, folder / f"m.{kind}")
    made = ByteFiles.from_manifest(table, root=folder, decode=first_byte)
    assert (made.classes, samples(made)) == (("cat", "dog"), [([1], 1), ([0], 0)])
    made = ByteFiles.from_manifest(table, root=folder, label_columns="age", decode=first_byte)
    assert (made.spec.leaves[1].dtype, samples(made)) == (np.int32, [([1], 31), ([0], 64)])
    made = ByteFiles.from_manifest(table, root=folder, label_columns=["age", "height"], weight_column="height", decode=first_byte)
    assert samples(made) == [([1], [31.0, 1.75], 1.75), ([0], [64.0, 1.5], 1.5)]


def test_a_json_line_may_hold_a_vector_and_names_that_look_like_numbers_stay_names(source: Callable[..., ByteFiles]) -> None:
    made = source('{"path": "a/img 1.png", "label": [0.5, 1]}\n', "m.jsonl")
    assert samples(made) == [([1], [0.5, 1.0])]
    assert source('{"path": "a/img 1.png", "label": "10"}\n', "m.jsonl").classes == ("10",)


def test_a_data_frame_without_root_is_in_the_working_directory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    made = ByteFiles.from_manifest(pd.DataFrame(ROWS), decode=first_byte)
    assert made.paths == [str(folder / "a/img 1.png"), str(folder / "a/img 0.png")]
    with Loader(made, 2, workers=0) as batches:
        assert [y.tolist() for _, y in batches] == [[1, 0]]


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("file,label\nx,1\n", {}, "no column 'path'.* It has 2 columns, 'file', 'label'; name one of them by path_column="),
        ("path,y\nx,1\n", {"label_columns": "z"}, "no column 'z'.*label_columns="),
        ("path,height\nx,1\n", {"label_columns": "hieght"}, "did you mean 'height'"),
        ("path;label\nx;1\n", {}, "separated by commas here, not by semicolons"),
        ("path,labels\nx,1\n", {}, r"no column 'label', but 'labels': give label_columns='labels'; or label_columns=\(\)"),
        ("path,q\nx,1\n", {"weight_column": "q"}, "weight_column needs label_columns"),
        ("path,label\nx,1\n", {"label_columns": 3}, "label_columns=3: give the name"),
        ("path,label\nx,1\n", {"labels": [1]}, "from_manifest takes no labels="),
        ("path,label\nx,1\n", {"label_column": "label"}, r"no argument 'label_column' \(did you mean label_columns\?"),
        ("path,label\n", {}, "lists no files"),
        ("", {}, "lists no files"),
    ],
)
def test_a_column_that_is_missing_is_told_with_those_that_are_there(
    source: Callable[..., ByteFiles], text: str, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        source(text, **options)


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("path,label\na/img 1.png\n", {}, "m.csv, line 2: 1 column, 'a/img 1.png'; the header has 2"),
        ("path,label\na/img 1.png,1,2\n", {}, "line 2: 3 columns, .*; the header has 2; a field that holds a separator must be in quotes"),
        ("path,label\n,1\n", {}, "line 2: has no path"),
        ("path,label\na/img 1.png,\n", {}, r"line 2: 'a/img 1\.png' has no label"),
        ("path,label\na,1\n", {}, "line 2: 'a' is a folder; list the files in it"),
        ("path,label\na/,1\n", {}, "line 2: 'a/' is a folder"),
        ("path,label\na/img 1.png,1\na/img 2.png,2\na/img 3.png,x\n", {}, "line 4: the label 'x' is not a number, but most are; .*classes="),
        ("path,label\na/img 1.png,0.5\na/img 2.png,NA\n", {}, "line 3: the label 'NA' is not a number"),
        ("path,a,b\na/img 1.png,1,two\n", {"label_columns": ["a", "b"]}, "line 2: b is 'two', not a number"),
        ("path,a,b\na/img 1.png,1,\n", {"label_columns": ["a", "b"]}, "line 2: b is missing"),
        ("path,a,b\na/img 1.png,1,nan\n", {"label_columns": ["a", "b"]}, "line 2: b is 'nan', not a number"),
        ("path,a,b\na/img 1.png,1,-1e300\n", {"label_columns": ["a", "b"]}, "line 2: b is '-1e300', not a number that float32 can hold"),
        (
            'path,label\n"a/img 1.png,1\na/img 2.png,2\n',
            {},
            "line 2: has a quote that is not closed, so all lines up to line 3 would belong to this row",
        ),
        ('# all\npath,label\n# some\na/img 1.png,"1\na/img 2.png,2\n', {}, "line 4: has a quote .* up to line 5 would"),
        ('path,label\na/img 1.png,1\na/img 2.png,"b\na/img 3.png,"c"\n', {}, "line 3: has a quote .* up to line 4 would"),
        ("path,label\nC:\\\\data\\\\x.png,1\n", {}, "line 2: .* is an absolute path of Windows; make it relative"),
        ("path,label,weight\na/img 1.png,1,heavy\n", {}, "line 2: weight is 'heavy', not a number"),
    ],
)
def test_a_bad_line_is_named(source: Callable[..., ByteFiles], text: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(LabelError, match=words):
        source(text, **options)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "line 2: no JSON: "),
        ("[1]", "line 2: a JSON list, not an object"),
        ('{"label": 1}', "line 2: has no path"),
        ('{"path": 3, "label": 1}', "line 2: its path is 3, which is not text"),
        ('{"path": "a/img 1.png"}', "line 2: .* has no label"),
    ],
)
def test_a_bad_json_line_is_named(source: Callable[..., ByteFiles], line: str, words: str) -> None:
    with pytest.raises(LabelError, match=words):
        source(f'{{"path": "a/img 0.png", "label": 1}}\n{line}\n', "m.jsonl")


@pytest.mark.parametrize("library", [pd, pl], ids=["pandas", "polars"])
def test_missing_values_of_a_data_frame_are_named_by_row(folder: Path, library: Any) -> None:
    frame = library.DataFrame({"path": ["a/img 0.png", None, "a/img 2.png"], "age": [1.0, 2.0, None]})
    with pytest.raises(LabelError, match=r"the DataFrame: 2 rows are bad; .*\n  row 1: has no path\n  row 2: 'a/img 2\.png' has no label"):
        ByteFiles.from_manifest(frame, root=folder, label_columns="age", decode=first_byte)


def test_all_bad_lines_are_in_one_error_the_first_ten_of_them_listed(source: Callable[..., ByteFiles]) -> None:
    lines = ["path,label", "a/img 0.png,1", "# a remark", *[f"a/img 1.png,{'' if number % 2 else '1,2'}" for number in range(13)]]
    with pytest.raises(LabelError) as caught:
        source("\n".join(lines))
    told = str(caught.value).splitlines()
    assert "m.csv: 13 lines are bad; correct them, or leave them out:" in told[0]
    assert [line.split(":")[0].strip() for line in told[1:-1]] == [f"line {number}" for number in range(4, 14)]
    assert told[-1].strip() == "and 3 more"


def test_a_frame_that_is_not_computed_and_a_file_of_another_kind_are_told_what_to_give(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"LazyFrame has not been computed yet; give frame\.collect\(\)"):
        ByteFiles.from_manifest(pl.DataFrame(ROWS).lazy(), decode=first_byte)
    (folder / "m.parquet").write_bytes(b"PAR1")
    with pytest.raises(ConfigError, match=r"give pandas\.read_parquet\('.*m\.parquet'\)"):
        ByteFiles.from_manifest(folder / "m.parquet", decode=first_byte)


def test_what_is_no_table_is_refused() -> None:
    for given in (["a.png"], {"path": ["a.png"]}, pd.Series(["a.png"]), 3):
        with pytest.raises(ConfigError, match=r"a manifest is the path of a \.csv, .* or a DataFrame, not of type .*list of paths"):
            ByteFiles.from_manifest(given, decode=first_byte)


def test_a_folder_in_the_place_of_a_manifest_is_told_where_it_belongs(folder: Path) -> None:
    with pytest.raises(DataNotFoundError, match="is a folder; this takes a text file"):
        ByteFiles.from_manifest(folder, decode=first_byte)


def test_missing_files_are_told_where_relative_paths_start(source: Callable[..., ByteFiles], folder: Path) -> None:
    with pytest.raises(DataNotFoundError, match=f"Relative paths start at root='{folder}'"):
        source("path,label\nnone.png,1\n")
