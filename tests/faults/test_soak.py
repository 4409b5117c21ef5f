"""A few seconds of the soak (`make soak` runs half an hour): workers are killed and stopped, files fail, and every batch is compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.thorough
@pytest.mark.time_limit(90)
@pytest.mark.parametrize("readers", [0, 2])
def test_a_short_soak_finds_nothing_wrong(run_script: Any, tmp_path: Path, readers: int) -> None:
    report = tmp_path / "report.json"
    arguments = ["--minutes", "0.05", "--json", str(report), "--readers", str(readers)]
    program = f"from benchmarks.soak import main\nraise SystemExit(main({arguments!r}))"
    result = run_script(program, timeout=80)
    assert result.returncode == 0, result.stdout + result.stderr
    told = json.loads(report.read_text())
    assert told["differences"] == 0
    assert sum(told["harms"].values()) > 0
    assert told["batches"] > 50
    assert (told["read"] > 0) == bool(readers)
