"""The comparison with other loaders: what can be checked without them."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.peers import __main__ as command
from benchmarks.peers import report
from benchmarks.peers.ours import Ours
from benchmarks.workloads import Workload
from tests.conftest import ROOT

SMALL = Workload("small", 20, (3, 2), "float32", one_file=False, batch_size=4)


def figures(rate: float) -> dict[str, float]:
    return {"samples_per_s": rate, "cpu_s_per_gb": 1.5, "megabytes": 30.0, "first_batch_s": 0.25}


FOUND: dict[str, Any] = {
    "machine": "a machine",
    "versions": {"loader": "0.1.0", "dali": "2.4.0"},
    "tasks": {"vol32": {"loader": figures(6000), "dali": figures(2000)}, "mnist": {"loader": figures(9000), "dali": {"unsupported": "no reader"}}},
    "killed": {"loader": {"result": "goes on", "stall_ms": 9.4}, "dali": {"result": "no worker processes"}},
    "same_bits": {"loader": True, "dali": None},
}


def test_the_table_says_who_is_how_fast_and_what_was_not_measured() -> None:
    text = report.as_text(FOUND, command.PEERS)
    assert "| loader 0.1.0 | 6,000 | 9,000 |" in text
    assert "| DALI (CPU) 2.4.0 | 2,000 | – |" in text
    assert "| **3.0 ×** | – |" in text
    assert "| loader | goes on after 9 ms | yes |" in text


def test_batches_that_differ_end_the_benchmark() -> None:
    expected = {"dtype": "float32", "shape": [4, 3, 2], "checksum": 1, "means": [0.5]}
    command._compare("vol32", "dali", dict(expected), expected)
    for wrong in ({"checksum": 2}, {"means": [0.6]}, {"shape": [4, 6]}):
        with pytest.raises(SystemExit, match="dali"):
            command._compare("vol32", "dali", expected | wrong, expected)


def test_our_own_batches_come_for_ever_in_the_order_of_the_samples(tmp_path: Path) -> None:
    SMALL.write(tmp_path, lambda text: None)
    samples = np.stack([np.load(path) for path in sorted(SMALL.path(tmp_path).iterdir())])
    with Ours().batches(SMALL, tmp_path, 0, shuffle=False) as batches:
        got = np.concatenate([np.array(next(batches)) for _ in range(10)])
    assert (got == np.concatenate([samples, samples])).all()


def test_a_peer_that_is_not_installed_is_said_not_to_be_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)
    SMALL.write(tmp_path, lambda text: None)
    got = command._fresh(argparse.Namespace(data=tmp_path), peer="spdl", task="vol32", kind="batches", count=1)
    assert "spdl" in got["unsupported"]


def test_help_names_tasks_and_peers_and_unknown_ones_are_refused() -> None:
    ran = [subprocess.run([sys.executable, "-m", "benchmarks.peers", word], cwd=ROOT, capture_output=True, text=True) for word in ("-h", "vol33")]
    assert "vol32, img64, img224, mnist, jpeg" in " ".join(ran[0].stdout.split())
    assert "vol33" in ran[1].stderr
    assert ran[1].returncode == 1
