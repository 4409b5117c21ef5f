"""An error in a worker shows where in the user's code it was: file, line, and the line itself, also where the code has no file."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

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
