from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from loader import NpyFiles
from loader.data.pipeline.pipeline import Pipeline
from loader.data.sources.source import Source
from loader.produce.remote.actors.checks import Facts, deciding_modules


def compiled(source: Source) -> Pipeline:
    pipeline = Pipeline(source, [], 0)
    pipeline.compile(pipeline.probe(0))
    return pipeline


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for number in range(100):
        np.save(tmp_path / f"{number:03d}.npy", np.full(4, number))
    return tmp_path


def test_the_same_machine_does_not_differ_from_itself(files: Path) -> None:
    pipeline, modules = compiled(NpyFiles(files)), deciding_modules()
    assert "numpy" in modules
    here = Facts.here(pipeline, modules)
    assert len(here.files) == 64
    assert here.first.startswith("#")
    assert here.differences(Facts.here(pipeline, modules)) == []


def test_another_version_is_named_with_both() -> None:
    here = Facts({"Python": "3.11", "NumPy": "2.4.6"}, {}, "#1")
    there = Facts({"Python": "3.11", "NumPy": "2.1.0"}, {}, "#2")
    assert here.differences(there) == ["NumPy 2.1.0, this machine 2.4.6"]
    assert here.differences(replace(there, versions={"Python": "3.11"})) == ["NumPy not there, this machine 2.4.6"]


def test_a_file_of_another_size_or_none_is_named(files: Path) -> None:
    pipeline = compiled(NpyFiles(files))
    here = Facts.here(pipeline, [])
    path = str(files / "099.npy")
    Path(path).unlink()
    assert here.differences(Facts.here(pipeline, [])) == [f"other data: {path} has No such file or directory, this machine 160 bytes"]


def test_another_first_sample_is_said_only_if_nothing_explains_it() -> None:
    here = Facts({}, {}, "#1")
    (words,) = here.differences(Facts({}, {}, "#2"))
    assert "another first sample" in words
    (words,) = here.differences(Facts({}, {}, "sample 0: no such file"))
    assert words == "a first sample that can't be made: sample 0: no such file"
