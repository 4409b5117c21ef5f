"""`loader serve`: a process that makes a shared loader, reads nothing from it, and keeps it for scripts that attach."""

from __future__ import annotations

import sys
import time
from typing import Any

import click

from loader.errors import LoaderError
from loader.ipc.board import SupervisorCell
from loader.ray_workers import RayWorkers
from loader.train.loader import Loader
from loader.train.remote.remote import Remote
from loader.watch.script import make_loader
from loader.watch.session import INTERRUPTED


@click.command()
@click.argument("target", metavar="SCRIPT:FUNCTION")
@click.option("--name", required=True, help="Name by which scripts attach.")
@click.option("--ray", "ray", is_flag=True, help="Add workers on the machines of a Ray cluster.")
@click.option("--ray-max", "most", metavar="N", type=click.IntRange(1), help="Most of them. Default: 16.")
@click.option("--ray-address", "address", metavar="HOST:PORT", help="Of the cluster's head. Default: the cluster that this machine belongs to.")
@click.option("--idle-exit", "idle_s", metavar="SECONDS", type=click.FloatRange(0), help="End when nobody has read for so long. Default: never.")
def serve(target: str, name: str, ray: bool, most: int | None, address: str | None, idle_s: float | None) -> None:
    """Keep a loader for scripts that attach to it.

    SCRIPT:FUNCTION returns a Loader. It is made with this name and shared=True, so the scripts that read it may come and go as they like, and none of
    them has to be the first or the last. A supervisor that dies is replaced at once.

    With --ray, workers on the machines of a Ray cluster are added, which needs Ray: pip install 'npy-loader[ray]'.

    \b
    Examples:
      loader serve train_data.py:make_loader --name imagenet
      loader serve train_data.py:make_loader --name imagenet --idle-exit 600
      loader serve train_data.py:make_loader --name imagenet --ray --ray-max 32
    """
    if not ray and (most is not None or address is not None):
        raise click.UsageError("--ray-max and --ray-address need --ray")
    sys.argv[0] = target.rpartition(":")[0]  # as if that script had been started, which is what `loader status` shows
    try:
        settings = {"remote": _remote(most, address)} if ray else {}
        with make_loader(target).with_settings(name=name, shared=True, **settings) as loader:
            _serve(loader, idle_s)
    except LoaderError as error:
        click.echo(f"loader serve: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        click.echo("Interrupted.", err=True)
        sys.exit(INTERRUPTED)


def _remote(most: int | None, address: str | None) -> RayWorkers:
    given: dict[str, Any] = {"max": most, "address": address}
    return RayWorkers(**{name: value for name, value in given.items() if value is not None})


def _serve(loader: Loader, idle_s: float | None) -> None:
    producer = loader._producer
    assert isinstance(producer, Remote)  # a shared loader has a pool
    producer.keep_for_others()
    click.echo(f"{loader.name}: {len(loader):,} batches of {loader.spec}; attach by Loader.attach({loader.name!r})")
    since = time.monotonic()
    while idle_s is None or time.monotonic() - since < idle_s:
        producer.watch()
        if producer.board.supervisor[SupervisorCell.READERS_GAUGE]:
            since = time.monotonic()
    click.echo(f"{loader.name}: nobody has read for {idle_s:g} s")
