"""`loader tune`: measure a loader over worker counts and slots, and say which to take."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from loader.config import brief_size
from loader.errors import ConfigError
from loader.watch.script import make_loader
from loader.watch.session import INTERRUPTED, MeasurementSession, check_writable
from loader.watch.tune.recommend import Point, doubt, recommend
from loader.watch.tune.series import Series

_SLOTS = (2, 3, 8)


@click.command("tune")
@click.argument("target", metavar="SCRIPT:FUNCTION")
@click.option("--workers", "counts", metavar="N,N,…", help="Numbers of workers to measure. Default: from 1 upwards as long as more of them help.")
@click.option("--slots", metavar="N,N,…", help="Numbers of slots to measure with the best number of workers. Default: 2, 3 and 8.")
@click.option(
    "--rounds", type=click.IntRange(1), default=5, show_default=True, help="Number of measurements of each configuration; the median counts."
)
@click.option("--seconds", type=click.FloatRange(0.05), default=1.0, show_default=True, help="Duration of one measurement.")
@click.option(
    "--step-ms", type=click.FloatRange(0, min_open=True), help="Duration of a training step: recommend the fewest workers that keep up with it."
)
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
    """Find how many workers the loader of a script needs.

    SCRIPT:FUNCTION names a function of the script that returns the loader.

    Takes batches as fast as they come, without a model: only the loader is measured. The rounds of all configurations are interleaved, so other work
    on the machine affects all of them alike. Still, let nothing else run. Ctrl-C ends it early and keeps what was measured.

    \b
    Examples:
      loader tune train.py:make_loader
      loader tune train.py:make_loader --workers 1,2,4,8 --step-ms 40 --json tuned.json --png tuned.png
    """
    chosen_counts, chosen_slots = _numbers("--workers", counts, 0), _numbers("--slots", slots, 2) or _SLOTS
    points: list[Point] = []
    with MeasurementSession("tune") as sitting:
        check_writable(json_path, png_path)
        draw = _drawer(png_path)
        loader = make_loader(target)
        needed = None if step_ms is None else loader.plan.mean_rows / (step_ms / 1e3)
        series = Series(loader, seconds, sitting, points)
        series.run(chosen_counts, chosen_slots, rounds)
    points = [point for point in points if point.rates]
    if not points:
        click.echo("loader tune: stopped before anything was measured", err=True)
        sys.exit(INTERRUPTED)
    chosen, reason = recommend(points, needed)
    Console().print(_table(points, chosen))
    for line in _words(series, chosen, reason, rounds):
        click.echo(line)
    if json_path is not None:
        found = {"interrupted": sitting.interrupted, "points": [point.as_dict() for point in points], "recommended": chosen.as_dict()}
        json_path.write_text(json.dumps(found | {"reason": reason}, indent=2) + "\n")
    if png_path is not None:
        draw(points, chosen, reason, png_path)
    sys.exit(INTERRUPTED if sitting.interrupted else 0)


def _words(series: Series, chosen: Point, reason: str, rounds: int) -> Iterator[str]:
    if series.sitting.interrupted:
        yield f"stopped after {sum(len(point.rates) for point in series.points):,} measurements; of these:"
    slots = f", slots={chosen.slots}" if chosen.workers else ""
    yield f"take workers={chosen.workers}{slots}: {reason}"
    if series.refused:
        yield f"not measured, because memory is too small: {', '.join(map(str, sorted(series.refused)))} slots"
    if len(series.measured) > 1 and chosen.workers == max(point.workers for point in series.measured) < series.loader.worker_ceiling:
        yield f"{chosen.workers} is the largest number of workers that was measured; more may be faster still"
    if noise := doubt(series.measured, rounds):
        yield noise


def _drawer(path: Path | None) -> Callable[..., None]:
    if path is None:
        return lambda *_: None
    try:
        from loader.watch.tune.plot import draw
    except ModuleNotFoundError as error:
        raise ConfigError("--png needs matplotlib: pip install matplotlib") from error
    return draw


def _numbers(option: str, text: str | None, least: int) -> list[int]:
    if text is None:
        return []
    try:
        found = sorted({int(part) for part in text.split(",")})
    except ValueError:
        raise click.UsageError(f"{option} {text!r}: give whole numbers, such as 1,2,4") from None
    if found[0] < least:
        raise click.UsageError(f"{option} {text!r}: each must be {least} or more")
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
            f"{point.slots}" if point.workers else "",
            f"{point.rate:,.0f}",
            f"{point.spread:.0%}" if len(point.rates) > 1 else "",
            f"{point.rate / best:.0%}" if best else "",
            brief_size(point.memory_bytes) if point.memory_bytes else "",
            "← take this" if point is chosen else "",
        )
    return table
