"""What functions of the user take along is found and said."""

from __future__ import annotations

import sys
import threading
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from loader import MapSource
from loader.ipc.baggage import framework_of, remarks, users_of_frameworks

MIB = 2**20
fake = types.ModuleType("tensorflow.image")  # naming is enough: nothing is imported here


def named(code: str, **names: Any) -> Callable[..., Any]:
    """Return the function `step` of a script."""
    namespace = {"__name__": "__main__", **names}
    exec(code, namespace)
    step: Callable[..., Any] = namespace["step"]
    return step


DIRECT = "def step(sample, rng):\n    return tf.flip(sample)"
INNER = "def step(sample, rng):\n    return (lambda x: tf.flip(x))(sample)"
CALLED = "def other(x):\n    return tf.flip(x)\ndef step(sample, rng):\n    return other(sample)"
METHOD = "class Step:\n    def __call__(self, sample, rng):\n        return tf.flip(sample)\nstep = Step()"
PARTIAL = "import functools\ndef other(x, y):\n    return tf.flip(x)\nstep = functools.partial(other, 1)"


@pytest.mark.parametrize("code", [DIRECT, INNER, CALLED, METHOD, PARTIAL], ids=["direct", "inner", "called", "method", "partial"])
def test_a_framework_is_found_wherever_it_is_named(code: str) -> None:
    (remark,) = remarks([("transform 0, step,", named(code, tf=fake))], 0)
    assert remark.startswith("transform 0, step, names TensorFlow (global tf), so")
    assert users_of_frameworks([("a", named(code, tf=fake)), ("b", print)]) == ["a"]


def test_a_variable_of_an_enclosing_function_counts_too() -> None:
    code = "def outer(t):\n    def step(sample, rng):\n        return t.sum()\n    return step\nstep = outer(table)"
    (remark,) = remarks([("transform 2", named(code, table=np.zeros(20 * MIB, np.uint8)))], 20 * MIB)
    assert "variable t, which takes 20 MiB" in remark


LARGE = {
    "an array": np.zeros(20 * MIB, np.uint8),
    "a list of arrays": [np.zeros(2 * MIB, np.uint8)] * 2 + [np.arange(5 * MIB, dtype=np.int32)],
    "a dict of texts": {number: f"{number:1000}" for number in range(25_000)},
    "bytes": bytes(20 * MIB),
}


@pytest.mark.parametrize("table", LARGE.values(), ids=LARGE)
def test_what_is_large_is_said_with_its_size(table: Any) -> None:
    step = named("def step(sample, rng):\n    return len(TABLE)", TABLE=table)
    (remark,) = remarks([("transform 0", step)], 25 * MIB)
    assert "global TABLE, which takes 2" in remark
    assert "MiB along to the workers. What to do" in remark


def test_what_is_small_is_not_worth_a_word() -> None:
    step = named("def step(sample, rng):\n    return TABLE.sum() + numpy.sum(sample)", TABLE=np.zeros(MIB), numpy=np)
    assert remarks([("transform 0", step), ("the source", np.zeros(30 * MIB, np.uint8))], 60 * MIB) == []


def test_names_that_go_round_in_circles_are_followed_once() -> None:
    code = "def other(x):\n    return step(x)\ndef step(sample, rng=None):\n    return other(sample) or tf"
    assert len(remarks([("transform 0", named(code, tf=fake))], 0)) == 1


class Odd:
    def __len__(self) -> int:
        raise RuntimeError("no length")

    def __getattr__(self, name: str) -> object:
        raise KeyError(name)


def test_objects_of_any_kind_are_looked_at_without_harm() -> None:
    step = named("def step(sample, rng):\n    return ODD", ODD=Odd())
    assert remarks([("transform 0", step), ("the source", Odd())], 0) == []
    assert framework_of(fake) == "TensorFlow"
    assert framework_of(np.zeros(3)) is framework_of(np) is None


def test_a_dataset_of_any_length_is_looked_into() -> None:
    code = "class Data:\n    def __len__(self):\n        return 10**6\n    def __getitem__(self, i):\n        return tf.read(i)\nstep = Data()"
    (remark,) = remarks([("the source", MapSource(named(code, tf=fake)))], 0)
    assert remark.startswith("the source names TensorFlow (global tf)")


def test_what_a_module_holds_is_imported_there_and_does_not_travel(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("steps")
    module.__dict__.update(TABLE=np.zeros(20 * MIB, np.uint8), LOCK=threading.Lock(), tf=fake)
    exec("def step(sample, rng):\n    with LOCK:\n        return tf.flip(TABLE)", module.__dict__)
    monkeypatch.setitem(sys.modules, "steps", module)
    (remark,) = remarks([("transform 0", module.step)], 30 * MIB)
    assert "names TensorFlow (global tf)" in remark
