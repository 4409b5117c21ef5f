"""From sample numbers to finished rows: the source, the transforms and the class weights, as one thing that travels to the workers.

The list of transforms is cut into segments. Neighbouring built-in transforms form a segment that works array by array on many rows, and takes each
row through several transforms at a time where they work on rows one by one; a `Batch` is one that gets many rows, too; all other callables form
segments that work sample by sample. Between segments the rows lie in scratch memory of
the worker; the last thing that touches an array writes it into the slot, and an array that nothing touches is read into the slot directly.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from loader.data import fork_guard
from loader.data.class_weight import ClassWeight
from loader.data.npy.file_io import limit_in_words
from loader.data.pipeline.batch_segment import BatchSegment, check_draws
from loader.data.pipeline.batch_transforms import BatchTransform
from loader.data.pipeline.global_rng_seeding import Detector, Draws, GlobalGenerators, SeededSource, check_nothing_random_is_kept, with_declared
from loader.data.pipeline.global_rng_seeding import in_words as draws_in_words
from loader.data.pipeline.io_retries import may_pass, pause
from loader.data.pipeline.leaf_segment import LeafSegment
from loader.data.pipeline.padded_segment import PaddedSegment
from loader.data.pipeline.segments import CallSegment, Rows, Segment, Transform, describe, grouped, read_rows
from loader.data.pipeline.sizing import first_segment
from loader.data.pipeline.told_specs import FirstSample, known_specs, tell_specs
from loader.data.plans.buckets import Buckets
from loader.data.rng import SOURCE_PLACE, SampleGenerator
from loader.data.rows import UNKNOWN_ROW, BadSample, Indices, RowGauge, is_fault_of_sample
from loader.data.sources.arrays.column_source import gathers_rows, is_of_rows
from loader.data.sources.joined import check_sums
from loader.data.sources.source import Source, name_or_none, with_members
from loader.data.spec import Array, SampleSpec
from loader.data.stopwatch import READ, WRITE, Stopwatch, batch_stage_name, stage_names
from loader.data.transforms import Batch, LeafTransform, WrongSize
from loader.errors import ConfigError, DataNotFoundError, LoaderError, PipelineError, SampleError, drop_own_frames, in_words, remote_traceback

# Rows are worked on in chunks whose intermediate arrays stay in a core's second-level cache; where a function wants several rows, in larger ones.
_CHUNK_BYTES, _BATCH_CHUNK_BYTES = 1024 * 1024, 16 * 1024 * 1024


class Pipeline:
    """A source, its transforms and class weights: what a worker runs.

    Pickled once by the trainer. `compile` must have been called in the process that uses it, or in one that it was forked from.

    Args:
        source: where samples come from.
        transforms: applied in this order.
        seed: of all random transforms.
        class_weight: applied last, or None.
        batch_transforms: run on finished batches, by whoever has them (`BatchTransforms`).
        io_retries: how often rows whose reading failed with an error that may pass are produced again, after pauses of 0.05, 0.2, 0.8, … seconds.
        buckets: to whose lengths samples are padded; None where all have one shape.

    Attributes:
        source: as given; one that keeps samples does the first transforms itself, where these draw nothing (`cut`).
        transforms: as given.
        spec: of a finished sample; see `compile`.
        specs: the same, one for each layout that batches can have, in the order of the plan; the last one is `spec`.
        draws: what source and transforms draw from global generators; see `compile`.
        watch: to be told how long each stage of the next `fill` takes, or None.
    """

    spec: SampleSpec
    specs: tuple[SampleSpec, ...]
    draws: Draws
    watch: Stopwatch | None = None

    def __init__(
        self,
        source: Source,
        transforms: Sequence[Transform],
        seed: int,
        class_weight: ClassWeight | None = None,
        io_retries: int = 0,
        buckets: Buckets | None = None,
        batch_transforms: Sequence[BatchTransform] = (),
    ) -> None:
        self.source, self._taken = source, 0
        if any(member.keeps for member in with_members(source)):
            from loader.data.pipeline.head import cut  # and caches with it

            self.source, self._taken = cut(source, transforms)
        self.transforms = tuple(transforms)
        self.seed = seed
        self.class_weight = class_weight
        self.io_retries = io_retries
        self.buckets = buckets
        self.batch_transforms = tuple(batch_transforms)

    def parts(self) -> list[tuple[str, object]]:
        """Return all that may hold code of the user, with a description."""
        lists = (("", self.transforms), ("batch ", self.batch_transforms))
        return [("the source", self.source), *((f"{kind}{describe(place, each)}", each) for kind, given in lists for place, each in enumerate(given))]

    def check_sums(self, *, reading: bool = False) -> None:
        """Raise ConfigError where the source adds samples of different kinds, and nothing would make them alike before they are read together."""
        if self.buckets is None and (not self.transforms or isinstance(self.transforms[0], LeafTransform | Batch)):
            _, first = next(grouped(self.transforms), (None, []))
            check_sums(self.source, reading=reading, any_size=any(getattr(each, "fixed_axes", 0) for _, each in first))

    def draws_in_words(self, draws: Draws) -> str | None:
        """Return who draws from a global generator, and what to do; None if nobody does."""
        return draws_in_words(draws, self.transforms)

    def stage_names(self) -> dict[str, Any]:
        """Return a name for each stage that a stopwatch is told of, and one for the batch transforms, as JSON-able data."""
        return {"names": stage_names(self.transforms), "batch": batch_stage_name(self.batch_transforms)}

    def probe(self, index: int = 0) -> FirstSample:
        """Run the first sample, or another one, through everything; return what it told, for `compile`.

        What fails with an error that may pass is tried again, as in `fill`.

        Runs in: a process of its own, since the user's code may crash or hang; or the trainer with `workers=0`.

        Raises:
            BadSample: the source or a transform failed on the sample.
            ConfigError: the transforms do not fit the samples.
        """
        retry = 0
        while True:
            try:
                return self._probe(index)
            except DataNotFoundError as error:  # a file of the source, as it would be for any other sample
                raise BadSample(index) from error
            except (BadSample, ConfigError):
                raise
            except BaseException as error:
                if not is_fault_of_sample(error):
                    raise
                if not may_pass(error) or retry == self.io_retries:
                    raise BadSample(index) from error
                pause(retry, index, error)
            retry += 1

    def compile(self, found: FirstSample) -> SampleSpec:
        """Prepare to `fill`, with what `probe` found; return the spec of a finished sample. Reads none."""
        self.source.open()
        tell_specs(self.source, found.sources)
        self.draws = found.draws
        generator = GlobalGenerators(self.seed, len(self.source), found.draws) if found.draws else SampleGenerator(self.seed)
        self._build(generator, found.sources[0].spec or self.source.spec, found.specs)
        return self.spec

    def _probe(self, index: int) -> FirstSample:
        self.source.open()
        detector = Detector(self.seed)
        self.check_sums(reading=True)
        try:
            specs = self._build(detector, self.source.spec, None, index)
        except WrongSize as error:
            if is_of_rows(self.source) or not isinstance(self.transforms[0], LeafTransform):  # then all samples have this size
                raise ConfigError(str(error)) from None
            raise BadSample(index) from ValueError(str(error))
        detector.finish()
        check_draws(detector.draws, self.transforms)
        check_nothing_random_is_kept(self.source, detector.draws)
        return FirstSample(known_specs(self.source), specs, with_declared(detector.draws, self.transforms))

    def _build(self, generator: SampleGenerator, spec: SampleSpec, specs: Sequence[SampleSpec] | None, probed: int = 0) -> list[SampleSpec]:
        self._generator = generator
        self._segments: list[Segment] = []
        self._decoding = [member for member in with_members(self.source) if member.decodes]
        if self.buckets is not None:
            padded = PaddedSegment(list(enumerate(self.transforms))[self._taken :], spec, generator, self.buckets)
            padded.expect(padded.probe(self.source[probed])[1] if specs is None else specs[0])
            self._segments.append(padded)
            self._finish(padded.results)
            return [padded.made]
        found: list[SampleSpec] = []
        sample: Any = self.source[probed] if specs is None else None
        for kind, members in grouped(self.transforms, self._taken):
            if kind is LeafTransform:
                first = not self._segments
                segment: Segment = first_segment(members, self.source, spec, generator) if first else LeafSegment(members, spec, generator)
                for place, transform in members if specs is None else ():
                    sample = transform(sample, generator.at(0, 0, place))
            else:
                gathers = not self._segments and gathers_rows(self.source)
                segment = call = CallSegment(members, spec, generator, gathers) if kind is None else BatchSegment(*members[0], spec, generator)
                sample, call.result = call.probe(sample) if specs is None else (None, specs[len(found)])
                found.append(segment.result)
            spec = segment.result
            self._segments.append(segment)
        self._finish((spec,))
        return found

    def _finish(self, specs: Sequence[SampleSpec]) -> None:
        self._far = self.source.rows_at_once > 0
        self._own_leaves = len(specs[-1].leaves)
        self.specs = tuple(specs if self.class_weight is None else map(self.class_weight.result, specs))
        self.spec = self.specs[-1]
        scratch = max((segment.scratch_bytes for segment in self._segments), default=0)
        chunk = _BATCH_CHUNK_BYTES if any(isinstance(segment, BatchSegment) for segment in self._segments) else _CHUNK_BYTES
        self._chunk_rows = max(1, chunk // scratch) if scratch else 0

    def fill(self, indices: Indices, epoch: int, out: list[Array], progress: memoryview, first: int = 0) -> None:
        """Produce the samples `indices` of `epoch` in the rows of `out`.

        Runs in: a worker; or the trainer with `workers=0`.

        Args:
            indices: of shape `(n,)`.
            epoch: chooses the random draws.
            out: one array per leaf of `spec`, of shape `(n, *leaf.shape)`, C-contiguous, writable.
            progress: one cell; holds the row that is being read or that a function of the user is at (`first` for `indices[0]`);
                `UNKNOWN_ROW` where built-in code works on many at once.
            first: see `progress`.

        Raises:
            BadSample: names the sample that failed, from its cause.
        """
        depth = fork_guard.depth()
        if self._far:
            self.source.will_read(indices)
        for retry in range(self.io_retries + 1):
            progress[0] = UNKNOWN_ROW
            for source in self._decoding:
                source.watch = self.watch
            try:
                self._fill(indices, epoch, out, progress, first)
                return
            except BadSample as bad:
                fork_guard.exit_if_forked(depth)
                if not may_pass(bad.__cause__) or retry == self.io_retries:
                    raise
                pause(retry, bad.index, bad.__cause__)
            finally:
                for source in self._decoding:
                    source.watch = None  # it may be asked for a sample outside of this

    def _fill(self, indices: Indices, epoch: int, out: list[Array], progress: memoryview, first: int) -> None:
        own = out[: self._own_leaves]
        if not self._segments:
            read_rows(self._source_in(epoch), indices, own, RowGauge(progress, first))
            if self.watch is not None:
                self.watch.lap(READ)
        else:
            step = self._chunk_rows or len(indices)
            for start in range(0, len(indices), step):
                rows = Rows(self._source_in(epoch), indices[start : start + step], epoch, progress, first + start, watch=self.watch)
                self._run(rows, [leaf[start : start + step] for leaf in own])
        if self.class_weight is not None:
            self.class_weight.weigh(indices, self.spec, out, multiply=len(out) == self._own_leaves)
            if self.watch is not None:
                self.watch.lap(WRITE)

    def _source_in(self, epoch: int) -> Source:
        if SOURCE_PLACE in self.draws and isinstance(self._generator, GlobalGenerators):
            return SeededSource(self.source, self._generator, epoch)
        return self.source

    def name_of(self, index: int) -> str | None:
        """Return the path or ID of a sample as text; None if it has none, or a source of the user's can't tell."""
        return name_or_none(self.source, index)

    def error(self, bad: BadSample, worker: int | None = None, remark: str = "") -> LoaderError:
        """Return the error that the user sees for a bad sample: it names the sample and what was wrong with it.

        Args:
            bad: raised by `probe` or `fill`.
            worker: number of the worker that met it; the error then carries the traceback, which would be lost otherwise.
            remark: follows what was wrong.
        """
        error, cause = self.sample_error(bad, worker, remark), bad.__cause__
        if not isinstance(cause, PipelineError):
            return error
        # The sample is where it showed; what is wrong is in the source or in a transform. Only the user's own error has lines to look at.
        trace = "" if worker is None or cause.__cause__ is None else f"\n\n{remote_traceback(cause.__cause__).rstrip()}"
        return PipelineError(f"{cause}\n  at {error.which}{trace}")

    def sample_error(self, bad: BadSample, worker: int | None = None, remark: str = "") -> SampleError:
        """Return the error of a bad sample as `error` does, also where the pipeline is to blame."""
        cause = bad.__cause__ or bad
        drop_own_frames(cause)
        return SampleError(
            index=bad.index,
            name=bad.name or self.name_of(bad.index),
            reason=in_words(cause) + limit_in_words(cause) + remark,
            worker=worker,
            remote_traceback="" if worker is None else remote_traceback(cause),
            field=bad.field,
        )

    def _run(self, rows: Rows, out: list[Array]) -> None:
        last = len(self._segments) - 1
        for number, segment in enumerate(self._segments[:-1]):
            following = self._segments[number + 1]
            # What the last segment leaves alone goes straight to its place.
            made = [
                out[n] if number + 1 == last and not following.touches(n) else np.empty((len(rows.indices), *leaf.shape), leaf.dtype)
                for n, leaf in enumerate(segment.result.leaves)
            ]
            segment.run(rows, made)
            rows.arrays = made
        self._segments[last].run(rows, out)
