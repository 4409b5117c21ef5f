"""A misspelt argument is told which one was meant, and those who make objects by other means are left alone."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any

import cloudpickle
import numpy as np
import pytest

from loader import ArgumentError, ConfigError, Loader, MapSource, NpyArrays, NpyFiles, Source, Zip
from loader import transforms as T

SOURCE = NpyArrays(np.arange(6))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Loader(SOURCE, batchsize=3), "Loader has no argument 'batchsize' (did you mean batch_size?)"),
        (lambda: Loader(SOURCE, 3, worker=2), "Loader has no argument 'worker' (did you mean workers?)"),
        (lambda: Loader(SOURCE, 3, num_workers=2, Shuffle=True), "'num_workers' (did you mean workers?), 'Shuffle' (did you mean shuffle?)"),
        (lambda: Loader(SOURCE, 3, qqq=1), "'qqq' (it has source, batch_size, transforms, "),
        (lambda: Loader(SOURCE, 3, workers=0).with_settings(slot=2), "'slot' (did you mean slots?)"),
        (lambda: T.Rescale(scal=2), "Rescale has no argument 'scal' (did you mean scale?)"),
        (lambda: T.Flip(axis=2), "Flip has no argument 'axis' (it has direction, p, fields, boxes, points)"),
        (lambda: NpyArrays(np.arange(3), weights=np.ones(3)), "NpyArrays has no argument 'weights' (did you mean sample_weight?)"),
        (lambda: NpyFiles("a", labls="b"), "NpyFiles has no argument 'labls' (did you mean labels?)"),
        (lambda: Zip(SOURCE, z=SOURCE), "Zip has no argument 'z' (it has x, y, sample_weight)"),
        (lambda: MapSource(object=[1]), "MapSource has no argument 'object' (did you mean obj?)"),
    ],
)
def test_a_misspelt_argument_is_told_which_one_was_meant(make: Any, words: str) -> None:
    for caught_as in (ArgumentError, ConfigError, TypeError, ValueError):
        with pytest.raises(caught_as) as caught:
            make()
        assert words in str(caught.value)


def test_the_signature_is_that_of_the_constructor() -> None:
    assert list(inspect.signature(Loader).parameters)[:3] == ["source", "batch_size", "transforms"]
    assert str(inspect.signature(NpyArrays)).startswith("(x:")


class Open(Source):
    """Takes any argument."""

    def __init__(self, length: int, **more: Any) -> None:
        self.length, self.more = length, more

    def __len__(self) -> int:
        return self.length

    def sample(self, index: int) -> Any:
        return (np.float32(index),)


class Own(Open):
    """Has a `__new__` of its own."""

    def __new__(cls, *args: Any, **given: Any) -> Own:
        return super().__new__(cls)


@pytest.mark.parametrize("kind", [Open, Own])
def test_sources_of_the_user_take_what_they_like(kind: Any) -> None:
    source = kind(3, anything=1)
    for other in (pickle.loads(pickle.dumps(source)), cloudpickle.loads(cloudpickle.dumps(source)), copy.copy(source), copy.deepcopy(source)):
        assert (len(other), other.more) == (3, {"anything": 1})


def test_transforms_are_pickled_and_copied_as_before() -> None:
    for other in (pickle.loads(pickle.dumps(T.Rescale(scale=2.0))), copy.copy(T.Rescale(scale=2.0))):
        assert repr(other) == repr(T.Rescale(scale=2.0))
