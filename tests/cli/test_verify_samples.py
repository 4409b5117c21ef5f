"""`loader inspect --verify SCRIPT:FUNCTION`: samples, made by source and transforms."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands import COMMAND, run, run_here
from tests.conftest import script_environment


def test_samples_that_training_would_stumble_over_are_named(tmp_path: Path) -> None:
    result = run("inspect", "broken_source", "--verify", "--jobs", "1", "--json", "--report", "bad.jsonl", folder=tmp_path)
    assert result.returncode == 1, result.stderr
    found = json.loads(result.stdout)
    assert [(bad["index"], bad["path"], bad["reason"].split(":")[0]) for bad in found["bad"]] == [(2, None, "TypeError"), (3, None, "ValueError")]
    assert (found["samples"], found["verified"]) == (5, 5)
    assert found["not finite"] == {"samples": 1, "nan": 3, "infinite": 0, "first": "sample 1"}
    assert [json.loads(line) for line in (tmp_path / "bad.jsonl").read_text().splitlines()] == found["bad"]


def test_what_a_transform_of_a_loader_raises_is_found(tmp_path: Path) -> None:
    result = run("inspect", "make_broken", "--verify", folder=tmp_path)
    assert result.returncode == 1, result.stderr
    assert result.stdout.startswith("sample 15: ArithmeticError: sample of all evil\n80 of 80 samples verified")


def found_in(script: str, function: str, folder: Path, jobs: int = 2) -> dict[str, Any]:
    """Verify what a function of a script makes; return what was printed."""
    (folder / "deadly.py").write_text(script)
    words = [*COMMAND, "inspect", "--verify", f"deadly.py:{function}", "--jobs", str(jobs), "--json"]
    result = subprocess.run(words, cwd=folder, env=script_environment(None), capture_output=True, text=True, timeout=90)
    skipped = "NpyFiles: skipped "  # the script, and perhaps what is compiled of it
    assert (result.returncode, [line for line in result.stderr.splitlines() if not line.startswith(skipped)]) == (1, [])
    found: dict[str, Any] = json.loads(result.stdout)
    return found


DEADLY = """
import ctypes, os, signal, time
import numpy as np
from loader import Loader, NpyArrays

def crash(sample, rng):
    ctypes.string_at(0)

def die(sample, rng):
    os.kill(os.getpid(), signal.SIGKILL)

def hang(sample, rng):
    while True:
        time.sleep(1)

def ask_for_too_much(sample, rng):
    return (np.ones(10**13),)

def at(bad, function):
    return lambda sample, rng: function(sample, rng) if int(sample[0]) in bad else sample

def loader(bad, function, samples=200):
    return Loader(NpyArrays(np.arange(samples)), 8, transforms=[at(bad, function)], workers=0, sample_timeout_s=1.0)

def some_crash(): return loader({0, 7, 150}, crash)
def all_kill(): return loader(range(8), die, 8)
def one_hangs(): return loader({2}, hang)
def one_asks_for_too_much(): return loader({2}, ask_for_too_much)
"""


@pytest.mark.parametrize(
    ("function", "indices", "words"),
    [
        ("some_crash", [0, 7, 150], "SIGSEGV"),
        ("all_kill", list(range(8)), "SIGKILL"),
        ("one_hangs", [2], "no progress for 1 s"),
        ("one_asks_for_too_much", [2], "MemoryError"),
    ],
)
def test_samples_that_kill_or_hang_are_named_and_all_others_are_made(tmp_path: Path, function: str, indices: list[int], words: str) -> None:
    found = found_in(DEADLY, function, tmp_path)
    assert [bad["index"] for bad in found["bad"]] == indices
    assert all(words in bad["reason"] for bad in found["bad"])
    assert found["verified"] == found["samples"]


FIRST_IS_BAD = """
import numpy as np
from loader import MapSource, NpyFiles

def files():
    for number in range(6):
        np.save(f"{number}.npy", np.zeros(3 if number != 4 else 2))
    open("0.npy", "w").close()
    return NpyFiles(".")

class Own:
    def __len__(self):
        return 6

    def __getitem__(self, index):
        if index == 0:
            raise KeyError("the first")
        return np.zeros(3 if index != 4 else 2)

def own():
    return MapSource(Own())
"""


@pytest.mark.parametrize("function", ["files", "own"])
def test_where_the_first_sample_is_bad_only_bad_ones_are_named(tmp_path: Path, function: str) -> None:
    found = found_in(FIRST_IS_BAD, function, tmp_path, jobs=1)
    assert [bad["index"] for bad in found["bad"]] == [0, 4]


def test_where_a_sample_crashes_is_in_the_report(tmp_path: Path) -> None:
    assert "in crash" in found_in(DEADLY, "some_crash", tmp_path)["bad"][0]["traceback"]


def test_a_target_that_is_neither_path_nor_function_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here("inspect", "--verify", "no/such/folder") == 2
    assert "does not exist" in capsys.readouterr().err
    assert run_here("inspect", "train.py:make") == 2
    assert "needs --verify" in capsys.readouterr().err
