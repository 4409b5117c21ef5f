"""Splits of any source: nothing is on two sides or on none, no group is torn, and nobody changes sides when others come."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from loader import MapSource
from loader.errors import ConfigError
from tests.examples import examples

NAMES = st.text(min_size=1, max_size=6)
SHARES = st.floats(0.05, 0.45)
SEEDS = st.integers(0, 2**64 - 1)


def sides_of(names: list[str], validation: float, test: float, **options: Any) -> list[list[str]]:
    """Return the IDs on each side, or discard the example where a side is empty."""
    labels = options.pop("labels", None)
    try:
        sides = MapSource(range(len(names)), ids=names, labels=labels).split(validation, test=test, **options)
    except ConfigError:
        assume(False)
    return [side.ids() or [] for side in sides]


@examples(150)
@given(st.lists(NAMES, min_size=10, max_size=60, unique=True), SHARES, SHARES, SEEDS, st.booleans())
def test_every_sample_is_on_one_side(names: list[str], validation: float, test: float, seed: int, stratify: bool) -> None:
    labels = np.arange(len(names)) % 2 if stratify else None
    sides = sides_of(names, validation, test, seed=seed, stratify=stratify, labels=labels)
    assert Counter(name for side in sides for name in side) == Counter(names)


@examples(150)
@given(st.lists(NAMES, min_size=20, max_size=60, unique=True), st.integers(10, 59), SHARES, SHARES, SEEDS)
def test_nobody_changes_sides_when_others_come(names: list[str], old: int, validation: float, test: float, seed: int) -> None:
    before = sides_of(names[:old], validation, test, seed=seed)
    after = sides_of(names[::-1], validation, test, seed=seed)
    assert all(set(few) <= set(many) for few, many in zip(before, after, strict=True))


@examples(150)
@given(st.lists(st.tuples(NAMES, st.integers(0, 15)), min_size=10, max_size=60, unique_by=lambda item: item[0]), SHARES, SHARES, SEEDS)
def test_no_group_is_torn(items: list[tuple[str, int]], validation: float, test: float, seed: int) -> None:
    group_of = dict(items)
    sides = sides_of(list(group_of), validation, test, seed=seed, groups=group_of)
    assert sum(len({group_of[name] for name in side}) for side in sides) == len(set(group_of.values()))


@examples(100)
@given(st.lists(st.integers(0, 3), min_size=20, max_size=80), SHARES, SHARES, SEEDS)
def test_each_class_has_its_share(labels: list[int], validation: float, test: float, seed: int) -> None:
    names = [f"n{number}" for number in range(len(labels))]
    class_of = dict(zip(names, labels, strict=True))
    _, val, tested = sides_of(names, validation, test, seed=seed, stratify=True, labels=np.array(labels))
    for each, count in Counter(labels).items():
        assert sum(class_of[name] == each for name in val) == round(validation * count)
        assert sum(class_of[name] == each for name in tested) == round(test * count)
