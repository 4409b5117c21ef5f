"""A few seconds of the soak (`make soak` runs half an hour): workers are killed and stopped, files fail, and every batch is compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.thorough
@pytest.mark.time_limit(90)
def test_a_short_soak_finds_nothing_wrong(run_script: Any, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    program = f"from benchmarks.soak import main\nraise SystemExit(main(['--minutes', '0.05', '--json', {str(report)!r}]))"
    result = run_script(program, timeout=80)
    assert result.returncode == 0, result.stdout + result.stderr
    told = json.loads(report.read_text())
    assert told["differences"] == 0
    assert told["kills"] > 3
    assert told["batches"] > 50
