"""A Keras callback that says, where Keras says the loss, how long training waited for data.

Keras hands the same dict of logs to one callback after the other, its progress bar and its history last. So what is put into the logs
here appears in both, and in whatever stands behind this callback in the list: `TensorBoard`, `CSVLogger`.

Within `fit`, validation ends the stretch of training that is measured. Keras calls `on_epoch_end` only after it.
"""

from __future__ import annotations

import os
import time
import warnings
from typing import TYPE_CHECKING, Any

import keras

from loader.errors import ConfigError
from loader.train.event_file import EventFile
from loader.train.pace import Pace, Probe, Stretch

if TYPE_CHECKING:
    from loader.train.loader import Loader

_ENOUGH_S = 10.0  # as far as `stats()` looks back, whose figures of the workers are part of the warning
_LONG_S = 60.0  # who trains for hours on one epoch shall not hear of it at its end only


class ReportCallback(keras.callbacks.Callback):  # type: ignore[misc]
    """See `Loader.report_callback`, which makes it.

    Args:
        loader: that the model is trained or validated with.
        warn_above: share of the time, 0 to 1; None never warns.
        log_dir: for an event file of its own, or None.
        enough_s: seconds of training that are judged together, at least.
        long_s: seconds after which an epoch that goes on is judged.
    """

    # Keras calls it in a thread, and so need not wait for the device after each batch on its account. It reads, and writes to the logs only.
    async_safe = True

    def __init__(
        self,
        loader: Loader,
        warn_above: float | None,
        log_dir: str | os.PathLike[str] | None,
        *,
        enough_s: float = _ENOUGH_S,
        long_s: float = _LONG_S,
    ) -> None:
        super().__init__()
        wrong = isinstance(warn_above, bool) or not isinstance(warn_above, int | float) or not 0 <= warn_above <= 1
        if warn_above is not None and wrong:
            raise ConfigError(f"warn_above={warn_above!r}: must be a share from 0 to 1, or None")
        self._loader = loader
        self._warn_above = warn_above
        self._enough_s = enough_s
        self._long_s = long_s
        self._probe = Probe(loader._producer.board)
        self._events = None if log_dir is None else EventFile(log_dir)
        self._start()

    def _start(self) -> None:
        self._training, self._testing = Stretch(self._probe), Stretch(self._probe)
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
    """Put the figures into Keras' logs, unless the loader had no part in what they are about."""
    if logs is not None and pace.samples:
        logs[prefix + "loader_wait"] = pace.wait_ratio
        logs[prefix + "samples_per_s"] = pace.samples_per_s
