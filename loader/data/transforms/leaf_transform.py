"""What a built-in transform is: it changes chosen arrays of a sample, many rows at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from loader.data.named_arguments import NamedArguments
from loader.data.spec import Array, Leaf, Sample, SampleSpec
from loader.errors import ConfigError

Fields = str | Sequence[str]


Change = Callable[[Array, Array, Any], Array]
"""Called as `change(row, out, drawn)`: writes a row, transformed, to `out`, which is C-contiguous, and returns it. The row may be a part of a larger
array. If it only has to be looked at in another way, or is to stay as it is, a view of it is returned instead, and nothing is written."""

Step = tuple[int, "LeafTransform", Leaf]
"""The number of an array in a sample's spec, what changes it, and what it becomes."""


def names_of_fields(given: Fields, argument: str, *, none: bool = False) -> tuple[str, ...]:
    """Return names of fields as a tuple. Raises ConfigError for anything else; also for no name, unless there may be `none`."""
    names = (given,) if isinstance(given, str) else given
    if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"{argument}={given!r}; give names of parts, such as 'x', or of keys in a dict, such as ('image', 'mask')")
    if not names and not none:
        raise ConfigError(f"{argument}={given!r} names no array")
    return tuple(names)


def change_each(change: Change, rows: Array, out: Array, draws: Sequence[Any]) -> None:
    """Do what `LeafTransform.apply` does, row by row."""
    for row, target, drawn in zip(rows, out, draws if len(draws) else [None] * len(rows), strict=True):
        made = change(row, target, drawn)
        if made is not target:
            target[...] = made


class RowError(ValueError):
    """A transform of many rows failed at one of them."""

    def __init__(self, row: int, problem: str) -> None:
        super().__init__(problem)
        self.row = row


class WrongSize(ConfigError):
    """An array is too small or too large for a transform; that of another sample may not be."""


class LeafTransform(NamedArguments, ABC):
    """A transform that changes each chosen array separately, many rows at a time.

    A subclass says what an array becomes (`result`), does it (`apply`), and, where it is random, draws once per sample (`draw`), so that
    all chosen arrays of a sample get the same decision.

    Attributes:
        aligns: whether it cuts the chosen arrays of a sample at one place, so that those of one size must have it in every sample.
        kept: whether a cache had better keep what it makes than what it is given, where it draws nothing: it takes longer than a copy of the result,
            or gives samples one size. Not where it makes bytes into floats, of which it would keep four times as much.
        modules: what it imports.
    """

    aligns: ClassVar[bool] = False
    kept: ClassVar[bool] = False
    modules: ClassVar[tuple[str, ...]] = ()

    def __init__(self, fields: Fields) -> None:
        self.fields = names_of_fields(fields, f"{type(self).__name__}: fields")

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "apply" in vars(cls) and "change" not in vars(cls):  # rows go through its own `apply`, whatever the class above it does
            cls.change = LeafTransform.change  # type: ignore[method-assign]

    @classmethod
    def names(cls, given: Fields, argument: str) -> tuple[str, ...]:
        """Return names of fields as a tuple, which may be empty. Raises ConfigError for anything else."""
        return names_of_fields(given, f"{cls.__name__}: {argument}", none=True)

    @property
    def random(self) -> bool:
        """Whether it draws a decision for each sample."""
        return False

    @property
    def fixed_axes(self) -> int:
        """How many of the first axes of an array have the same lengths after it, whatever they had before."""
        return 0

    def open(self) -> None:
        """Import what `apply` takes. Runs in: the supervisor, before it forks the workers; or the trainer with `workers=0`."""

    def steps(self, spec: SampleSpec) -> list[Step]:
        """Return what is done to which arrays of a sample. Raises ConfigError if there are no such arrays, or this transform can't handle one."""
        return [self.step(number, spec.leaves[number]) for number in spec.select(self.fields)]

    def step(self, number: int, leaf: Leaf) -> Step:
        """Return what is done to the array `number`."""
        return number, self.for_leaf(leaf), self.result(leaf)

    def for_leaf(self, leaf: Leaf) -> LeafTransform:
        """Return the transform that does this to `leaf`: itself, unless it treats some of its fields differently."""
        return self

    @abstractmethod
    def result(self, leaf: Leaf) -> Leaf:
        """Return what `leaf` becomes. Raises ConfigError if this transform can't handle it."""

    @abstractmethod
    def apply(self, rows: Array, out: Array, draws: Sequence[Any]) -> None:
        """Write the transformed `rows` to `out`.

        Args:
            rows: of shape `(n, *leaf.shape)`; read-only, may be memory-mapped.
            out: of shape `(n, *result(leaf).shape)`, C-contiguous; does not overlap `rows`.
            draws: what `draw` returned for each row; empty unless `random`.
        """

    def change(self, leaf: Leaf) -> Change | None:
        """Return what does to one row what `apply` does to many, if it is as fast row by row; else None. To be called after `open`."""
        return None

    def draw(self, rng: np.random.Generator) -> Any:
        """Draw the decision for one sample."""
        return None

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Transform one sample. Same bits as `apply` on many rows."""
        spec = SampleSpec.of(sample)
        leaves = spec.flatten(sample)
        draws = [self.draw(rng)] if self.random else []
        for number, step, result in self.steps(spec):
            out = np.empty((1, *result.shape), result.dtype)
            step.apply(np.asarray(leaves[number], order="C")[None], out, draws)
            leaves[number] = out[0]
        return spec.unflatten(leaves)

    def __repr__(self) -> str:
        settings = ", ".join(f"{key}={value!r}" for key, value in vars(self).items() if not key.startswith("_"))
        return f"{type(self).__name__}({settings})"
