"""An error in a worker shows where in the user's code it was: file, line, and the line itself, also where the code has no file."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import ByteFiles, IterSource, Loader, MapSource, NpyArrays, SampleError, Source
from tests.conftest import script_environment

CODE = """\
import ctypes
import json
import numpy as np
from loader import Loader, NpyArrays, SampleError

class Step:
    def __init__(self, act):
        self.act = act

    def __call__(self, sample, rng):
        return [self.look(number) for number in sample]

    def look(self, number):
        if number == 4:
            self.act()  # by a method
        return number

def outer():
    def fail():
        raise ValueError("no")  # an inner function
    return fail

acts = {"raises": outer(), "divides": lambda: 1 / 0, "crashes": lambda: ctypes.string_at(0)}
traces = {}
for name, act in acts.items():
    with Loader(NpyArrays(np.arange(6)), 3, workers=2, transforms=[Step(act)]) as loader:
        try:
            list(loader)
        except SampleError as error:
            traces[name] = error.remote_traceback
open("traces.json", "w").write(json.dumps(traces))
"""
LINES = {"raises": ["self.act()", "raise ValueError"], "divides": ["self.act()", "acts ="], "crashes": ["self.act()", "acts ="]}


def script(folder: Path) -> list[str]:
    (folder / "train.py").write_text(CODE)
    return ["train.py", "-c", "not the code"]


def command(folder: Path) -> list[str]:
    return ["-W", "ignore", "-Bc", CODE, "-c", "not the code either"]


def cell(folder: Path) -> list[str]:
    run = "from IPython.core.interactiveshell import InteractiveShell\nInteractiveShell().run_cell(open('cell.txt').read())"
    (folder / "cell.txt").write_text(CODE)
    return ["-c", run]


@pytest.mark.parametrize(("place", "file"), [(script, "train.py"), (command, "<string>"), (cell, "ipython-input")])
def test_file_line_and_its_text_are_shown_for_code_of_a(place: Callable[[Path], list[str]], file: str, tmp_path: Path) -> None:
    arguments = place(tmp_path)
    (tmp_path / "empty").mkdir()
    environment = script_environment({"IPYTHONDIR": str(tmp_path / "empty")})
    result = subprocess.run([sys.executable, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
    traces = json.loads((tmp_path / "traces.json").read_text())
    for name, beginnings in LINES.items():
        shown = [(int(number), text) for path, number, text in re.findall(r'File "(.+)", line (\d+),? in .*\n +(.*)', traces[name]) if file in path]
        for beginning in beginnings:
            (number,) = {number for number, text in shown if text.startswith(beginning)}
            assert CODE.splitlines()[number - 1].strip().startswith(beginning)
        assert "dynamic-code" not in traces[name]


def inner(number: int) -> Any:
    raise KeyError(number)


def step(sample: Any, rng: np.random.Generator) -> Any:
    return inner(int(sample[0]))


def late(sample: Any, rng: np.random.Generator) -> Any:
    return inner(5) if int(sample[0]) == 5 else sample


def chained(sample: Any, rng: np.random.Generator) -> Any:
    try:
        return inner(0)
    except KeyError as error:
        raise ValueError("no") from error


class Items:
    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> Any:
        return inner(index)


def items() -> Any:
    yield inner(0)


FAILING: dict[str, tuple[Callable[[Path], Source], list[Any], list[str]]] = {
    "a decoder": (lambda folder: ByteFiles(folder, decode=lambda content: inner(0)), [], ["<lambda>", "inner"]),
    "an object": (lambda folder: MapSource(Items()), [], ["__getitem__", "inner"]),
    "a generator": (lambda folder: IterSource(items, length=3), [], ["items", "inner"]),
    "a transform": (lambda folder: NpyArrays(np.arange(8)), [step], ["step", "inner"]),
    "one that raises from another": (lambda folder: NpyArrays(np.arange(8)), [chained], ["chained", "inner", "chained"]),
    "a later sample": (lambda folder: NpyArrays(np.arange(8)), [late], ["late", "inner"]),
}


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("kind", FAILING)
def test_above_the_lines_of_the_user_stands_only_the_one_that_called_them(kind: str, workers: int, tmp_path: Path) -> None:
    make, transforms, names = FAILING[kind]
    (tmp_path / "a.bin").write_bytes(b"a")
    with Loader(make(tmp_path), 4, transforms=transforms, workers=workers, io_retries=0) as loader, pytest.raises(SampleError) as caught:
        list(loader)
    cause = caught.value.__cause__
    text = caught.value.remote_traceback if cause is None else "".join(traceback.format_exception(cause))
    found = re.findall(r'File "(.+)", line \d+, in (.+)', text)
    assert [name for path, name in found if "/loader/" not in path] == names
    assert len(found) == len(names) + 1
    assert "/loader/" in found[2 if kind == "one that raises from another" else 0][0]
