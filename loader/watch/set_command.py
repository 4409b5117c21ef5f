"""`loader set`: change a loader while it runs."""

from __future__ import annotations

import sys
from typing import Any

import click

from loader.supervise.budget import mib
from loader.watch.client import NoAnswer, loaders
from loader.watch.status import choose


def _assignment(given: str) -> tuple[str, Any]:
    """Return name and value of `name=value`; a whole number becomes one, other text stays text."""
    name, equals, text = given.partition("=")
    if not name or not equals:
        raise click.BadParameter(f"{given!r} is no SETTING=VALUE, such as workers=6")
    try:
        return name, int(text)
    except ValueError:
        return name, text


@click.command("set")
@click.argument("name", metavar="NAME|PID")
@click.argument("assignments", type=_assignment, nargs=-1, required=True, metavar="SETTING=VALUE...")
def set_command(name: str, assignments: tuple[tuple[str, Any], ...]) -> None:
    """Change a running loader; the batches stay the same ones.

    NAME is one that `loader status` shows, or the pid of a supervisor, or of a trainer with one loader. Of several settings, either all are changed
    or none.

    \b
    Settings:
      workers=N            run N worker processes from now on, from 1 to the loader's max_workers
      workers=auto         let the loader find out how many
      memory_limit=SIZE    such as 3GiB: ceiling of its memory from now on; the arena stays as it is

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
            click.echo(f"{chosen[0].name} does not answer ({error}); whether anything was changed is not known", err=True)
            sys.exit(1)
    if "changed" not in answer:
        click.echo(f"loader set: {answer.get('error', answer)}", err=True)
        sys.exit(1)
    for setting, change in answer["changed"].items():
        old, new = (mib(value) if setting == "memory_limit" else value for value in (change["old"], change["new"]))
        click.echo(f"{chosen[0].name}: {setting} {f'{old} → {new}' if new != old else f'is {new} already'}")
