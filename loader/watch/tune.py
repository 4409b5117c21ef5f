"""`loader tune`: measure a loader over worker counts and slots, and say which to take."""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from loader.errors import ConfigError, LoaderError
from loader.supervise.memory import private_bytes
from loader.train.loader import Loader
from loader.watch.recommend import Point, climbs, recommend, worker_counts
from loader.watch.script import loader_of

_SETTLE_S = 0.3
_FEWEST_BATCHES = 5
_LONGEST_WINDOWS = 10
_START_S = 1.0  # of a loader, to estimate the time that is left


@dataclass
class Series:
    """All measurements of one loader.

    Attributes:
        loader: whose settings are changed; it is not used itself.
        seconds: of one measurement.
        advance: called with the seconds that have been spent, for the progress bar.
        points: one for each configuration, in the order of their first measurement.
    """

    loader: Loader
    seconds: float
    advance: Callable[[float], None]
    points: list[Point] = field(default_factory=list)

    def measure(self, slots: int | None, counts: Sequence[int]) -> Iterator[Point]:
        """Measure each of `counts` workers once, in that order, with one loader; yield each point when it has a new figure.

        Args:
            slots: of that loader; None leaves the choice to it.
            counts: numbers of workers.
        """
        started = time.monotonic()
        with self.loader.with_settings(workers=counts[0], max_workers=max(counts), slots=slots) as loader:
            batches = loader.batches()
            next(batches)
            stats = loader.stats().slots
            found = stats.free + stats.filling + stats.ready + stats.lent
            self.advance(time.monotonic() - started)
            for workers in counts:
                started = time.monotonic()
                loader.resize(workers)
                _take_for(batches, _SETTLE_S, 1 + found)
                rate = _take_for(batches, self.seconds, _FEWEST_BATCHES)
                point = self._point(workers, found)
                point.rates.append(rate)
                point.memory_bytes = max(point.memory_bytes, _memory_of(loader))
                self.advance(time.monotonic() - started)
                yield point

    def _point(self, workers: int, slots: int) -> Point:
        for point in self.points:
            if (point.workers, point.slots) == (workers, slots):
                return point
        self.points.append(Point(workers, slots))
        return self.points[-1]


def tune(loader: Loader, *, counts: Sequence[int], slots: Sequence[int], rounds: int, seconds: float, progress: Progress) -> list[Point]:
    """Measure, in interleaved rounds: first over worker counts, upwards as long as more of them help, then over slots. Ctrl-C keeps what there is.

    Args:
        loader: gives source, transforms and all other settings.
        counts: worker counts to measure; where none are given, from 1 upwards as long as more of them help.
        slots: numbers of slots to measure at the best worker count.
        rounds: measurements of each configuration.
        seconds: that one measurement takes.
        progress: shows how far it is.
    """
    going_up = list(counts or worker_counts(loader.worker_ceiling))
    one = seconds + _SETTLE_S
    round_over_slots = len(slots) * (one + _START_S)
    task = progress.add_task("workers", total=rounds * (len(going_up) * one + _START_S + round_over_slots))
    series = Series(loader, seconds, lambda spent: progress.advance(task, spent))
    order = random.Random(0)
    try:
        tried = [point.workers for point in _upwards(series, going_up, all_of_them=bool(counts))]
        progress.update(
            task, total=progress.tasks[0].completed + (rounds - 1) * (len(tried) * one + _START_S) + rounds * len(slots) * (one + _START_S)
        )
        for _ in range(rounds - 1):
            list(series.measure(None, order.sample(tried, len(tried))))
        chosen = recommend(series.points)[0]
        progress.update(task, description="slots")
        for _ in range(rounds):
            for number in order.sample(list(slots), len(slots)):
                list(series.measure(number, [chosen.workers]))
        progress.update(task, total=progress.tasks[0].completed)
    except KeyboardInterrupt:
        progress.console.print("stopped; this was measured until then:")
    return [point for point in series.points if point.rates]


def _upwards(series: Series, counts: Sequence[int], *, all_of_them: bool) -> Iterator[Point]:
    rates: list[float] = []
    for point in series.measure(None, counts):
        yield point
        rates.append(point.rate)
        if not all_of_them and not climbs(rates):
            return


def _take_for(batches: Iterator[tuple[Any, ...]], seconds: float, fewest: int) -> float:
    """Take batches for some time, and a little longer where they are slow; return samples per second."""
    rows = taken = 0
    started = time.monotonic()
    while (spent := time.monotonic() - started) < seconds or (taken < fewest and spent < _LONGEST_WINDOWS * seconds):
        rows += _rows(next(batches))
        taken += 1
    return rows / spent


def _memory_of(loader: Loader) -> int:
    stats = loader.stats()
    return stats.memory.arena_bytes + sum(private_bytes(pid) for pid in [loader.pid, *(worker.pid for worker in stats.workers)])


def _rows(batch: tuple[Any, ...]) -> int:
    first = batch[0]
    while isinstance(first, dict):
        first = next(iter(first.values()))
    return len(first)


@click.command("tune")
@click.argument("target", metavar="SCRIPT:FUNCTION")
@click.option("--workers", "counts", metavar="N,N,…", help="Worker counts to measure. Default: from 1 upwards as long as more of them help.")
@click.option("--slots", metavar="N,N,…", help="Numbers of slots to measure at the best worker count. Default: 2, 3 and 8.")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="Measurements of each configuration; their median counts.")
@click.option("--seconds", type=click.FloatRange(0.05), default=1.0, show_default=True, help="Time of one measurement.")
@click.option("--step-ms", type=click.FloatRange(0, min_open=True), help="Time of a training step: the fewest workers that keep up are enough.")
@click.option("--json", "json_path", type=click.Path(dir_okay=False, path_type=Path), help="Write all figures to this file.")
@click.option("--png", "png_path", type=click.Path(dir_okay=False, path_type=Path), help="Draw the curve to this file (needs matplotlib).")
def command(
    target: str,
    counts: str | None,
    slots: str | None,
    rounds: int,
    seconds: float,
    step_ms: float | None,
    json_path: Path | None,
    png_path: Path | None,
) -> None:
    r"""Find the worker count for the loader that FUNCTION in SCRIPT returns.

    Takes batches as fast as they come, with no model: what is measured is the loader alone. The rounds of all configurations are interleaved,
    so that what else the machine does hits all of them alike; still, let nothing else run. Ctrl-C ends it early and keeps what was measured.

    \b
    Examples:
      loader tune train.py:make_loader
      loader tune train.py:make_loader --workers 1,2,4,8 --step-ms 40 --json tuned.json --png tuned.png
    """
    chosen_counts, chosen_slots = _numbers("--workers", counts, 1), _numbers("--slots", slots, 2)
    draw = _drawer(png_path)
    console = Console(stderr=True)
    try:
        with loader_of(target) as loader:
            batch_size = loader.batch_size
            with _progress(console) as progress:
                points = tune(
                    loader,
                    counts=chosen_counts,
                    slots=chosen_slots or [2, 3, 8],
                    rounds=rounds,
                    seconds=seconds,
                    progress=progress,
                )
    except (LoaderError, OSError) as error:
        click.echo(f"loader tune: {error}", err=True)
        sys.exit(1)
    if not points:
        click.echo("loader tune: nothing was measured", err=True)
        sys.exit(130)
    chosen, reason = recommend(points, None if step_ms is None else batch_size / (step_ms / 1e3))
    Console().print(_table(points, chosen))
    click.echo(f"take workers={chosen.workers}, slots={chosen.slots}: {reason}")
    if json_path is not None:
        found = {"points": [point.as_dict() for point in points], "recommended": chosen.as_dict(), "reason": reason}
        json_path.write_text(json.dumps(found, indent=2) + "\n")
    if png_path is not None:
        draw(points, chosen, reason, png_path)


def _drawer(path: Path | None) -> Callable[..., None]:
    if path is None:
        return lambda *_: None
    try:
        from loader.watch.curve import draw
    except ModuleNotFoundError as error:
        raise ConfigError("--png needs matplotlib: pip install 'npy-loader[plot]'") from error
    return draw


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description:<8}"), BarColumn(), TextColumn("{task.percentage:3.0f} %"), TimeRemainingColumn())
    return Progress(*columns, console=console, disable=not console.is_terminal)


def _numbers(option: str, text: str | None, least: int) -> list[int]:
    try:
        found = sorted({int(part) for part in (text or "").split(",") if part.strip()})
    except ValueError:
        raise click.UsageError(f"{option} {text!r}: give whole numbers, such as 1,2,4") from None
    if found and found[0] < least:
        raise click.UsageError(f"{option} {text!r}: must be {least} or more each")
    return found


def _table(points: Sequence[Point], chosen: Point) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("workers", "slots", "samples/s", "spread", "of best", "memory"):
        table.add_column(heading, justify="right")
    table.add_column("")
    best = max(point.rate for point in points)
    for point in sorted(points, key=lambda point: (point.workers, point.slots)):
        table.add_row(
            f"{point.workers}",
            f"{point.slots}",
            f"{point.rate:,.0f}",
            f"{point.spread:.0%}",
            f"{point.rate / best:.0%}" if best else "",
            f"{point.memory_bytes / 2**20:,.0f} MiB",
            "← take this" if point is chosen else "",
        )
    return table
