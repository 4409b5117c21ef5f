"""`loader inspect --verify`: all files are read, or all samples made, beforehand, and the bad ones named."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from loader.data.class_weight import ClassWeight
from loader.data.npy_files import NpyFiles
from loader.data.source import Source
from loader.data.verify import usual_form
from loader.train.loader import Loader
from loader.watch.script import call, described
from loader.watch.sitting import INTERRUPTED
from loader.watch.verify_checks import Check, FileCheck, SampleCheck, files_in
from loader.watch.verify_pool import Found, Verifier

_SHOWN = 20
_STALL_S = 60.0


def verify(target: str, jobs: int | None, report: Path | None, as_json: bool) -> int:
    """Check what `target` means and print what is wrong; return the exit status: 0 all good, 1 some bad, 130 after Ctrl-C.

    Args:
        target: a path, or SCRIPT:FUNCTION.
        jobs: processes; None for one per core.
        report: is written, with a line for each bad item.
        as_json: prints JSON instead of sentences.
    """
    check = _check(target)
    lines = None if report is None else report.open("w")  # before the work: a report that can't be written is worth knowing now
    interrupted: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: interrupted.append(number))
    began = time.monotonic()
    verifier = Verifier(check, jobs or len(os.sched_getaffinity(0)), _STALL_S)
    try:
        with _progress(len(check), check.noun) as show:
            verifier.run(lambda: bool(interrupted), show)
    finally:
        verifier.close()
        signal.signal(signal.SIGINT, before)
    verifier.count()
    found, seconds = verifier.found, time.monotonic() - began
    bad = [found.bad[index] for index in sorted(found.bad)]
    if lines is not None:
        with lines:
            lines.writelines(entry.line() for entry in bad)
    summary = _summary(target, check, found, seconds, bool(interrupted))
    if as_json:
        click.echo(json.dumps(summary | {"bad": [json.loads(entry.line()) for entry in bad]}))
    else:
        for entry in bad[:_SHOWN]:
            click.echo(f"{entry.path or f'sample {entry.index}'}: {entry.reason}")
        if len(bad) > _SHOWN:
            click.echo(f"... and {len(bad) - _SHOWN:,} more" + ("" if report else "; --report FILE writes all of them"))
        click.echo(_sentence(summary, check.noun, len(bad)))
    return INTERRUPTED if interrupted else int(bool(bad))


def _check(target: str) -> Check:
    if Path(target).exists():
        files = _files(Path(target))
        return FileCheck(files, usual_form(files))
    made = call(target)
    if isinstance(made, Source):
        return SampleCheck(made, transforms=(), seed=0)
    if not isinstance(made, Loader):
        raise click.UsageError(f"{target!r} returned {described(made)}; it must return a Loader or a source")
    made.close()  # its workers would be in the way
    config = made._config
    weights = None if config.class_weight is None else ClassWeight(config.class_weight)
    return SampleCheck(made.source, transforms=made.transforms, seed=config.seed, class_weight=weights, io_retries=config.io_retries)


def _files(path: Path) -> NpyFiles:
    if path.is_dir():
        return files_in(path)
    return NpyFiles.from_manifest(path) if path.suffix in (".csv", ".txt") else NpyFiles([path])


def _summary(target: str, check: Check, found: Found, seconds: float, interrupted: bool) -> dict[str, Any]:
    first = min(found.floats, default=None)
    return {
        "path": target,
        check.noun: len(check),
        "verified": found.files,
        "bytes": found.bytes,
        "seconds": round(seconds, 3),
        "interrupted": interrupted,
        "not finite": {
            check.noun: len(found.floats),
            "nan": sum(nan for nan, _ in found.floats.values()),
            "infinite": sum(infinite for _, infinite in found.floats.values()),
            "first": None if first is None else check.name_of(first) or f"sample {first}",
        },
    }


def _sentence(summary: dict[str, Any], noun: str, bad: int) -> str:
    seconds = max(summary["seconds"], 0.001)
    rate = f"{summary['verified'] / seconds:,.0f} {noun}/s, {summary['bytes'] / seconds / 1e6:,.1f} MB/s"
    lines = [f"{summary['verified']:,} of {summary[noun]:,} {noun} verified in {seconds:.1f} s ({rate}): {bad:,} bad"]
    if summary["interrupted"]:
        lines[0] = f"Interrupted. {lines[0]} so far"
    odd = summary["not finite"]
    if odd[noun]:
        values = f"{odd['nan']:,} NaN and {odd['infinite']:,} infinite values"
        lines.append(f"Remark: {odd[noun]:,} {noun} hold {values}, {odd['first']} is the first")
    return "\n".join(lines)


@contextmanager
def _progress(total: int, noun: str) -> Iterator[Callable[[Found], None]]:
    """Yield a function that shows how far the work is: on standard error, where that is a terminal, else not at all."""
    if not sys.stderr.isatty():
        yield lambda found: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), auto_refresh=False, transient=True) as bar:  # a thread would refresh by itself
        task = bar.add_task("", total=total, rate="")
        began = time.monotonic()

        def show(found: Found) -> None:
            seconds = max(time.monotonic() - began, 0.001)
            rate = f"{found.files / seconds:,.0f} {noun}/s {found.bytes / seconds / 1e6:,.1f} MB/s {len(found.bad):,} bad"
            bar.update(task, completed=found.files, rate=rate, refresh=True)

        yield show
