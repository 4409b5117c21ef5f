"""What goes along with training: Keras callbacks, and a progress bar for loops without Keras."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import IO, Any

from loader.data.sources.file_listing import as_root
from loader.data.spec import Sample
from loader.errors import ConfigError
from loader.train.keras.adapter import KerasAdapter

_NEEDS_KERAS = "needs Keras: pip install keras, and tensorflow, jax or torch for it to run on"


class Companions(KerasAdapter):
    """The methods of a Loader that make them. Keras and rich are imported by those who ask for them."""

    def resume_callback(self: Any, folder: str | os.PathLike[str], *, every: int | None = None) -> Any:
        """Return a Keras callback that saves model and position in `folder`, and goes on from there when the script is started again.

        Saves at the end of each epoch and, within one, after `every` steps. See docs/resume.md.

        Example: `model.fit(train, epochs=20, callbacks=[train.resume_callback("runs/digits", every=500)])`
        """
        self._check_open()
        try:
            from loader.train.keras.callbacks import ResumeCallback
        except ModuleNotFoundError as error:
            raise ConfigError(f"resume_callback() {_NEEDS_KERAS}") from error
        return ResumeCallback(self, as_root(folder), every)

    def report_callback(self: Any, *, warn_above: float | None = 0.1, log_dir: str | os.PathLike[str] | None = None) -> Any:
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
        return ReportCallback(self, warn_above, None if log_dir is None else as_root(log_dir))

    def progress(self: Any, *, disable: bool = False, file: IO[str] | None = None) -> Iterator[Sample]:
        """Return an iterator over one epoch, as `iter` does, with a progress bar: batches, samples per second, waits, time left.

        Args:
            disable: no bar, for all ranks but one.
            file: to draw on instead of standard error. Where that is neither a terminal nor a notebook, there is no bar.

        Example: `for x, y in train.progress(): ...`
        """
        if disable:
            return iter(self)
        from loader.train.progress import progress

        return progress(self, file)
