"""Batches made in the trainer itself (`workers=0`): the same ones, bit for bit, without a process.

For debugging, for tests, and for other systems than Linux.
"""

from __future__ import annotations

import os
import time

from loader.config import Config
from loader.data.layout import aligned_empty
from loader.data.order import Order
from loader.data.pipeline import Pipeline
from loader.data.plan import EpochPlan
from loader.data.source import BadSample
from loader.data.spec import Array, SampleSpec
from loader.ipc.board import Board, SupervisorCell, TrainerCell


class Inline:
    """Produces each batch when it is asked for, into new memory.

    Args:
        pipeline: what to run.
        config: settings.
        plan: batches of an epoch.
    """

    def __init__(self, pipeline: Pipeline, config: Config, plan: EpochPlan) -> None:
        self._pipeline = pipeline
        self._plan = plan
        self._order = Order(plan.samples, config.seed, config.shuffle)
        self._progress = memoryview(bytearray(8)).cast("q")
        self._spec: SampleSpec | None = None
        self.board = Board(None, 0)
        self.board.supervisor[SupervisorCell.LIMIT_BYTES_GAUGE] = config.memory_limit_bytes or 0
        self.cells = self.board.trainer
        self.pid = os.getpid()

    @property
    def spec(self) -> SampleSpec:
        """Spec of a finished sample, by running the first one."""
        if self._spec is None:
            try:
                self._spec = self._pipeline.compile(self._pipeline.probe())
            except BadSample as bad:
                raise self._pipeline.error(bad) from bad.__cause__
        return self._spec

    def take(self, epoch: int, batch: int, *, leased: bool) -> tuple[Array, ...]:
        """Return the arrays of a batch, as `Remote.take` does. Raises SampleError."""
        started = time.perf_counter_ns()
        rows = self._plan.rows_of(batch)
        out = [aligned_empty((rows, *leaf.shape), leaf.dtype) for leaf in self.spec.leaves]
        first = batch * self._plan.batch_size
        indices = self._order.indices(epoch, self._plan.positions(first, first + rows))
        try:
            self._pipeline.fill(indices, epoch, out, self._progress)
        except BadSample as bad:
            self.cells.add(TrainerCell.ERRORS, 1)
            raise self._pipeline.error(bad) from bad.__cause__
        self.cells.add(TrainerCell.WAIT_NS, time.perf_counter_ns() - started)
        return tuple(out)

    def check_owner(self) -> None:
        """Do nothing: a fork of this process has all that it takes."""

    def skip(self, epoch: int) -> None:
        """Nothing is made beforehand, so there is nothing to skip."""

    def close(self) -> None:
        """Nothing to end."""
