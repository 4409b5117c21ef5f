"""A loader works wherever Python runs: scripts without a main guard, lambdas, classes of the script, -c, -m, an interactive session."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import script_environment

CHECK = """
assert [x.tolist() for (x,) in loader] == [[0, 10, 20], [30, 40]], "wrong batches"
assert [x.tolist() for (x,) in loader] == [[0, 10, 20], [30, 40]], "wrong second epoch"
loader.close()
print("as it should be")
"""
START = """
import numpy as np
from loader import Loader, MapSource, NpyArrays, PipelineError
print("the script runs")
"""


def ok(result: subprocess.CompletedProcess[str]) -> None:
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("as it should be") == 1, result.stdout + result.stderr
    assert not result.stderr, result.stderr


PIPELINES = {
    "a lambda": "loader = Loader(NpyArrays(np.arange(5)), 3, workers=2, transforms=[lambda sample, rng: sample[0] * 10])",
    "a closure": """
def times(factor):
    def multiply(sample, rng):
        return (sample[0] * factor,)
    return multiply

loader = Loader(NpyArrays(np.arange(5)), 3, workers=2, transforms=[times(10)])
""",
    "a function with globals of the script": """
import math
TEN = 10
def tenfold(number):
    return number * math.floor(TEN + 0.5)
def transform(sample, rng):
    return (tenfold(sample[0]),)

loader = Loader(NpyArrays(np.arange(5)), 3, workers=2, transforms=[transform])
""",
    "classes of the script": """
from dataclasses import dataclass
from loader import Source

class Numbers(Source):
    def __init__(self, count):
        super().__init__()
        self.count = count
    def __len__(self):
        return self.count
    def sample(self, index):
        return (np.int64(index),)

@dataclass
class Times:
    factor: int
    def __call__(self, sample, rng):
        return (sample[0] * self.factor,)

loader = Loader(Numbers(5), 3, workers=2, transforms=[Times(10)])
""",
    "a list-like class of the script": """
class Tens:
    def __len__(self):
        return 5
    def __getitem__(self, index):
        return np.int64(10 * index)

loader = Loader(MapSource(Tens()), 3, workers=2)
""",
    "functions and properties that functools has wrapped": """
import functools
@functools.lru_cache(maxsize=2)
def power(of):
    return 1 if of == 0 else 10 * power(of - 1)
@functools.singledispatch
def number(value):
    return 0
@number.register
def _(value: np.integer):
    return int(value)
class Times:
    @functools.cached_property
    def factor(self):
        return power(1)
    @functools.singledispatchmethod
    def __call__(self, sample, rng):
        return (np.int64(number(sample[0]) * self.factor),)
assert number(np.int64(1)) == 1 and power.cache_info().currsize == 0
loader = Loader(NpyArrays(np.arange(5)), 3, workers=2, transforms=[Times()])
""",
    "a bound method and a partial": """
import functools
class Shift:
    def __init__(self, by):
        self.by = by
    def add(self, sample, rng):
        return (sample[0] + self.by,)
def multiply(factor, sample, rng):
    return (sample[0] * factor,)

loader = Loader(NpyArrays(np.arange(5)), 3, workers=2, transforms=[Shift(1).add, functools.partial(multiply, 10), Shift(-10).add])
""",
}


@pytest.mark.parametrize("pipeline", PIPELINES.values(), ids=PIPELINES)
def test_a_script_needs_no_main_guard(pipeline: str, run_script: Any) -> None:
    result = run_script(START + pipeline + CHECK)
    ok(result)
    assert result.stdout.count("the script runs") == 1


def python(*arguments: str, folder: Path, text: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, input=text, cwd=folder, env=script_environment(None), capture_output=True, text=True, timeout=60, check=False)


def test_it_works_from_the_command_line(tmp_path: Path) -> None:
    ok(python("-c", START + PIPELINES["a closure"] + CHECK, folder=tmp_path))


def test_it_works_in_an_interactive_session(tmp_path: Path) -> None:
    lines = [*START.splitlines(), "class Tens:", "    def __call__(self, sample, rng):", "        return sample[0] * 10", ""]
    lines += ["loader = Loader(NpyArrays(np.arange(5)), 3, workers=2, transforms=[Tens()])", *CHECK.splitlines()]
    result = python("-i", "-q", folder=tmp_path, text="\n".join(lines) + "\n")
    assert result.stdout.count("as it should be") == 1, result.stdout + result.stderr
    assert "Error" not in result.stderr


def test_it_works_from_standard_input(tmp_path: Path) -> None:
    ok(python("-", folder=tmp_path, text=START + PIPELINES["classes of the script"] + CHECK))


def test_a_transform_may_come_from_a_module_beside_the_script(tmp_path: Path, run_script: Any) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "sibling.py").write_text("FACTOR = 10\ndef tenfold(sample, rng):\n    return (sample[0] * FACTOR,)\n")
    (folder / "json.py").write_text("raise ImportError('a module of the user that is called like one of Python')\n")
    script = folder / "train.py"
    start = START.replace("import numpy", "import sys; here = sys.path.pop(0); import numpy", 1)
    sibling = "sys.path.append(here)\nimport sibling\nloader = Loader(NpyArrays(np.arange(5)), 3, workers=2, transforms=[sibling.tenfold])\n"
    script.write_text(start + sibling + CHECK)
    ok(run_script(script))


def test_it_works_as_a_module_of_a_package(tmp_path: Path) -> None:
    package = tmp_path / "project"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "steps.py").write_text("def tenfold(sample, rng):\n    return (sample[0] * 10,)\n")
    make = "from .steps import tenfold\nloader = Loader(NpyArrays(np.arange(5)), 3, workers=2, transforms=[tenfold])\n"
    (package / "train.py").write_text(START + make + CHECK)
    ok(python("-m", "project.train", folder=tmp_path))


def test_whatever_lies_in_the_search_path_does_no_harm(run_script: Any) -> None:
    odd = "import sys, pathlib\nsys.path.insert(0, pathlib.Path('.'))\nsys.path.append('')\nsys.path.append('/no/such/folder')\n"
    ok(run_script(odd + START + PIPELINES["a lambda"] + CHECK))


CAN_NOT_TRAVEL = {
    "a lock in an attribute": (
        """
class Guarded:
    def __init__(self):
        self.inner = {"lock": threading.Lock()}
    def __call__(self, sample, rng):
        return sample
step = Guarded()
""",
        "transforms[0].inner['lock'], a lock,",
    ),
    "a lock in a closure": (
        """
def guarded(guard):
    def run(sample, rng):
        with guard:
            return sample
    return run
step = guarded(threading.Lock())
""",
        "transforms[0] (variable guard), a lock,",
    ),
    "a lock in a global": (
        "guard = threading.Lock()\ndef step(sample, rng):\n    with guard:\n        return sample",
        "transforms[0] (global guard), a lock,",
    ),
    "an open file": ("file = open('log', 'w')\ndef step(sample, rng):\n    return file.read()", "transforms[0] (global file), a TextIOWrapper,"),
    "a generator in a partial": ("import functools\nstep = functools.partial(print, (i for i in range(3)))", "transforms[0].args[0], a generator,"),
}


def test_what_can_not_travel_is_named_at_once(run_script: Any) -> None:
    attempt = "\ntry:\n    Loader(NpyArrays(np.arange(5)), 3, workers=1, transforms=[step])\nexcept PipelineError as error:\n    print(error)\n"
    scripts = "".join(f"{script}{attempt}print('---')\n" for script, _ in CAN_NOT_TRAVEL.values())
    result = run_script("import threading\n" + START + scripts)
    assert result.returncode == 0, result.stderr
    for said, (_, named) in zip(result.stdout.split("---")[:-1], CAN_NOT_TRAVEL.values(), strict=True):
        assert named in said
        assert "What to do" in said


def test_what_is_looked_up_in_the_script_by_its_name_is_told_from_a_module_that_is_missing(run_script: Any) -> None:
    script = """
class Wrapped:
    def __reduce__(self):
        return "step"
    def __call__(self, sample, rng):
        return sample
step = Wrapped()
try:
    Loader(NpyArrays(np.arange(5)), 3, workers=1, transforms=[step]).spec
except PipelineError as error:
    print(error)
"""
    said = run_script(START + script).stdout
    assert "Likely cause: a library has wrapped a function or class of the script, and looks it up by its name. What to do: move it" in said


def test_what_can_not_travel_works_without_a_pool(run_script: Any) -> None:
    script = CAN_NOT_TRAVEL["a lock in a global"][0].replace("return sample", "return sample[0] * 10")
    ok(run_script("import threading\n" + START + script + "\nloader = Loader(NpyArrays(np.arange(5)), 3, workers=0, transforms=[step])" + CHECK))


NO_CLOSE = "iterator = iter(loader)\nnext(iterator)\nprint('as it should be')\n"


@pytest.mark.parametrize("end", ["", "raise SystemExit(0)", "import os; print(end='', flush=True); os._exit(0)", "loader.close()"])
def test_a_script_may_end_without_closing_anything(end: str, run_script: Any) -> None:
    ok(run_script(START + PIPELINES["a closure"] + NO_CLOSE + end))


def test_a_script_that_fails_shows_its_own_traceback_only(run_script: Any) -> None:
    result = run_script(START + PIPELINES["a closure"] + NO_CLOSE + "raise ValueError('the user did this')")
    assert result.returncode == 1
    assert result.stderr.count("Traceback") == 1
    assert result.stderr.rstrip().endswith("ValueError: the user did this")
