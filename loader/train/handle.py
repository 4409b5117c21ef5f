"""What a training script holds, whether it made the pool or has attached to one: batches, position, statistics, and an end."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, TypeVar

from loader.data.spec import Sample, SampleSpec
from loader.errors import ConfigError, LoaderClosed, PipelineError
from loader.ipc.board import Board
from loader.measure.meter import Meter
from loader.train.keras.adapter import KerasTraining
from loader.train.position import Position
from loader.train.producer import Producer
from loader.train.state import State

if TYPE_CHECKING:
    from loader.measure.stats import Stats

_Self = TypeVar("_Self", bound="Handle")


class Handle(KerasTraining):
    """Batches of a producer, one epoch after the other."""

    _producer: Producer

    def _open(self, producer: Producer) -> None:
        """Begin, with a producer, which ends with this."""
        self._closed = False
        self._producer = producer
        self._end = weakref.finalize(self, producer.close)
        self._meter = Meter(producer.board)
        self._position = Position(producer, self.plan, self._meter)

    # One epoch after the other.

    @property
    def _specs(self) -> Sequence[SampleSpec]:
        self._check_open()
        return self._producer.specs

    @property
    def pid(self) -> int:
        """Process id of the supervisor; of this process with `workers=0`."""
        return self._producer.pid

    @property
    def _board(self) -> Board:
        return self._producer.board

    def progress(self, *, disable: bool = False, file: IO[str] | None = None) -> Iterator[Sample]:
        """Return an iterator over one epoch, as `iter` does, with a progress bar: batches, samples per second, waits, time left.

        Args:
            disable: no bar, for all ranks but one.
            file: to draw on instead of standard error. If that is neither a terminal nor a notebook, there is no bar.

        Example: `for x, y in train.progress(): ...`
        """
        if disable:
            return iter(self)
        from loader.train.progress import progress  # and rich with it

        return progress(self, self._board, file)

    def as_tf_dataset(self) -> Any:
        """Return a `tf.data.Dataset` of one epoch, repeatable: for `tf.distribute` strategies, tf_keras, and pipelines of your own.

        Keep the loader while it is used. Slower than giving the loader itself to `fit` (docs/measurements.md).
        """
        self._check_open()
        try:
            from loader.train.keras.tensorflow import dataset
        except ModuleNotFoundError as error:
            raise ConfigError("as_tf_dataset() needs TensorFlow: pip install tensorflow") from error
        return dataset(self)

    # Where it is.

    def state_dict(self) -> dict[str, Any]:
        """Return the position, by batches handed out: a small dict of plain values, for JSON. Blocks as `spec` does.

        The end of epoch n is the start of n + 1. After a `break`, the batch after the last one is next, until another loop takes its first batch;
        that loop begins the next epoch, unless the state is loaded. Batches that were prefetched (`as_tf_dataset`, Keras on a GPU) count as handed
        out; `resume_callback` counts those that were trained.
        """
        return self._state_at(*self._position.place).to_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue with the batch that was next when `state_dict` returned `state`: in any process, with any number of workers.

        So the next epoch has only the batches that were left of it, while `len(loader)` stays the same. Ends all iterators. The world size may
        differ, if `batch_size` times the number of ranks is the same. Blocks as `spec` does.

        Raises:
            StateError: the state belongs to a loader with other samples, IDs, spec, seed, shuffle, global batch, drop_last, buckets, or rows of the
                files that are batches (names all that differ), or is none.
        """
        saved = State.from_dict(state)
        saved.check_against(self._state_at(0, 0), self.plan.batches, self.name)
        self._position.move(saved.epoch, saved.batch)

    # Control.

    def resize(self, workers: int) -> None:
        """Run `workers` worker processes from now on, without losing or repeating a batch. Returns at once.

        Raises:
            ConfigError: below 1, above `max_workers`, or this loader has no pool (`workers=0`).
            AttachError: the loader belongs to another script, to which this one has attached.
        """
        self._check_open()
        self._producer.resize(workers)

    def stats(self) -> Stats:
        """Return a snapshot of rates, waits, slots, workers and memory, with a verdict in words. Costs the workers nothing."""
        self._check_open()
        self._producer.relay()
        self._position.show()
        return self._meter.stats(self.name)

    def close(self) -> None:
        """End all processes and free the memory that is not in use. Arrays that were handed out stay valid. May be called twice.

        Those of a shared loader work on for other scripts, as long as any of these reads.
        """
        self._closed = True
        self._position.close()
        self._end()

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise LoaderClosed(f"{self.name} has been closed; make a new Loader")
        self._producer.check_owner()

    def __reduce__(self) -> Any:
        raise PipelineError(
            f"{self.name} can't be pickled or copied: its workers and its memory belong to this process; make the Loader where you use it"
        )
