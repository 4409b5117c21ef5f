"""Keras callbacks: one shows beside the loss how long training waited for data, one saves model and position together."""

from __future__ import annotations

import json
import os
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loader.config import plain
from loader.errors import ConfigError, StateError
from loader.measure.moments import Pace
from loader.measure.timed_stretch import Probe, TimedStretch
from loader.train.keras.adapter import KerasTraining
from loader.train.keras.event_file import EventFile
from loader.train.keras.saves import Saves

if TYPE_CHECKING:
    from loader.train.keras.far_saves import FarSaves

try:
    import keras
except ModuleNotFoundError as missing:
    raise ConfigError("callbacks need Keras: pip install keras, and tensorflow, jax or torch for it to run on") from missing

# In the folder of a save.
_MODEL, _LOADER = "model", "loader.json"

_ENOUGH_S = 10.0  # as far back as `stats()` looks: its figures about the workers are part of the warning
_LONG_S = 60.0  # if an epoch takes hours, the warning must not come only at its end


class ReportCallback(keras.callbacks.Callback):  # type: ignore[misc]
    """See `Loader.report_callback`, which makes it.

    Keras hands the same dict of logs to one callback after the other, its progress bar and its history last. So what is put into the logs here
    appears in both, and in whatever stands behind this callback in the list: `TensorBoard`, `CSVLogger`.

    Within `fit`, validation ends the stretch of training that is measured: Keras calls `on_epoch_end` only after it.

    Args:
        loader: that the model is trained or validated with.
        warn_above: share of the time, 0 to 1; None never warns.
        log_dir: for an event file of its own, or None.
        enough_s: seconds of training that are judged together, at least.
        long_s: seconds after which an epoch that goes on is judged.
    """

    # Keras may call it in a thread, and need not wait for the device after each batch because of it. It reads, and writes only to the logs.
    async_safe = True

    def __init__(
        self,
        loader: KerasTraining,
        warn_above: float | None,
        log_dir: str | os.PathLike[str] | None,
        *,
        enough_s: float = _ENOUGH_S,
        long_s: float = _LONG_S,
    ) -> None:
        super().__init__()
        warn_above = plain(warn_above)
        wrong = isinstance(warn_above, bool) or not isinstance(warn_above, int | float) or not 0 <= warn_above <= 1
        if warn_above is not None and wrong:
            raise ConfigError(f"warn_above={warn_above!r}: must be a share from 0 to 1, or None")
        self._loader = loader
        self._warn_above = warn_above
        self._enough_s = enough_s
        self._long_s = long_s
        self._probe = Probe(loader._board)
        self._events = None if log_dir is None else EventFile(log_dir)
        self._start()

    def _start(self) -> None:
        self._training, self._testing = TimedStretch(self._probe), TimedStretch(self._probe)
        self._tested: Pace | None = None
        self._elapsed_s = self._waited_s = 0.0  # that have not been judged

    def on_train_begin(self, logs: Any = None) -> None:
        self._start()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._tested = None
        self._training.begin()
        self._judge_at = time.monotonic() + self._long_s

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        now = time.monotonic()
        if not self._training.warm:
            self._training.step()
            self._judge_at = now + self._long_s  # the first steps are not judged
        elif now > self._judge_at:
            self._judge_at = now + self._long_s
            pace = self._training.pace
            self._judge(pace.elapsed_s, pace.waited_s)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        _put(logs, self._training.pace)

    def on_test_begin(self, logs: Any = None) -> None:
        self._end_training()
        self._testing.begin()

    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._testing.step()

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        _put(logs, self._testing.pace)

    def on_test_end(self, logs: Any = None) -> None:
        self._tested = self._testing.end()
        _put(logs, self._tested)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._end_training()
        figures: dict[str, float] = {}
        _put(figures, self._training.pace)
        if self._tested is not None:
            _put(figures, self._tested, "val_")
        if logs is not None:
            logs.update(figures)
        if self._events is not None and figures:
            self._events.write(epoch, {f"epoch_{name}": value for name, value in figures.items()})

    def _end_training(self) -> None:
        if not self._training.running:
            return
        pace = self._training.end()
        if not (self._training.warm and pace.samples):
            return
        self._elapsed_s += pace.elapsed_s
        self._waited_s += pace.waited_s
        if self._elapsed_s >= self._enough_s:
            self._judge(self._elapsed_s, self._waited_s)
            self._elapsed_s = self._waited_s = 0.0

    def _judge(self, elapsed_s: float, waited_s: float) -> None:
        share = min(1.0, waited_s / elapsed_s)
        if self._warn_above is None or share <= self._warn_above:
            return
        self._warn_above = None
        waited = f"training waited for the loader {self._loader.name!r} during {share:.0%} of the last {elapsed_s:.0f} s"
        warnings.warn(f"{waited}. What its stats() say: {self._loader.stats().verdict}", RuntimeWarning, stacklevel=2)


def _put(logs: Any, pace: Pace, prefix: str = "") -> None:
    """Put the figures into Keras' logs, unless the loader was not used."""
    if logs is not None and pace.samples:
        logs[prefix + "loader_wait"] = pace.wait_ratio
        logs[prefix + "samples_per_s"] = pace.samples_per_s


class ResumeCallback(keras.callbacks.Callback):  # type: ignore[misc]
    """See `Loader.resume_callback`, which makes it.

    Weights, the optimizer's state and the number of the epoch are written and read by Keras' own `BackupAndRestore`, into a folder of each save:

        save-00000007/
        ├── model/         Keras'
        └── loader.json    the position, and the steps of Keras' epoch before it

    The position counts batches that were trained. Keras may have taken more from the loader: one ahead on a GPU, some for a strategy. So it is
    computed: where the epoch began, and the steps since; but never more than was handed out, since the last one of `steps_per_execution` may be
    short.

    Args:
        loader: that the model is trained with.
        saves: where they are.
        every: steps after which a save is due within an epoch; None saves at the end of epochs only.
    """

    def __init__(self, loader: KerasTraining, saves: Saves | FarSaves, every: int | None) -> None:
        super().__init__()
        every = plain(every)
        if every is not None and (isinstance(every, bool) or not isinstance(every, int) or every < 1):
            raise ConfigError(f"every={every!r}: must be a number of steps from 1, or None")
        self._loader = loader
        self._saves = saves
        self._every = every

    def on_train_begin(self, logs: Any = None) -> None:
        """Restore the newest save, if there is one."""
        if not self.model.built:
            raise ConfigError("resume_callback needs a model that is built before fit: begin it with keras.Input(shape)")
        self._loader._keras_epoch = None
        with self._saves.newest() as newest:
            self._loader._steps_before = 0 if newest is None else self._restore(newest)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Note where the epoch begins."""
        running = self._loader._keras_epoch
        if running is None or not running.endless:
            self._trained = self._batches(self._loader._position.upcoming)
        self._begun, self._epoch = self._trained, epoch
        self._before = self._steps = self._saved = self._loader._steps_before

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Note with which batch an execution of several steps begins."""
        self._first = batch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Count, and save if that is due. The end of the epoch waits for `on_epoch_end`, which follows validation."""
        running = self._loader._keras_epoch
        if running is None:
            raise ConfigError("resume_callback needs fit to be given the loader itself; it was not, so the position of the loader is not known")
        # Keras tells the last batch of an execution; old versions (3.7) tell the first one again.
        done = batch + (self.model.steps_per_execution if batch == self._first else 1)
        self._steps = self._before + done
        self._trained = min(self._begun + done, self._batches(self._loader._position.place))
        if self._every is not None and self._steps - self._saved >= self._every and self._steps < running.steps:
            self._save(self._epoch, self._steps)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Save: as the start of the next epoch, or as the middle of this one, if it was stopped there."""
        running = self._loader._keras_epoch
        if running is not None and self._steps < running.steps:
            self._save(epoch, self._steps)
        else:
            self._save(epoch + 1, 0)

    def _batches(self, place: tuple[int, int]) -> int:
        epoch, batch = place
        return epoch * len(self._loader) + batch

    def _save(self, epoch: int, steps: int) -> None:
        with self._saves.new() as folder:
            keeper = keras.callbacks.BackupAndRestore(folder / _MODEL)
            keeper.set_model(self.model)
            keeper.on_epoch_end(epoch - 1)
            state = self._loader._state_at(*divmod(self._trained, len(self._loader))).to_dict()
            (folder / _LOADER).write_text(json.dumps({"loader": state, "steps": steps}))
        self._saved = steps

    def _restore(self, folder: Path) -> int:
        """Restore a save; return the steps of its epoch that were done."""
        saved = json.loads((folder / _LOADER).read_text())
        try:
            self._loader.load_state_dict(saved["loader"])  # first: a save of another loader must not change the model
        except StateError as error:
            raise StateError(f"{error}\nIt was saved below {self._saves.place}; to start from the beginning, delete what is there") from error
        keeper = keras.callbacks.BackupAndRestore(folder / _MODEL)
        keeper.set_model(self.model)
        keeper.on_train_begin()
        steps: int = saved["steps"]
        return steps
