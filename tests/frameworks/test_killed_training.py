"""Training that is killed with SIGKILL, and started again with the same command."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "resume.py"

# Trains eagerly on rows that hold their sample's number, writes the numbers down after each step, and kills itself: `epoch` is -1 for validation.
RECORDED = """
import os, signal, sys
import numpy as np
import keras
from loader import Loader, NpyArrays

kill_at = sys.argv[1]
log = os.open("trained", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

class Model(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1)
    def call(self, x):
        return self.dense(x / 100)
    def train_step(self, data):
        result = super().train_step(data)
        os.write(log, (" ".join(str(int(number)) for number in data[0][:, 0]) + "\\n").encode())
        return result

class Kill(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        self.at(f"step {open('trained').read().count(chr(10))}")
    def on_test_batch_end(self, batch, logs=None):
        self.at("validation")
    def at(self, place):
        if place == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

numbers = np.arange(50, dtype=np.float32)
model = Model()
model(numbers[:1, None])
model.compile("sgd", "mse", run_eagerly=True)
train = Loader(NpyArrays(numbers[:, None], numbers), 8, shuffle=True, workers=2)  # 7 batches
val = Loader(NpyArrays(numbers[:, None], numbers), 25, workers=0)
keeper = train.resume_callback("saves", every=2)
if kill_at in ("writing", "renamed"):  # the second save before its rename, or the first one after it
    def sync(fd, really=os.fsync):
        names = set(os.listdir("saves"))
        if "save-00000001" in names and (".writing" in names) == (kill_at == "writing"):
            os.kill(os.getpid(), signal.SIGKILL)
        really(fd)
    os.fsync = sync
model.fit(train, validation_data=val, epochs=2, verbose=0, callbacks=[keeper, Kill()])
train.close()
os.close(log)
"""


@pytest.mark.time_limit(200)
@pytest.mark.parametrize(
    ("kill_at", "before", "saved"),
    [("step 3", 3, 2), ("writing", 4, 2), ("renamed", 2, 2), ("validation", 7, 6)],
    ids=str,
)
@pytest.mark.parametrize("keras_script", ["tensorflow"], indirect=True)
def test_what_was_not_saved_is_trained_again_and_all_else_once(
    kill_at: str, before: int, saved: int, forked_script, keras_script, tmp_path: Path
) -> None:
    """Saves are due after 2, 4, 6 and 7 of 7 steps; the one at the end of the epoch follows validation."""
    killed = forked_script(RECORDED, kill_at, timeout=90)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    first = (tmp_path / "trained").read_text().splitlines()
    assert len(first) == before
    keras_script(f"import os, sys\nos.chdir({str(tmp_path)!r})\nsys.argv[1:] = ['never']\n{RECORDED}")
    rest = (tmp_path / "trained").read_text().splitlines()[before:]
    assert rest[: before - saved] == first[saved:]
    whole = [number for line in first[:saved] + rest for number in map(int, line.split())]
    assert sorted(whole[:50]) == sorted(whole[50:]) == list(range(50))
    assert whole[:50] != whole[50:]


@pytest.mark.thorough
@pytest.mark.time_limit(240)
def test_the_example_goes_on_where_it_was_killed(forked_script) -> None:
    killed = forked_script(EXAMPLE, "--kill-after", 27, timeout=90)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert "epoch 1: 20 steps" in killed.stdout
    assert killed.stdout.endswith("killed after 7 steps of an epoch\n")
    again = forked_script(EXAMPLE, timeout=90)
    assert again.returncode == 0, again.stderr
    steps = [line.split(" steps")[0] for line in again.stdout.splitlines() if line.startswith("epoch")]
    assert steps == ["epoch 2: 15", "epoch 3: 20", "epoch 4: 20"]
    assert float(again.stdout.split("accuracy: ")[-1]) >= 0.95
