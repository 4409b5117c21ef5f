"""Data of other libraries in the workers. What h5py has opened in the script is opened again by each worker; the others do that by themselves."""

from __future__ import annotations

import io
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from loader import Loader, MapSource, PipelineError, Source, Zip
from loader.ipc.payload.pickler import weigh
from tests.batches import assert_same, inline, take
from tests.lazily import lazily
from tests.processes import workers_of

datasets = lazily("datasets")
grain = lazily("grain.python")
zarr = lazily("zarr")

SAMPLES, BATCH = 40, 8
X = np.arange(SAMPLES * 12, dtype=np.float32).reshape(SAMPLES, 4, 3)
Y = np.arange(SAMPLES, dtype=np.int32) % 3


@pytest.fixture
def file(tmp_path: Path) -> Any:
    """Return an open HDF5 file: x in chunks, compressed, and y in a group."""
    with h5py.File(tmp_path / "data.h5", "w") as made:
        made.create_dataset("x", data=X, chunks=(8, 4, 3), compression="gzip")
        made.create_dataset("labels/y", data=Y)
    with h5py.File(tmp_path / "data.h5", "r") as opened:
        yield opened


class Dataset:
    """An object of the user's that keeps what it has opened."""

    def __init__(self, x: Any, group: Any) -> None:
        self.x = x
        self.group = group

    def __len__(self) -> int:
        return int(self.x.shape[0])

    def __getitem__(self, index: int) -> Any:
        return self.x[index], self.group["y"][index]


class Whole(Dataset):
    def __init__(self, file: Any) -> None:
        super().__init__(file["x"], file["labels"])
        self.file = file
        self.view = file["x"].astype("float64")

    def __getitem__(self, index: int) -> Any:
        assert isinstance(self.group, h5py.Group)
        assert isinstance(self.file, h5py.File)
        assert list(self.file) == ["labels", "x"]
        assert "x" in self.file
        assert self.group == self.file["labels"]
        assert np.asarray(self.file["labels/y"]).shape == self.file["x"].shape[:1]
        return self.view[index], self.group["y"][index]


SOURCES: dict[str, Callable[[Any], Source]] = {
    "datasets": lambda file: Zip(MapSource(file["x"]), y=MapSource(file["labels/y"])),
    "attributes": lambda file: MapSource(Dataset(file["x"], file["labels"])),
    "a file and a view": lambda file: MapSource(Whole(file)),
}


@pytest.mark.parametrize("what", SOURCES)
def test_hdf5_is_read_by_workers_as_by_the_script(what: str, file: Any) -> None:
    source = SOURCES[what](file)
    expected = inline(source, BATCH, 2, shuffle=True)
    with Loader(source, BATCH, shuffle=True, workers=2) as loader:
        os.kill(workers_of(loader, 2)[0], signal.SIGKILL)
        assert_same(take(loader, 2), expected)


def test_each_worker_opens_the_file_once_and_the_supervisor_never(file: Any) -> None:
    with Loader(SOURCES["attributes"](file), BATCH, workers=2) as loader:
        take(loader, 2)
        opened = {pid: [os.path.realpath(fd.path) for fd in os.scandir(f"/proc/{pid}/fd")] for pid in [loader.pid, *workers_of(loader, 2)]}
    counts = [names.count(file.filename) for names in opened.values()]
    assert counts[0] == 0
    assert max(counts) == 1


def test_a_dataset_of_text_is_an_error_that_calls_it_what_it_is(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "text.h5", "w") as made:
        made["x"] = ["a"] * SAMPLES
    opened = h5py.File(tmp_path / "text.h5", "r")
    words = r"MapSource\(Dataset of 40\) returns something that is not a sample"
    with opened, Loader(MapSource(opened["x"]), BATCH, workers=1) as loader, pytest.raises(PipelineError, match=words):
        take(loader)


def test_a_file_that_was_closed_after_the_loader_was_made_is_read_by_workers(file: Any) -> None:
    with Loader(SOURCES["datasets"](file), BATCH, workers=1) as loader:
        file.close()
        assert len(take(loader)) == SAMPLES // BATCH


def memory(tmp_path: Path) -> Any:
    return h5py.File(tmp_path / "none.h5", "w", driver="core", backing_store=False)


REFUSED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "for writing": (lambda tmp_path: h5py.File(tmp_path / "data.h5", "w"), r"has open for writing \(mode 'r\+'\).*h5py.File\(path, 'r'\)"),
    "in memory": (memory, "not at a path of this machine .*write it to a file"),
    "of a file object": (lambda tmp_path: h5py.File(io.BytesIO(), "w"), r"not at a path of this machine \(driver 'fileobj'"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_file_that_workers_cant_open_is_an_error_that_says_why(what: str, tmp_path: Path) -> None:
    make, words = REFUSED[what]
    with make(tmp_path) as opened:
        opened["x"] = X
        source = MapSource(Dataset(opened["x"], None))
        with pytest.raises(PipelineError, match=rf"can't be sent to the workers: \[0\]\.source\._obj\.x, a Dataset, is of .*{words}"):
            Loader(source, BATCH, workers=1)


def test_a_closed_file_is_an_error_that_says_so(file: Any) -> None:
    source = SOURCES["attributes"](file)
    file.close()
    with pytest.raises(PipelineError, match=r"is of an HDF5 file that has been closed\. What to do: keep it open"):
        Loader(source, BATCH, workers=1)


@pytest.mark.leaves_behind("the event loop of Zarr, in this process")
@pytest.mark.filterwarnings("error")
def test_zarr_arrays_are_read_by_workers_as_by_the_script(tmp_path: Path) -> None:
    x = zarr.open(str(tmp_path / "x.zarr"), mode="w", shape=X.shape, chunks=(8, 4, 3), dtype="f4")
    x[:] = X
    source = MapSource(Dataset(x, {"y": zarr.array(Y)})) + Zip(MapSource(x), y=MapSource(Y))
    expected = inline(source, BATCH, 2, shuffle=True)
    np.testing.assert_array_equal(np.sort(np.concatenate([batch[0] for batch in expected[:10]]), axis=0), np.repeat(X, 2, axis=0))
    with Loader(source, BATCH, shuffle=True, workers=2) as loader:
        assert_same(take(loader, 2), expected)


@pytest.mark.filterwarnings("error")
def test_a_hugging_face_dataset_on_disk_travels_by_its_path(tmp_path: Path) -> None:
    rows = {"x": list(X.reshape(SAMPLES, -1)), "label": Y.tolist()}
    datasets.Dataset.from_dict(rows).save_to_disk(tmp_path / "rows", num_shards=2)
    dataset = datasets.load_from_disk(tmp_path / "rows").with_format("numpy")
    assert weigh(dataset) < 4096
    source = MapSource(dataset)
    expected = inline(source, BATCH, 2, shuffle=True, transforms=[pair])
    assert sorted(int(row[0]) for batch in expected[:5] for row in batch[0]) == X[:, 0, 0].astype(int).tolist()
    with Loader(source, BATCH, shuffle=True, transforms=[pair], workers=2) as loader:
        assert_same(take(loader, 2), expected)


def pair(sample: Any, rng: np.random.Generator) -> Any:
    (row,) = sample
    return row["x"], row["label"]


@pytest.mark.filterwarnings("error")
def test_a_pipeline_of_grain_is_read_by_workers_as_by_the_script() -> None:
    class Grains(grain.RandomAccessDataSource[Any]):
        def __len__(self) -> int:
            return SAMPLES

        def __getitem__(self, index: Any) -> Any:
            return X[index], Y[index]

    source = MapSource(grain.MapDataset.source(Grains()).seed(1).random_map(lambda item, rng: (item[0] + rng.random(), item[1])))
    expected = inline(source, BATCH, 2, shuffle=True)
    with Loader(source, BATCH, shuffle=True, workers=2) as loader:
        assert_same(take(loader, 2), expected)


class Model:
    """Takes what Keras' own would."""

    def fit(self, loader: Loader, epochs: int) -> None:
        for _ in range(epochs):
            assert len(take(loader)) == len(loader)


@pytest.mark.leaves_behind("the event loop of Zarr, in this process")
def test_the_code_of_the_documentation_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with h5py.File("data.h5", "w") as made:
        made["images"], made["labels"] = X, Y
    zarr.open("images.zarr", mode="w", shape=X.shape, dtype="f4")[:] = X
    datasets.Dataset.from_dict({"image": X.tolist(), "label": Y.tolist(), "text": ["a"] * SAMPLES}).save_to_disk("rows")
    text = (Path(__file__).parent.parent.parent / "docs" / "my_data_is_in_another_library.md").read_text()
    given: dict[str, Any] = {"__name__": "__main__", "model": Model(), "labels": Y, "measure": lambda start: np.full(3, start)}
    shapes = []
    for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(compile(code.replace("Loader(", "Loader(workers=0, source=").replace("batch_size=64", "batch_size=8"), "docs", "exec"), given)
        with given["train"] as train:
            shapes.append([np.shape(part) for part in take(train)[0]])
    assert shapes == [[(8, 4, 3), (8,)]] * 6 + [[(20, 3), (20,)]]
