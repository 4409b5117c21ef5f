"""The examples for PyTorch run as a user runs them, where it is imported already, and learn."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent.parent / "examples"

# Looked for, not imported: the framework stays out of the tests' own process.
pytestmark = [pytest.mark.torch, pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")]


@pytest.mark.time_limit(200)
@pytest.mark.parametrize("zygote", ["torch"], indirect=True)
def test_a_dataset_of_pytorch_is_learned_in_a_plain_loop(forked_script) -> None:
    result = forked_script(EXAMPLES / "torch_dataset.py", "--samples", 2500, timeout=180)
    assert result.returncode == 0, result.stderr
    found = re.findall(r"val_accuracy: ([0-9.]+)", result.stdout)
    assert len(found) == 3, result.stdout
    assert float(found[-1]) >= 0.85
    assert "Warning" not in result.stderr  # as from_numpy gives for an array that can't be written to
