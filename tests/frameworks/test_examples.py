"""The examples run as a user runs them, and learn."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


def last_val_accuracy(output: str) -> float:
    found = re.findall(r"val_accuracy: ([0-9.]+)", output)
    assert found, output
    return float(found[-1])


@pytest.mark.time_limit(200)
def test_the_digits_are_learned_to_97_percent(run_script, tmp_path) -> None:
    result = run_script(EXAMPLES / "digits.py", "--data", tmp_path / "digits", timeout=180)
    assert result.returncode == 0, result.stderr
    assert last_val_accuracy(result.stdout) >= 0.97
    assert "verdict" in result.stdout.lower()
    assert len(list((tmp_path / "digits").glob("*/*/*.npy"))) == 1797


@pytest.mark.time_limit(200)
def test_the_digits_are_learned_without_workers_too(run_script) -> None:
    result = run_script(EXAMPLES / "digits.py", "--workers", 0, "--epochs", 2, timeout=180)
    assert result.returncode == 0, result.stderr
    assert last_val_accuracy(result.stdout) >= 0.9
    assert "verdict" in result.stdout.lower()


@pytest.mark.time_limit(200)
def test_one_large_file_is_learned_from(run_script) -> None:
    result = run_script(EXAMPLES / "one_large_file.py", timeout=180)
    assert result.returncode == 0, result.stderr
    assert last_val_accuracy(result.stdout) >= 0.97
    assert "verdict" in result.stdout.lower()
