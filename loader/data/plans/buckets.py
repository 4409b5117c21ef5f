"""The setting `bucket_by`: which lengths batches have, and which samples belong to which of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from loader.data.named_arguments import NamedArguments
from loader.data.rows import Indices
from loader.data.sources.shapes.shape_table import UNKNOWN
from loader.data.sources.source import Source, name_or_none
from loader.errors import ConfigError

Shape = tuple[int, ...]
Lengths = npt.ArrayLike | Callable[[Shape], int]

_LONGER = ("error", "crop", "drop")
_FEW = 3  # samples that a message names


@dataclass(frozen=True, eq=False)
class Buckets(NamedArguments):
    """Batches of samples of similar length, padded to one length for each bucket: `Loader(..., bucket_by=Buckets([64, 128, 256]))`.

    A sample belongs to the first bucket that is at least as long as it is. Its arrays are filled up at their end, after all transforms. So there is
    one shape for each bucket, and a model is compiled once for each (and once more for a last batch with fewer rows: `drop_last=True`).

    Attributes:
        edges: the length of each bucket, ascending.
        axis: that has the length, counted without the batch axis.
        fields: arrays that are padded: parts, such as "x", or keys in a dict. The longest one decides.
        lengths: of the samples, as they are after the transforms: one for each, in the order of the source; or a function of the shape of the
            first of `fields` in the source. None: the samples of the source have them (`source.shapes()`), and no transform makes them longer.
        longer: what happens with samples longer than the last bucket: "error", "crop" (their end is cut off), or "drop" (left out of every epoch).
        pad_value: what arrays are filled up with.
        mask: key under which x gets a bool array `(length,)`, True where there is data. An x that is one array becomes `{"x": array, mask: ...}`.
        weights: add a sample weight for each step, float32 `(length,)`: that of the sample, or 1, where there is data, and 0 where there is none.

    Raises:
        ConfigError: a setting is wrong; the message lists all that are.
    """

    setting: ClassVar[str] = "bucket_by"  # what asks for it, in messages
    name: ClassVar[str] = "Buckets"
    value_name: ClassVar[str] = "pad_value"
    by_length: ClassVar[bool] = True

    edges: Sequence[int]
    axis: int = 0
    fields: str | Sequence[str] = "x"
    lengths: Lengths | None = None
    longer: Literal["error", "crop", "drop"] = "error"
    pad_value: float = 0
    mask: str | None = None
    weights: bool = False

    def __post_init__(self) -> None:
        given: Any = self  # what a user gave may have any type
        good = {
            "edges": _are_edges(given.edges),
            "axis": _is_whole(given.axis, 0),
            "fields": isinstance(given.fields, str) or bool(given.fields and all(isinstance(name, str) for name in given.fields)),
            "longer": isinstance(given.longer, str) and given.longer in _LONGER,
            "pad_value": isinstance(given.pad_value, int | float | np.number),
            "mask": given.mask is None or (isinstance(given.mask, str) and bool(given.mask)),
            "weights": isinstance(given.weights, bool),
        }
        allowed = {
            "edges": "ascending lengths from 1 up, such as [64, 128, 256]",
            "axis": "0 or more; the batch axis does not count",
            "fields": "names of arrays, such as 'x' or ('tokens', 'tags')",
            "longer": " or ".join(map(repr, _LONGER)),
            "pad_value": "a number",
            "mask": "a name, or None",
            "weights": "True or False",
        }
        wrong = [f"{name}={getattr(self, name)!r}: must be {allowed[name]}" for name, fine in good.items() if not fine]
        if wrong:
            raise ConfigError("wrong settings of buckets:\n  " + "\n  ".join(wrong) if len(wrong) > 1 else f"Buckets: {wrong[0]}")
        object.__setattr__(self, "edges", tuple(int(edge) for edge in self.edges))
        object.__setattr__(self, "fields", (self.fields,) if isinstance(self.fields, str) else tuple(self.fields))

    @classmethod
    def of(cls, given: Buckets | Sequence[int]) -> Buckets:
        """Return what a Loader's setting means: a list is short for `Buckets(list)`."""
        return given if isinstance(given, Buckets) else cls(given)

    def known(self, source: Source, workers: int | Literal["auto"], substitute: bool = False) -> Buckets:
        """Return the same buckets with the length of every sample of `source`.

        Blocks: until the shapes of all samples are known, unless lengths were given.

        Args:
            source: of the samples.
            workers: that look at shapes.
            substitute: whether other samples take the place of bad ones. Then those that have no shape are in the last bucket, where any other fits.

        Raises:
            ConfigError: there is not one length for each sample, or some are too long.
            SampleError: samples have no shape.
        """
        lengths = self.lengths_of(source, workers, substitute)
        lengths[lengths == UNKNOWN] = self.edges[-1]
        made = replace(self, lengths=lengths)
        longer = np.flatnonzero(lengths > made.edges[-1])
        if longer.size and self.longer == "error":
            raise ConfigError(_too_long(source, lengths, longer, made.edges[-1]))
        return made

    def lengths_of(self, source: Source, workers: int | Literal["auto"], substitute: bool) -> Indices:
        """Return the length of every sample; UNKNOWN for a bad one that is to be substituted. See `known`."""
        lengths = self._given_lengths(source, workers, substitute)
        if lengths.shape != (len(source),) or lengths.dtype.kind not in "iu":
            raise ConfigError(
                f"{self.name}: lengths has shape {lengths.shape} and dtype {lengths.dtype}, but {source!r} has {len(source):,} samples; "
                "give one whole number for each, in their order"
            )
        found_out = self.lengths is None or callable(self.lengths)
        if lengths.size and lengths.min() < (UNKNOWN if substitute and found_out else 0):
            raise ConfigError(f"{self.name}: lengths[{int(lengths.argmin())}] is {int(lengths.min())}; a length is 0 or more")
        return lengths.astype(np.int64)

    def _given_lengths(self, source: Source, workers: int | Literal["auto"], substitute: bool) -> npt.NDArray[Any]:
        if self.lengths is not None and not callable(self.lengths):
            return np.asarray(self.lengths)
        shapes = source.shapes(workers=workers, on_error="unknown" if substitute else "raise")
        padded = [source.spec.leaves[number] for number in source.spec.select(self.fields)]
        if callable(self.lengths):
            found = shapes[padded[0].name].tolist()
            return np.array([UNKNOWN if UNKNOWN in shape else self.lengths(tuple(shape)) for shape in found])
        for leaf in padded:
            if len(leaf.shape) <= self.axis:
                raise ConfigError(
                    f"{self.setting} needs a length along axis {self.axis} of {leaf}, which has no such axis (the batch axis does not count). "
                    f"What to do: {self.name}(..., axis=..., fields=...); or, if a transform makes what has the length, {self.name}(..., lengths=...)"
                )
        lengths: Indices = np.max([shapes[leaf.name][:, self.axis] for leaf in padded], axis=0)
        return lengths

    @cached_property
    def numbers(self) -> Indices:
        """The bucket of each sample, by number; the number of buckets for one that is in none. Of `known` buckets only."""
        lengths = np.asarray(self.lengths, np.int64)
        numbers: Indices = np.searchsorted(np.asarray(self.edges), lengths).astype(np.int64)
        return np.minimum(numbers, len(self.edges) - 1) if self.longer == "crop" else numbers

    def fellows(self, index: int) -> Indices:
        """Return the samples that fit wherever sample `index` does. Of `known` buckets only."""
        return np.flatnonzero(self.numbers <= self.numbers[index])

    def fingerprint(self, sizes: Sequence[int]) -> str:
        """Return a hash of everything that decides what is in a batch. Of `known` buckets only.

        Args:
            sizes: rows of a full batch of each bucket, all ranks together.
        """
        import hashlib

        settings = self.edges, self.axis, self.fields, self.longer, self.pad_value, self.mask, self.weights, tuple(sizes)
        digest = hashlib.blake2b(repr(settings).encode(), digest_size=8)
        digest.update(self.numbers)
        return digest.hexdigest()

    def __repr__(self) -> str:
        return f"Buckets({list(self.edges)})"


def _too_long(source: Source, lengths: npt.NDArray[Any], which: Indices, last: int) -> str:
    named = [f"{name_or_none(source, index) or f'sample {index}'} ({lengths[index]})" for index in which[:_FEW].tolist()]
    more = ", ..." if len(which) > _FEW else ""
    return (
        f"{len(which):,} of {len(lengths):,} samples are longer than {last}, the last bucket: {', '.join(named)}{more}. The longest has "
        f"{int(lengths.max())}. What to do: add a bucket; or bucket_by=Buckets([...], longer='crop') or longer='drop'"
    )


def _are_edges(given: Any) -> bool:
    if not isinstance(given, Sequence | np.ndarray) or isinstance(given, str | bytes) or not len(given):
        return False
    edges = list(given)
    return all(_is_whole(edge, 1) for edge in edges) and all(low < high for low, high in pairwise(edges))


def _is_whole(value: Any, lowest: int) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and bool(value >= lowest)
