"""What travels beside what cloudpickle takes along."""

from __future__ import annotations

import fnmatch
import functools
import linecache
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import cloudpickle
import pytest

from loader.ipc.payload import arrival, payload
from loader.ipc.payload.pickler import pack

SCRIPT = """
class Step:
    def method(self):
        return [(lambda x: x / 0)(number) for number in range(3)]

    @property
    def half(self):
        return self.method()

    @classmethod
    def make(cls):
        return cls()

def outer(factor):
    def inner(x):
        return x * factor
    return inner

step = Step.make(), outer(3)
"""


@pytest.fixture
def script() -> Iterator[dict[str, Any]]:
    """Yield the globals of a script that lies nowhere."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(SCRIPT, "a cell", "exec"), namespace)
    linecache.cache["a cell"] = (len(SCRIPT), None, SCRIPT.splitlines(keepends=True), "a cell")
    yield namespace
    linecache.cache.pop("a cell", None)


def codes(code: CodeType) -> list[CodeType]:
    return [code, *(inner for part in code.co_consts if isinstance(part, CodeType) for inner in codes(part))]


def functions(made: Any) -> list[FunctionType]:
    step, inner = made
    kind = type(step)
    return [inner, kind.method, kind.make.__func__, vars(kind)["half"].fget]


def test_code_keeps_its_file_and_its_places(script: dict[str, Any]) -> None:
    before = functions(script["step"])
    packed = pack(script["step"])
    after = functions(pickle.loads(packed.pickled))
    assert packed.code_files == {"a cell"}
    for old, new in zip(before, after, strict=True):
        for one, other in zip(codes(old.__code__), codes(new.__code__), strict=True):
            assert other.co_filename == "a cell"
            assert list(other.co_lines()) == list(one.co_lines())
            if sys.version_info >= (3, 11):
                assert list(other.co_positions()) == list(one.co_positions())


def test_the_file_survives_whatever_cloudpickle_calls_it(script: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    given = cloudpickle.Pickler.dispatch_table
    nameless = {**given, CodeType: lambda code: given[CodeType](code.replace(co_filename="<dynamic-code>"))}
    monkeypatch.setattr(cloudpickle.Pickler, "dispatch_table", nameless)
    after = functions(pickle.loads(pack(script["step"]).pickled))
    assert {code.co_filename for function in after for code in codes(function.__code__)} == {"a cell"}


@pytest.fixture(autouse=True)
def started_from_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide that pytest-xdist starts its processes by `python -c`, and that other tests have remembered the text of that."""
    monkeypatch.setattr(sys, "orig_argv", ["python", "script.py"])
    monkeypatch.delitem(linecache.cache, "<string>", raising=False)


def test_the_text_of_code_without_a_file_is_found_and_remembered(script: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "file.py").write_text("x = 1\n")
    texts = payload.texts_without_file({"a cell", str(tmp_path / "file.py"), "unknown", "<string>"})
    assert texts == {"a cell": SCRIPT}
    linecache.cache.pop("a cell")
    arrival.remember_texts(texts)
    linecache.checkcache()
    assert linecache.getline("a cell", 4).strip().startswith("return [(lambda")


def test_text_that_is_very_long_stays() -> None:
    linecache.cache["made by a program"] = (10**6, None, ["x = 1\n"] * 10**5, "made by a program")
    assert payload.texts_without_file({"made by a program"}) == {}
    del linecache.cache["made by a program"]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["python", "-c", "code", "-c", "argument"], "code"),
        (["python", "-X", "dev", "-Ic", "code"], "code"),
        (["python", "-i"], ""),
        (["python", "-c"], ""),
    ],
)
def test_the_text_of_the_command_line_is_found(words: list[str], text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "orig_argv", words)
    monkeypatch.delattr(sys.modules["__main__"], "__file__", raising=False)
    assert payload.texts_without_file({"<string>"}) == ({"<string>": text} if text else {})
    monkeypatch.setattr(sys.modules["__main__"], "__file__", "script.py", raising=False)
    assert payload.texts_without_file({"<string>"}) == {}


class Numbers:
    """A dataset that caches its own method, as is often done."""

    def __init__(self) -> None:
        self.get = functools.lru_cache(maxsize=3)(self.get)  # type: ignore[method-assign]

    def get(self, index: int) -> int:
        return index + 1


def test_functions_under_lru_cache_travel_whatever_is_under_it() -> None:
    numbers, binary = pickle.loads(pack((Numbers(), functools.cache(functools.partial(int, base=2)))).pickled)
    assert (numbers.get(3), numbers.get(3), binary("11")) == (4, 4, 3)
    assert numbers.get.cache_info().hits == 1
    assert numbers.get.cache_parameters() == {"maxsize": 3, "typed": False}
    assert numbers.get.__wrapped__.__self__ is numbers


def test_a_cached_function_of_a_module_travels_by_its_name() -> None:
    assert pickle.loads(pack(fnmatch._compile_pattern).pickled) is fnmatch._compile_pattern  # the standard library has no public one
