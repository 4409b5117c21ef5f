"""`loader describe` as it is typed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from loader import Statistics
from tests.cli.commands import run_here
from tests.servers.fronts import Front


def test_pictures_of_several_sizes_are_described_as_numpy_would(tmp_path: Path) -> None:
    pixels = []
    for number in range(6):
        picture = np.random.default_rng(number).integers(0, 256, (5 + number % 2, 7, 3), "u1")
        folder = tmp_path / "photos" / ("cat" if number < 4 else "dog")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(folder / f"{number}.png")
        pixels.append(picture.reshape(-1, 3))
    command = [sys.executable, "-m", "loader", "describe", str(tmp_path / "photos"), "--json"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=90)
    assert result.returncode == 0, result.stderr
    found = Statistics.from_dict(json.loads(result.stdout))
    assert (found.samples, found["x"].shapes, found["y"].labels) == (6, {(5, 7, 3): 3, (6, 7, 3): 3}, {0: 4, 1: 2})
    np.testing.assert_allclose(found["x"].mean, np.concatenate(pixels).mean(0), rtol=1e-15)
    np.testing.assert_allclose(found["x"].std, np.concatenate(pixels).std(0), rtol=1e-12)


def test_the_samples_of_a_loader_are_described_behind_its_transforms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "described_script.py").write_text(
        "import numpy as np\n"
        "from loader import Loader, NpyArrays\n"
        "from loader import transforms as T\n"
        "def make():\n"
        "    return Loader(NpyArrays(np.arange(8.0)), 2, transforms=[T.Rescale(2)], workers=0)\n"
        "def nothing(): pass\n"
    )
    assert run_here("describe", f"{tmp_path / 'described_script.py'}:make", "--jobs", 0) == 0
    printed = capsys.readouterr().out
    assert "8 samples\nx: float32 ()\n" in printed
    assert printed.splitlines()[3].split() == ["8", "7", "4.58258", "0", "14", "0", "0"]


@pytest.mark.parametrize(
    ("target", "words"), [("gone", "does not exist"), (f"{__file__}:gone", "it has no function"), ("gone.py:f", "there is no file")]
)
def test_what_can_not_be_described_is_told(target: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here("describe", target) == 2
    assert words in capsys.readouterr().err


def test_a_bad_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(4):
        np.save(tmp_path / f"{number}.npy", np.zeros((2, 3)))
    (tmp_path / "2.npy").write_bytes(b"nonsense")
    assert run_here("describe", str(tmp_path), "--jobs", 0) == 1
    assert "2.npy" in capsys.readouterr().err


def test_a_report_is_written_to_a_file_or_a_url(tmp_path: Path, front: Callable[..., Front], capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "x.npy", np.arange(6.0))
    (tmp_path / "bucket").mkdir()
    for place in (str(tmp_path / "bucket" / "one.json"), f"{front(tmp_path / 'bucket').endpoint}/other.json"):
        assert run_here("describe", str(tmp_path / "x.npy"), "--jobs", 0, "--json", "--report", place) == 0
        written = (tmp_path / "bucket" / place.rpartition("/")[2]).read_text()
        assert written == capsys.readouterr().out
        assert Statistics.from_dict(json.loads(written)).samples == 6
    assert run_here("describe", str(tmp_path / "x.npy"), "--report", str(tmp_path / "none" / "one.json")) == 1
    assert "No such file" in capsys.readouterr().err
