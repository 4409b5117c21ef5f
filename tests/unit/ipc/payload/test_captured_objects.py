"""What functions of the user take along is found and said."""

from __future__ import annotations

import sys
import threading
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from loader import MapSource, NpyArrays, Zip
from loader.ipc.payload.captured_objects import framework_of, remarks, users_of_frameworks

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
    assert "MiB and is copied to the workers. What to do" in remark


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


# Where it hides.

TABLE = np.zeros(20 * MIB, np.uint8)
HIDDEN = {
    "an attribute": ("class Step:\n    def __init__(self):\n        self.data = T\nstep = Step()", "transform 0 has the attribute data, which"),
    "an attribute of an attribute": (
        "class Step:\n    pass\nstep = Step()\nstep.inner = Step()\nstep.inner._m = [T]",
        "transform 0 has the attribute inner._m, which",
    ),
    "an attribute of a class": (
        "class Step:\n    table = T\n    def __call__(self, sample, rng):\n        return sample\nstep = Step()",
        "attribute table",
    ),
    "an attribute of a global": (
        "class Helper:\n    pass\nhelper = Helper()\nhelper.m = T\nm = 3\ndef step(sample, rng):\n    return helper.m",
        "transform 0 names global helper.m, which",
    ),
    "a bound method's object": (
        "class Step:\n    def run(self, sample, rng):\n        return sample\nit = Step()\nit.m = T\nstep = it.run",
        "transform 0 has the attribute m,",
    ),
    "a default": ("def step(sample, rng, a=1, table=T, *, b=2):\n    return sample", "names default of table, which"),
    "an argument of a partial": ("import functools\nstep = functools.partial(print, T)", "has the attribute args, which"),
    "behind lru_cache": (
        "import functools\n@functools.cache\ndef load():\n    return T\ndef step(sample, rng):\n    return load()",
        "global T, which",
    ),
}


@pytest.mark.parametrize(("code", "said"), HIDDEN.values(), ids=HIDDEN)
def test_what_is_copied_is_said_with_size_and_name_wherever_it_hides(code: str, said: str) -> None:
    step = named(code, T=TABLE)
    (remark,) = remarks([("transform 0", step)], 20 * MIB)
    assert said in remark
    assert "which takes 20 MiB and is copied to the workers" in remark
    (remark,) = remarks([("the source", MapSource([step] * 3))], 20 * MIB)
    assert remark.startswith("the source ")
    assert remark.count("takes 20 MiB") == 1


def test_an_attribute_is_not_taken_for_a_global_of_its_name() -> None:
    code = (
        "m = T\nclass Step:\n    def __init__(self):\n        self.m = T2\n    def __call__(self, sample, rng):\n        return self.m\nstep = Step()"
    )
    (remark,) = remarks([("transform 0", named(code, T=TABLE, T2=np.ones(20 * MIB, np.uint8)))], 40 * MIB)
    assert remark.startswith("transform 0 has the attribute m, which takes 20 MiB")


def test_what_is_mapped_weighs_nothing(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", TABLE)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    step = named("def step(sample, rng):\n    return MAP, WINDOWS", MAP=mapped, WINDOWS=sliding_window_view(mapped, 1000))
    assert remarks([("transform 0", step), ("the source", MapSource([mapped, mapped]))], 60 * MIB) == []
    private = np.load(tmp_path / "x.npy", mmap_mode="c")
    (remark,) = remarks([("transform 0", named("def step(sample, rng):\n    return MAP", MAP=private))], 60 * MIB)
    assert "global MAP, which takes 20 MiB" in remark
    assert 'np.load(path, mmap_mode="r")' in remark


def test_data_in_plain_sight_is_not_worth_a_word() -> None:
    sources = [
        NpyArrays(TABLE),
        MapSource(TABLE),
        MapSource([TABLE, TABLE]),
        NpyArrays(TABLE) + NpyArrays(TABLE),
        Zip(NpyArrays(TABLE), NpyArrays(TABLE)),
    ]
    assert remarks([("the source", source) for source in sources], 60 * MIB) == []


def test_what_stays_behind_is_not_blamed() -> None:
    code = """
class Step:
    def __getstate__(self):
        return {"table": self.table}
step = Step()
step.cache, step.table, step.lock = T, T2, LOCK
"""
    step = named(code, T=np.ones(30 * MIB, np.uint8), T2=TABLE, LOCK=threading.Lock())
    (remark,) = remarks([("transform 0", step)], 20 * MIB)
    assert "attribute table, which takes 20 MiB" in remark


def test_a_framework_is_named_once_for_each_that_names_it() -> None:
    layers = types.ModuleType("keras.layers")
    exec(
        "def help(x):\n    return x\nclass Layer:\n    def __call__(self, x):\n        return help(x)\nclass Dense(Layer):\n    pass", layers.__dict__
    )
    code = """
class Step:
    def __init__(self):
        self.layers = [layers.Dense(), layers.Layer(), layers.Dense()]
    def __call__(self, sample, rng):
        return self.layers[0](layers.help(sample)) + tf.flip(sample)
step = Step()
"""
    step = named(code, layers=layers, tf=fake)
    first, second, third = remarks([("transform 0, Step,", step), ("transform 1, Dense,", layers.Dense())], 0)
    assert first.startswith("transform 0, Step, names Keras (attribute layers[0]), so the loader's supervisor has to import it")
    assert second.startswith("transform 0, Step, names TensorFlow (global tf), so")
    assert third.startswith("transform 1, Dense, is a part of Keras, so")
