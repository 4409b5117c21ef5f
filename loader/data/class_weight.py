"""`class_weight=`: each sample's weight from its label, as the last thing before the batch is complete.

Keras drops its own `class_weight` silently when the data come from anything but its built-in kinds, so the loader applies it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any, Literal

import numpy as np

from loader.data.rows import BadSample, Indices
from loader.data.sources.source import Source
from loader.data.spec import Array, Leaf, SampleSpec
from loader.data.transforms import RowError
from loader.errors import ConfigError

_MOST_CLASSES = 2**24  # a number beyond is no class, and the table would be too large
_SOFT = 0.5  # label smoothing and mixing leave the sum of a one-hot vector at 1
_WEIGHT = Leaf(2, None, (), np.dtype(np.float32))


def _balanced(source: Source) -> dict[int, float]:
    """Return the weights by which all classes that occur weigh the same, and all samples together as much as without: 1 on average.

    Raises:
        ConfigError: the source does not tell its labels without reading samples, or they are not class numbers.
    """
    labels = source.labels()
    if labels is None or labels.ndim != 1 or labels.dtype.kind not in "biu":
        known = "are not known without reading samples" if labels is None else f"are {labels.dtype.name} of shape {labels.shape[1:]}"
        raise ConfigError(
            f'class_weight="balanced" counts the labels of the source, which must be single class numbers; those of {source!r} {known}. '
            "What to do: give labels= to the source; or give a dict {class number: weight}. "
            "source.statistics()['y'].labels counts labels by reading them"
        )
    classes, counts = np.unique(labels, return_counts=True)
    return {int(number): len(labels) / (len(classes) * int(count)) for number, count in zip(classes, counts, strict=True)}


class ClassWeight:
    """Adds the weight of its class to each sample, or multiplies the weight that it has.

    Args:
        weights: weight by class number, as Keras takes it.
    """

    def __init__(self, weights: Mapping[int, float]) -> None:
        keys: list[Any] = list(weights)
        wrong = [key for key in keys if isinstance(key, bool) or not isinstance(key, int | np.integer) or not 0 <= key < _MOST_CLASSES]
        if wrong or not weights:
            names = "; a name's number is its place in source.classes" if wrong and isinstance(wrong[0], str) else ""
            raise ConfigError(f"class_weight maps class numbers from 0 up to weights; it has {wrong or 'no entries'}{names}")
        self._table = np.full(max(weights) + 1, np.nan, np.float32)
        for key, weight in weights.items():
            if isinstance(weight, bool) or not isinstance(weight, Real) or not np.isfinite(weight):
                raise ConfigError(f"class_weight[{key!r}] is {weight!r}; give a finite number")
            self._table[key] = weight

    @classmethod
    def of(cls, given: Mapping[int, float] | Literal["balanced"] | None, source: Source) -> ClassWeight | None:
        """Return what a Loader's setting means for the samples of a source; None for None. Raises ConfigError."""
        if given is None:
            return None
        return cls(_balanced(source) if isinstance(given, str) else given)

    def result(self, spec: SampleSpec) -> SampleSpec:
        """Return the spec with a weight in it. Raises ConfigError if the labels are not class numbers or one-hot vectors."""
        labels = [leaf for leaf in spec.leaves if leaf.part == 1]
        if len(labels) != 1 or len(labels[0].shape) > 1 or labels[0].dtype.kind == "c":
            raise ConfigError(f"class_weight needs samples (x, y) whose y is one class number or one-hot vector; these are {spec}")
        weights = [leaf for leaf in spec.leaves if leaf.part == 2]
        if weights and weights != [_WEIGHT]:
            remedy = "" if weights[0].shape else ". What to do: sample_weight.astype('float32')"
            raise ConfigError(f"class_weight multiplies a sample_weight that is one float32 number; here it is {weights[0]}{remedy}")
        return spec if weights else SampleSpec((*spec.leaves, _WEIGHT))

    def weigh(self, indices: Indices, spec: SampleSpec, out: Sequence[Array], *, multiply: bool) -> None:
        """Write the weights of samples to where they belong in `out`, which has one array per leaf of `spec`. Raises BadSample."""
        parts = [leaf.part for leaf in spec.leaves]
        try:
            self.apply(out[parts.index(1)], out[parts.index(2)], multiply=multiply)
        except RowError as error:
            raise BadSample(int(indices[error.row]), "y") from error

    def apply(self, labels: Array, weights: Array, *, multiply: bool) -> None:
        """Write the weights of `labels` (n,) or one-hot (n, classes) to `weights` (n,), float32."""
        vectors = labels.ndim == 2 and labels.shape[1] > 1
        if vectors and (several := np.flatnonzero(np.abs(labels.sum(-1) - 1) > _SOFT)).size:
            problem = (
                f"class_weight needs one class per sample, but the label {labels[several[0]].tolist()} is not one-hot; give sample_weight instead"
            )
            raise RowError(int(several[0]), problem)
        numbers = labels.argmax(-1) if vectors else labels.reshape(-1)
        with np.errstate(invalid="ignore"):
            classes = numbers.astype(np.int64)
        known = (classes == numbers) & (classes >= 0) & (classes < len(self._table))
        found: Array = self._table[np.where(known, classes, 0)]
        wrong = np.flatnonzero(~known | np.isnan(found))
        if wrong.size:
            raise RowError(int(wrong[0]), f"class_weight has no entry for the label {numbers[wrong[0]]}")
        np.multiply(weights, found, out=weights) if multiply else np.copyto(weights, found)
