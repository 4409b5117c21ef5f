"""A script that imports TensorFlow costs the supervisor and the workers nothing: they hold no framework, and no GPU."""

from __future__ import annotations

import importlib.util
import json
from typing import Any

import pytest

SCRIPT = """
import json, os, sys
import tensorflow as tf
import numpy as np
from loader import Loader, NpyArrays

assert "tensorflow" in sys.modules
tf.constant(1) + 1
SHIFT = 3

def shift(sample, rng):
    return sample[0] + SHIFT

with Loader(NpyArrays(np.arange(100.0)), 8, workers=2, transforms=[shift]) as loader:
    assert sum(len(x) for (x,) in loader) == 100
    workers = [worker.pid for worker in loader.stats().workers]
    supervisor = int(next(line.split()[1] for line in open(f"/proc/{workers[0]}/status") if line.startswith("PPid")))
    told = {}
    for pid in [os.getpid(), supervisor, *workers]:
        mapped = {line.split(None, 5)[-1].strip() for line in open(f"/proc/{pid}/maps")}
        environment = open(f"/proc/{pid}/environ").read().split(chr(0))
        told[pid] = [sorted(path for path in mapped if "tensorflow" in path or "keras" in path), "CUDA_VISIBLE_DEVICES=" in environment]
print(json.dumps(list(told.values())))
"""


@pytest.mark.skipif(importlib.util.find_spec("tensorflow") is None, reason="TensorFlow is not installed")
def test_supervisor_and_workers_do_not_hold_tensorflow(run_script: Any) -> None:
    result = run_script(SCRIPT, timeout=100)
    assert result.returncode == 0, result.stderr
    (trainers, _), *others = json.loads(result.stdout.splitlines()[-1])
    assert trainers
    assert len(others) == 3
    for mapped, without_gpu in others:
        assert not mapped
        assert without_gpu
