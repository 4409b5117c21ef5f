"""`loader inspect --verify SCRIPT:FUNCTION`: samples, made by source and transforms."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.commands import run, run_here


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


def test_a_target_that_is_neither_path_nor_function_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here("inspect", "--verify", "no/such/folder") == 2
    assert "does not exist" in capsys.readouterr().err
    assert run_here("inspect", "train.py:make") == 2
    assert "needs --verify" in capsys.readouterr().err
