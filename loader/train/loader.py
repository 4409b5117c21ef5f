"""The `Loader`: what a training script holds."""

from __future__ import annotations

import sys
import warnings
import weakref
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from loader.config import Config
from loader.data.class_weight import ClassWeight
from loader.data.pipeline import Pipeline
from loader.data.plan import EpochPlan
from loader.data.segments import Transform
from loader.data.source import Source
from loader.data.spec import Array, Sample, SampleSpec
from loader.errors import ConfigError, LoaderClosed, PipelineError
from loader.ipc.identity import default_name, set_name
from loader.ipc.stats import Stats
from loader.train.counter import Counter
from loader.train.epoch import EpochIterator
from loader.train.inline import Inline
from loader.train.keras import KerasAdapter

if TYPE_CHECKING:
    from loader.train.remote import Remote


class Loader(KerasAdapter):
    """Batches of a source, made by a pool of worker processes and handed out without a copy.

    Returns at once: the supervisor and its workers start in the background, and what goes wrong there is raised by the first use. Give it to
    `model.fit`, or iterate over it: each `for` loop is one epoch, and while it runs the next one is already being filled.

    Args:
        source: where the samples come from: `NpyFiles`, `NpyArrays`, `MapSource`, `Zip`, or a sum, subset or split of them.
        batch_size: rows of a batch, per rank.
        transforms: from `loader.transforms`, or functions `f(sample, rng) -> sample`; applied in this order.
        shuffle: a new order in every epoch.
        seed: of the order and of everything random. The same seed gives the same batches, bit for bit, for any number of workers.
        drop_last: leave out a last batch that is not full.
        workers: processes; 0 works in this process, "auto" is one per core that this process may use.
        max_workers: most workers that `resize` may ask for.
        slots: places for batches in shared memory; the default keeps all workers busy.
        memory_limit: bytes, or text such as "2GiB": ceiling of the loader's memory, checked before anything is allocated.
        on_error: what a bad sample does; "raise" raises its error when its batch is due.
        io_retries: how often a read that failed with an OSError is tried again, with growing pauses.
        sample_timeout_s: a worker without progress for so long is replaced; three times in a row on one sample raises SampleTimeout.
        shard: `(rank, world)` of this process in a data-parallel job.
        class_weight: weight by class number; the batch becomes `(x, y, weight)`.
        name: in `stats()` and messages.

    Raises:
        ConfigError: settings out of range, all of them in one message; or no batch would ever come.
        PipelineError: the source or a transform can't travel to the workers; names the attribute.

    Example:
        >>> import numpy as np
        >>> from loader import Loader, NpyArrays
        >>> with Loader(NpyArrays(np.arange(10)), batch_size=4, workers=0) as loader:
        ...     [x.tolist() for (x,) in loader]
        [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    """

    def __init__(
        self,
        source: Source,
        batch_size: int,
        *,
        transforms: Sequence[Transform] = (),
        shuffle: bool = False,
        seed: int = 0,
        drop_last: bool = False,
        workers: int | Literal["auto"] = "auto",
        max_workers: int | None = None,
        slots: int | None = None,
        memory_limit: int | str | None = None,
        on_error: Literal["raise"] = "raise",
        io_retries: int = 3,
        sample_timeout_s: float = 60.0,
        shard: tuple[int, int] = (0, 1),
        class_weight: Mapping[int, float] | None = None,
        name: str | None = None,
    ) -> None:
        self._config = Config(
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            drop_last=drop_last,
            workers=workers,
            max_workers=max_workers,
            slots=slots,
            memory_limit=memory_limit,
            on_error=on_error,
            io_retries=io_retries,
            sample_timeout_s=sample_timeout_s,
            shard=shard,
            class_weight=class_weight,
            name=name,
        )
        self.source = _checked_source(source)
        self.plan = _checked_plan(len(source), self._config)
        weights = None if class_weight is None else ClassWeight(class_weight)
        pipeline = Pipeline(source, _checked_transforms(transforms), seed, weights, io_retries)
        self._closed = False
        self._epoch = self._batch = 0
        self._peeked: int | None = None  # the epoch that the current iterator only looks at,
        self._looked: list[tuple[Array, ...]] = []  # the batches that it has seen,
        self._again: list[tuple[Array, ...]] = []  # and those that are handed out once more, the next one last
        self._token = 1  # of the current iterator; one that has not begun holds 0
        self._producer: Remote | Inline
        if self._config.worker_count == 0:
            self._producer = Inline(pipeline, self._config, self.plan)
        else:
            _check_platform()
            from loader.train.remote import Remote  # can be imported where there is a pool only

            self._producer = Remote(pipeline, self._config, self.plan)
        self._end = weakref.finalize(self, self._producer.close)
        set_name(self._producer.cells, self._producer.pid)
        self.name = name or default_name(self._producer.pid) + ("" if self._config.worker_count else f"-{id(self):x}")
        self._counter = Counter(self._producer.board)

    # One epoch after the other.

    def __iter__(self) -> Iterator[Sample]:
        """Return an iterator over one epoch, which begins with its first `next`."""
        return EpochIterator(self)

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return self.plan.batches

    @property
    def spec(self) -> SampleSpec:
        """Names, shapes (without the batch axis) and dtypes of the arrays in a batch. Blocks until the first sample has been run."""
        self._check_open()
        return self._producer.spec

    @property
    def batch_size(self) -> int:
        """Rows of a full batch."""
        return self.plan.batch_size

    def epoch_iterator(self, *, leased: bool, peek: bool = False) -> EpochIterator:
        """Return an iterator over one epoch, as `iter` does.

        Args:
            leased: leaves small arrays in the slot, for those who let go of them at once.
            peek: only looks; when it is closed, the same epoch starts again.
        """
        return EpochIterator(self, leased, peek)

    def batches(self) -> Iterator[Sample]:
        """Yield batches without an end, epoch after epoch: a plain generator."""
        while True:
            yield from self

    def as_tf_dataset(self) -> Any:
        """Return a `tf.data.Dataset` of one epoch, repeatable: for `tf.distribute` strategies, tf_keras, and pipelines of your own.

        Keep the loader while it is used. Slower than giving the loader itself to `fit` (docs/measurements.md).
        """
        self._check_open()
        try:
            from loader.train.tensorflow import dataset
        except ModuleNotFoundError as error:
            raise ConfigError("as_tf_dataset() needs TensorFlow: pip install 'npy-loader[tensorflow]'") from error
        return dataset(self)

    # Control.

    def resize(self, workers: int) -> None:
        """Run `workers` worker processes from now on, without losing or repeating a batch. Returns at once.

        Raises:
            ConfigError: below 1, above `max_workers`, or this loader has no pool (`workers=0`).
        """
        self._check_open()
        ceiling = self._config.worker_ceiling
        if isinstance(self._producer, Inline):
            raise ConfigError("this loader works in the calling process (workers=0) and has no pool to resize")
        given: Any = workers
        if isinstance(given, bool) or not isinstance(given, int) or not 1 <= given <= ceiling:
            raise ConfigError(f"workers={workers!r}: must be from 1 to {ceiling} (max_workers)")
        self._producer.resize(workers)

    def stats(self) -> Stats:
        """Return a snapshot of rates, waits, slots, workers and memory, with a verdict in words. Costs the workers nothing."""
        self._check_open()
        return self._counter.stats(self.name, self._epoch)

    def close(self) -> None:
        """End all processes and free the memory that nobody uses. Arrays that were handed out stay valid. May be called twice."""
        self._closed = True
        self._token += 1  # no iterator is the current one any more
        self._looked, self._again = [], []
        self._end()

    def __enter__(self) -> Loader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{len(self):,} batches of {self.batch_size}"
        return f"<Loader {self.name}: {self.source!r}, {state}>"

    # What an epoch's iterator asks for (`loader.train.epoch`).

    def _begin(self, peek: bool) -> int:
        """Start an epoch: leave the one that another iterator is in the middle of. Return the token that tells iterators apart."""
        self._check_open()
        if self._batch or self._peeked is not None:
            self._leave()
        self._peeked = self._epoch if peek else None
        self._token += 1
        return self._token

    def _leave(self, *, failed: bool = False) -> None:
        """End the epoch before its last batch; or go back to its first one, if it was only looked at.

        Args:
            failed: whether taking a batch did, so that nobody knows which one would come next.
        """
        peeked, self._peeked = self._peeked, None
        looked, self._looked = self._looked, []
        self._epoch, self._batch = self._epoch + 1 if peeked is None else peeked, 0
        if peeked is not None and not failed:
            self._again.extend(reversed(looked))
            return
        self._again.clear()
        if not self._closed:
            self._producer.skip(self._epoch)

    def _take(self, leased: bool) -> tuple[Array, ...]:
        """Return the arrays of the next batch."""
        arrays = self._again.pop() if self._again else self._producer.take(self._epoch, self._batch, leased=leased)
        self._batch += 1
        if self._batch == self.plan.batches:
            self._epoch, self._batch = self._epoch + 1, 0
        if self._peeked is None:
            self._counter.count(len(arrays[0]), self._epoch)
        else:
            self._looked.append(arrays)
        return arrays

    def _check_open(self) -> None:
        if self._closed:
            raise LoaderClosed(f"{self.name} has been closed; make a new Loader")
        self._producer.check_owner()

    def __reduce__(self) -> Any:
        raise PipelineError(
            f"{self.name} can't be pickled or copied: its workers and its memory belong to this process; make a Loader where it is used"
        )


def _checked_source(source: object) -> Source:
    if isinstance(source, Source):
        return source
    remedy = "MapSource(obj)" if hasattr(source, "__getitem__") else "NpyFiles, NpyArrays or MapSource"
    raise ConfigError(f"source is a {type(source).__name__}; give a source such as {remedy}")


def _checked_transforms(transforms: object) -> Sequence[Transform]:
    if not isinstance(transforms, Sequence):
        raise ConfigError(f"transforms is a {type(transforms).__name__}; give a list of them")
    wrong = [place for place, transform in enumerate(transforms) if not callable(transform) or isinstance(transform, type)]
    if wrong:
        given = transforms[wrong[0]]
        raise ConfigError(f"transform {wrong[0]} is {given!r}; give a callable f(sample, rng) -> sample, or an instance such as Rescale(1 / 255)")
    return transforms


def _checked_plan(samples: int, config: Config) -> EpochPlan:
    rank, world = config.shard
    plan = EpochPlan(samples, config.batch_size, config.drop_last, rank, world)
    if not plan.batches:
        share = f" on each of {world} ranks" if world > 1 else ""
        settings = f"batch_size={config.batch_size}{share} and drop_last={config.drop_last}"
        raise ConfigError(f"{settings} leave no batch of {samples} samples; give a smaller batch_size")
    if plan.left_out and not config.drop_last:
        problem = f"the last {plan.left_out} of {samples} samples can't be shared equally by {world} ranks"
        warnings.warn(f"{problem} and are left out of every epoch", RuntimeWarning, stacklevel=3)
    return plan


def _check_platform() -> None:
    if sys.platform != "linux":
        raise ConfigError(f"the worker pool needs Linux, this is {sys.platform}; give workers=0 to work in this process")
