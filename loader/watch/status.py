"""`loader status` says what the loaders of this user are doing, a line each or one of them in detail; `loader set` changes one while it runs.

Both ask the supervisors through `client`.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from typing import Any

import click

from loader.config import brief_size, mib
from loader.measure.kinds import short
from loader.measure.stats import Stats, aligned
from loader.watch.asking import NoAnswer
from loader.watch.client import Found, loaders

_WIDTH = 80
_NARROWEST_VERDICT = 20

STILL_S = 3.0
"""After so long without a batch, the commands say so."""

_NONE = "no loader of yours is running (a loader with workers=0 has no process that could answer)"


@click.command()
@click.argument("name", required=False, metavar="[NAME|PID]")
@click.option("--json", "as_json", is_flag=True, help="Print a list of objects, as `Loader.stats().as_dict()` has them, for programs.")
def status(name: str | None, as_json: bool) -> None:
    """Say what your running loaders are doing.

    Prints a line for each: how fast it delivers, for which share of the last 10 s training waited for it, and what would help. With NAME (or the pid
    of its supervisor or trainer), it prints everything about one loader. The loader's supervisor answers, even while training hangs, and training
    is not disturbed.

    \b
    Examples:
      loader status
      loader status train
      loader status --json | jq '.[].samples_per_s'
      watch -n 1 loader status
    """
    with loaders() as found:
        chosen = found if name is None else choose(found, name)
        if as_json:
            click.echo(json.dumps([one.status or {"name": one.name, "pid": one.pid, "answers": False} for one in chosen], indent=2))
        elif not chosen:
            click.echo(_NONE)
        elif name is None:
            click.echo(table(chosen))
        else:
            click.echo("\n\n".join(detail(one) for one in chosen))


def choose(found: Sequence[Found], name: str) -> list[Found]:
    """Return the loaders that `name` means. If it means none, print which ones there are, and exit with 1."""
    chosen = [one for one in found if one.is_called(name)]
    if not chosen:
        known = "these are running: " + ", ".join(f"{one.name} (pid {one.pid})" for one in found) if found else _NONE
        click.echo(f"no loader is called {name!r}; {known}", err=True)
        sys.exit(1)
    return chosen


def table(found: Sequence[Found]) -> str:
    """Return a line for each loader. The verdict has what is left of 80 columns, at least 20."""
    rows = [("NAME", "PID", "SAMPLES/S", "WAITS", "WORKERS", "MEMORY", "VERDICT"), *map(_row, found)]
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    room = max(_NARROWEST_VERDICT, _WIDTH - sum(widths) - 2 * len(widths))
    lines = []
    for row in rows:
        first = f"{row[0]:<{widths[0]}}"
        numbers = [f"{text:>{width}}" for text, width in zip(row[1:6], widths[1:], strict=True)]
        verdict = row[6] if len(row[6]) <= room else row[6][: room - 1] + "…"
        lines.append("  ".join([first, *numbers, verdict]).rstrip())
    return "\n".join(lines)


def _row(one: Found) -> tuple[str, ...]:
    stats = one.stats
    if stats is None:
        return (one.name, str(one.pid), "", "", "", "", "does not answer")
    memory = brief_size(stats.memory.arena_bytes + stats.memory.private_bytes)
    rate, wait = f"{stats.samples_per_s:,.0f}", f"{stats.trainer_wait_ratio:.0%}"
    return (one.name, str(one.pid), rate, wait, _crew(stats), memory, still(one) or short(stats.verdict_kind) or stats.verdict)


def _crew(stats: Stats) -> str:
    """Return how many workers run, those on other machines apart."""
    remote = sum(worker.node is not None for worker in stats.workers)
    return f"{len(stats.workers) - remote}" + f"+{remote}" * bool(remote)


def still(one: Found) -> str:
    """Return in words for how long training has taken no batch; empty if not for long."""
    ago_s = (one.status or {}).get("seconds_since_last_batch") or 0
    return f"no batch taken for {ago_s:,.0f} s" if ago_s >= STILL_S else ""


def detail(one: Found) -> str:
    """Return everything that is known about a loader, one line for each thing."""
    if one.status is None or one.stats is None:
        return aligned([("loader", one.name), ("pid", str(one.pid)), ("state", "does not answer: it is stopped, or the machine is very busy")])
    script, started = one.status.get("script", ""), one.status.get("started", 0)
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(started)) if isinstance(started, int | float) else "?"
    trainer = one.status.get("trainer_pid")
    processes = f"trainer {trainer}, supervisor {one.pid}" if trainer else f"supervisor {one.pid}; the script has closed it or ended, others read on"
    name, *rest = one.stats.rows()
    pause = [("training", still(one))] if still(one) else []
    return aligned([name, ("script", f"{script}, since {since}"), ("processes", processes), *pause, *rest])


def _assignment(given: str) -> tuple[str, Any]:
    """Return name and value of `name=value`; a whole number becomes an int, other text stays text."""
    name, equals, text = given.partition("=")
    if not name or not equals:
        raise click.BadParameter(f"{given!r} is not of the form SETTING=VALUE, such as workers=6")
    try:
        return name, int(text)
    except ValueError:
        return name, text


@click.command("set")
@click.argument("name", metavar="NAME|PID")
@click.argument("assignments", type=_assignment, nargs=-1, required=True, metavar="SETTING=VALUE...")
def set_command(name: str, assignments: tuple[tuple[str, Any], ...]) -> None:
    """Change a running loader; the batches stay the same ones.

    NAME is a name that `loader status` shows, or the pid of a supervisor, or of a trainer with one loader. If several settings are given, either all
    are changed or none.

    \b
    Settings:
      workers=N            run N worker processes from now on, from 1 to the loader's max_workers
      workers=auto         let the loader find the number
      memory_limit=SIZE    such as 3GiB: limit of its memory from now on; the arena stays as it is

    \b
    Examples:
      loader set train workers=6
      loader set 4711 workers=auto memory_limit=3GiB
    """
    with loaders() as found:
        chosen = choose(found, name)
        if len(chosen) > 1:
            pids = ", ".join(str(one.pid) for one in chosen)
            click.echo(f"{len(chosen)} loaders are called {name!r}; give a pid: {pids}", err=True)
            sys.exit(1)
        try:
            answer = chosen[0].ask({**dict(assignments), "do": "set"})
        except NoAnswer as error:
            click.echo(f"{chosen[0].name} does not answer ({error}), so it is not known whether anything was changed", err=True)
            sys.exit(1)
    if "changed" not in answer:
        click.echo(f"loader set: {answer.get('error', answer)}", err=True)
        sys.exit(1)
    for setting, change in answer["changed"].items():
        old, new = (mib(value) if setting == "memory_limit" else value for value in (change["old"], change["new"]))
        click.echo(f"{chosen[0].name}: {setting} {f'{old} → {new}' if new != old else f'is {new} already'}")
