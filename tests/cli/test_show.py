"""`loader show` as it is typed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.commands import run_here
from tests.conftest import script_environment
from tests.processes import wait_until

SCRIPT = """
import time
import numpy as np
from loader import Loader, MapSource, NpyArrays
from loader import transforms as T

def make(**settings):
    return Loader(NpyArrays(np.zeros((30, 8, 8, 3), "u1"), np.arange(30)), 4, **{"workers": 0, "name": "train", **settings})

def with_workers():
    return make(workers=2, transforms=[T.Noise(30)])

def alone():
    return make(transforms=[T.Noise(30)])

def source():
    return make().source

def broken():
    return make(transforms=[lambda sample, rng: (sample[0], 1 // (int(sample[1]) - 3))])

def broken_source():
    return MapSource([np.zeros(8), "text"])

def slow():
    open("started", "w").close()
    time.sleep(100)

def nothing():
    pass
"""


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (tmp_path / "shown_script.py").write_text(SCRIPT)
    monkeypatch.chdir(tmp_path)
    yield "shown_script.py"
    sys.modules.pop("shown_script", None)


def test_a_picture_is_written_and_told_in_words(script: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "loader", "show", f"{script}:with_workers", "--samples", "3", "--epochs", "2", "--png", "out.png"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=90, cwd=tmp_path, env=script_environment(None))
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("train: 3 of 30 samples, in 2 epochs\nx: uint8 (8, 8, 3), 0 to ")
    assert result.stdout.endswith("\ny: int64 (), 0 to 2, mean 1\nThe picture is in out.png.\n")
    assert run_here("show", f"{script}:alone", "--samples", 3, "--epochs", 2, "--png", "alone.png") == 0
    np.testing.assert_array_equal(np.asarray(Image.open("out.png")), np.asarray(Image.open("alone.png")))


def test_without_a_name_the_picture_has_one_of_its_own(script: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here("show", f"{script}:alone") == 0
    assert capsys.readouterr().out.endswith("The picture is in loader-show.png.\n")
    assert Image.open("loader-show.png").format == "PNG"


def test_programs_get_json_and_no_picture_unless_they_ask(script: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here("show", f"{script}:alone", "--json", "--samples", 2) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["name"], found["png"], [field["name"] for field in found["fields"]]) == ("train", None, ["x", "y"])
    assert not list(Path().glob("*.png"))
    assert run_here("show", f"{script}:alone", "--json", "--png", "out.png") == 0
    assert json.loads(capsys.readouterr().out)["png"] == "out.png"
    assert Path("out.png").exists()


def test_a_source_and_a_folder_of_pictures_of_several_sizes_are_shown(script: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here("show", f"{script}:source", "--samples", 4, "--json") == 0
    assert [sample["index"] for sample in json.loads(capsys.readouterr().out)["samples"]] == [0, 9, 19, 29]
    for number in range(6):
        Path("photos", "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((20 + number, 30, 3), 40 * number, "u1")).save(f"photos/{'ab'[number % 2]}/{number}.png")
    assert run_here("show", "photos") == 0
    shown = capsys.readouterr().out
    assert "photos: 6 of 6 samples\nx: uint8 of several shapes, 0 to 200, mean 10" in shown
    assert "y: int32 (), 0 to 1, mean 0.5\n" in shown


@pytest.mark.parametrize(
    ("function", "options", "status", "words"),
    [
        ("gone", [], 2, "it has no function 'gone'"),
        ("nothing", [], 2, "returned None; it must return a Loader or a source"),
        ("alone", ["--samples", 0], 2, "0 is not in the range"),
        ("source", ["--epochs", 2], 2, "the same in every epoch"),
        ("alone", ["--png", "no/such/folder.png"], 1, "there is no folder 'no/such'"),
        ("broken", [], 1, "sample 3"),
        ("broken_source", [], 1, "sample 1"),
    ],
)
def test_what_can_not_be_shown_is_told(
    script: str, function: str, options: list[object], status: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_here("show", f"{script}:{function}", *options) == status
    assert words in capsys.readouterr().err


def test_control_c_ends_it_with_one_word(script: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "loader", "show", f"{script}:slow"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=script_environment(None))
    wait_until(lambda: Path("started").exists() or process.poll() is not None, "the script runs", 60)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (130, "Interrupted.\n")
