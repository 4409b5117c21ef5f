"""The `Loader`: what a training script holds."""

from __future__ import annotations

import functools
import os
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Literal

from loader.config import Config
from loader.data.class_weight import ClassWeight
from loader.data.named_arguments import NamedArguments
from loader.data.pipeline.batch_transforms import BatchTransform
from loader.data.pipeline.pipeline import Pipeline
from loader.data.pipeline.segments import Transform
from loader.data.sources.source import Source
from loader.data.spec import Sample, SampleSpec
from loader.errors import ConfigError, LoaderClosed, PipelineError
from loader.ipc.board import Board
from loader.ipc.loader_identity import default_name, set_name
from loader.ipc.quarantine import make_report
from loader.measure.meter import Meter
from loader.train.checks import (
    apart_from_padding,
    check_platform,
    checked_batch_transforms,
    checked_plan,
    checked_source,
    checked_transforms,
    settings_for,
)
from loader.train.inline import Inline
from loader.train.keras.adapter import KerasTraining
from loader.train.position import Position
from loader.train.producer import Producer
from loader.train.show.showing import Showing
from loader.train.state import State, files_in_words, fingerprint

if TYPE_CHECKING:
    from loader.data.plans.buckets import Buckets
    from loader.measure.stats import Stats


class Loader(KerasTraining, Showing, NamedArguments):
    """Batches of samples, made by a pool of worker processes and handed out without a copy.

    Returns at once: the supervisor and its workers start in the background, and the first use raises what went wrong there. Pass it to
    `model.fit`, or iterate over it: each `for` loop is one epoch, and the next epoch is already being filled meanwhile.

    Args:
        source: where the samples come from: `NpyFiles`, `NpyArrays`, `MapSource`, `IterSource`, `Zip`, or a sum, subset or split of them.
        batch_size: rows per batch, for each rank; a list has them for each bucket. None: each file is a batch, with its own number of rows
            (`NpyArrays` of several files).
        transforms: from `loader.transforms`, or functions `f(sample, rng) -> sample`; applied in this order.
        batch_transforms: functions `f(batch, rng) -> batch` of finished batches, such as mixup; docs/mix_samples.md.
        shuffle: a new order in every epoch; of the files, where these are batches. A number, or "blocks": a new order within windows of about so
            many samples, or of 256 MiB, that are read in long pieces; for disks that seek slowly, and data that do not fit in memory.
        seed: of the order and of all random draws. The same seed gives the same batches, bit for bit, for any number of workers.
        drop_last: leave out the last batch if it is not full, of each bucket.
        bucket_by: for samples that differ in length: lengths such as `[64, 128, 256]`. Batches have samples of similar length, each padded to the
            first of these that is long enough. `Buckets(...)` says more: axis, arrays, mask, what is too long.
        workers: processes; 0 runs everything in this process. "auto" begins with one per core, at most 8, and finds the fewest with which the trainer
            does not wait. It exceeds the number of cores only if reads wait for storage. `resize` ends auto.
        max_workers: most workers that `resize` and "auto" may ask for; by default 16, or 8 per core if that is more.
        slots: places for batches in shared memory; by default, as many as keep all workers busy.
        memory_limit: bytes, or text such as "2GiB": limit of the loader's memory, checked before anything is allocated and enforced while running.
            The default is half of what the machine and the control group leave at the start; more, up to all of it, if the settings need
            more with 256 MiB for each worker.
        on_error: what happens with a bad sample: "raise" raises its error when its batch is due, "substitute" puts another sample in its place.
        max_errors: with "substitute": how many different samples may be bad, a count or (float) a share of the source; None: any number.
        quarantine: file to which a JSON line is appended for each bad sample, once per loader.
        io_retries: how often a read is tried again after an error that may go away (EIO, ESTALE, ECONNRESET, ...), with growing pauses.
        sample_timeout_s: a worker that makes no progress for this long is replaced; three times in a row on one sample raises SampleTimeout.
        shard: `(rank, world)` of this process in a data-parallel job.
        class_weight: weight by class number; the batch becomes `(x, y, weight)`. "balanced" gives each class the same weight in all, by
            the labels of the whole source: samples / (classes × samples of the class).
        name: of the loader in `stats()` and in messages.

    Raises:
        ConfigError: settings are out of range (one message lists all), or there would be no batch.
        PipelineError: the source or a transform can't be sent to the workers; the message names the attribute.

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
        batch_size: int | Sequence[int] | None,
        *,
        transforms: Sequence[Transform] = (),
        batch_transforms: Sequence[BatchTransform] = (),
        shuffle: bool | int | Literal["blocks"] = False,
        seed: int = 0,
        drop_last: bool = False,
        bucket_by: Buckets | Sequence[int] | None = None,
        workers: int | Literal["auto"] = "auto",
        max_workers: int | None = None,
        slots: int | None = None,
        memory_limit: int | str | None = None,
        on_error: Literal["raise", "substitute"] = "raise",
        max_errors: int | float | None = None,
        quarantine: str | os.PathLike[str] | None = None,
        io_retries: int = 3,
        sample_timeout_s: float = 60.0,
        shard: tuple[int, int] = (0, 1),
        class_weight: Mapping[int, float] | Literal["balanced"] | None = None,
        name: str | None = None,
    ) -> None:
        given = locals()
        config = Config(**{setting.name: given[setting.name] for setting in fields(Config)})
        self.source = checked_source(source)
        self.transforms, pad = apart_from_padding(checked_transforms(transforms))
        self.batch_transforms = checked_batch_transforms(batch_transforms)
        self._config = config = replace(settings_for(source, config, pad), quarantine=make_report(config.quarantine))
        self.plan = checked_plan(self.source, config)
        weights = ClassWeight.of(config.class_weight, source)
        source.be_patient(config.sample_timeout_s)
        pipeline = Pipeline(source, self.transforms, config.seed, weights, config.io_retries, config.bucket_by, self.batch_transforms)
        pipeline.check_sums()
        self._closed = False
        self._producer: Producer
        if config.worker_count == 0:
            self._producer = Inline(pipeline, config, self.plan)
        else:
            check_platform()
            from loader.train.remote.remote import Remote  # can be imported where there is a pool only

            self._producer = Remote(pipeline, config)
        self._end = weakref.finalize(self, self._producer.close)
        set_name(self._producer.cells, self._producer.pid)
        self.name = config.name or default_name(self._producer.pid) + ("" if config.worker_count else f"-{id(self):x}")
        self._meter = Meter(self._producer.board)
        self._position = Position(self._producer, self.plan, self._meter)

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

    @property
    def shuffles(self) -> bool:
        """Whether the order is new in every epoch."""
        return self._config.shuffle is not False

    @property
    def worker_ceiling(self) -> int:
        """Most workers that `resize` may ask for."""
        return self._config.worker_ceiling

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

    def _state_at(self, epoch: int, batch: int) -> State:
        return State(
            epoch=epoch,
            batch=batch,
            samples=self.plan.samples,
            ids=self._ids,
            spec=str(self.spec),
            seed=self._config.seed,
            shuffle=self._config.shuffle,
            global_batch=self.plan.batch_size * self.plan.world,
            drop_last=self.plan.drop_last,
            files=files_in_words(self.plan),
            buckets=self.plan.fingerprint,
        )

    @functools.cached_property
    def _ids(self) -> str | None:
        return fingerprint(self.source)

    # Control.

    def with_settings(self, **changes: Any) -> Loader:
        """Return a new loader over the same source and transforms, with `changes`, which are arguments of `Loader`, and a name of its own."""
        given = {setting.name: getattr(self._config, setting.name) for setting in fields(Config)} | {"name": None}
        return Loader(self.source, **(given | {"transforms": self.transforms, "batch_transforms": self.batch_transforms} | changes))

    def resize(self, workers: int) -> None:
        """Run `workers` worker processes from now on, without losing or repeating a batch. Returns at once.

        Raises:
            ConfigError: below 1, above `max_workers`, or this loader has no pool (`workers=0`).
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
        """End all processes and free the memory that is not in use. Arrays that were handed out stay valid. May be called twice."""
        self._closed = True
        self._position.close()
        self._end()

    def __enter__(self) -> Loader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        count = "1 batch" if len(self) == 1 else f"{len(self):,} batches"
        state = "closed" if self._closed else f"{count} of {'' if isinstance(self._config.batch_size, int) else 'up to '}{self.batch_size}"
        return f"<Loader {self.name}: {self.source!r}, {state}>"

    def _check_open(self) -> None:
        if self._closed:
            raise LoaderClosed(f"{self.name} has been closed; make a new Loader")
        self._producer.check_owner()

    def __reduce__(self) -> Any:
        raise PipelineError(
            f"{self.name} can't be pickled or copied: its workers and its memory belong to this process; make the Loader where you use it"
        )
