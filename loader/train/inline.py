"""Batches made in the trainer itself (`workers=0`): the same ones, bit for bit, without a process.

For debugging, for tests, and for systems other than Linux.
"""

from __future__ import annotations

import logging
import os
import time

from loader.config import Config
from loader.data.global_rng import kept
from loader.data.layout import aligned_empty
from loader.data.pipeline.batch_transforms import BatchTransforms
from loader.data.pipeline.first_good import first_good, must_be_good
from loader.data.pipeline.pipeline import Pipeline
from loader.data.pipeline.substitution import KnownKillers, Substitution
from loader.data.plans.epoch_plan import EpochPlan
from loader.data.rows import BadSample, Indices
from loader.data.spec import Array, SampleSpec
from loader.data.stopwatch import Stopwatch
from loader.errors import ConfigError, SampleError, remote_traceback
from loader.ipc.board import Board, SupervisorCell, TrainerCell
from loader.ipc.quarantine import ErrorBudget
from loader.train.notices import warn_of_first_bad
from loader.train.producer import Cursor, Producer

_log = logging.getLogger("loader.trainer")


class Inline(Producer):
    """Produces each batch when it is asked for, into new memory.

    Args:
        pipeline: what to run.
        config: settings.
        plan: batches of an epoch.
    """

    def __init__(self, pipeline: Pipeline, config: Config, plan: EpochPlan) -> None:
        self._pipeline = pipeline
        self._plan = plan
        self._progress = memoryview(bytearray(8)).cast("q")
        self._specs: tuple[SampleSpec, ...] = ()
        self._quarantine = config.quarantine
        self._known = ErrorBudget(plan.samples, config.max_errors, config.quarantine)
        self._substitution = Substitution(pipeline, plan, self, KnownKillers()) if config.on_error == "substitute" else None
        self._batch_transforms = BatchTransforms(pipeline.batch_transforms, pipeline.seed, plan.world)
        self._warned = False
        self.board = Board(None, 0)
        self.board.supervisor[SupervisorCell.LIMIT_BYTES_GAUGE] = config.memory_limit_bytes or 0
        self.cells = self.board.trainer
        self.board.stages.write_text(pipeline.stage_names())
        self._stopwatch = Stopwatch(self.cells.timing(), clocks=False)
        self.cursor = Cursor()
        self._pid = os.getpid()

    @property
    def pid(self) -> int:
        """Process id of this process."""
        return self._pid

    @property
    def specs(self) -> tuple[SampleSpec, ...]:
        """Specs of a finished sample, by layout, by running the first one."""
        if not self._specs:
            try:
                with kept(True):
                    self._pipeline.compile(first_good(self._pipeline, self._substitution is not None, lambda index: None))
            except BadSample as bad:
                raise self._pipeline.error(bad, remark=must_be_good(self._pipeline, self._substitution is not None)) from bad.__cause__
            self._specs = self._pipeline.specs
            if (draws := self._pipeline.draws_in_words(self._pipeline.draws)) is not None:
                _log.warning("%s", draws)
        return self._specs

    def take(self, leased: bool) -> tuple[Array, ...]:
        """Make the batch at the cursor. Raises SampleError."""
        epoch, batch = self.cursor.epoch, self.cursor.batch
        started = time.perf_counter_ns()
        rows = self._plan.rows_of(epoch, batch)
        first = batch * self._plan.batch_size
        indices = self._plan.indices(epoch, first, first + rows)
        watch = self._pipeline.watch = self._stopwatch.begin(time.monotonic_ns(), rows)
        out = self.make(indices, epoch, batch, self._plan.layout_of(epoch, batch))
        elapsed = time.perf_counter_ns() - started
        self.cells.add(TrainerCell.WAIT_NS, elapsed)
        if watch is not None:
            watch.end(elapsed, rows)
        if self._substitution is not None and self._known.first is not None and not self._warned:
            self._warned = True
            warn_of_first_bad(self._known.first.fields(), self._quarantine)
        return out

    @property
    def mixes(self) -> bool:
        """Whether a row may depend on the others of its batch."""
        return bool(self._batch_transforms)

    def make(self, indices: Indices, epoch: int, batch: int, layout: int) -> tuple[Array, ...]:
        """Return these samples as that batch of an epoch, in a layout. Raises SampleError, PipelineError."""
        out = [aligned_empty((len(indices), *leaf.shape), leaf.dtype) for leaf in self.specs[layout].leaves]
        try:
            with kept(bool(self._pipeline.draws)):
                self._fill(indices, epoch, out)
        except BadSample as bad:
            self._note(bad)
            raise self._pipeline.error(bad) from bad.__cause__
        if self._batch_transforms:
            started = time.monotonic_ns()
            with kept(True):
                self._batch_transforms.apply(self.specs[layout], epoch, self._plan.rank, batch, out)
            self._stopwatch.mixed(time.monotonic_ns() - started)
        return tuple(out)

    def _fill(self, indices: Indices, epoch: int, out: list[Array]) -> None:
        if self._substitution is None:
            self._pipeline.fill(indices, epoch, out, self._progress)
        else:
            self.cells.add(TrainerCell.SUBSTITUTED, self._substitution.fill(indices, epoch, out, self._progress))

    def trying(self, attempt: int) -> None:
        """Do nothing (`loader.data.pipeline.substitution.BadSampleObserver`): nobody watches this process."""

    def met(self, bad: BadSample, row: int) -> None:
        """Record a bad sample (`loader.data.pipeline.substitution.BadSampleObserver`). Raises SampleError if it is one too many."""
        beyond = self._note(bad)
        if beyond is not None:
            raise beyond from bad.__cause__

    def _note(self, bad: BadSample) -> SampleError | None:
        self.cells.add(TrainerCell.ERRORS, 1)
        error = self._pipeline.sample_error(bad)
        if not error.remote_traceback and bad.__cause__ is not None:
            error.remote_traceback = remote_traceback(bad.__cause__)  # for the report
        beyond = self._known.note(error)
        self.cells[TrainerCell.QUARANTINED] = len(self._known)
        return beyond

    def check_owner(self) -> None:
        """Do nothing: a fork of this process has everything that it needs."""

    def skip(self) -> None:
        """Do nothing: nothing is made beforehand."""

    def resize(self, workers: int) -> None:
        """Raise ConfigError."""
        raise ConfigError("this loader works in the calling process (workers=0) and has no workers to resize")

    def relay(self) -> None:
        """Do nothing: nobody else prints."""

    def close(self) -> None:
        """Close the report of bad samples."""
        self._known.close()
