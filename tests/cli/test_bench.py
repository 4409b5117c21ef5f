"""`loader bench` on real loaders, functions and models."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.commands import SCRIPT, interrupt, run, run_here


def test_a_slow_loader_is_said_to_limit_a_fast_function(tmp_path: Path) -> None:
    result = run("bench", "make_four", "--seconds", "0.4", "--model", f"{SCRIPT}:step_of_1_ms", "--json", "all.json", folder=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    found = json.loads((tmp_path / "all.json").read_text())
    loader, model, together = found["loader"], found["model"], found["together"]
    assert loader["samples_per_s"] < 600  # of at most 100 for each of 4 workers, and what lay ready
    assert model["samples_per_s"] > 1.5 * loader["samples_per_s"]
    assert together["samples_per_s"] < model["samples_per_s"]
    assert together["wait_ratio"] > 0.3
    assert loader["workers"] == together["workers"] == 4
    assert loader["bytes_per_s"] == pytest.approx(loader["samples_per_s"] * 12, rel=0.01)
    assert loader["batches_per_s"] == pytest.approx(loader["samples_per_s"] / 8, rel=0.01)
    assert found["first_batch_s"] > 0
    assert "the loader is the limit" in found["verdict"][0]
    assert found["verdict"][0] in result.stdout


def test_without_a_model_the_loader_alone_is_measured(tmp_path: Path) -> None:
    result = run("bench", "make_four", "--seconds", "0.2", "--json", "all.json", folder=tmp_path)
    assert result.returncode == 0, result.stderr
    found = json.loads((tmp_path / "all.json").read_text())
    assert found["loader"]["samples_per_s"] > 0
    assert found["model"] is found["together"] is None


def test_ctrl_c_keeps_what_was_measured(tmp_path: Path) -> None:
    arguments = ["--seconds", "0.1", "--model", f"{SCRIPT}:step_until_told", "--json", "all.json"]
    # The model alone is measured when the function has been called: the loader alone is done then.
    status, out, err = interrupt("bench", "make_four", *arguments, folder=tmp_path, when=lambda _: (tmp_path / "called").exists())
    assert (status, err) == (130, "")
    found = json.loads((tmp_path / "all.json").read_text())
    assert found["interrupted"] is True
    assert found["loader"]["samples_per_s"] > 0
    assert found["model"] is None
    assert "the loader alone makes" in out


def test_what_the_function_raises_is_shown_without_our_own_frames(tmp_path: Path) -> None:
    result = run("bench", "make_four", "--seconds", "0.1", "--model", f"{SCRIPT}:step_that_fails", folder=tmp_path)
    assert result.returncode == 1
    assert result.stderr.startswith("Traceback")
    assert result.stderr.endswith("ZeroDivisionError: made by the step\n")
    assert "loader/watch" not in result.stderr


@pytest.mark.parametrize(
    ("function", "words"), [("SOURCE", "it has no function 'SOURCE'"), ("make_nothing", "must return a compiled Keras model or a function")]
)
def test_a_function_that_returns_no_model_is_refused(function: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here("bench", f"{SCRIPT}:make", "--model", f"{SCRIPT}:{function}") == 2
    assert words in capsys.readouterr().err
