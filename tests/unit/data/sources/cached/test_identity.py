"""Which changes of a source a cache notices."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import MapSource, NpyArrays, NpyFiles, Source, TextLines, Zip, decode
from loader.data.remote.fetch_cache.cache_choice import CacheChoice
from loader.data.remote.fetcher import Fetcher
from loader.data.remote.options import StorageOptions
from loader.data.sources.arrays.array_column import ArrayColumn
from loader.data.sources.arrays.far_array import FarArray, far_columns
from loader.data.sources.cached.identity import Identity

SCALE = 1


def helper(value: int) -> int:
    return value + SCALE


def taking(value: int) -> int:
    return helper(value)


class Dataset:
    def __init__(self, folder: str, scale: float, table: Any = None) -> None:
        self.folder = folder
        self.scale = scale
        self.table = table
        self.self = self

    def __len__(self) -> int:
        return 3

    def __getitem__(self, i: int) -> np.ndarray:
        return np.zeros(3)


def difference(before: object, now: object) -> str | None:
    old = Identity.of(before, "")
    return Identity.of(now, "").difference(old.facts, old.files)


def adding(number: int) -> Callable[[bytes], np.ndarray]:
    return lambda content: np.frombuffer(content, np.uint8) + number


class Base:
    size = 3

    def __len__(self) -> int:
        return 3


class Derived(Base):
    @property
    def scale(self) -> int:
        return SCALE

    def __getitem__(self, i: int) -> int:
        return self.size * self.scale


CHANGES: dict[str, tuple[Callable[[], Any], Callable[[], Any], str]] = {
    "an attribute": (lambda: MapSource(Dataset("a", 1.0)), lambda: MapSource(Dataset("a", 2.0)), "source.obj.scale was 1.0, and now is 2.0"),
    "a path": (lambda: MapSource(Dataset("a", 1.0)), lambda: MapSource(Dataset("b", 1.0)), "source.obj.folder was 'a', and now is 'b'"),
    "an array": (lambda: NpyArrays(np.zeros(9)), lambda: NpyArrays(np.ones(9)), "source.columns"),
    "a long list": (lambda: MapSource([*range(99)]), lambda: MapSource([0, *range(98)]), "source.obj"),
    "a list of arrays": (
        lambda: MapSource([np.zeros(2)] * 40 + [np.zeros(2)]),
        lambda: MapSource([np.zeros(2)] * 40 + [np.ones(2)]),
        "source.obj has changed",
    ),
    "what a lambda closes over": (lambda: adding(1), lambda: adding(2), "source: number was 1, and now is 2"),
    "an argument of a partial": (lambda: functools.partial(helper, 1), lambda: functools.partial(helper, 2), r"source.args was \(1,\)"),
    "a set": (lambda: {"a", "b"}, lambda: {"a", "c"}, "source was"),
    "another method": (lambda: MapSource(Dataset("a", 1.0)).sample, lambda: MapSource(Dataset("a", 1.0)).read, "source"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_found_and_named(what: str) -> None:
    before, now, words = CHANGES[what]
    assert difference(before(), before()) is None
    found = difference(before(), now())
    assert found is not None
    assert re.search(words, found), found


def test_a_function_that_is_called_counts_and_so_do_constants_of_its_module(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Identity.of(taking, "")
    assert Identity.of(taking, "").facts == before.facts
    monkeypatch.setattr(sys.modules[__name__], "SCALE", 2)
    assert Identity.of(taking, "").difference(before.facts, before.files) == "source: helper: SCALE was 1, and now is 2"


def test_constants_and_code_of_a_class_and_its_bases_count(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Identity.of(MapSource(Derived()), "")
    with monkeypatch.context() as patch:
        patch.setattr(Base, "size", 4)
        now = Identity.of(MapSource(Derived()), "")
        assert now.difference(before.facts, before.files) == "source.obj: Base: size was 3, and now is 4"
    monkeypatch.setattr(Derived, "scale", property(lambda self: 7))
    assert Identity.of(MapSource(Derived()), "").difference(before.facts, before.files) == "the code of source.obj has changed"


def test_another_python_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Identity.of(taking, "")
    monkeypatch.setattr(sys, "version_info", (3, 99))
    monkeypatch.setattr(taking, "__code__", helper.__code__)
    assert str(Identity.of(taking, "").difference(before.facts, before.files)).startswith("python was 3.")


def sources(folder: Path) -> dict[str, Callable[[], Source]]:
    np.save(folder / "x.npy", np.zeros((4, 3)))
    (folder / "lines.txt").write_text("a\nb\n")
    return {
        "x.npy": lambda: NpyArrays(folder / "x.npy"),
        "0.npy": lambda: Zip(NpyFiles(folder / "f"), y=NpyArrays(np.arange(2))).subset([0, 1]),
        "1.npy": lambda: NpyFiles(folder / "f") + NpyFiles(folder / "f"),
        "lines.txt": lambda: TextLines(folder / "lines.txt", decode=decode.text(None, length=2)),
        "mapped.npy": lambda: MapSource(Dataset("a", 1.0, np.load(folder / "mapped.npy", mmap_mode="r"))),
    }


@pytest.mark.parametrize("name", ["x.npy", "0.npy", "1.npy", "lines.txt", "mapped.npy"])
def test_a_file_that_was_written_again_is_found_whatever_reads_it(tmp_path: Path, name: str) -> None:
    (tmp_path / "f").mkdir()
    for number in range(2):
        np.save(tmp_path / "f" / f"{number}.npy", np.zeros(3))
    np.save(tmp_path / "mapped.npy", np.zeros(3))
    make = sources(tmp_path)[name]
    before = Identity.of(make(), "")
    assert Identity.of(make(), "").difference(before.facts, before.files) is None
    (path,) = tmp_path.rglob(name)
    os.utime(path, (1, 1))
    assert re.search(f"{name}( has changed)?: it was written again", str(Identity.of(make(), "").difference(before.facts, before.files)))


def test_a_folder_that_was_moved_as_it_is_stays_the_same(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / "a").mkdir(exist_ok=True)
        np.save(tmp_path / "a" / f"{number}.npy", np.zeros(3))
    before = Identity.of(NpyFiles(tmp_path / "a"), "")
    (tmp_path / "a").rename(tmp_path / "b")
    assert Identity.of(NpyFiles(tmp_path / "b"), "").difference(before.facts, before.files) is None


SCRIPT = """
import json
import numpy as np
from loader import MapSource
from loader.data.remote.fetch_cache.cache_choice import CacheChoice
from loader.data.remote.fetcher import Fetcher
from loader.data.remote.options import StorageOptions
from loader.data.sources.arrays.array_column import ArrayColumn
from loader.data.sources.arrays.far_array import FarArray, far_columns
from loader.data.sources.cached.identity import Identity
WORDS = {"a", "b", "c", "d"}
class Data:
    kinds = {"x", "y", "z"}
    def __init__(self):
        self.words = set("abcdefgh")
        self.seen = object()
        self.table = {word: number for number, word in enumerate("abc")}
    def __len__(self):
        return 2
    def __getitem__(self, i):
        return np.zeros(2) if i in {1, 2, 3} and "q" not in {"a", "b", "c"} and "w" not in WORDS else np.ones(2)
print(json.dumps(sorted(Identity.of(MapSource(Data(), ids=["a", "b"]), "").facts.items())))
"""


def test_two_runs_of_a_script_find_the_same(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    runs = [
        subprocess.run(
            [sys.executable, script], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)}
        )
        for seed in "12"
    ]
    assert runs[0].stdout == runs[1].stdout != ""
    assert "the code of" in runs[0].stdout


def test_how_far_data_comes_is_no_part_of_what_it_is() -> None:
    def column(cache: CacheChoice | None) -> list[ArrayColumn]:
        rows = [FarArray("s3://b/x.npy", 128, np.dtype("f4"), (9, 2), (8, 4), 200, 7, StorageOptions(), cache)]
        return far_columns(rows, [rows])

    assert difference(column(None), column(CacheChoice("/a", None))) is None
    assert difference(Fetcher(StorageOptions(), 4), Fetcher(StorageOptions(), 8)) is None
