"""The step of a pipeline in which a function of the user's gets several samples at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from loader.data import fork_guard
from loader.data.pipeline.global_rng_seeding import Draws
from loader.data.pipeline.segments import Rows, Segment, gathered
from loader.data.rng import SampleGenerator
from loader.data.rows import BadSample, is_fault_of_sample
from loader.data.spec import Array, Sample, SampleSpec
from loader.data.stopwatch import stage_of
from loader.data.transforms import Batch
from loader.errors import PipelineError


class BatchSegment(Segment):
    """A `Batch`, applied to all rows that come, with a generator for each.

    Where the function fails on several, each is given to it alone, and the first that fails alone is to blame. If none does, all are there: how
    many come together must not decide what is an error.
    """

    def __init__(self, place: int, batch: Batch, spec: SampleSpec, generator: SampleGenerator) -> None:
        self._place = place
        self._batch = batch
        self._spec = spec
        self._generator = generator
        self._own: list[SampleGenerator] = []
        self._before: tuple[int, list[Array]] | None = None
        self.scratch_bytes = spec.nbytes

    def touches(self, leaf: int) -> bool:
        return True

    def probe(self, sample: Sample) -> tuple[Sample, SampleSpec]:
        """Run the first sample and return what comes out, with its spec."""
        made = self._batch(sample, self._generator.at(0, 0, self._place))
        return made, SampleSpec.of(made)

    def run(self, rows: Rows, out: list[Array]) -> None:
        arrays = rows.arrays if rows.arrays is not None else gathered(rows, self._spec)
        self._fill(rows.epoch, rows.indices.tolist(), arrays, out)
        if rows.watch is not None:
            rows.watch.lap(stage_of(self._place))

    def _fill(self, epoch: int, indices: list[int], arrays: Sequence[Array], out: Sequence[Array]) -> None:
        depth = fork_guard.depth()
        try:
            made = self._made(epoch, indices, arrays)
            fork_guard.exit_if_forked(depth)
            if self._batch.check:
                self._compare(epoch, indices, arrays, made)
            for target, leaf in zip(out, made, strict=True):
                target[...] = leaf
            return
        except BaseException as error:
            fork_guard.exit_if_forked(depth)
            if not is_fault_of_sample(error) or isinstance(error, BadSample):
                raise
            if len(indices) == 1:
                raise BadSample(indices[0]) from error
        for row, index in enumerate(indices):
            self._fill(epoch, [index], [array[row : row + 1] for array in arrays], [target[row : row + 1] for target in out])

    def _made(self, epoch: int, indices: list[int], arrays: Sequence[Array]) -> list[Array]:
        """Return what the function makes of samples. It gets a copy, since it may change its arguments and be called again."""
        while len(self._own) < len(indices):
            self._own.append(SampleGenerator(self._generator.seed))
        rngs = [own.at(epoch, index, self._place) for own, index in zip(self._own, indices, strict=False)]
        made, spec = self._batch.run(self._spec, [array.copy() for array in arrays], rngs)
        if spec != self.result:
            raise PipelineError(f"{self._batch.__name__} got {spec} from the function, but for the first sample {self.result}")
        return made

    def _compare(self, epoch: int, indices: list[int], arrays: Sequence[Array], made: Sequence[Array]) -> None:
        """Raise BadSample for the first sample that comes out otherwise in other company: alone, or, if it was alone, behind the one before."""
        last = [array[-1:].copy() for array in arrays]
        if len(indices) > 1:
            for row, index in enumerate(indices):
                alone = self._made(epoch, [index], [array[row : row + 1] for array in arrays])
                self._compare_row(index, [leaf[row] for leaf in made], [leaf[0] for leaf in alone])
        else:
            before, others = self._before or (indices[0], last)
            pair = self._made(epoch, [before, *indices], [np.concatenate([other, array]) for other, array in zip(others, last, strict=True)])
            self._compare_row(indices[0], [leaf[0] for leaf in made], [leaf[1] for leaf in pair])
        self._before = indices[-1], last

    def _compare_row(self, index: int, made: Sequence[Array], again: Sequence[Array]) -> None:
        for leaf, one, other in zip(self.result.leaves, made, again, strict=True):
            if one.tobytes() != other.tobytes():
                raise BadSample(index, leaf.name) from PipelineError(
                    f"{self._batch.__name__} makes something else of this sample's {leaf.name} when it comes with others. Likely cause: a sum, mean, "
                    "or draw over all samples of a call. What to do: treat each as if it were alone, and draw from its own generator, rngs[i]"
                )


def check_draws(draws: Draws, transforms: Sequence[object]) -> None:
    """Raise PipelineError if a `Batch` draws from a global generator, which can't be set for each of several samples."""
    for place in draws:
        if 0 <= place < len(transforms) and isinstance(batch := transforms[place], Batch):
            raise PipelineError(
                f"transform {place}, {batch.__name__}, draws from the global generator of {' and '.join(draws[place])}, which can't be set for each "
                "of several samples. What to do: draw from rngs[i], the generator of each sample"
            )
