"""What other libraries give as data, with the libraries themselves: what is taken as it is, and what is refused with what to give instead."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from loader import ConfigError, MapSource, NpyArrays, PipelineError
from loader.data.sources.source import Source
from loader.train.checks import checked_source
from tests.lazily import lazily

datasets = lazily("datasets")
grain = lazily("grain.python")
zarr = lazily("zarr")

ROWS = {"x": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], "label": [0, 1, 0], "text": ["a", "b", "c"]}


def test_a_row_of_hugging_face_is_a_dict_of_its_columns() -> None:
    dataset = datasets.Dataset.from_dict(ROWS)
    numbers = dataset.select_columns(["x", "label"])
    assert str(MapSource(numbers).spec) == "(x['x']: (2,) float64, x['label']: () int32)"
    assert str(MapSource(numbers.with_format("numpy")).spec) == "(x['x']: (2,) float32, x['label']: () int64)"
    source = MapSource(dataset.select_columns("x").with_format("numpy"), ids=dataset["text"], labels=dataset["label"])
    ((row, label), name) = source[1], source.name_of(1)
    assert (row["x"].tolist(), label, name) == ([3, 4], 1, "b")


def test_a_column_of_text_is_refused_with_how_to_leave_it_out() -> None:
    with pytest.raises(PipelineError, match=r"x\['text'\] is text, 'a'.*Of a Hugging Face Dataset, keep the columns of numbers"):
        _ = MapSource(datasets.Dataset.from_dict(ROWS)).spec


def test_a_source_of_grain_and_its_map_dataset_are_taken_as_they_are() -> None:
    class Numbers(grain.RandomAccessDataSource[Any]):
        def __len__(self) -> int:
            return 6

        def __getitem__(self, index: Any) -> Any:
            return np.full(2, index, np.float32), np.int64(index)

    for obj in (Numbers(), grain.MapDataset.source(Numbers()).map(lambda item: (item[0] + 0, item[1]))):
        source = MapSource(obj)
        assert str(source.spec) == "(x: (2,) float32, y: () int64)"
        assert [source[index][1] for index in range(len(source))] == [0, 1, 2, 3, 4, 5]


def generated() -> Iterator[dict[str, int]]:
    yield {"x": 1}


def h5(tmp_path: Path, *names: str) -> Any:
    file = h5py.File(tmp_path / "data.h5", "w")
    for name in names:
        file[name] = np.zeros((4, 2))
    return file


REFUSED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "an HDF5 file": (lambda tmp_path: h5(tmp_path, "x", "y"), r"the entries x, y; .*Zip\(MapSource\(data\['x'\]\), y=MapSource\(data\['y'\]\)\)"),
    "an HDF5 file of one": (lambda tmp_path: h5(tmp_path, "x"), r"the entries x; give the arrays that you mean: MapSource\(data\['x'\]\)"),
    "an empty HDF5 file": (h5, "it has no arrays in it"),
    "a Zarr group": (
        lambda tmp_path: zarr.group(str(tmp_path / "group.zarr")),
        "it has no arrays in it",
    ),
    "a DatasetDict": (
        lambda tmp_path: datasets.DatasetDict(train=datasets.Dataset.from_dict(ROWS)),
        r"a DatasetDict with the parts train; give one of them: MapSource\(data\['train'\]\)",
    ),
    "an IterableDataset": (
        lambda tmp_path: datasets.IterableDataset.from_generator(generated),
        r"a Hugging Face IterableDataset.*IterSource\(lambda: dataset\)",
    ),
    "an IterDataset": (lambda tmp_path: grain.MapDataset.source(range(6)).to_iter_dataset(), r"a Grain IterDataset.*IterSource\(lambda: dataset\)"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_has_no_samples_by_number_is_refused_with_what_to_give_instead(what: str, tmp_path: Path) -> None:
    make, words = REFUSED[what]
    thing = make(tmp_path)
    takers: list[Callable[[Any], Source]] = [MapSource, checked_source]
    for take in takers:
        with pytest.raises(ConfigError, match=words):
            take(thing)


def test_a_dataset_in_the_place_of_a_source_or_of_an_array_is_told_of_map_source(tmp_path: Path) -> None:
    with h5(tmp_path, "x") as file:
        for take in (checked_source, NpyArrays):
            with pytest.raises(ConfigError, match=r"MapSource\(dataset\)"):
                take(file["x"])


def test_a_dataset_that_is_repeated_has_no_end() -> None:
    with pytest.raises(ConfigError, match="has no end"):
        MapSource(grain.MapDataset.source([1, 2]).repeat())
