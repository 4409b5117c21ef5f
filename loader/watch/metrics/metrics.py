"""`loader metrics`: a page for Prometheus, in a process of its own, which does nothing until it is read."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from loader.watch.serving import Server

# As `loader top`: what only looks gives way to training.
_NICE = 10


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=9095, show_default=True, help="Port to listen at; 0 for any that is free.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at. At 0.0.0.0, anyone who reaches this machine can read it.")
@click.option("--otlp", "otlp_url", metavar="URL", help="Push the figures to this OpenTelemetry collector instead, such as http://127.0.0.1:4318.")
@click.option(
    "--interval", "interval_s", type=click.FloatRange(1, 3600), default=15.0, metavar="SECONDS", help="Time between two pushes. Default: 15."
)
def metrics(port: int, host: str, otlp_url: str | None, interval_s: float) -> None:
    """Show your running loaders to Prometheus, for Grafana.

    Serves a page with the figures of all loaders of this user, those that start later included. They are asked when the page is read; nothing happens
    in between, and training is not disturbed. One that does not answer is shown as loader_up 0 and does not hold up the others. Ctrl-C ends it.

    Needs prometheus-client: pip install 'npy-loader[metrics]'.

    With --otlp, there is no page. The same figures are pushed to a collector, by OTLP over HTTP. Keys that it wants go into
    OTEL_EXPORTER_OTLP_HEADERS. That needs nothing installed.

    \b
    Examples:
      loader metrics
      loader metrics --port 9100
      loader metrics --host 0.0.0.0
      loader metrics --otlp http://127.0.0.1:4318

    \b
    In prometheus.yml:
      scrape_configs:
        - job_name: loader
          static_configs: [{targets: ["127.0.0.1:9095"]}]
    """
    if otlp_url is not None:
        _push(otlp_url, interval_s)
        return
    server = _listening(host, port)
    os.nice(_NICE)
    click.echo(f"Prometheus finds your loaders at {server.url}/metrics; Ctrl-C ends this.")
    server.run()


def _listening(host: str, port: int) -> Server:
    try:
        from loader.watch.metrics.server import metrics_server
    except ModuleNotFoundError:
        click.echo("loader metrics needs prometheus-client, not installed here. What to do: pip install 'npy-loader[metrics]'", err=True)
        sys.exit(1)
    try:
        return metrics_server(host, port)
    except OSError as error:
        click.echo(f"loader metrics: nobody can listen at {host}, port {port}: {error.strerror or error}. --port chooses another one", err=True)
        sys.exit(1)


def _push(url: str, interval_s: float) -> None:
    from loader.watch.metrics.otlp import endpoint, push_for_ever

    try:
        target = endpoint(url)
    except ValueError as error:
        raise click.UsageError(f"--otlp: {error}") from None
    os.nice(_NICE)
    click.echo(f"Pushing the figures of your loaders to {target} every {interval_s:g} s; Ctrl-C ends this.")
    with contextlib.suppress(KeyboardInterrupt):
        push_for_ever(target, interval_s, lambda words: click.echo(f"loader metrics: {words}", err=True))
