"""`loader inspect --verify`: all files are read, or all samples made, beforehand, and the bad ones named.

A loader does it: its pool deals the items, survives those that kill or hang, and keeps the memory limit. Nothing is in its batches. Workers note
what they find in shared memory, so that an item at which one hangs keeps back nothing that is known of the others.
"""

from __future__ import annotations

import json
import logging
import os
import time
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import click
import numpy as np

from loader.data.class_weight import ClassWeight
from loader.data.rows import Indices
from loader.data.sources.objects.map_source import MapSource
from loader.data.sources.source import Source
from loader.ipc import memfd
from loader.ipc.line_file import LineFile
from loader.ipc.quarantine import BadEntry
from loader.machine import available_cores
from loader.train.loader import Loader
from loader.watch.inspect.files import DECODED
from loader.watch.inspect.kinds.kind import Kind, is_zarr
from loader.watch.inspect.kinds.texts import rows_source
from loader.watch.inspect.survey import files_at, is_glob
from loader.watch.script import call, described
from loader.watch.session import INTERRUPTED, MeasurementSession
from loader.watch.verify.checks import Check, Column, Examine, FileCheck, Results, SampleCheck
from loader.watch.verify.file_check import usual_form
from loader.watch.verify.store_check import StoreCheck
from loader.watch.writable import Writable

_SHOWN = 20

# So many batches of so many items are worked on before those behind an item at which a worker hangs have to wait for it.
_SLOTS = 64
_LARGEST_BATCH = 1024

# The pool has up to 16 other samples take the place of one that kills. With three empty ones for each item, one of them does, even if all items kill.
_SAMPLES_PER_ITEM = 4


def verify(target: str, jobs: int | None, report: str | None, as_json: bool) -> int:
    """Check what `target` means and print what is wrong; return the exit status: 0 all good, 1 some bad, 130 after Ctrl-C.

    Args:
        target: a path, or SCRIPT:FUNCTION.
        jobs: processes; None for one per core.
        report: file or URL that is written, with a line for each bad item.
        as_json: prints JSON instead of sentences.
    """
    check = _check(target)
    writable = None if report is None else Writable(report)  # before the work: a report that can't be written is worth knowing now
    began = time.monotonic()
    with closing(Found(check)) as found:
        with MeasurementSession("inspect") as sitting:
            run(check, found, jobs or available_cores(), sitting)
        found.look()
    seconds = time.monotonic() - began
    bad = [found.bad[index] for index in sorted(found.bad)]
    if writable is not None:
        writable.write("".join(entry.line() for entry in bad))
    summary = _summary(target, check, found, seconds, sitting.interrupted)
    if as_json:
        click.echo(json.dumps(summary | {"bad": [json.loads(entry.line()) for entry in bad]}))
    else:
        for entry in bad[:_SHOWN]:
            click.echo(f"{entry.path or f'sample {entry.index}'}: {entry.reason}")
        if len(bad) > _SHOWN:
            click.echo(f"... and {len(bad) - _SHOWN:,} more" + ("" if report else "; --report FILE writes all of them"))
        click.echo(_sentence(summary, check, len(bad)))
    return INTERRUPTED if sitting.interrupted else int(bool(bad))


class Found:
    """What is known so far. Owns the memory that the workers write to; `close` gives it back.

    Args:
        check: of the items.

    Attributes:
        results: for the workers.
        report: path of the report that workers and pool append to.
        bad: what is bad, by number of the item, as of the last `look`.
    """

    def __init__(self, check: Check) -> None:
        self.bad: dict[int, BadEntry] = {}
        self._check = check
        self._journal = LineFile.create("journal")
        self._table = memfd.create("verified", len(check) * len(Column) * 8)
        self.report = memfd.path_of(self._journal.fd)
        self.results = Results(memfd.path_of(self._table), self.report)

    def look(self) -> None:
        """Read what has been reported."""
        for record in self._journal.records():
            entry = BadEntry(**record)
            item = entry.index - 1
            self.bad[item] = replace(entry, index=item, path=self._check.name_of(item))
            self[Column.DONE][item] = 1  # the pool does not say so of what it accuses

    def __getitem__(self, column: Column) -> Indices:
        """Return a column of the table: a number for each item."""
        cells: Indices = self.results.columns[column]
        return cells

    def close(self) -> None:
        """Give the memory back; what has been found can still be read."""
        self._journal.close()
        os.close(self._table)


def run(check: Check, found: Found, jobs: int, sitting: MeasurementSession) -> None:
    """Check all items with so many processes; see `Examine` for what the samples stand for."""
    samples = 1 + len(check)
    batch_size = min(_LARGEST_BATCH, -(-samples // _SLOTS))
    began = time.monotonic()

    def progress() -> tuple[int, str]:
        found.look()
        seconds, done = max(time.monotonic() - began, 0.001), int(found[Column.DONE].sum())
        rate = f"{done / seconds:,.0f} {check.noun}/s {found[Column.BYTES].sum() / seconds / 1e6:,.1f} MB/s"
        left = f"{(len(check) - done) * seconds / max(done, 1):,.0f} s left"
        return done, f"{done:,} of {len(check):,}, {rate}, {len(found.bad):,} bad, {left}"

    settings: dict[str, Any] = {"on_error": "substitute", "quarantine": found.report, "sample_timeout_s": check.timeout_s, "name": "verify"}
    with (
        _in_silence(),
        Loader(
            MapSource(range(_SAMPLES_PER_ITEM * samples)),
            batch_size,
            transforms=[Examine(check, found.results)],
            workers=min(jobs, len(check)),
            slots=_SLOTS,
            **settings,
        ) as loader,
        sitting.following(len(check), progress),
    ):
        for _ in islice(loader, -(-samples // batch_size)):
            pass


@contextmanager
def _in_silence() -> Iterator[None]:
    """Keep back what a loader says of workers that die and samples that are bad: the summary says it."""
    log = logging.getLogger("loader.supervisor")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            yield
    finally:
        log.setLevel(level)


def _check(target: str) -> Check:
    if Path(target).exists() or is_glob(target):
        return _check_of_path(target)
    made = call(target)
    if isinstance(made, Source):
        return SampleCheck(made, transforms=(), seed=0)
    if not isinstance(made, Loader):
        raise click.UsageError(f"{target!r} returned {described(made)}; it must return a Loader or a source")
    made.close()  # its workers would be in the way
    config = made._config
    weights = ClassWeight.of(config.class_weight, made.source)
    settings = {"transforms": made.transforms, "seed": config.seed, "class_weight": weights, "io_retries": config.io_retries}
    return SampleCheck(made.source, timeout_s=config.sample_timeout_s, **settings)


def _check_of_path(target: str) -> Check:
    if is_zarr(target):
        return StoreCheck([target])
    files = files_at(target)
    if files.kind is Kind.HDF5:
        return StoreCheck(files.paths)
    if files.kind is Kind.TABLE:
        return SampleCheck(rows_source(files.paths), transforms=(), seed=0)
    if files.kind is Kind.NPY:
        source = files.source(None)
        return FileCheck(source, usual_form(source))
    if files.kind not in DECODED:
        raise click.UsageError(
            f"{target!r} holds {files.kind.value}, whose bytes don't tell what they mean, so nothing can be checked. Give SCRIPT:FUNCTION, "
            "which returns a source such as RawArray(path, dtype, sample_shape): that compares the size, and its samples are made"
        )
    _, contents = files.look()
    return SampleCheck(files.source(contents.decoder), transforms=(), seed=0)


def _summary(target: str, check: Check, found: Found, seconds: float, interrupted: bool) -> dict[str, Any]:
    nan, infinite = found[Column.NAN], found[Column.INFINITE]
    odd = np.flatnonzero((nan > 0) | (infinite > 0)).tolist()
    return {
        "path": target,
        check.noun: len(check),
        "verified": int(found[Column.DONE].sum()),
        "bytes": int(found[Column.BYTES].sum()),
        "seconds": round(seconds, 3),
        "interrupted": interrupted,
        "not finite": {
            check.noun: len(odd),
            "nan": int(nan.sum()),
            "infinite": int(infinite.sum()),
            "first": None if not odd else check.name_of(odd[0]) or f"sample {odd[0]}",
        },
    }


def _sentence(summary: dict[str, Any], check: Check, bad: int) -> str:
    noun = check.noun
    seconds = max(summary["seconds"], 0.001)
    rate = f"{summary['verified'] / seconds:,.0f} {noun}/s, {summary['bytes'] / seconds / 1e6:,.1f} MB/s"
    lines = [f"{summary['verified']:,} of {summary[noun]:,} {noun} verified in {seconds:.1f} s ({rate}): {bad:,} bad"]
    if summary["interrupted"]:
        lines[0] = f"Interrupted. {lines[0]} so far"
    odd = summary["not finite"]
    if odd[noun]:
        values = f"{odd['nan']:,} NaN and {odd['infinite']:,} infinite values"
        lines.append(f"Remark: {odd[noun]:,} {noun} contain {values}; the first is {odd['first']}")
    if check.remark:
        lines.append(f"Remark: {check.remark}")
    return "\n".join(lines)
