"""Functions of a finished batch, such as mixup: what runs when all rows of a batch are there.

Each gets the batch's own generator, a function of seed, epoch, rank, batch and its place in the list, and returns the batch. What it returns is
copied to where the batch lies. It may also change the arrays that it is given; so a batch whose worker died meanwhile is made again from its samples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from loader.data import fork_guard
from loader.data.global_rng import set_from
from loader.data.rng import batch_generator
from loader.data.rows import is_fault_of_sample
from loader.data.spec import Array, Leaf, Sample, SampleSpec
from loader.data.transforms.functions.map_function import name_of
from loader.errors import PipelineError, in_words

BatchTransform = Callable[[Sample, "np.random.Generator"], Sample]


class BatchTransforms:
    """The batch transforms of a loader, in the order of their list.

    Args:
        functions: called as `f(batch, rng)`.
        seed: of the loader.
        world: number of ranks.
    """

    def __init__(self, functions: Sequence[BatchTransform], seed: int, world: int) -> None:
        self._functions = functions
        self._seed = seed
        self._world = world

    def __bool__(self) -> bool:
        return bool(self._functions)

    def apply(self, spec: SampleSpec, epoch: int, rank: int, batch: int, arrays: Sequence[Array]) -> None:
        """Change a batch in place.

        Runs in: a worker; or the trainer with `workers=0`.

        Args:
            spec: of one sample.
            epoch: of the batch.
            rank: whose it is.
            batch: its number in the epoch, on that rank.
            arrays: one per leaf, of shape `(rows, *leaf.shape)`.

        Raises:
            PipelineError: one of the functions failed, or returned something else; names it, epoch and batch.
        """
        depth = fork_guard.depth()
        for place, function in enumerate(self._functions):
            rng = batch_generator(self._seed, epoch, batch * self._world + rank, place)
            set_from(rng)  # a function may draw from them, and 30 µs are little for a batch
            try:
                made = function(spec.unflatten(arrays), rng)
                fork_guard.exit_if_forked(depth)
                _write(_leaves_of(made, spec, arrays), arrays)
            except BaseException as error:
                fork_guard.exit_if_forked(depth)
                if not is_fault_of_sample(error) or isinstance(error, MemoryError):
                    raise
                words = f"batch transform {place}, {name_of(function)}, failed on batch {batch} of epoch {epoch}"
                raise PipelineError(f"{words}: {in_words(error)}") from error


def _leaves_of(made: Any, spec: SampleSpec, arrays: Sequence[Array]) -> list[Array]:
    """Return what a function made of a batch as arrays. Raises TypeError or ValueError where it is no batch of this kind."""
    if made is None:
        raise TypeError("it returned None; it must return the batch, in the form in which it got it")
    found = SampleSpec.of(made)
    wanted = SampleSpec(tuple(Leaf(leaf.part, leaf.key, array.shape, leaf.dtype) for leaf, array in zip(spec.leaves, arrays, strict=True)))
    by_name = {(leaf.part, leaf.key): leaf for leaf in found.leaves}
    own = [by_name.get((leaf.part, leaf.key)) for leaf in wanted.leaves]
    fits = len(found.leaves) == len(own) and all(
        one is not None and one.shape == leaf.shape and np.can_cast(one.dtype, leaf.dtype, "same_kind")
        for one, leaf in zip(own, wanted.leaves, strict=True)
    )
    if not fits:
        raise ValueError(
            f"it returned {found}, and the batch is {wanted}; number of rows, shapes and kinds of numbers must stay as they are. "
            "What to do: convert before, in a transform, such as T.OneHot for labels that are mixed"
        )
    return found.flatten(made) if found.leaves == wanted.leaves else [found.flatten(made)[found.leaves.index(one)] for one in own if one is not None]


def _write(made: Sequence[Array], arrays: Sequence[Array]) -> None:
    """Copy what was made to where the batch lies; it may consist of views of the batch, also of other arrays of it."""
    apart = [
        leaf.copy() if any(other is not target and np.may_share_memory(leaf, other) for other in arrays) else leaf
        for leaf, target in zip(made, arrays, strict=True)
    ]
    for leaf, target in zip(apart, arrays, strict=True):
        if leaf is not target:
            target[...] = leaf
