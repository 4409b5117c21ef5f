"""Whatever is given to a public constructor or method, what it raises is an error of ours, and of the builtin that one would expect."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import IterSource, Loader, LoaderError, MapSource, NpyArrays, NpyFiles, TextLines, Zip, decode
from loader import transforms as T
from loader.errors import ConfigError

X, Y = np.zeros((20, 4), np.float32), np.arange(20) % 2


def source() -> Any:
    return NpyArrays(X, Y)


def loader(**settings: Any) -> Any:
    return Loader(source(), **({"batch_size": 4, "workers": 0} | settings))


NONSENSE: dict[str, tuple[Callable[[Any], Any], list[Any]]] = {
    "NpyFiles": (NpyFiles, [None, 3, [], {}, X, [3], {"a"}, b"gone", [None], object()]),
    "root": (lambda given: NpyFiles(["a"], root=given), [3, [], X, {}]),
    "from_folder": (NpyFiles.from_folder, [None, 3, [], {}, X, "gone"]),
    "from_manifest": (NpyFiles.from_manifest, [None, 3, [], {}, X, "gone", "gone.csv", "/"]),
    "classes": (lambda given: NpyFiles(["a"], labels=[0], root="/d", classes=given), [3, "ab", {"a"}, {"a": 0}, [], [1], ["a", "a"], X]),
    "labels": (lambda given: NpyFiles(["a", "b"], labels=given, root="/d"), [3, True, {}, [1], "gone", [None, 1], {1, 2}, [[1], [1, 2]], source()]),
    "sample_weight": (lambda given: NpyFiles(["a", "b"], labels=[0, 1], sample_weight=given, root="/d"), [3, {}, [1], "gone", ["a", "b"]]),
    "NpyArrays": (NpyArrays, [None, 3, {}, [], "gone", object(), ["a"], np.array(["a"]), {1: X}, {"a": {}}, [[1], [1, 2]], source(), b"x"]),
    "TextLines": (lambda given: TextLines(given, decode=decode.text(None, 4)), [None, 3, [], {}, X, [3], {"a"}, b"gone", [None], object(), "gone"]),
    "decode": (lambda given: TextLines(__file__, decode=given), [None, 3, "text", [], {}, X]),
    "text_column": (lambda given: TextLines(__file__, decode=decode.text(None, 4), format="csv", text_column=given), [3.5, [], {}, X, "gone", -1]),
    "label_columns": (lambda given: TextLines(__file__, decode=decode.text(None, 4), label_columns=given), [3, "a", [3.5], {}, X]),
    "format": (lambda given: TextLines(__file__, decode=decode.text(None, 4), format=given), [3, "", [], {}, X, "xml"]),
    "delimiter": (lambda given: TextLines(__file__, decode=decode.text(None, 4), format="csv", delimiter=given), [3, "", ",,", b",", X, "\n"]),
    "header": (lambda given: TextLines(__file__, decode=decode.text(None, 4), format="csv", header=given), [3, None, "", X]),
    "tokenizer": (lambda given: decode.text(given, 4), [3, "words", [], {}, X, str, object()]),
    "length": (lambda given: decode.text(None, given), [None, "4", 0, 4.0, X, True, []]),
    "pad": (lambda given: decode.text(None, 4, given), [None, "4", -1, 256, 4.0, X, True]),
    "vocabulary": (decode.vocabulary, [None, 3, "the", [], {}, X, ["a", "b"], [1], ["", "[UNK]", "a", "a"]]),
    "standardize": (lambda given: decode.vocabulary(["", "[UNK]"], standardize=given), [3, "upper", [], {}, X, str.lower]),
    "y": (lambda given: NpyArrays(X, given), [3, {}, [], "gone", [1, 2], ["a"] * 20, [None] * 20]),
    "MapSource": (MapSource, [None, 3, {}, [], "gone", {1}, iter([1]), NpyFiles]),
    "ids": (lambda given: MapSource([1, 2], ids=given), [3, "ab", {}, [], ["a"], [1, 2], [None, "a"], {"a": 1, "b": 2}, X]),
    "labels of objects": (lambda given: MapSource([1, 2], labels=given), [3, True, {}, [1], [None, 1], {1, 2}, [[1], [1, 2]], source()]),
    "IterSource": (IterSource, [None, 3, {}, [], "gone", iter([1]), source()]),
    "length of a generator": (lambda given: IterSource(list, given), ["4", 0, -1, 4.0, X, True, [], None]),
    "batched": (lambda given: IterSource(list, 4, batched=given), [None, 3, "yes", X, []]),
    "Zip": (Zip, [None, 3, {}, [], "gone", X, {1: source()}]),
    "subset": (lambda given: source().subset(given), [None, "a", 3, [1.5], [[1], [1, 2]], [99], [True], slice(3), [2**70]]),
    "split": (lambda given: source().split(given), ["a", None, True, 0, 1, 5, -0.5, float("nan"), X]),
    "seed of split": (lambda given: source().split(0.2, seed=given), ["a", None, -1, 2**70, 0.5]),
    "stratify": (lambda given: source().split(0.2, stratify=given), ["y", Y, None]),
    "Rescale": (T.Rescale, [None, "a", X, float("nan"), True, [1]]),
    "dtype": (lambda given: T.Rescale(1, dtype=given), [None, "foo", int, str, 5]),
    "fields": (lambda given: T.Rescale(1, fields=given), [None, 3, (), [1], {"x"}]),
    "Normalize": (lambda given: T.Normalize(given, given), [None, "a", 0, [[1], [1, 2]], float("inf")]),
    "Cast": (T.Cast, [None, "foo", str, 5, "f4,f4"]),
    "OneHot": (T.OneHot, [None, "3", 0, 2.5, True, ["a"]]),
    "Flip": (T.Flip, [None, "left", True, [0], 0.5]),
    "p": (lambda given: T.Flip(p=given), [None, "a", 2, float("nan"), True]),
    "source": (lambda given: Loader(given, 4, workers=0), [None, 3, "gone", X, [], {}, NpyFiles, object()]),
    "transforms": (lambda given: loader(transforms=given), [None, 3, "flip", {}, [3], [T.Flip], T.Rescale(1)]),
    "class_weight": (
        lambda given: loader(class_weight=given),
        [3, {}, [1.0], {"a": 1}, {0: "a"}, {0: None}, {-1: 1}, {10**12: 1}, {True: 1}, {0: float("nan")}],
    ),
    "quarantine": (lambda given: loader(quarantine=given), [3, "", "/", "no/such/folder/q", "a\0b"]),
    "batch_size": (lambda given: loader(batch_size=given), [None, "4", 0, 4.0, X]),
    "workers": (lambda given: loader(workers=given), ["all", -1, 1.0, X, None]),
    "on_error": (lambda given: loader(on_error=given), ["skip", 3, X, None]),
    "memory_limit": (lambda given: loader(memory_limit=given), ["lots", -1, X, b"2G"]),
    "seed": (lambda given: loader(seed=given), [None, "a", -1, X, 2**64]),
    "shard": (lambda given: loader(shard=given), [None, 3, (2, 2), [0, 1], X]),
    "max_errors": (lambda given: loader(on_error="substitute", max_errors=given), ["a", -1, 1.5, X]),
    "load_state_dict": (lambda given: loader().load_state_dict(given), [None, 3, {}, "a", {"version": 1}]),
    "resize": (lambda given: loader().resize(given), [None, 3, "a"]),
}


@pytest.mark.parametrize(
    ("name", "given"),
    [
        # Not the value itself: what some of them are called changes from process to process, and pytest-xdist wants the same names in all.
        pytest.param(name, given, id=f"{name} {number} {type(given).__name__}")
        for name, (_, all_) in NONSENSE.items()
        for number, given in enumerate(all_)
    ],
)
def test_nonsense_is_an_error_of_ours(name: str, given: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LoaderError) as caught:
        NONSENSE[name][0](given)
    assert isinstance(caught.value, ValueError)
    assert not re.search("inhomogeneous|ambiguous|not iterable|os.PathLike object", str(caught.value).partition(": setting an array")[0])


def test_numbers_of_numpy_are_numbers() -> None:
    for number in (np.float32(0.5), np.float64(0.5), np.array(0.5), np.int64(2)):
        assert T.Rescale(number).scale == number
    assert T.Flip(np.int64(1)).direction == 1
    assert T.OneHot(np.int64(3)).classes == 3
    assert [len(part) for part in source().split(np.float32(0.25))] == [15, 5]


def test_a_label_of_several_classes_has_no_class_weight() -> None:
    several = np.array([[1, 0, 0], [0, 1, 1], [0, 0, 1], [1, 0, 0]])
    words = r"sample 1, y: .*\[0, 1, 1\] is not one-hot; give sample_weight instead"
    weights = {0: 1.0, 1: 2.0, 2: 3.0}
    with Loader(NpyArrays(X[:4], several), 4, workers=0, class_weight=weights) as batches, pytest.raises(LoaderError, match=words):
        next(iter(batches))
    soft = np.array([[0.9, 0.05, 0.05], [0.05, 0.9, 0.05]], np.float32)
    with Loader(NpyArrays(X[:2], soft), 2, workers=0, class_weight=weights) as batches:
        assert next(iter(batches))[2].tolist() == [1.0, 2.0]


def test_class_weights_by_name_are_told_where_the_numbers_are() -> None:
    with pytest.raises(ConfigError, match=r"a name's number is its place in source\.classes"):
        loader(class_weight={"cat": 1.0})
