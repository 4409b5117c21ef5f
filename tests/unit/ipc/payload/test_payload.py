from __future__ import annotations

import functools
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader.errors import PipelineError
from loader.ipc.payload import arrival, payload


class Holder:
    """Something with attributes, as a source or a transform has."""

    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)

    def method(self) -> None:
        """Do nothing."""


def sent(value: Any) -> Any:
    """Return `value` as it arrives; the descriptor is closed then, the mapping stays as long as the arrays."""
    fd = payload.dump(value)
    try:
        return arrival.load(fd)
    finally:
        os.close(fd)


def address(array: np.ndarray[Any, Any]) -> int:
    return int(array.__array_interface__["data"][0])


def mappings() -> Iterator[range]:
    """Yield the addresses at which pipelines are mapped."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        if "loader:pipeline" in line:
            start, stop = line.split()[0].split("-")
            yield range(int(start, 16), int(stop, 16))


# What arrives.

ARRAYS = {
    "plain": np.arange(1_000, dtype=np.float64).reshape(10, 100),
    "fortran": np.asfortranarray(np.arange(60).reshape(5, 12)),
    "empty": np.zeros((0, 3), np.float32),
    "scalar": np.array(3.5),
    "strided": np.arange(100)[::3],
    "bytes": np.array([b"abc", b"d"]),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_arrive_as_they_are(name: str) -> None:
    array = ARRAYS[name]
    back = sent(Holder(array=array)).array
    assert (back.dtype, back.shape, back.tobytes()) == (array.dtype, array.shape, array.tobytes())


def test_arrays_are_views_of_the_shared_memory_and_not_copies() -> None:
    arrays = [np.full(10_000, number) for number in range(3)]
    back = sent(arrays)
    assert all(any(address(array) in mapping for mapping in mappings()) for array in back)


def test_an_array_does_not_lie_in_the_pickle() -> None:
    array = np.frombuffer(os.urandom(100_000), np.uint8)
    fd = payload.dump([array, array])
    try:
        assert os.pread(fd, 10**6, 0).count(array.tobytes()[:64]) == 1
        assert os.fstat(fd).st_size < 105_000
    finally:
        os.close(fd)


def test_arrays_are_read_only() -> None:
    array = np.zeros(1_000)
    back = sent(array)
    assert not back.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        back[0] = 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        back.flags.writeable = True


def test_arrays_begin_at_multiples_of_64_bytes() -> None:
    assert all(address(array) % 64 == 0 for array in sent([np.zeros(count, np.uint8) for count in range(1, 300, 7)]))


def test_arrays_outlive_the_descriptor_and_unmap_with_the_last_view() -> None:
    before = len(list(mappings()))
    back = sent(np.arange(5_000))
    view = back[10:20]
    del back
    assert view.tolist() == list(range(10, 20))
    assert len(list(mappings())) == before + 1
    del view
    assert len(list(mappings())) == before


def test_functions_and_classes_of_a_script_travel_by_value() -> None:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec("import math\nclass Source:\n    k = 3\n    def get(self): return math.sqrt(self.k)\nmake = lambda x: Source().get() + x\n", namespace)
    source, function = sent((namespace["Source"](), namespace["make"]))
    namespace.clear()
    assert source.get() == pytest.approx(3**0.5)
    assert function(1) == pytest.approx(1 + 3**0.5)


def test_what_appears_twice_arrives_once() -> None:
    shared = np.arange(10)
    back = sent(Holder(a=[shared], b={"c": shared}))
    assert back.a[0] is back.b["c"]


def test_hundreds_of_arrays_travel() -> None:
    arrays = [np.full(3, number) for number in range(700)]
    assert [int(array[0]) for array in sent(arrays)] == list(range(700))


# What can't travel.


def script(text: str, **given: Any) -> dict[str, Any]:
    """Return the globals of a user's script."""
    namespace: dict[str, Any] = {"__name__": "__main__", "threading": threading, **given}
    exec(text, namespace)
    return namespace


def closure_over_a_lock() -> Any:
    return script("def make():\n    guard = threading.Lock()\n    return lambda sample, rng: guard and sample\nf = make()")["f"]


def function_with_a_global_lock() -> Any:
    return script("guard = threading.Lock()\ndef f(sample, rng):\n    with guard:\n        return sample")["f"]


UNSENDABLE: dict[str, tuple[Any, str]] = {
    "attribute": (lambda: Holder(source=Holder(guard=threading.Lock())), r"source\.guard, a lock, can't be pickled"),
    "item": (lambda: Holder(transforms=[len, Holder(files={"a": 1, "b": threading.Lock()})]), r"transforms\[1\]\.files\['b'\], a lock,"),
    "variable": (lambda: Holder(transforms=(closure_over_a_lock(),)), r"transforms\[0\] \(variable guard\), a lock,"),
    "global": (lambda: Holder(transforms=(function_with_a_global_lock(),)), r"transforms\[0\] \(global guard\), a lock,"),
    "partial": (lambda: Holder(transforms=[functools.partial(Holder, guard=threading.Lock())]), r"transforms\[0\]\.keywords\['guard'\], a lock,"),
    "method": (lambda: Holder(transforms=[Holder(guard=threading.Lock()).method]), r"transforms\[0\]\.__self__\.guard, a lock,"),
    "itself": (threading.Lock, "workers: a lock can't be pickled"),
    "generator": (lambda: Holder(rows=(row for row in range(3))), "rows, a generator,"),
}


@pytest.mark.parametrize("name", UNSENDABLE)
def test_what_can_not_travel_is_named_with_its_place_and_what_to_do(name: str) -> None:
    make, place = UNSENDABLE[name]
    with pytest.raises(PipelineError, match=place) as caught:
        payload.dump(make())
    message = str(caught.value)
    assert message.startswith("the pipeline can't be sent to the workers: ")
    assert "What to do: make it in the worker when it is first used, or leave it out with __getstate__" in message
    assert caught.value.__cause__ is not None


def test_an_object_that_refuses_to_be_pickled_is_named_even_in_a_circle() -> None:
    class Stubborn(Holder):
        def __reduce__(self) -> Any:
            raise TypeError("not me")

    holder = Holder(inner=Stubborn())
    holder.inner.back = holder
    with pytest.raises(PipelineError, match=r"inner, a Stubborn, can't be pickled \(not me\)"):
        payload.dump(holder)


def test_a_function_whose_variable_has_no_value_yet_can_be_blamed() -> None:
    text = """
def make():
    def f(sample, rng):
        return guard, later
    guard = threading.Lock()
    if False:
        later = 1
    return f
f = make()
"""
    with pytest.raises(PipelineError, match=r"\(variable guard\), a lock"):
        payload.dump(script(text)["f"])
