"""A progress bar for one epoch of a plain loop."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterator
from typing import IO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from loader.data.spec import Sample
from loader.ipc.board import Board
from loader.measure.moments import Pace, between
from loader.measure.timed_stretch import Probe
from loader.train.epochs import Epochs

# Drawing takes about a millisecond, so ten times per second is a hundredth of the time.
_REDRAW_S = 0.1


def progress(loader: Epochs, board: Board, file: IO[str] | None) -> Iterator[Sample]:
    """Return an iterator over one epoch that draws a bar on `file` while it goes; see `Loader.progress`."""
    console = Console(file=file, stderr=file is None)
    return _drawn(loader, board, console) if _can_draw(console) else iter(loader)


def _can_draw(console: Console) -> bool:
    if console.is_jupyter:
        return importlib.util.find_spec("ipywidgets") is not None  # rich draws there with it
    return console.is_terminal and not console.is_dumb_terminal


def _drawn(loader: Epochs, board: Board, console: Console) -> Iterator[Sample]:
    """Yield the batches of one epoch. If the loop is left by `break` or an exception, the generator is closed, and with it the bar and the epoch."""
    epoch, done = loader._position.upcoming
    columns = (
        TextColumn(f"{loader.name} epoch {epoch}", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[figures]}"),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
    )
    probe = Probe(board)
    began = None  # with the first batch, whose wait is the start of the workers
    redraw_at = 0.0
    batches = loader.epoch_iterator(leased=False)
    with Progress(*columns, console=console, auto_refresh=False) as bar:  # no thread: without a new batch, there is nothing new to draw
        task = bar.add_task("", total=len(loader), completed=done, figures="")
        bar.refresh()
        try:
            for batch in batches:
                done += 1
                now = probe.moment()
                began = began or now
                if now.at_s >= redraw_at:
                    bar.update(task, completed=done, figures=_figures(between(began, now)), refresh=True)
                    redraw_at = time.monotonic() + _REDRAW_S
                yield batch
                del batch  # so its slot can go back while the next one is waited for
        finally:
            batches.close()
            if began is not None:
                bar.update(task, completed=done, figures=_figures(between(began, probe.moment())))


def _figures(pace: Pace) -> str:
    if not pace.samples:
        return ""
    return f"{pace.samples_per_s:,.0f} samples/s, waits {pace.wait_ratio:.0%}"
