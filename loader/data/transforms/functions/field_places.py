"""Where the arrays that `fields` names stand in a sample, for transforms that get samples one by one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from loader.data.spec import Leaf, Sample, SampleSpec

Place = tuple[int, str | None]
"""Number of a part, and the key in its dict; None where the part is an array."""


class FieldPlaces:
    """Finds named arrays in samples. What was found is kept until a sample of another structure comes, which hardly ever happens.

    Args:
        names: of parts, or of keys of dicts.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._structure: list[object] | None = None
        self._found: list[Place] = []

    def of(self, sample: Sample) -> list[Place]:
        """Return the places of the arrays in a sample. Raises ConfigError where a name is that of none; the message lists what there is."""
        structure: list[object] = [list(part) if type(part) is dict else None for part in sample]
        if structure != self._structure:
            leaves = [
                Leaf(part, key, (), np.dtype(bool)) for part, value in enumerate(sample) for key in (value if isinstance(value, dict) else [None])
            ]
            self._found = [(leaves[number].part, leaves[number].key) for number in SampleSpec(tuple(leaves)).select(self._names)]
            self._structure = structure
        return self._found


def array_at(sample: Sample, place: Place) -> object:
    """Return what stands at a place."""
    part, key = place
    return sample[part] if key is None else sample[part][key]


def with_arrays(sample: Sample, changed: Sequence[tuple[Place, object]]) -> Sample:
    """Return a sample with other arrays at some places; neither the sample nor its dicts are changed."""
    parts = list(sample)
    copied = set()
    for (part, key), value in changed:
        if key is None:
            parts[part] = value
            continue
        if part not in copied:
            parts[part] = dict(parts[part])
            copied.add(part)
        parts[part][key] = value
    return tuple(parts)
