"""What `loader bench` trains: a Keras model by `fit`, or a function that takes a batch. Both are timed by the same clock."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import click

from loader.errors import LoaderError
from loader.ipc.board import SupervisorCell, TrainerCell
from loader.train.loader import Loader
from loader.watch.bench.headroom import Stamp
from loader.watch.bench.replay import Replay
from loader.watch.script import ScriptError, described
from loader.watch.session import leaves

_STRETCHES = 5
_FEWEST_BATCHES = 2  # of a stretch, unless they are so slow that there is only one
_PATIENCE = 5
_ENDLESS = 2**31 - 1  # steps of an epoch that the clock ends


class Clock:
    """Says when a measurement begins, after a warm-up, and when it is over; keeps the stamps between.

    Args:
        seconds: that it takes without the warm-up; more if that is not enough for one batch.
        tick: called after every batch.
        warm_s: seconds of warm-up, counted from the end of the first batch, for which the model is compiled.
        warm_batches: that come before the measurement at least.
        waited: returns the seconds for which the loader was waited for so far.
        settled: is given the time and returns whether the warm-up may end.
    """

    def __init__(
        self,
        seconds: float,
        tick: Callable[[], None],
        *,
        warm_s: float,
        warm_batches: int,
        waited: Callable[[], float] = lambda: 0.0,
        settled: Callable[[float], bool] = lambda now: True,
    ) -> None:
        self.stamps: list[Stamp] = []
        self._seconds = seconds
        self._tick = tick
        self._warm_s = warm_s
        self._warm_batches = warm_batches
        self._waited = waited
        self._settled = settled
        self._first: float | None = None

    def over(self, batches: int, rows: int, finish: Callable[[], None] = lambda: None) -> bool:
        """Record a batch that is done; return whether it was the last one.

        Args:
            batches: done so far.
            rows: in all of them.
            finish: waits until they are really done; called at the edges of stretches only, since it may cost something.
        """
        self._tick()
        now = time.monotonic()
        if self._first is None:
            self._first = now
        if not self.stamps:
            due = self._settled(now) and batches >= self._warm_batches and now - self._first >= self._warm_s
        else:
            last = self.stamps[-1]
            stretch = now - last.at >= self._seconds / _STRETCHES and batches - last.batches >= _FEWEST_BATCHES
            due = stretch or (len(self.stamps) == 1 and now - last.at >= self._seconds)
        if due:
            finish()
            self.stamps.append(Stamp(time.monotonic(), batches, rows, self._waited()))
        return len(self.stamps) > 1 and time.monotonic() - self.stamps[0].at >= self._seconds


class Settling:
    """Whether `workers="auto"` has settled on a number: it has kept one for a while. True for a number that was given.

    Args:
        loader: that is about to be measured.
        kept_s: seconds without a change that count as settled. Five times as long is the most to wait for them.
    """

    def __init__(self, loader: Loader, kept_s: float) -> None:
        self._wanted = loader._board.supervisor.cell(SupervisorCell.WORKERS_GAUGE)
        self._kept_s = kept_s if loader._config.workers == "auto" else 0.0
        self._begun = self._since = time.monotonic()
        self._workers = self._wanted[0]

    def __call__(self, now: float) -> bool:
        if self.changed:
            self._workers, self._since = self._wanted[0], now
        return now - self._since >= self._kept_s or now - self._begun >= _PATIENCE * self._kept_s

    @property
    def changed(self) -> bool:
        """Whether the number has changed since this was last called."""
        return bool(self._wanted[0] != self._workers)


class Trainee(Protocol):
    """Takes batches."""

    def train(self, data: Loader | Replay, rows: int, clock: Clock) -> None:
        """Take batches of `rows` rows until the clock says that it is over."""


class Step:
    """A function of one batch; if it returns an array that is still being computed, that is waited for.

    Args:
        function: takes a batch of numpy arrays.
        target: where it came from, for messages.
    """

    def __init__(self, function: Callable[[Any], Any], target: str) -> None:
        self._function = function
        self._target = target

    def train(self, data: Loader | Replay, rows: int, clock: Clock) -> None:
        drive(data.batches(), self._checked, clock)

    def _checked(self, batch: Any) -> Any:
        try:
            return self._function(batch)
        except Exception as error:  # code of the user
            raise ScriptError(self._target, error) from None


class KerasModel:
    """A compiled Keras model.

    Args:
        model: is trained; its weights change.
        target: where it came from, for messages.
    """

    def __init__(self, model: Any, target: str) -> None:
        self._model = model
        self._target = target

    def train(self, data: Loader | Replay, rows: int, clock: Clock) -> None:
        def after(batch: int, logs: Any) -> None:  # the number of the last batch, counted from 0; with its logs, it is done
            self._model.stop_training = clock.over(batch + 1, (batch + 1) * rows)

        callback = sys.modules["keras"].callbacks.LambdaCallback(on_train_batch_end=after)
        try:
            self._model.fit(data, steps_per_epoch=_ENDLESS, verbose=0, callbacks=[callback])
        except LoaderError:
            raise
        except Exception as error:  # what the model does is the user's
            raise ScriptError(self._target, error) from None


def drive(batches: Iterator[Any], step: Callable[[Any], Any], clock: Clock) -> None:
    """Give batches to a function until the clock says that it is over."""
    rows = 0
    for number, batch in enumerate(batches, 1):
        rows += len(leaves(batch)[0])
        result = step(batch)
        if clock.over(number, rows, lambda result=result: _finish(result)):  # type: ignore[misc]  # mypy can't infer a lambda with a default
            return


def waited_s(loader: Loader) -> float:
    """Return for how many seconds the trainer has waited for a loader so far."""
    return loader._producer.cells[TrainerCell.WAIT_NS] / 1e9


def trainee(made: Any, target: str) -> Trainee:
    """Return what trains the thing that the user's function has made. Raises click.UsageError if it can't be trained."""
    keras: Any = sys.modules.get("keras")
    if keras is not None and isinstance(made, keras.Model):
        if not made.compiled:
            raise click.UsageError(f"{target!r} returned a model that is not compiled: call model.compile(optimizer, loss) before")
        return KerasModel(made, target)
    if not callable(made):
        raise click.UsageError(f"{target!r} returned {described(made)}; it must return a compiled Keras model or a function step(batch)")
    return Step(made, target)


def _finish(result: Any) -> None:
    """Wait for arrays of JAX in what a step returned, and for GPUs that PyTorch uses."""
    for part in result if isinstance(result, tuple | list) else result.values() if isinstance(result, dict) else [result]:
        if hasattr(part, "block_until_ready"):
            part.block_until_ready()
        elif isinstance(part, tuple | list | dict):
            _finish(part)
    torch: Any = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.synchronize()
