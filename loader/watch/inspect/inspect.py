"""`loader inspect` says what is at a path, and writes the script that loads it. With --verify it hands over to `verify`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import click
from rich.bar import Bar
from rich.console import Console
from rich.table import Table
from rich.text import Text

from loader.data.remote.urls import is_url
from loader.errors import LoaderError
from loader.watch.inspect.finding import Finding
from loader.watch.inspect.survey import is_glob, survey

_BARS = 20  # classes that are shown
_BAR_WIDTH = 30


@click.command()
@click.argument("targets", metavar="PATH", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs: all that is found, and the script as `snippet`.")
@click.option("--verify", "everything", is_flag=True, help="Read every byte of all files and name the bad ones. Exit status 1 if there are any.")
@click.option("--jobs", type=click.IntRange(1), help="With --verify: number of processes. Default: one per core.")
@click.option(
    "--report", type=click.Path(dir_okay=False), metavar="FILE", help="With --verify: write the bad files there, as JSON lines; a URL, too."
)
def inspect(targets: tuple[str, ...], as_json: bool, everything: bool, jobs: int | None, report: str | None) -> None:
    """Say what PATH holds, and print the script that loads it.

    PATH is a file, a folder, or a pattern in quotes such as 'photos/*.jpg', of any of these:

    \b
      folders   .npy files, pictures, sound, .npz files, texts; each sub-folder
                a class, or all files in one folder
      tables    .csv, .tsv, .jsonl, .txt: a manifest, which names files and
                their labels, or rows of text or numbers
      files     .npy, .npz, HDF5, text, binary records without a header
      Zarr      the folder of an array or a group
      URLs      folders, patterns, tables and files of an object store, but for
                HDF5, Zarr and rows of .npz; an object of a web server

    It says which kinds of files are there, their shapes, sizes and labels, how many samples each class has, which files would not load, and how
    many bytes a batch takes. The script at the end runs as it is: it makes the source and a Loader, and takes a batch. Change its arguments as you
    like. It is found by headers alone, of up to 4,096 files; of objects at a URL, up to 256.

    --verify reads all of it to the last byte: .npy files, pictures, sound, .npz files and texts, in a folder or a manifest; rows of tables; HDF5 and
    Zarr. PATH may then be SCRIPT:FUNCTION, which returns a Loader or a source: all samples are made, by source and transforms.

    \b
    Examples:
      loader inspect photos
      loader inspect 'photos/2021-*.jpg'
      loader inspect labels.csv
      loader inspect data/x.npy --json
      loader inspect s3://bucket/train
      loader inspect data/train --verify --report bad.jsonl
      loader inspect train.py:make_loader --verify
    """
    target = targets[0]
    if len(targets) > 1:
        raise click.UsageError(f"{len(targets):,} paths were given; give one. A pattern has to be in quotes: loader inspect 'photos/*.jpg'")
    path = Path(target)
    if is_url(target) and everything:
        raise click.UsageError(
            "--verify reads what is on this machine. For a URL: loader inspect --verify SCRIPT:FUNCTION, which returns a source of it."
        )
    if not path.exists() and not is_url(target) and not is_glob(target) and not (everything and ":" in target):
        raise click.UsageError(f"Path {target!r} does not exist." + ("" if everything else " SCRIPT:FUNCTION needs --verify."))
    try:
        if everything:
            from loader.watch.verify.verify import verify

            sys.exit(verify(target, jobs, report, as_json))
        found = survey(target if is_url(target) else str(path))
    except (LoaderError, OSError) as error:
        click.echo(f"loader inspect: {error}", err=True)
        sys.exit(1)
    if as_json:
        click.echo(json.dumps(found.as_dict()))
    else:
        _show(found)


def _show(found: Finding) -> None:
    width = max(map(len, found.lines))
    for key, value in found.lines.items():
        click.echo(f"{key:<{width}}  {value}")
    if found.histogram:
        click.echo()
        Console().print(_bars(found.histogram))
    click.echo(f"\nThis loads it:\n\n{found.snippet}", nl=False)


def _bars(histogram: Mapping[str, int]) -> Table:
    """Return a bar for each class; of many, for the first ones and the rest together."""
    most = max(max(histogram.values()), 1)
    table = Table.grid(padding=(0, 2))
    table.add_column(overflow="ellipsis", max_width=30)
    table.add_column(justify="right")
    for name, count in list(histogram.items())[:_BARS]:
        table.add_row(Text(name), f"{count:,}", Bar(most, 0, count, width=_BAR_WIDTH))
    rest = list(histogram.values())[_BARS:]
    if rest:
        table.add_row(Text(f"{len(rest):,} more"), f"{sum(rest):,}")
    return table
