"""`on_error="substitute"`: another sample takes the place of a bad one.

Which one follows from the seed, the epoch, the bad sample's index and the attempt alone, so that it does not matter who meets the bad sample,
in what company, or how often. Its random transforms are keyed by its own index, as everywhere.

    attempt 0         the sample itself
    attempt 1 … 16    `substitute(…, attempt)`, each if the one before is bad as well
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from loader.data.pipeline.pipeline import Pipeline
from loader.data.plans.epoch_plan import EpochPlan
from loader.data.rng import substitute_generator
from loader.data.rows import BadSample, Indices
from loader.data.spec import Array
from loader.errors import in_words

LAST_ATTEMPT = 16

CAPACITY = 1023
"""How many samples that kill or hang are remembered; any further ones are tried again in each epoch."""


def substitute(seed: int, epoch: int, index: int, attempt: int, samples: int) -> int:
    """Return the index of the sample that stands in for sample `index` in `epoch`: any other one, each as likely.

    Args:
        seed: of the loader.
        epoch: in which the sample is bad.
        index: of the bad sample.
        attempt: 0 is the sample itself, 1 the first one in its place, and so on.
        samples: in the source, at least 2 unless `attempt` is 0.
    """
    if attempt == 0:
        return index
    other = int(substitute_generator(seed, epoch, index, attempt).integers(samples - 1))
    return other + (other >= index)


def stand_in(plan: EpochPlan, seed: int, epoch: int, index: int, attempt: int) -> int:
    """Return what `substitute` does, among the samples that the plan allows in the place of sample `index`."""
    fellows = plan.fellows(index) if attempt else None
    if fellows is None:
        return substitute(seed, epoch, index, attempt, plan.samples)
    other = int(substitute_generator(seed, epoch, index, attempt).integers(len(fellows) - 1))
    return int(fellows[other + (fellows[other] >= index)])


def last_attempt_at(plan: EpochPlan, index: int) -> int:
    """Return the number of the last attempt at a row of sample `index`."""
    fellows = plan.fellows(index)
    return last_attempt(plan.samples if fellows is None else len(fellows))


def last_attempt(samples: int) -> int:
    """Return the number of the last attempt at a row, in a source of so many samples: a single one has none in its place."""
    return LAST_ATTEMPT if samples > 1 else 0


class NoSubstitute(RuntimeError):
    """A sample is bad, and so is every one that was tried in its place."""


def no_substitute(last: BadSample | None) -> NoSubstitute:
    """Return the error of a sample for which nothing could stand in, with the last failure as its cause."""
    cause = None if last is None else last.__cause__
    said = "" if cause is None else f". The last failure: {in_words(cause)}"
    error = NoSubstitute(f"it is bad, and so is every sample that was tried in its place, up to {LAST_ATTEMPT} of them{said}")
    error.__cause__ = cause
    return error


class KnownKillers:
    """Samples that are not tried again, since they kill their workers or hang: each would cost three workers, or three time-outs, in every epoch.

    The supervisor adds them, and all workers, also those that live already, look once per ticket. With `workers=0` none are known: a sample that
    kills ends the training as well.

    Args:
        memory: int64 of shape `(1 + CAPACITY,)`, zeros, shared by all who look. A count, and then that many indices, each plus 1.
    """

    def __init__(self, memory: Indices | None = None) -> None:
        self._memory = np.zeros(1 + CAPACITY, np.int64) if memory is None else memory
        self._cells = self._memory.data

    def add(self, index: int) -> None:
        """Add a sample. Runs in: the supervisor."""
        count = self._cells[0]
        if count < CAPACITY and index not in self:
            self._cells[1 + count] = index + 1
            self._cells[0] = count + 1

    def __contains__(self, index: int) -> bool:
        return index in self._listed()

    def among(self, indices: Indices) -> list[int]:
        """Return the places in `indices` that hold such samples, in order."""
        if not self._cells[0]:
            return []
        places: list[int] = np.flatnonzero(np.isin(indices, self._listed())).tolist()
        return places

    def after(self, count: int) -> list[int]:
        """Return those that have been added after the first `count`."""
        found: list[int] = self._listed()[count:].tolist()
        return found

    def _listed(self) -> Indices:
        listed: Indices = self._memory[1 : 1 + self._cells[0]] - 1  # one that is counted before it is seen is still a 0, which makes it none
        return listed


class BadSampleObserver(Protocol):
    """Is told of bad samples while rows are filled."""

    def trying(self, attempt: int) -> None:
        """Attempt number `attempt` at a row begins; 0 when the row is done."""

    def met(self, bad: BadSample, row: int) -> None:
        """A sample of row `row` is bad: the row's own, or one that was tried in its place. What this raises ends the filling."""


class Substitution:
    """Fills rows as `Pipeline.fill` does, with other samples in the place of bad ones.

    Rows without bad samples cost nothing more. Where one is met, the rows before it are made again without it, since built-in transforms work on
    many rows at once and have finished none of them; the bits are the same, because no row depends on its neighbours.

    Args:
        pipeline: compiled.
        plan: says which samples may take the place of which.
        observer: is told of the bad ones.
        known_killers: those that need not be tried.
    """

    def __init__(self, pipeline: Pipeline, plan: EpochPlan, observer: BadSampleObserver, known_killers: KnownKillers) -> None:
        self._pipeline = pipeline
        self._plan = plan
        self._observer = observer
        self._known_killers = known_killers

    def fill(self, indices: Indices, epoch: int, out: list[Array], progress: memoryview, first: int = 0, attempt: int = 0) -> int:
        """Produce the samples `indices` of `epoch`, or others in their place, in the rows of `out`.

        Args:
            indices: of shape `(n,)`.
            epoch: chooses the random draws.
            out: as `Pipeline.fill` takes it.
            progress: as there.
            first: as there; also the number of the first row for the observer.
            attempt: to begin with; for one row only, whose earlier attempts are known to be bad.

        Returns:
            The number of rows that hold another sample than their own.

        Raises:
            BadSample: no sample could be produced for a row, in 16 attempts.
        """
        if attempt:
            self._stand_in(int(indices[0]), epoch, out, progress, first, attempt, None)
            return 1
        start = substituted = 0
        for end in self._known_killers.among(indices):
            substituted += self._fill(indices[start:end], epoch, [leaf[start:end] for leaf in out], progress, first + start) + 1
            self._stand_in(int(indices[end]), epoch, [leaf[end : end + 1] for leaf in out], progress, first + end, 1, None)
            start = end + 1
        return substituted + self._fill(indices[start:], epoch, [leaf[start:] for leaf in out] if start else out, progress, first + start)

    def _fill(self, indices: Indices, epoch: int, out: list[Array], progress: memoryview, first: int) -> int:
        """Fill rows without known killers; return how many hold another sample than their own."""
        start = substituted = 0
        while start < len(indices):
            try:
                self._pipeline.fill(indices[start:], epoch, [leaf[start:] for leaf in out] if start else out, progress, first + start)
                break
            except BadSample as error:
                bad = error
            end = start + int(np.flatnonzero(indices[start:] == bad.index)[0])
            self._observer.met(bad, first + end)
            substituted += self._fill(indices[start:end], epoch, [leaf[start:end] for leaf in out], progress, first + start) + 1
            self._stand_in(bad.index, epoch, [leaf[end : end + 1] for leaf in out], progress, first + end, 1, bad)
            start = end + 1
        return substituted

    def _stand_in(self, index: int, epoch: int, out: list[Array], progress: memoryview, row: int, attempt: int, bad: BadSample | None) -> None:
        for number in range(attempt, last_attempt_at(self._plan, index) + 1):
            self._observer.trying(number)
            other = stand_in(self._plan, self._pipeline.seed, epoch, index, number)
            if other in self._known_killers:
                continue
            try:
                self._pipeline.fill(np.array([other], np.int64), epoch, out, progress, row)
                self._observer.trying(0)
                return
            except BadSample as error:
                bad = error
            self._observer.met(bad, row)
        self._observer.trying(0)
        raise BadSample(index) from no_substitute(bad)
