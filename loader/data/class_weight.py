"""`class_weight=`: each sample's weight from its label, as the last thing before the batch is complete.

Keras drops its own `class_weight` silently when the data come from anything but its built-in kinds, so the loader applies it.
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np

from loader.data.spec import Array, Leaf, SampleSpec
from loader.data.transforms import RowError
from loader.errors import ConfigError

_MOST_CLASSES = 2**24  # a number beyond is no class, and the table would be too large
_SOFT = 0.5  # label smoothing and mixing leave the sum of a one-hot vector at 1
_WEIGHT = Leaf(2, None, (), np.dtype(np.float32))


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

    def result(self, spec: SampleSpec) -> SampleSpec:
        """Return the spec with a weight in it. Raises ConfigError where the labels are not class numbers or one-hot vectors."""
        labels = [leaf for leaf in spec.leaves if leaf.part == 1]
        if len(labels) != 1 or len(labels[0].shape) > 1 or labels[0].dtype.kind == "c":
            raise ConfigError(f"class_weight needs samples (x, y) whose y is one class number or one-hot vector; these are {spec}")
        weights = [leaf for leaf in spec.leaves if leaf.part == 2]
        if weights and weights != [_WEIGHT]:
            remedy = "" if weights[0].shape else ". What to do: sample_weight.astype('float32')"
            raise ConfigError(f"class_weight multiplies a sample_weight that is one float32 number; here it is {weights[0]}{remedy}")
        return spec if weights else SampleSpec((*spec.leaves, _WEIGHT))

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
