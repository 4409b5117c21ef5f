"""Keras: how `model.fit(loader)` accepts a Loader. The only file that touches Keras' private API; `call_checks` looks at the frames of its functions.

`fit` takes arrays, a `tf.data.Dataset`, a generator, … or any instance of its own `DataAdapter` class, which is passed through unchanged (since
Keras 3.7). It asks with `isinstance`, which looks at `loader.__class__`; there we answer with a class that is both, made when Keras is there
to be subclassed. So this package never imports Keras, and it does not matter which of them is imported first. `batches()` and `as_tf_dataset()` work
without any of this.

One Loader serves every `fit`, `evaluate` and `predict` that it is given to, also at the same time as training and as validation data, so what
differs between them is not kept in it but asked of the caller, Keras' `EpochIterator`, each time:

| Keras | here |
|---|---|
| drops `y`, `sample_weight`, `class_weight`, `batch_size`, `shuffle` beside an adapter | an error that says where they belong |
| says "None values not supported" where a loss gets no labels | an error that says what is missing |
| returns predictions in whatever order the data have | a warning where that is not the order of the source |
| with `steps_per_epoch`, keeps one iterator over all its epochs, and stops training where the data end | that iterator does not end |
| builds a model on a first batch, throws the iterator away and starts again (JAX, PyTorch) | the epoch starts again with the same batch |
| makes iterators that it never uses | nothing happens before the first `next` |
| takes the same number of batches from each epoch | is told before each one how many are left: fewer after `load_state_dict` |
| calls `on_epoch_begin` and `on_epoch_end` too often, too early or not at all | an epoch begins and ends with its iterator all the same |
"""

from __future__ import annotations

import functools
import os
import sys
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any

from loader.data.remote.urls import is_url
from loader.data.sources.files.file_listing import absolute_path, absolute_place
from loader.data.spec import Array, Sample
from loader.ipc.board import Board
from loader.train.epochs import Epochs
from loader.train.keras.call_checks import refuse_what_does_not_fit
from loader.train.keras.feed import Feed, FlatBatches
from loader.train.state import State

if TYPE_CHECKING:
    from loader.measure.stats import Stats

_ADAPTER_MODULE = "keras.src.trainers.data_adapters.data_adapter"

# The method that builds a model on a first batch, and how far below it an iterator may be called: through EpochIterator and generators around us.
_BUILDER = "_symbolic_build"
_BUILDER_DEPTH = 8


@dataclass(frozen=True)
class KerasEpoch:
    """The epoch of Keras that is running.

    Attributes:
        endless: whether Keras counts its steps itself, so that its epochs are not ours.
        steps: in the whole of it, those before a resume included.
    """

    endless: bool
    steps: int


class KerasAdapter(Feed):
    """The methods that Keras calls on what it takes for a `DataAdapter` of its own. Users call none of them."""

    _keras_epoch: KerasEpoch | None = None  # of whoever iterated last
    _steps_before = 0  # of the next epoch of Keras, done before a resume

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        module = sys.modules.get(_ADAPTER_MODULE)
        if module is None or not hasattr(module, "DataAdapter"):
            return type(self)
        refuse_what_does_not_fit(self, sys._getframe(1))
        return _both(type(self), module.DataAdapter)

    def get_tf_dataset(self) -> Iterable[Any]:
        """Return what Keras' TensorFlow trainer iterates over: tensors over the slots, or a dataset where a strategy needs one."""
        from loader.train.keras.tensorflow import for_strategy, tensor

        endless = _counts_steps(sys._getframe(1))
        return for_strategy(self, endless) or KerasEpochs(self, tensor, endless)

    def get_numpy_iterator(self) -> Iterable[Any]:
        """Return what Keras iterates over where it wants numpy arrays."""
        return KerasEpochs(self, None, _counts_steps(sys._getframe(1)))

    def get_jax_iterator(self) -> Iterator[Any]:
        """Return what Keras' JAX trainer iterates over: numpy arrays over the slots, which a jitted step aliases.

        An iterator, not an iterable: Keras 3.7 calls `iter` on it for every batch that it prefetches, and each of those would begin an epoch.
        """
        return iter(KerasEpochs(self, None, _counts_steps(sys._getframe(1))))

    def get_torch_dataloader(self) -> Iterable[Any]:
        """Return what Keras' PyTorch trainer iterates over: tensors over the slots."""
        from loader.train.keras.torch import tensor

        return KerasEpochs(self, tensor, _counts_steps(sys._getframe(1)))

    @property
    def num_batches(self) -> int | None:
        """Batches in an epoch; None, which Keras takes for "does not end", where it counts steps itself."""
        return None if _counts_steps(sys._getframe(1)) else len(self)

    def on_epoch_begin(self) -> None:
        """Tell Keras how many batches it will get: the first epoch after a resume has fewer, and Keras asks for the number only once."""
        keras: Any = sys._getframe(1).f_locals.get("self")
        adapter: Any = getattr(keras, "data_adapter", None)
        if adapter is not self:
            return
        if keras.steps_per_epoch is None:
            keras._num_batches = self.batches_left
            self._keras_epoch = KerasEpoch(False, self._steps_before + keras._num_batches)
        else:
            full = vars(keras).setdefault("_full_steps_per_epoch", keras.steps_per_epoch)
            keras.steps_per_epoch = max(1, full - self._steps_before)
            self._keras_epoch = KerasEpoch(True, full)
        self._steps_before = 0

    def on_epoch_end(self) -> None:
        """Do nothing: Keras calls this at odd times; an epoch ends with its iterator."""


class KerasTraining(Epochs, KerasAdapter):
    """A loader in Keras' training: its callbacks, and what `loader.train.keras.callbacks` sees of it."""

    @property
    @abstractmethod
    def _board(self) -> Board:
        """All counters of the loader."""

    @abstractmethod
    def _state_at(self, epoch: int, batch: int) -> State:
        """Return the state of a loader whose next batch is that one."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state` says."""

    @abstractmethod
    def stats(self) -> Stats:
        """Return a snapshot."""

    def resume_callback(self, folder: str | os.PathLike[str], *, every: int | None = None, storage_options: Mapping[str, Any] | None = None) -> Any:
        """Return a Keras callback that saves model and position in `folder`, and goes on from there when the script is started again.

        Saves at the end of each epoch and, within one, after `every` steps. See docs/resume.md.

        Args:
            folder: for the saves; a URL, such as "s3://bucket/runs/digits", too.
            every: steps after which a save is due within an epoch; None saves at the end of epochs only.
            storage_options: of the store of a URL, as for sources.

        Example: `model.fit(train, epochs=20, callbacks=[train.resume_callback("runs/digits", every=500)])`
        """
        self._check_open()
        from loader.train.keras.callbacks import ResumeCallback  # and Keras with it
        from loader.train.keras.far_saves import FarSaves
        from loader.train.keras.saves import Saves

        place = absolute_place(folder)
        return ResumeCallback(self, FarSaves(place, storage_options) if is_url(place) else Saves(place), every)

    def report_callback(self, *, warn_above: float | None = 0.1, log_dir: str | os.PathLike[str] | None = None) -> Any:
        """Return a Keras callback that puts `loader_wait` and `samples_per_s` beside the loss: progress bar, history, TensorBoard.

        `loader_wait` is the share of the time, 0 to 1, that training waited for this loader. See docs/watching.md.

        Args:
            warn_above: training that waits for a larger share of its time gets one warning, which says what would help; None: never.
            log_dir: folder for an event file that TensorBoard reads; not needed if a `TensorBoard` callback comes later in the list.

        Example: `model.fit(train, epochs=20, callbacks=[train.report_callback()])`
        """
        self._check_open()
        from loader.train.keras.callbacks import ReportCallback

        return ReportCallback(self, warn_above, None if log_dir is None else absolute_path(log_dir))


class KerasEpochs:
    """Iterable over epochs of a loader: each `iter` is the next one, in arrays of a framework.

    Args:
        loader: to take batches from.
        convert: makes a framework's array over the memory of a numpy array and keeps that alive; None leaves numpy arrays.
        endless: whether an iterator goes on with the next epoch instead of ending.
    """

    def __init__(self, loader: Feed, convert: Callable[[Array], Any] | None, endless: bool) -> None:
        self._loader = loader
        self._convert = convert
        self._endless = endless

    def __iter__(self) -> Iterator[Sample]:
        return _Batches(self._loader, self._convert, self._endless)


class _Batches:
    """One iterator of `KerasEpochs`. Nothing happens before its first `next`."""

    def __init__(self, loader: Feed, convert: Callable[[Array], Any] | None, endless: bool) -> None:
        self._loader = loader
        self._convert = convert
        self._endless = endless
        self._epoch: FlatBatches | None = None

    def __iter__(self) -> _Batches:
        return self

    def __next__(self) -> Sample:
        if self._epoch is None:
            self._epoch = self._loader.epoch_iterator(leased=True, peek=_builds_a_model(sys._getframe(1)))
            self._unflatten = self._loader.spec.unflatten
        try:
            arrays = self._epoch.arrays()
        except StopIteration:
            if not self._endless:
                raise
            self._epoch = self._loader.epoch_iterator(leased=True)
            arrays = self._epoch.arrays()
        convert = self._convert
        return self._unflatten(arrays if convert is None else [convert(array) for array in arrays])


@functools.cache
def _both(loader: type, adapter: type) -> type:
    return type(loader.__name__, (loader, adapter), {})


def _counts_steps(caller: FrameType) -> bool:
    """Return whether the caller is an EpochIterator that was given `steps_per_epoch`, `validation_steps` or `steps`."""
    return getattr(caller.f_locals.get("self"), "steps_per_epoch", None) is not None


def _builds_a_model(caller: FrameType | None) -> bool:
    """Return whether a batch is only looked at, to build a model from its shapes."""
    for _ in range(_BUILDER_DEPTH):
        if caller is None:
            break
        if caller.f_code.co_name == _BUILDER:
            return True
        caller = caller.f_back
    return False
