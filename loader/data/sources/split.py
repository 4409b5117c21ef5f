"""Which samples go to which side of a split: by a hash of the ID or the group, so that none changes sides when others are added; otherwise at random.

The hash of a name is a place between 0 and 1: validation takes the places below its share, test those above 1 minus its own, and training the rest.
If each class is to have its share (`stratify`), the rank of the hash within the class is the place.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from numbers import Integral, Real
from typing import Any

import numpy as np
import numpy.typing as npt

from loader.data.rows import Indices
from loader.data.sources.source import Source, with_members
from loader.data.sources.subset import Subset
from loader.errors import ConfigError

_SHOWN = 3  # IDs that a message names

_log = logging.getLogger("loader.data")


class Side(IntEnum):
    """Where a sample goes."""

    TRAINING = 0
    VALIDATION = 1
    TEST = 2


@dataclass(frozen=True)
class Shares:
    """Of validation and test, each between 0 and 1; `test` is None if there is no such side. What is left is for training."""

    validation: float
    test: float | None

    @classmethod
    def of(cls, validation: object, test: object) -> Shares:
        """Return the shares that a user gives. Raises ConfigError if they are not shares."""
        return cls(_share(validation, "validation"), None if test is None else _share(test, "test"))

    def by_hash(self, hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.int8]:
        """Return the side of each unit, from its hash alone: an old one stays where it is, whatever is added. Shares hold on average."""
        places = hashes / 2.0**64
        sides = np.full(len(places), Side.TRAINING, np.int8)
        sides[places < self.validation] = Side.VALIDATION
        sides[places >= 1 - (self.test or 0.0)] = Side.TEST
        return sides

    def by_rank(self, strata: Iterable[Indices], count: int) -> npt.NDArray[np.int8]:
        """Return the side of each unit of 0 to `count` - 1, where each stratum, units in an order that was drawn, has the same shares."""
        sides = np.full(count, Side.TRAINING, np.int8)
        for units in strata:
            sides[units[: round(self.validation * len(units))]] = Side.VALIDATION
            sides[units[len(units) - round((self.test or 0.0) * len(units)) :]] = Side.TEST
        return sides


@dataclass(frozen=True)
class Units:
    """What goes to one side as a whole: a sample, all samples of one ID, or a group.

    Attributes:
        names: of the units.
        of_samples: number of the unit of each sample.
    """

    names: Sequence[str]
    of_samples: Indices

    @classmethod
    def of(cls, names: Iterable[str]) -> Units:
        """Return the units of samples with these names."""
        numbers: dict[str, int] = {}
        of_samples = np.fromiter((numbers.setdefault(name, len(numbers)) for name in names), np.int64)
        return cls(list(numbers), of_samples)

    def hashes(self, key: bytes) -> npt.NDArray[np.uint64]:
        """Return a number for each unit that depends on `key` and its name alone, the same on any machine."""
        from hashlib import blake2b

        digests = [blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8, key=key).digest() for name in self.names]
        return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)

    def classes(self, of_samples: npt.NDArray[Any], what: str) -> npt.NDArray[Any]:
        """Return the class of each unit. Raises ConfigError if the samples of one differ in theirs."""
        found = np.empty(len(self.names), of_samples.dtype)
        found[self.of_samples] = of_samples
        torn = np.flatnonzero(found[self.of_samples] != of_samples)
        if len(torn):
            number = int(self.of_samples[torn[0]])
            there = np.unique(of_samples[self.of_samples == number]).tolist()
            raise ConfigError(
                f"stratify=True needs {what}s of one class each, but the samples of {what} {self.names[number]!r} have the classes {there}; "
                "leave out stratify"
            )
        return found


def split(source: Source, shares: Shares, seed: int, stratify: bool, groups: object) -> tuple[Source, ...]:
    """Return the sides of a split, as `Source.split` describes them."""
    if isinstance(seed, bool) or not isinstance(seed, Integral) or not 0 <= seed < 2**64:
        raise ConfigError(f"seed={seed!r}: must be a whole number from 0 to 2**64 - 1")
    if not isinstance(stratify, bool):
        raise ConfigError(f"stratify={stratify!r}: must be True or False; the labels are those of the source")
    classes = _classes(source) if stratify else None
    ids = source.ids()
    names = ids if groups is None else group_names(groups, ids, len(source))
    if groups is None and any(each.overlap for each in with_members(source)):
        warnings.warn(
            f"the windows of {source!r} overlap, and a split at random puts windows that share most of their steps on both sides, so "
            "validation looks better than it is. What to do: cut the series, and make a source of each part: "
            "Windows(series[:border], ...), Windows(series[border:], ...)",
            RuntimeWarning,
            stacklevel=3,  # the caller of source.split(...)
        )
    if names is None:
        sides = shares.by_rank(_by_lot(len(source), seed, classes), len(source))
    else:
        units = Units.of(names)
        hashes = units.hashes(b"%d %d" % (seed, _level(source)))
        strata = None if classes is None else _by_class(units.classes(classes, "ID" if groups is None else "group"), hashes)
        of_units = shares.by_hash(hashes) if strata is None else shares.by_rank(strata, len(units.names))
        sides = of_units[units.of_samples]
    wanted = [Side.TRAINING, Side.VALIDATION, *([] if shares.test is None else [Side.TEST])]
    _check_full(sides, wanted, shares, by_hash=names is not None and classes is None)
    _log.info("split of %r: %s", source, ", ".join(f"{int((sides == side).sum()):,} {side.name.lower()}" for side in wanted))
    return tuple(Subset(source, np.flatnonzero(sides == side), is_side=True) for side in wanted)


def group_names(groups: object, ids: Sequence[str] | None, count: int) -> list[str]:
    """Return the name of the group of each sample.

    Args:
        groups: one for each sample, in their order; or a dict by ID, or a function of an ID.
        ids: of the samples; None if they have none.
        count: of samples.

    Raises:
        ConfigError: it is none of these, or a sample has no group.
    """
    if callable(groups) or isinstance(groups, Mapping):
        if ids is None:
            raise ConfigError("groups= by ID needs a source whose samples have IDs, as files do; give one group per sample, in their order")
        values = [_call(groups, name) for name in ids] if callable(groups) else [groups.get(name) for name in ids]
    else:
        values = _listed(groups, count)
    texts = [_text(value) for value in values]
    without = [ids[place] if ids is not None else f"sample {place}" for place, text in enumerate(texts) if text is None]
    if without:
        shown = ", ".join(map(repr, without[:_SHOWN])) + (", ..." if len(without) > _SHOWN else "")
        raise ConfigError(f"groups= has no group for {len(without):,} of {count:,} samples: {shown}. Give each one a group, or leave it out")
    return [text for text in texts if text is not None]


def _listed(groups: Any, count: int) -> list[Any]:
    if isinstance(groups, str | bytes | set | frozenset) or not (hasattr(groups, "tolist") or isinstance(groups, Iterable)):
        raise ConfigError(f"groups={groups!r}: give one group per sample, a dict by ID, or a function of the ID, such as lambda id: id.split('/')[0]")
    values = groups.tolist() if hasattr(groups, "tolist") else list(groups)
    if not isinstance(values, list) or len(values) != count:
        given = len(values) if isinstance(values, list) else 1
        raise ConfigError(f"groups= has {given:,} values for {count:,} samples; give one for each, in their order, or a dict by ID")
    return values


def _call(groups: Callable[[str], Any], name: str) -> Any:
    try:
        return groups(name)
    except Exception as error:
        raise ConfigError(f"groups= fails for the ID {name!r}: {type(error).__name__}: {error}") from error


def _text(value: Any) -> str | None:
    """Return a group as text, which is hashed; None for a missing one."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value != value:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # as a column of whole numbers has them, until it has a gap
    if not isinstance(value, str | int | float | tuple):
        raise ConfigError(f"a group must be a text or a number, not {value!r}")
    return str(value)


def _classes(source: Source) -> npt.NDArray[Any]:
    labels = source.labels()
    if labels is None or labels.ndim != 1:
        raise ConfigError(f"stratify=True needs one scalar label per sample, known without reading it; {source!r} has none")
    return labels


def _by_lot(count: int, seed: int, classes: npt.NDArray[Any] | None) -> list[Indices]:
    """Return the samples of each class, or all of them, in an order that is drawn from the seed."""
    rng = np.random.Generator(np.random.Philox(key=np.array([seed, 0], np.uint64)))
    groups = np.zeros(count, np.int64) if classes is None else classes
    return [rng.permutation(np.flatnonzero(groups == group)) for group in np.unique(groups)]


def _by_class(classes: npt.NDArray[Any], hashes: npt.NDArray[np.uint64]) -> list[Indices]:
    """Return the units of each class in the order of their hashes."""
    order = np.argsort(hashes, kind="stable")
    return [order[classes[order] == each] for each in np.unique(classes)]


def _level(source: Source) -> int:
    """Return how many splits a source comes from: one with the same seed would find the hashes of one side alone."""
    own = isinstance(source, Subset) and source.is_side
    return max(map(_level, source.members()), default=0) + own


def _share(given: object, name: str) -> float:
    if isinstance(given, bool) or not isinstance(given, Real) or not np.isfinite(float(given)):
        raise ConfigError(f"{name}={given!r}: must be a share between 0 and 1, such as 0.2")
    return min(max(float(given), 0.0), 1.0)


def _check_full(sides: npt.NDArray[np.int8], wanted: Sequence[Side], shares: Shares, *, by_hash: bool) -> None:
    """Raise ConfigError if a side has no samples."""
    purposes = {Side.TRAINING: "train on", Side.VALIDATION: "validate with", Side.TEST: "test with"}
    empty = next((side for side in wanted if not (sides == side).any()), None)
    if empty is None:
        return
    given = f"validation={shares.validation:g}" + ("" if shares.test is None else f", test={shares.test:g}")
    sane = all(0 < share < 1 for share in (shares.validation, shares.test) if share is not None) and shares.validation + (shares.test or 0) < 1
    hint = "; shares are between 0 and 1, such as 0.2, and leave something to train on"
    if sane:
        lot = "the hash of its ID, or of its group, decides for each, so shares hold on average. Give another seed"
        hint = f"; {lot}, or larger shares" if by_hash else "; give larger shares, or more samples"
    raise ConfigError(f"{given} of {len(sides)} samples leaves nothing to {purposes[empty]}{hint}")
