"""Into training, validation and test: which samples go where, what holds them together, and what is told."""

from __future__ import annotations

import logging
import pickle
from typing import Any

import numpy as np
import pytest

from loader import Loader, MapSource, NpyArrays, NpyFiles, Zip
from loader.data.sources.source import Source
from loader.errors import ConfigError


def files(count: int, *, labels: Any = None, patients: int = 0) -> NpyFiles:
    """Return a source of files that nobody reads, `0000` and so on, or `p0/0000` of several patients."""
    names = [f"p{number % patients}/{number:04d}" if patients else f"{number:04d}" for number in range(count)]
    return _Unread(names, root="/data", labels=labels)


class _Unread(NpyFiles):
    finds_missing = False


def ids(*sides: Source) -> list[set[str]]:
    return [set(side.ids() or ()) for side in sides]


def test_three_sides_share_nothing_and_leave_nothing_out() -> None:
    for source in (files(1000), MapSource(range(1000))):
        sides = source.split(0.2, test=0.1, seed=3)
        assert len(sides) == 3
        found = [int(index) for side in sides for index in side._indices]  # type: ignore[attr-defined]
        assert sorted(found) == list(range(1000))
        assert all(abs(len(side) - wanted) < 45 for side, wanted in zip(sides, (700, 200, 100), strict=True))  # three and a half sigma
        assert all((np.diff(side._indices) > 0).all() for side in sides)  # type: ignore[attr-defined]


def test_without_ids_the_shares_are_exact_and_with_test_the_validation_side_is_the_same() -> None:
    source = MapSource(range(50))
    train, val, test = source.split(0.2, test=0.1)
    assert (len(train), len(val), len(test)) == (35, 10, 5)
    assert val._indices.tolist() == source.split(0.2)[1]._indices.tolist()  # type: ignore[attr-defined]


def test_with_ids_the_side_of_a_file_follows_from_its_id_alone() -> None:
    few, many = ids(*files(300).split(0.2, test=0.1)), ids(*files(900).split(0.2, test=0.1))
    assert all(old <= new for old, new in zip(few, many, strict=True))
    assert ids(*files(300).split(0.2))[1] == few[1]
    wider = ids(*files(300).split(0.3))
    assert few[1] < wider[1]
    assert ids(*files(300).split(0.2, seed=1))[1] != few[1]


def test_the_hash_is_the_same_on_every_machine() -> None:
    assert sorted(ids(*files(20).split(0.2))[1]) == ["0000", "0006", "0015", "0019"]


def test_the_side_of_a_side_can_be_split_with_the_same_seed() -> None:
    rest, test = files(1000).split(0.2)
    train, val = rest.split(0.2)
    assert 100 < len(val) < 220
    inner, _ = Zip(train).subset(range(len(train))).split(0.2)
    assert len(inner) < len(train)
    assert not set.intersection(*ids(train, val), *ids(test))


def test_samples_with_one_id_go_to_one_side() -> None:
    source = files(200)
    for options in ({}, {"stratify": True}):
        labelled = files(200, labels=np.arange(200) % 2) if options else source
        train, val = ids(*(labelled + labelled.subset(range(0, 200, 3))).split(0.3, **options))  # type: ignore[arg-type]
        assert not train & val


@pytest.mark.parametrize("kind", ["array", "list", "dict", "function"])
def test_a_group_is_never_torn(kind: str) -> None:
    source = files(600, patients=40)
    names = source.ids()
    patients = [name.split("/")[0] for name in names]
    groups: Any = {
        "array": np.array(patients),
        "list": patients,
        "dict": dict(zip(names, patients, strict=True)),
        "function": lambda name: name.split("/")[0],
    }[kind]
    sides = ids(*source.split(0.3, test=0.2, groups=groups))
    of = [{name.split("/")[0] for name in side} for side in sides]
    assert sum(map(len, of)) == 40
    assert all(of)
    assert sides == ids(*source.split(0.3, test=0.2, groups=patients))


def test_groups_of_samples_without_ids_are_one_for_each_and_numbers_will_do() -> None:
    patients = np.arange(400) // 10
    for groups in (patients, patients.astype(float), patients.tolist(), list(map(str, patients))):
        train, val = MapSource(range(400)).split(0.3, groups=groups)
        first, second = ({int(patients[index]) for index in side._indices} for side in (train, val))  # type: ignore[attr-defined]
        assert not first & second
        assert len(first | second) == 40
        assert val._indices.tolist() == MapSource(range(400)).split(0.3, groups=patients)[1]._indices.tolist()  # type: ignore[attr-defined]


def test_a_stratified_split_of_files_and_of_groups_gives_each_class_its_share() -> None:
    labels = np.repeat([0, 1, 2], [60, 30, 10])
    train, val, test = files(100, labels=labels).split(0.2, test=0.1, stratify=True)
    assert [np.bincount(side.labels()).tolist() for side in (train, val, test)] == [[42, 21, 7], [12, 6, 2], [6, 3, 1]]  # type: ignore[arg-type]
    patients = np.arange(400) // 10  # of class 0 and 1, half of them each
    source = NpyArrays(np.arange(400), patients % 2)
    train, val = source.split(0.2, stratify=True, groups=patients)
    assert np.bincount(val.labels()).tolist() == [40, 40]  # type: ignore[arg-type]


def test_few_old_files_change_sides_in_a_stratified_split_when_files_are_added() -> None:
    def side(count: int) -> set[str]:
        return ids(*files(count, labels=np.arange(count) % 2).split(0.2, stratify=True))[1]

    old, new = side(1000), side(1100)
    gone = {name for name in old if name not in new}
    assert len(old) == 200
    assert len(gone) <= 10


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"groups": 3}, "give one group per sample, a dict by ID, or a function"),
        ({"groups": "patient"}, "give one group per sample"),
        ({"groups": [1, 2]}, "2 values for 20 samples"),
        ({"groups": {"0000": 1}}, "no group for 19 of 20 samples: '0001', '0002', '0003', "),
        ({"groups": lambda name: None}, "no group for 20 of 20 samples: '0000'"),
        ({"groups": lambda name: {}[name]}, "groups= fails for the ID '0000': KeyError"),
        ({"groups": lambda name: object()}, "a group must be a text or a number"),
        ({"groups": np.full(20, np.nan)}, "no group for 20"),
        ({"groups": ["a"] * 20}, "leaves nothing to"),
        ({"groups": np.arange(20) // 2, "stratify": True}, r"groups of one class each, but the samples of group '0' have the classes \[0, 1\]"),
        ({"test": 0.9}, "leaves? nothing to train on|leave something"),
        ({"test": 0}, "leaves nothing to test with"),
        ({"test": "a"}, "test='a': must be a share"),
        ({"validation": 0.001}, "leaves nothing to validate with; the hash of its ID, .* Give another seed, or larger shares"),
    ],
)
def test_what_can_be_no_split_is_told(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        files(20, labels=np.arange(20) % 2).split(**options)


def test_groups_by_id_need_ids() -> None:
    with pytest.raises(ConfigError, match="needs a source whose samples have IDs"):
        MapSource(range(9)).split(groups={"a": 1})


def test_sizes_are_told_by_the_log_and_by_the_sides(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "loader")
    train, val = NpyArrays(np.arange(50)).split(0.2)
    assert [record.getMessage() for record in caplog.records] == ["split of NpyArrays(50 rows, x: () int64): 40 training, 10 validation"]
    assert "subset(40 of 50)" in repr(train)
    assert "subset(10 of 50)" in repr(val)


def test_a_side_travels_and_is_read() -> None:
    train, _ = NpyArrays(np.arange(50)).split(0.2)
    with Loader(pickle.loads(pickle.dumps(train)), 50, workers=0) as batches:
        assert next(iter(batches))[0].tolist() == train._indices.tolist()  # type: ignore[attr-defined]
