"""`loader tune` on real loaders."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from tests.cli.commands import SCRIPT, interrupt, run, run_here

BRIEF = ["--seconds", "0.1", "--rounds", "1", "--slots", "2"]
PNG = b"\x89PNG\r\n\x1a\n"


def test_more_workers_are_seen_to_help_and_are_recommended(tmp_path: Path) -> None:
    result = run("tune", "make", *BRIEF, "--workers", "0,1,6", "--json", "all.json", "--png", "curve.png", folder=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    found = json.loads((tmp_path / "all.json").read_text())
    rates = {point["workers"]: point["samples_per_s"] for point in found["points"]}
    assert set(rates) == {0, 1, 6}
    assert rates[6] > 1.5 * rates[1] > 0
    assert found["recommended"] in found["points"]
    assert found["recommended"]["workers"] == 6
    assert found["interrupted"] is False
    assert all(point["memory_bytes"] > 2**20 for point in found["points"] if point["workers"])
    assert f"take workers=6, slots={found['recommended']['slots']}: {found['reason']}" in result.stdout
    assert (tmp_path / "curve.png").read_bytes().startswith(PNG)


def test_max_workers_bounds_the_search_and_a_known_step_needs_no_more_than_keep_up(tmp_path: Path) -> None:
    result = run("tune", "make_small", *BRIEF, "--step-ms", "4000", "--json", "all.json", folder=tmp_path)  # 2 samples/s
    assert result.returncode == 0, result.stderr
    assert {point["workers"] for point in json.loads((tmp_path / "all.json").read_text())["points"]} == {1, 2}
    assert "take workers=1" in result.stdout


def test_bad_samples_are_substituted_and_the_report_of_training_is_left_alone(tmp_path: Path) -> None:
    result = run("tune", "make_substituting", *BRIEF, "--workers", "1", folder=tmp_path)
    assert result.returncode == 0, result.stderr
    assert not (tmp_path / "bad.jsonl").exists() or (tmp_path / "bad.jsonl").read_text() == ""


@pytest.mark.cold  # it counts the processes that the command starts
def test_ctrl_c_keeps_what_was_measured(tmp_path: Path) -> None:
    arguments = ["--workers", "1,2", "--rounds", "500", "--seconds", "0.1", "--json", "all.json", "--png", "curve.png"]
    # The first loader is the script's own, which may be gone before it is seen; with the third one, a second round begins.
    status, out, err = interrupt("tune", "make", *arguments, folder=tmp_path, when=lambda loaders: loaders >= 3)
    assert (status, err) == (130, "")
    found = json.loads((tmp_path / "all.json").read_text())
    assert found["interrupted"] is True
    assert {point["workers"] for point in found["points"]} == {1, 2}
    assert "stopped after" in out
    assert "take workers=" in out
    assert (tmp_path / "curve.png").read_bytes().startswith(PNG)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["x.py"], "SCRIPT:FUNCTION"),
        (["x.py:make"], "there is no file 'x.py'"),
        ([f"{SCRIPT}:mk"], "it has broken, broken_source, make,"),
        ([f"{SCRIPT}:make_nothing"], "returned None; it must return a Loader"),
        ([f"{SCRIPT}:make", "--workers", "two"], "give whole numbers"),
        ([f"{SCRIPT}:make", "--workers", ""], "give whole numbers"),
        ([f"{SCRIPT}:make", "--workers=-1"], "0 or more"),
        ([f"{SCRIPT}:make", "--slots", "1"], "2 or more"),
        ([f"{SCRIPT}:make", "--rounds", "0"], "x>=1"),
    ],
)
def test_nonsense_is_refused_in_words(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here("tune", *arguments) == 2
    assert words in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_a_file_that_cant_be_written_is_told_before_anything_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here("tune", f"{SCRIPT}:make", "--json", str(tmp_path / "no" / "all.json")) == 1
    assert "there is no folder" in capsys.readouterr().err


def test_a_picture_without_matplotlib_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.delitem(sys.modules, "loader.watch.tune.plot", raising=False)
    assert run_here("tune", f"{SCRIPT}:make", "--png", "curve.png") == 1
    assert capsys.readouterr().err == "loader tune: --png needs matplotlib: pip install matplotlib\n"


@pytest.mark.parametrize(("function", "last"), [("raises", "ZeroDivisionError: made by the script"), ("not_found", "no/such/folder")])
def test_what_the_script_raises_is_shown_without_our_own_frames(function: str, last: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here("tune", f"{SCRIPT}:{function}") == 1
    shown = capsys.readouterr().err
    assert shown.startswith("Traceback")
    assert f"in {function}\n" in shown
    assert last in shown.splitlines()[-1]
    assert f"{os.sep}loader{os.sep}watch" not in shown
    assert f"{os.sep}loader{os.sep}data" not in shown


def test_a_script_that_is_no_python_is_shown_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "spoilt.py").write_text("def make(:\n")
    assert run_here("tune", f"{tmp_path / 'spoilt.py'}:make") == 1
    assert "spoilt.py" in (shown := capsys.readouterr().err)
    assert "SyntaxError" in shown


def test_a_bad_sample_is_named(tmp_path: Path) -> None:
    result = run("tune", "make_broken", *BRIEF, "--workers", "1", folder=tmp_path)
    assert result.returncode == 1
    assert result.stderr.startswith("loader tune: sample 15: ArithmeticError: sample of all evil")
