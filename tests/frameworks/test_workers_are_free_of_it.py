"""A script that imports TensorFlow costs the supervisor and the workers nothing: they hold no framework, and no GPU."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

SCRIPT = """
import json, sys
import tensorflow as tf

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


@pytest.mark.parametrize("keras_script", ["tensorflow"], indirect=True)
def test_supervisor_and_workers_do_not_hold_tensorflow(keras_script: Callable[..., str]) -> None:
    (trainers, _), *others = json.loads(keras_script(SCRIPT).splitlines()[-1])
    assert trainers
    assert len(others) == 3
    for mapped, without_gpu in others:
        assert not mapped
        assert without_gpu
