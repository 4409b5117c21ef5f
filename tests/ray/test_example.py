"""The example runs as a user runs it, on a cluster that is there."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT


@pytest.mark.thorough
@pytest.mark.time_limit(200)
def test_a_cluster_makes_most_of_the_samples(ray_address: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_ADDRESS": ray_address}
    result = subprocess.run(
        [sys.executable, ROOT / "examples" / "ray_workers.py", "--max", "2"], capture_output=True, text=True, env=environment, timeout=180
    )
    assert result.returncode == 0, result.stderr
    assert "one is started" not in result.stdout
    assert int(re.findall(r"with (\d+) workers", result.stdout)[-1]) > 2
