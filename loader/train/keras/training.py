"""Training with Keras: what a Loader offers for it beside the adapter. Keras is imported by those who ask for a callback."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from loader.data.sources.files.file_listing import absolute_path
from loader.errors import ConfigError
from loader.ipc.board import Board
from loader.measure.stats import Stats
from loader.train.epochs import Epochs
from loader.train.keras.adapter import KerasAdapter
from loader.train.state import State

_NEEDS_KERAS = "needs Keras: pip install keras, and tensorflow, jax or torch for it to run on"


class KerasTraining(Epochs, KerasAdapter):
    """The methods of a Loader that make callbacks, and what those need of it."""

    @property
    @abstractmethod
    def _board(self) -> Board:
        """All counters of the loader."""

    @abstractmethod
    def _state_at(self, epoch: int, batch: int) -> State:
        """Return the state of the loader where that batch comes next."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` says."""

    @abstractmethod
    def stats(self) -> Stats:
        """Return a snapshot."""

    def resume_callback(self, folder: str | os.PathLike[str], *, every: int | None = None) -> Any:
        """Return a Keras callback that saves model and position in `folder`, and goes on from there when the script is started again.

        Saves at the end of each epoch and, within one, after `every` steps. See docs/resume.md.

        Example: `model.fit(train, epochs=20, callbacks=[train.resume_callback("runs/digits", every=500)])`
        """
        self._check_open()
        try:
            from loader.train.keras.callbacks import ResumeCallback
        except ModuleNotFoundError as error:
            raise ConfigError(f"resume_callback() {_NEEDS_KERAS}") from error
        return ResumeCallback(self, absolute_path(folder), every)

    def report_callback(self, *, warn_above: float | None = 0.1, log_dir: str | os.PathLike[str] | None = None) -> Any:
        """Return a Keras callback that puts `loader_wait` and `samples_per_s` beside the loss: progress bar, history, TensorBoard.

        `loader_wait` is the share of the time, 0 to 1, that training waited for this loader. See docs/watching.md.

        Args:
            warn_above: training that waits for a larger share of its time gets one warning, which says what would help; None: never.
            log_dir: folder for an event file that TensorBoard reads; not needed where a `TensorBoard` callback comes later in the list.

        Example: `model.fit(train, epochs=20, callbacks=[train.report_callback()])`
        """
        self._check_open()
        try:
            from loader.train.keras.callbacks import ReportCallback
        except ModuleNotFoundError as error:
            raise ConfigError(f"report_callback() {_NEEDS_KERAS}") from error
        return ReportCallback(self, warn_above, None if log_dir is None else absolute_path(log_dir))
