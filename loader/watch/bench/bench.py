"""`loader bench`: the loader alone, the model alone, both together, and which of them limits."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from loader.train.loader import Loader
from loader.watch.bench.headroom import Speed, verdict
from loader.watch.bench.replay import Replay
from loader.watch.bench.trainee import Clock, Settling, Trainee, drive, trainee, waited_s
from loader.watch.script import call, make_loader
from loader.watch.session import INTERRUPTED, MeasurementSession, check_writable, slots_of

_WARM_S = 0.3
_SETTLED_S = 3.0  # without a change of the number of workers, with workers="auto"
_WARM_BATCHES = 3
_START_S = 2.0  # for a loader to start or a model to be compiled, to estimate the time that is left


@dataclass
class Bench:
    """What was measured so far.

    Attributes:
        first_batch_s: from `Loader(...)` to its first batch.
        loader: alone.
        model: alone, fed with copies of a few batches.
        together: training on the loader.
    """

    first_batch_s: float | None = None
    loader: Speed | None = None
    model: Speed | None = None
    together: Speed | None = None

    def run(self, loader: Loader, model: Trainee | None, seconds: float, sitting: MeasurementSession) -> None:
        """Measure, one after the other.

        Args:
            loader: provides settings and source; it is not used itself, and may be closed.
            model: to train; None measures the loader alone.
            seconds: of each measurement, without its warm-up.
            sitting: shows how far it is.
        """
        # A batch of another shape would be compiled in the middle of it, and bad samples belong only in the report of training.
        whole = loader.plan.whole_batches > 0
        settings: dict[str, Any] = {"drop_last": whole, "quarantine": None}
        settled_s = min(_SETTLED_S, seconds)
        one = seconds + (settled_s if loader._config.workers == "auto" else _WARM_S) + _START_S
        sitting.expect("the loader alone", one if model is None else 3 * one)
        started = time.monotonic()
        with loader.with_settings(**settings) as alone:
            ready = self._first_batch(alone, started)
            settling = Settling(alone, settled_s)
            clock = Clock(seconds, sitting.tick, warm_s=_WARM_S, warm_batches=ready, settled=settling)
            drive(alone.batches(), lambda batch: None, clock)
            self.loader = _speed(clock, alone, settling)
            replay = None if model is None else Replay.of(alone)
        if model is None or replay is None:
            return
        rows = loader.plan.rows_of(0, 0) if loader.plan.one_size else round(loader.plan.mean_rows)
        sitting.expect("the model alone", 2 * one)
        clock = Clock(seconds, sitting.tick, warm_s=_WARM_S, warm_batches=len(replay) if replay.shapes > 1 else _WARM_BATCHES)
        model.train(replay, rows, clock)
        self.model = Speed.of(clock.stamps, bytes_per_sample=self.loader.bytes_per_sample)
        sitting.expect("both together", one)
        with loader.with_settings(**settings) as other:
            next(iter(other))
            settling, ready = Settling(other, settled_s), max(_WARM_BATCHES, _until_all_shapes(other)) + slots_of(other)
            clock = Clock(seconds, sitting.tick, warm_s=_WARM_S, warm_batches=ready, waited=lambda: waited_s(other), settled=settling)
            model.train(other, rows, clock)
            self.together = _speed(clock, other, settling, wait=True)

    def _first_batch(self, loader: Loader, started: float) -> int:
        """Wait for the first batch; return how many batches may lie ready before the measurement, and one more."""
        next(iter(loader))
        self.first_batch_s = time.monotonic() - started
        return 1 + slots_of(loader)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON-able data; what was not measured is None."""
        speeds = {name: None if speed is None else speed.as_dict() for name, speed in self.speeds().items()}
        return {"first_batch_s": self.first_batch_s} | speeds | {"verdict": self.words()}

    def speeds(self) -> dict[str, Speed | None]:
        """Return the three speeds by name."""
        return {"loader": self.loader, "model": self.model, "together": self.together}

    def words(self) -> list[str]:
        """Return what it means."""
        return verdict(self.loader, self.model, self.together)


@click.command("bench")
@click.argument("target", metavar="SCRIPT:FUNCTION")
@click.option("--model", "model_target", metavar="SCRIPT:FUNCTION", help="Function that returns a compiled Keras model, or a function step(batch).")
@click.option("--seconds", type=click.FloatRange(0.05), default=5.0, show_default=True, help="Duration of each measurement.")
@click.option("--json", "json_path", type=click.Path(dir_okay=False, path_type=Path), help="Write all figures to this file.")
def command(target: str, model_target: str | None, seconds: float, json_path: Path | None) -> None:
    """Say what limits training: the loader or the model.

    SCRIPT:FUNCTION names a function of the script that returns the loader.

    Measures the loader alone, the model alone (on a few batches that are fed again and again), and both together. The loader has the settings of the
    script; `loader tune` looks for better ones. Ctrl-C ends it early and keeps what was measured.

    \b
    Examples:
      loader bench train.py:make_loader
      loader bench train.py:make_loader --model train.py:make_model --seconds 10 --json bench.json
    """
    bench = Bench()
    with MeasurementSession("bench") as sitting:
        check_writable(json_path)
        model = None if model_target is None else trainee(call(model_target), model_target)
        bench.run(make_loader(target), model, seconds, sitting)
    if bench.loader is None:
        click.echo("loader bench: stopped before anything was measured", err=True)
    else:
        Console().print(_table(bench))
        click.echo(f"the first batch came after {bench.first_batch_s:.2f} s")
        for line in bench.words():
            click.echo(line)
    if json_path is not None:
        json_path.write_text(json.dumps({"interrupted": sitting.interrupted} | bench.as_dict(), indent=2) + "\n")
    sys.exit(INTERRUPTED if sitting.interrupted else 0)


def _speed(clock: Clock, loader: Loader, settling: Settling, *, wait: bool = False) -> Speed:
    workers = len(loader.stats().workers)
    return Speed.of(clock.stamps, bytes_per_sample=_bytes_per_sample(loader), wait=wait, workers=workers, resized=settling.changed)


def _until_all_shapes(loader: Loader) -> int:
    """Return after how many batches of the second epoch each layout has come, so that a model has been compiled for all of them."""
    if len(loader._specs) == 1:
        return 0
    seen: dict[int, int] = {}
    for batch in range(len(loader)):
        seen.setdefault(loader.plan.layout_of(1, batch), batch)
    return 1 + max(seen.values())


def _bytes_per_sample(loader: Loader) -> float:
    """Return the bytes of a sample, on average where batches have different layouts."""
    specs, plan = loader._specs, loader.plan
    if len(specs) == 1:
        return specs[0].nbytes
    batches = [(specs[plan.layout_of(0, batch)].nbytes, plan.rows_of(0, batch)) for batch in range(plan.batches)]
    return sum(nbytes * rows for nbytes, rows in batches) / sum(rows for _, rows in batches)


def _table(bench: Bench) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for heading in ("samples/s", "spread", "batches/s", "MB/s", "workers", "waits"):
        table.add_column(heading, justify="right")
    for name, speed in bench.speeds().items():
        if speed is not None:
            table.add_row(
                name if name == "together" else f"{name} alone",
                f"{speed.rate:,.0f}",
                f"{speed.spread:.0%}",
                f"{speed.batches_per_s:,.1f}",
                _megabytes(speed.bytes_per_s),
                "" if speed.workers is None else f"{speed.workers}",
                "" if speed.wait is None else f"{speed.wait:.0%}",
            )
    return table


def _megabytes(nbytes: float) -> str:
    return f"{nbytes / 1e6:,.1f}" if nbytes >= 1e6 else f"{nbytes / 1e6:.2g}"
