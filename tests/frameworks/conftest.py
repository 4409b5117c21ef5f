"""Scripts that train, run in a process that holds one framework, for each framework that is installed."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import select
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import kill_with_stacks
from tests.frameworks.forks import Zygote

on_jax = pytest.mark.parametrize("zygote", ["jax"], indirect=True)
_TENSORFLOW, _JAX, _TORCH = pytest.param("tensorflow"), pytest.param("jax"), pytest.param("torch", marks=pytest.mark.torch)
# Most of what is shown on TensorFlow is the same work of ours on JAX and PyTorch.
BACKENDS = [_TENSORFLOW, pytest.param("jax", marks=pytest.mark.thorough), pytest.param("torch", marks=[pytest.mark.torch, pytest.mark.thorough])]
# For what Keras' trainers differ in: how they take batches, how many they hold, when they let go of them.
on_each_backend = pytest.mark.parametrize("keras_script", [_TENSORFLOW, _JAX, _TORCH], indirect=True)

PREAMBLE = """
import gc, os, re, warnings
import numpy as np
import keras
from loader import Loader, MapSource, NpyArrays, NpyFiles, ConfigError, transforms as T

BACKEND = keras.backend.backend()
ALIVE = {"tensorflow": 1, "jax": 2, "torch": 8}[BACKEND]  # batches that fit holds at a time

def no_warnings():
    "Make errors of what Keras and the loader say; NumPy's own deprecations are theirs to mend."
    warnings.simplefilter("error", UserWarning)
    warnings.simplefilter("error", RuntimeWarning)

def separable(n=320, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 6)).astype("float32")
    return x, (x[:, 0] > 0).astype("int32")

def classifier(inputs=True, **compile_more):
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.layers.Input((6,))] * inputs + [keras.layers.Dense(2)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.05), loss, metrics=["accuracy"], **compile_more)
    return model

def assert_same_weights(one, other):
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)

def keras_batches(loader):
    "What Keras' trainer of this backend iterates over."
    return {"tensorflow": loader.get_tf_dataset, "jax": loader.get_jax_iterator, "torch": loader.get_torch_dataloader}[BACKEND]()

def in_arena(address):
    for line in open("/proc/self/maps"):
        if "memfd:loader:arena" in line:
            start, end = (int(part, 16) for part in line.split()[0].split("-"))
            if start <= address < end:
                return True
    return False

class Batches(keras.callbacks.Callback):
    "Counts steps by epoch, and the slots that were in use."
    def __init__(self, loader=None):
        super().__init__()
        self.loader, self.steps, self.validations, self.lent = loader, [], 0, []
    def on_epoch_begin(self, epoch, logs=None):
        self.steps.append(0)
    def on_train_batch_end(self, batch, logs=None):
        self.steps[-1] += 1
        if self.loader is not None:
            self.lent.append(self.loader.stats().slots.lent)
    def on_test_batch_end(self, batch, logs=None):
        self.validations += 1
"""


class Session:
    """A process that runs one script after the other, and is replaced when one of them kills or hangs it."""

    def __init__(self, zygote: Zygote) -> None:
        self._zygote = zygote
        self._folder = folder = zygote.folder
        self._runs = 0
        self._output = folder / "output"
        self._start()

    def _start(self) -> None:
        read, self._orders = os.pipe()
        self._answers, write = os.pipe()
        with self._output.open("wb") as output:
            script = str(Path(__file__).with_name("session.py"))
            self._process = self._zygote.fork([script], self._folder, [read, output.fileno(), output.fileno(), write])
        os.close(read)
        os.close(write)

    def run(self, script: str, timeout: float = 90.0) -> str:
        """Run a script after `PREAMBLE`; return what it printed. Fails the test with its traceback, or with all stacks after `timeout` seconds."""
        if self._process.poll() is not None:
            self.close()
            self._start()
        path = self._folder / f"script{self._runs}.py"
        self._runs += 1
        path.write_text(PREAMBLE + script)
        before = self._output.stat().st_size
        os.write(self._orders, f"{path}\n".encode())
        answer = self._answer(timeout)
        printed = self._output.read_bytes()[before:].decode(errors="replace")
        if answer is not None:
            pytest.fail(f"{answer}\n--- output\n{printed}")
        return printed

    def _answer(self, timeout: float) -> str | None:
        if not select.select([self._answers], [], [], timeout)[0]:
            kill_with_stacks(self._process)
            pytest.fail(f"still running after {timeout:g} s\n--- output, with stacks\n{self._output.read_text(errors='replace')}")
        text = b""
        while not text.endswith(b"\n"):
            piece = os.read(self._answers, 65536)
            if not piece:
                pytest.fail(f"the process ended with {self._process.wait()}\n--- output\n{self._output.read_text(errors='replace')}")
            text += piece
        answer: str | None = json.loads(text)
        return answer

    def close(self) -> None:
        os.close(self._orders)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            kill_with_stacks(self._process)
        os.close(self._answers)


@pytest.fixture(scope="session")
def zygotes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Zygote]]:
    """Return `zygote(backend)`: those that were started, by backend. A test that asks for one backend only, between others, starts none."""
    started: dict[str, Zygote] = {}

    def zygote(backend: str) -> Zygote:
        if importlib.util.find_spec(backend) is None:
            pytest.skip(f"{backend} is not installed")
        if backend not in started:
            base = tmp_path_factory.getbasetemp()
            common = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
            started[backend] = Zygote(backend, tmp_path_factory.mktemp(backend), common)
        return started[backend]

    yield zygote
    for each in started.values():
        each.close()


@pytest.fixture(scope="session")
def sessions(zygotes: Callable[[str], Zygote]) -> Iterator[dict[str, Session]]:
    """Those that were started, by backend."""
    started: dict[str, Session] = {}
    yield started
    for session in started.values():
        session.close()


@pytest.fixture(scope="session", params=BACKENDS)
def keras_script(request: pytest.FixtureRequest, zygotes: Callable[[str], Zygote], sessions: dict[str, Session]) -> Callable[..., str]:
    """Return `run(script, timeout=90)`: once for each backend of Keras, in a process that has imported it, one script after the other."""
    backend = request.param
    zygote = zygotes(backend)
    if backend not in sessions:
        sessions[backend] = Session(zygote)
    return sessions[backend].run


@pytest.fixture(scope="session", params=["tensorflow"])
def zygote(request: pytest.FixtureRequest, zygotes: Callable[[str], Zygote]) -> Zygote:
    return zygotes(request.param)


@pytest.fixture
def forked_script(zygote: Zygote, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return what `run_script` is, for a script that would spend most of its time on importing TensorFlow, or what `on_jax` says instead."""
    return functools.partial(zygote.run, folder=tmp_path)
