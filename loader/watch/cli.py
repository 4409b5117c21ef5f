"""The command `loader`."""

from __future__ import annotations

import click

import loader
from loader.watch.bench import bench
from loader.watch.describe import describe
from loader.watch.fetch.fetch import fetch
from loader.watch.inspect.inspect import inspect
from loader.watch.metrics.metrics import metrics
from loader.watch.pack import pack
from loader.watch.serve import serve
from loader.watch.show import show
from loader.watch.status import set_command, status
from loader.watch.top.top import top
from loader.watch.tune import tune


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(loader.__version__, prog_name="loader")
def main() -> None:
    """Look at data and at running loaders: tools around the Python package `loader`."""


main.add_command(status)
main.add_command(top)
main.add_command(metrics)
main.add_command(set_command)
main.add_command(inspect)
main.add_command(describe)
main.add_command(show)
main.add_command(fetch)
main.add_command(pack)
main.add_command(serve)
main.add_command(tune.command)
main.add_command(bench.command)
