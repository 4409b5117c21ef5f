from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from loader.train.keras.event_file import EventFile


def events(path: Path) -> list[Any]:
    """Return the events of a file as TensorBoard reads them, which checks the checksums."""
    stub = pytest.importorskip("tensorboard.compat.tensorflow_stub.pywrap_tensorflow")
    event_pb2 = pytest.importorskip("tensorboard.compat.proto.event_pb2")
    reader, found = stub.PyRecordReader_New(str(path)), []
    while True:
        try:
            reader.GetNext()
        except stub.errors.OutOfRangeError:
            return found
        found.append(event_pb2.Event.FromString(reader.record()))


def test_tensorboard_reads_what_was_written(tmp_path: Path) -> None:
    file = EventFile(tmp_path / "runs" / "one")
    file.write(0, {"epoch_loader_wait": 0.25, "epoch_samples_per_s": 51_234.5})
    file.write(300, {"epoch_loader_wait": 1e-9, "ä" * 100: -1.0})
    (path,) = (tmp_path / "runs" / "one").iterdir()
    version, first, second = events(path)
    assert version.file_version == "brain.Event:2"
    assert (first.step, second.step) == (0, 300)
    assert {value.tag: value.simple_value for value in first.summary.value} == {"epoch_loader_wait": 0.25, "epoch_samples_per_s": 51_234.5}
    assert {value.tag: value.simple_value for value in second.summary.value} == pytest.approx({"epoch_loader_wait": 1e-9, "ä" * 100: -1.0})
    assert 0 <= second.wall_time - first.wall_time < 60


def test_two_in_one_folder_have_a_file_each(tmp_path: Path) -> None:
    one, other = EventFile(tmp_path), EventFile(tmp_path)
    one.write(0, {"a": 1.0})
    other.write(0, {"b": 2.0})
    one.write(1, {"a": 3.0})
    tags = sorted([value.tag for event in events(path) for value in event.summary.value] for path in tmp_path.iterdir())
    assert tags == [["a", "a"], ["b"]]


def test_nothing_is_made_before_the_first_write(tmp_path: Path) -> None:
    EventFile(tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
