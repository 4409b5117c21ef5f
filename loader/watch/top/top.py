"""`loader top`: a loader, live in the terminal or in a browser."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
import time
from urllib.parse import urlencode

import click

from loader.watch.client import loaders
from loader.watch.status import choose
from loader.watch.top.asker import Asker, News, answer_of
from loader.watch.top.watched import Watched

# Batches come in order: a worker that gives up its core to a picture for some milliseconds holds up those of all others (benchmarks/README.md).
_NICE = 10

_PORT = 9096


@click.command()
@click.argument("name", required=False, metavar="[NAME|PID]")
@click.option(
    "--interval", "interval_s", type=click.FloatRange(0.1, 3600), default=1.0, metavar="SECONDS", help="Time between two refreshes. Default: 1."
)
@click.option("--web", is_flag=True, help="Show it as a page at 127.0.0.1, for a browser, instead of here.")
@click.option("--port", type=click.IntRange(0, 65535), help=f"Of the page; 0 for any that is free. Default: {_PORT}.")
@click.option("--allow-set", is_flag=True, help="The page may change workers, for whoever opens it at the address that is printed.")
def top(name: str | None, interval_s: float, web: bool, port: int | None, allow_set: bool) -> None:
    """Watch a running loader: who waits for whom.

    Also shows the progress of the epoch, and what each worker does.

    Without NAME, it shows the loader that delivers the most samples; tab shows the next one. Training is not disturbed.

    With --web, a browser shows the same, until Ctrl-C ends it. Only this machine reaches the page. From elsewhere, open a tunnel:
    ssh -L 9096:127.0.0.1:9096 thismachine

    \b
    Keys:
      + -          one worker more, one fewer
      a            let the loader find the number of workers
      tab, arrows  another loader
      ?            what the figures mean
      q            quit

    \b
    Examples:
      loader top
      loader top train
      loader top train --interval 0.2
      loader top --web
      loader top --web --port 8000 --allow-set
    """
    if web:
        _show_page(name, interval_s, _PORT if port is None else port, allow_set)
        return
    if port is not None or allow_set:
        raise click.UsageError("--port and --allow-set are for --web")
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        click.echo("loader top needs a terminal; for programs and files there is `loader status --json`", err=True)
        sys.exit(1)
    with loaders() as found:
        pid = choose(found, name)[0].pid if name is not None else None
        watched = Watched(pid)
        watched.answered([answer_of(one) for one in found], time.monotonic())
    os.nice(_NICE)
    with contextlib.suppress(KeyboardInterrupt):
        _watch(watched, interval_s)


def _watch(watched: Watched, interval_s: float) -> None:
    """Show the loader and act on keys, until `q` is pressed or the terminal is gone."""
    from loader.watch.top.screen import screen
    from loader.watch.top.terminal import Terminal

    with Asker(interval_s) as asker, Terminal(asker.wake) as terminal:
        fresh = True
        while True:
            if fresh or not terminal.plain:
                terminal.show(screen(watched.view(time.monotonic()), *terminal.size, terminal.glyphs))
            keys = terminal.wait(asker.fd, 1.0)
            terminal.stop_if_asked()
            news = asker.news()
            _take_in(watched, news)
            fresh = any(one.answers is not None for one in news)
            if keys is None or "q" in keys:
                return
            for key in keys:
                if (request := watched.press(key, time.monotonic())) is not None:
                    asker.tell(request)


def _take_in(watched: Watched, news: list[News]) -> None:
    for one in news:
        if one.answers is not None:
            watched.answered(one.answers, time.monotonic())
        elif one.request is not None:
            watched.told(one.request, one.reply, time.monotonic())


def _show_page(name: str | None, interval_s: float, port: int, allow_set: bool) -> None:
    from loader.watch.top.web import web_server

    key = secrets.token_urlsafe(16) if allow_set else None
    wanted = {} if name is None else {"pid": str(_pid_of(name))}
    try:
        server = web_server(port, interval_s, key)
    except OSError as error:
        click.echo(f"loader top: nobody can listen at 127.0.0.1, port {port}: {error.strerror or error}. --port chooses another one", err=True)
        sys.exit(1)
    os.nice(_NICE)
    fragment = urlencode(wanted if key is None else wanted | {"key": key})
    click.echo(f"Open {server.url}/{'#' * bool(fragment)}{fragment} in a browser; Ctrl-C ends this.")
    server.run()


def _pid_of(name: str) -> int:
    with loaders() as found:
        return choose(found, name)[0].pid
