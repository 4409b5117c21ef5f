"""A Keras callback that saves model and position together, and goes on from there when the script is started again.

Weights, the optimizer's state and the number of the epoch are written and read by Keras' own `BackupAndRestore`, into a folder of each save:

    save-00000007/
    ├── model/         Keras'
    └── loader.json    the position, and the steps of Keras' epoch before it

The position counts batches that were trained. Keras may have taken more from the loader: one ahead on a GPU, some for a strategy. So it is
computed: where the epoch began, and the steps since; but never more than was handed out, since the last one of `steps_per_execution` may be short.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from loader.errors import ConfigError, StateError
from loader.train.saves import Saves

if TYPE_CHECKING:
    from loader.train.loader import Loader

_MODEL, _LOADER = "model", "loader.json"


class ResumeCallback(keras.callbacks.Callback):  # type: ignore[misc]
    """See `Loader.resume_callback`, which makes it.

    Args:
        loader: that the model is trained with.
        folder: for the saves.
        every: steps after which a save is due within an epoch; None saves at the end of epochs only.
    """

    def __init__(self, loader: Loader, folder: str | os.PathLike[str], every: int | None) -> None:
        super().__init__()
        if every is not None and (isinstance(every, bool) or not isinstance(every, int) or every < 1):
            raise ConfigError(f"every={every!r}: must be a number of steps from 1, or None")
        self._loader = loader
        self._saves = Saves(folder)
        self._every = every

    def on_train_begin(self, logs: Any = None) -> None:
        """Restore the newest save, if there is one."""
        if not self.model.built:
            raise ConfigError("resume_callback needs a model that is built before fit: begin it with keras.Input(shape)")
        self._loader._course = None
        newest = self._saves.newest()
        self._loader._steps_before = 0 if newest is None else self._restore(newest)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Note where the epoch begins."""
        course = self._loader._course
        if course is None or not course.endless:
            self._trained = self._batches(self._loader._position.upcoming)
        self._begun, self._epoch = self._trained, epoch
        self._before = self._steps = self._saved = self._loader._steps_before

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Count, and save if that is due. The end of the epoch waits for `on_epoch_end`, which follows validation."""
        course = self._loader._course
        if course is None:
            raise ConfigError("resume_callback belongs to a loader that is given to fit itself; this one is not, so where it is can't be known")
        self._steps = self._before + batch + 1
        self._trained = min(self._begun + batch + 1, self._batches(self._loader._position.place))
        if self._every is not None and self._steps - self._saved >= self._every and self._steps < course.steps:
            self._save(self._epoch, self._steps)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Save: as the start of the next epoch, or as the middle of this one, if it was stopped there."""
        course = self._loader._course
        if course is not None and self._steps < course.steps:
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
            self._loader.load_state_dict(saved["loader"])  # first: what does not belong to the loader shall not change the model
        except StateError as error:
            raise StateError(f"{error}\nIt was saved in {folder}; to start from the beginning, delete that folder's parent") from error
        keeper = keras.callbacks.BackupAndRestore(folder / _MODEL)
        keeper.set_model(self.model)
        keeper.on_train_begin()
        steps: int = saved["steps"]
        return steps
