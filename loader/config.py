"""Every setting of a loader: unit, default, range and reason, each declared once. All are checked together when a loader is made."""

from __future__ import annotations

import math
import numbers
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

import numpy as np

from loader.errors import ConfigError
from loader.machine import available_cores
from loader.ray_workers import RayWorkers

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}

# Enough to fill a first batch quickly and to measure by; a second later there are four times as many if the trainer waits.
_FIRST_WORKERS = 8


def _setting(default: Any, *, unit: str, allowed: str, why: str) -> Any:
    return field(default=default, metadata={"unit": unit, "allowed": allowed, "why": why})


@dataclass(frozen=True)
class LocalShard:
    """What `shard="local"` stands for in the process that makes the pool.

    Attributes:
        rank: of that process.
        world: number of ranks, on all machines.
        sharing: how many of them share the pool.
    """

    rank: int
    world: int
    sharing: int


@dataclass(frozen=True, kw_only=True)
class Config:
    """The settings of one loader. `Loader` takes the same names; `docs/settings.md` is made from this class."""

    batch_size: int | Sequence[int] | None = _setting(
        None,
        unit="rows",
        allowed="1 or more, or None; with bucket_by also a list",
        why="rows per batch, for each rank of `shard`; None makes a batch of each file; a list has the rows for each bucket of `bucket_by`",
    )
    shuffle: bool | int | Literal["blocks"] = _setting(
        False,
        unit="",
        allowed='True, False, "blocks", or 2 or more samples',
        why="a new order every epoch, from `seed`; with a number, samples are mixed within windows of about so many, which are read in long pieces; "
        '"blocks" chooses windows of 256 MiB (see larger_than_memory.md)',
    )
    seed: int = _setting(0, unit="", allowed="0 to 2**64 - 1", why="decides the order and all random draws: same seed, same batches")
    drop_last: bool = _setting(False, unit="", allowed="True or False", why="leave out the last batch if it is not full, of each bucket")
    bucket_by: Any = _setting(  # noqa: RUF009  as immutable as the others
        None,
        unit="",
        allowed="ascending lengths such as [64, 128, 256], or loader.Buckets(...)",
        why="samples differ in length: batches of similar length, each padded to the length of its bucket (see my_samples_differ_in_length.md)",
    )
    workers: int | Literal["auto"] = _setting(
        "auto", unit="processes", allowed='0 or more, or "auto"', why='0 runs everything in the calling process; "auto" finds the fewest that keep up'
    )
    max_workers: int | None = _setting(
        None, unit="processes", allowed="1 or more", why='upper limit for `resize` and "auto"; default: the largest of `workers`, 16, and 8 per core'
    )
    slots: int | None = _setting(
        None, unit="slots", allowed="2 or more", why="places for batches in shared memory; default: as many as keep all workers busy"
    )
    memory_limit: int | str | None = _setting(
        None,
        unit="bytes",
        allowed='more than one batch, such as 2_000_000_000 or "2GiB"',
        why="limit for shared memory and all processes together, also while running; default: half of what is available at the start (see memory.md)",
    )
    on_error: Literal["raise", "substitute"] = _setting(
        "raise",
        unit="",
        allowed='"raise" or "substitute"',
        why="what happens with a bad sample: its batch raises the error, or another sample takes its place",
    )
    max_errors: int | float | None = _setting(
        None,
        unit="samples, or a share",
        allowed='0 or more, or a float from 0.0 to 1.0; needs on_error="substitute"',
        why="how many different samples of the source may be bad before one is an error; default: any number",
    )
    quarantine: str | os.PathLike[str] | None = _setting(  # noqa: RUF009  as immutable as the others
        None, unit="path", allowed="a file to append to", why="report of the bad samples, one JSON line for each, once per loader"
    )
    io_retries: int = _setting(
        3, unit="tries", allowed="0 or more", why="how often a read is tried again after an error that may go away by itself, with growing pauses"
    )
    sample_timeout_s: float = _setting(60.0, unit="seconds", allowed="more than 0", why="a worker that makes no progress for this long is replaced")
    shard: tuple[int, int] | Literal["local"] | LocalShard = _setting(  # noqa: RUF009  as immutable as the others
        (0, 1),
        unit="(rank, world)",
        allowed='0 ≤ rank < world; or "local"',
        why='this process\'s part of a data-parallel job; with "local", the ranks on a machine share one pool, which needs a `name` (see '
        "many_trainers_one_pool.md)",
    )
    class_weight: Mapping[int, float] | Literal["balanced"] | None = _setting(
        None,
        unit="",
        allowed='a dict from class number to weight, or "balanced"',
        why="becomes the sample weight; a weight that already exists is multiplied by it. "
        '"balanced" gives each class of the source the same weight in all: samples / (classes × samples of the class)',
    )
    name: str | None = _setting(None, unit="", allowed="letters, digits, - and _", why="name of the loader in `stats()` and in messages")
    shared: bool = _setting(
        False, unit="", allowed="True or False; True needs a `name`", why="whether other scripts may read the same batches, by `Loader.attach(name)`"
    )
    lag: Literal["split", "wait"] = _setting(
        "split",
        unit="",
        allowed='"split" or "wait"',
        why="what happens with a slow reader of a shared loader: its batches are made once more, or all go in step (see many_trainers_one_pool.md)",
    )

    remote: RayWorkers | None = _setting(  # noqa: RUF009  as immutable as the others
        None,
        unit="",
        allowed="loader.RayWorkers(max=32, ...)",
        why="workers on the machines of a Ray cluster, beside those of this one (see workers_on_other_machines.md)",
    )

    def __post_init__(self) -> None:
        """Check everything. Raises ConfigError with all that is wrong."""
        for setting in fields(self):
            object.__setattr__(self, setting.name, plain(getattr(self, setting.name)))
        wrong = [f"{name}={getattr(self, name)!r}: {problem}" for name, problem in self._problems()]
        if wrong:
            raise ConfigError("wrong settings:\n  " + "\n  ".join(wrong) if len(wrong) > 1 else wrong[0])

    def _problems(self) -> list[tuple[str, str]]:
        given: Any = self  # what a user gave may have any type
        good = {
            "batch_size": given.batch_size is None or _whole(given.batch_size, 1) or _are_sizes(given.batch_size),
            "bucket_by": given.bucket_by is None or isinstance(given.bucket_by, list | tuple) or hasattr(given.bucket_by, "edges"),
            "seed": _whole(given.seed, 0, 2**64 - 1),
            "workers": _is_text(given.workers, "auto") or _whole(given.workers, 0),
            "max_workers": given.max_workers is None or _whole(given.max_workers, 1),
            "slots": given.slots is None or _whole(given.slots, 2),
            "io_retries": _whole(given.io_retries, 0),
            "shuffle": isinstance(given.shuffle, bool) or _is_text(given.shuffle, "blocks") or _whole(given.shuffle, 2),
            "drop_last": isinstance(given.drop_last, bool),
            "memory_limit": given.memory_limit is None or parse_bytes(given.memory_limit) is not None,
            "on_error": _is_text(given.on_error, "raise", "substitute"),
            "max_errors": given.max_errors is None or _whole(given.max_errors, 0) or _is_share(given.max_errors),
            "quarantine": given.quarantine is None or bool(isinstance(given.quarantine, str | os.PathLike) and os.fspath(given.quarantine)),
            "sample_timeout_s": _number(given.sample_timeout_s) and given.sample_timeout_s > 0,
            "shard": _is_shard(given.shard),
            "class_weight": given.class_weight is None or isinstance(given.class_weight, Mapping) or _is_text(given.class_weight, "balanced"),
            "shared": isinstance(given.shared, bool),
            "lag": _is_text(given.lag, "split", "wait"),
            "remote": given.remote is None or isinstance(given.remote, RayWorkers),
            "name": given.name is None or bool(isinstance(given.name, str) and re.fullmatch(r"[\w-]{1,64}", given.name)),
        }
        problems = [(name, f"must be {describe(name)['allowed']}{_kind(getattr(self, name))}") for name, fine in good.items() if not fine]
        if not problems and self.batch_size is None and self.drop_last:
            problems.append(("drop_last", "with batch_size=None, where each file is a batch, no batch is partial"))
        if not problems and self.batch_size is None and not isinstance(self.shuffle, bool):
            problems.append(("shuffle", "with batch_size=None, where each file is a batch, there are no windows of samples; give True or False"))
        if not problems and self.bucket_by is None and isinstance(self.batch_size, list | tuple):
            problems.append(("batch_size", "several sizes are for bucket_by, one for each bucket"))
        if not problems and self.bucket_by is not None and self.batch_size is None:
            problems.append(("batch_size", "with bucket_by, give a number of rows, or one for each bucket"))
        if not problems and getattr(self.bucket_by, "by_length", self.bucket_by is not None) and not isinstance(self.shuffle, bool):
            problems.append(("shuffle", "with bucket_by, there are no windows of samples; give True or False"))
        if not problems and isinstance(self.workers, int) and self.max_workers is not None and self.workers > self.max_workers:
            problems.append(("workers", f"more than max_workers={self.max_workers}"))
        if not problems and self.shared and self.name is None:
            problems.append(("shared", "others attach by name; give it one"))
        if not problems and self.shard == "local" and self.name is None:
            problems.append(("shard", "the ranks find the pool by its name; give it one"))
        if not problems and self.slots is not None and self.slots < self.fewest_slots:
            problems.append(("slots", f"each of the {self.sharing} ranks that share them needs two; give {self.fewest_slots} or more"))
        if not problems and self.shared and self.workers == 0:
            problems.append(("shared", "with workers=0 there is no pool to share"))
        if not problems and self.remote is not None and self.workers == 0:
            problems.append(("remote", "with workers=0 everything runs in the calling process; give a number of workers for this machine as well"))
        if not problems and self.max_errors is not None and self.on_error != "substitute":
            problems.append(("max_errors", 'needs on_error="substitute"; with "raise", the first bad sample is an error'))
        return problems

    @property
    def rank_and_world(self) -> tuple[int, int]:
        """The part of a data-parallel job that this process has; of `shard="local"`, once the launcher has been asked."""
        if isinstance(self.shard, LocalShard):
            return self.shard.rank, self.shard.world
        assert not isinstance(self.shard, str)
        return self.shard

    @property
    def sharing(self) -> int:
        """How many ranks share the pool of `shard="local"`; 1 where there is none, or it is not known yet."""
        return self.shard.sharing if isinstance(self.shard, LocalShard) else 1

    @property
    def fewest_slots(self) -> int:
        """Slots that there must be: two for each rank, since it may hold a batch until it has the next one."""
        return 2 * self.sharing

    @property
    def worker_count(self) -> int:
        """Workers to begin with; "auto" begins with one per core, at most 8 or `max_workers`, or is 0 where there is no pool."""
        if self.workers != "auto":
            return self.workers
        first = min(available_cores(), _FIRST_WORKERS)
        return min(first, self.max_workers or first) if sys.platform == "linux" else 0

    @property
    def worker_ceiling(self) -> int:
        """Most workers that `resize` and "auto" may ask for."""
        return self.max_workers or max(16, 8 * available_cores(), self.worker_count)

    @property
    def most_remote(self) -> int:
        """Most workers on other machines."""
        return 0 if self.remote is None else self.remote.max

    @property
    def memory_limit_bytes(self) -> int | None:
        """The memory limit in bytes, or None."""
        return None if self.memory_limit is None else parse_bytes(self.memory_limit)


def describe(name: str) -> Mapping[str, str]:
    """Return unit, allowed range and reason of a setting."""
    return next(setting.metadata for setting in fields(Config) if setting.name == name)


def plain(value: Any) -> Any:
    """Return a number or bool of NumPy, or of another library, as Python's own, which JSON knows; anything else as it is."""
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return tuple(map(plain, value)) if isinstance(value, tuple) else value
    return int(value) if isinstance(value, numbers.Integral) else float(value)


def parse_bytes(size: int | str) -> int | None:
    """Return a size in bytes from a number or from text such as "2GiB", "500MB", "1.5G"; None where it is neither."""
    if not isinstance(size, str):
        return int(size) or None if _number(size) and size > 0 else None
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]i?)?b?\s*", size.lower())
    return int(float(match[1]) * _UNITS[match[2] or ""]) or None if match else None


def mib(nbytes: int) -> str:
    """Return bytes in words that can be added up: MiB, or KiB where they are few."""
    return f"{nbytes / 2**20:,.1f} MiB" if nbytes >= 2**20 else f"{nbytes / 2**10:,.1f} KiB"


def brief_size(nbytes: int) -> str:
    """Return bytes in a few characters, for a column or a remark."""
    return f"{nbytes / 2**30:.1f} GiB" if nbytes >= 2**30 else f"{nbytes / 2**20:.0f} MiB"


def _kind(value: Any) -> str:
    """Return what a wrong value is, where that may be what is wrong with it: "8" is no int."""
    return "" if type(value) in (int, float) else f", but it is of type {type(value).__name__}"


def _whole(value: Any, lowest: int, highest: float = math.inf) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and lowest <= value <= highest


def _is_share(value: Any) -> bool:
    return isinstance(value, float) and 0 <= value <= 1


def _are_sizes(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(_whole(size, 1) for size in map(plain, value))


def _is_text(value: Any, *texts: str) -> bool:
    return isinstance(value, str) and value in texts


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_shard(value: Any) -> bool:
    if _is_text(value, "local") or isinstance(value, LocalShard):
        return True
    return isinstance(value, tuple) and len(value) == 2 and _whole(value[1], 1) and _whole(value[0], 0, value[1] - 1)
