"""A saved position: what `state_dict` writes, and what `load_state_dict` refuses, because it belongs to other data. Reads no sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from loader.data.plans.epoch_plan import EpochPlan
from loader.data.plans.file_batches import FileBatches
from loader.data.sources.joined import Joined
from loader.data.sources.source import Source, with_members
from loader.data.sources.subset import Subset
from loader.errors import StateError

VERSION = 1

# Epochs are part of generators' keys and of tickets, as 64 bits; nobody trains for that many.
_EPOCHS = 2**48

# What states of earlier loaders do not have.
_NEWER = ("files", "buckets")

_PLACE = ("version", "epoch", "batch")


@dataclass(frozen=True, kw_only=True)
class State:
    """Where a loader is, and for which data and settings that is true. JSON-able, a few hundred bytes.

    A batch is a global one, of all ranks together: `batch_size × world` rows. So a job with another world size but the same global batch continues
    with the same batches.

    Attributes:
        version: of this format.
        epoch: of the next batch.
        batch: its number in the epoch.
        samples: in the source.
        ids: hash of the samples' IDs, or None where they have none.
        spec: of a finished sample, as text.
        seed: of the order and of everything random.
        shuffle: the setting: whether the order is random, and in which windows.
        global_batch: rows of a full batch, all ranks together.
        drop_last: whether a last batch that is not full is left out.
        files: if each file is a batch, how many there are and a hash of their rows; else None. Empty in a state that does not tell.
        buckets: hash of the settings of buckets and of which samples are in which; None without buckets.
    """

    version: int = VERSION
    epoch: int
    batch: int
    samples: int
    ids: str | None
    spec: str
    seed: int
    shuffle: bool | int | str
    global_batch: int
    drop_last: bool
    files: str | None = ""
    buckets: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the state as a dict of plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, given: object) -> State:
        """Return the state that `to_dict` gave. Raises StateError for anything else, naming all that is wrong with it."""
        if not isinstance(given, Mapping):
            raise StateError(f"a state must be the dict that state_dict() returned, not a {type(given).__name__}")
        version = given.get("version")
        if isinstance(version, int) and version > VERSION:
            raise StateError(f"this state has version {version}, but the newest one known here is {VERSION}; update the loader")
        names = [field.name for field in fields(cls)]
        missing = [name for name in names if name not in given and name not in _NEWER]
        if missing:
            raise StateError(f"this is not a dict that state_dict() returned: it has no {', '.join(missing)}")
        state = cls(**{name: given[name] for name in names if name in given})
        problems = [f"{name}={given[name]!r}" for name, fine in state._checks().items() if not fine]
        if problems:
            raise StateError(f"this state has values that state_dict() never writes: {', '.join(problems)}")
        return state

    def _checks(self) -> dict[str, bool]:
        return {
            "version": _is_number(self.version) and self.version >= 1,
            "epoch": _is_number(self.epoch) and self.epoch < _EPOCHS,
            "batch": _is_number(self.batch),
            "samples": _is_number(self.samples),
            "ids": self.ids is None or isinstance(self.ids, str),
            "spec": isinstance(self.spec, str),
            "seed": _is_number(self.seed),
            "shuffle": _is_shuffle(self.shuffle),
            "global_batch": _is_number(self.global_batch),
            "drop_last": isinstance(self.drop_last, bool),
            "files": self.files is None or isinstance(self.files, str),
            "buckets": self.buckets is None or isinstance(self.buckets, str),
        }

    def check_against(self, own: State, batches: int, name: str) -> None:
        """Raise StateError, naming every difference, unless this position is one of the loader that is at `own`.

        Args:
            own: state of the loader.
            batches: in its epoch.
            name: of the loader.
        """
        saved, have = asdict(self), asdict(own)
        told = [key for key in saved if key not in _PLACE and (key, saved[key]) != ("files", "")]
        lines = [f"{key}: {saved[key]!r}, here {have[key]!r}" for key in told if saved[key] != have[key]]
        if not lines and self.batch > batches:
            lines = [f"batch: {self.batch}, but here an epoch has {batches}"]
        if lines:
            problem = f"the state was saved with other data or settings than those of {name}; the differences, saved and here:"
            raise StateError("\n  ".join([problem, *lines]))


def _is_shuffle(value: object) -> bool:
    return isinstance(value, bool) or value == "blocks" or (isinstance(value, int) and value >= 2)


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def fingerprint(source: Source) -> str | None:
    """Return a hash of the samples' IDs in their order, or of what is known instead; None where samples have nothing but their number.

    Paths count from the source's root, so data that was moved keeps its IDs. Takes 0.6 s for 10⁶ paths (docs/measurements.md), and no time for
    rows of arrays, however many. Of objects that are far away, the version counts as well.
    """
    from hashlib import blake2b

    digest = blake2b(digest_size=8)
    known = _add(source, digest.update)
    for member in with_members(source):
        if (versions := member.versions()) is not None:
            digest.update(versions.data)
            known = True
    return digest.hexdigest() if known else None


def files_in_words(plan: EpochPlan) -> str | None:
    """Return how many files a plan makes batches of, and how many rows they have: two data sets with the same rows in other files differ in it.

    None where files are not batches.
    """
    if not isinstance(plan, FileBatches):
        return None
    from hashlib import blake2b

    rows = np.diff(plan.ends, prepend=0)
    return f"{len(rows)} of {rows.min()} to {rows.max()} rows, {blake2b(rows, digest_size=8).hexdigest()}"


def _add(source: Source, update: Callable[[Any], None]) -> bool:
    """Add what distinguishes the samples of a source from others; return whether there is anything."""
    ids = source.ids()
    if ids is not None:
        update("\0".join(ids).encode("utf-8", "surrogateescape"))
        return True
    if isinstance(source, Subset):
        update(source._indices)
        _add(source._source, update)
        return True
    if isinstance(source, Joined):
        known = [_add(part, update) for part in source._sources]  # all of them, even if the first one has nothing
        return any(known)
    from loader.data.sources.cached.cached import Cached

    return isinstance(source, Cached) and _add(source._source, update)
