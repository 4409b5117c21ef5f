"""The command `loader`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

import loader
from loader.data.npy.header import inspect_file
from loader.errors import LoaderError
from loader.watch.bench import bench
from loader.watch.inspect import describe, in_lines, survey
from loader.watch.status import set_command, status
from loader.watch.top.top import top
from loader.watch.tune import tune


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(loader.__version__, prog_name="loader")
def main() -> None:
    """Feed Keras from .npy files: tools around the Python package `loader`."""


main.add_command(status)
main.add_command(top)
main.add_command(set_command)


@main.command()
@click.argument("target", metavar="PATH")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
@click.option("--verify", "everything", is_flag=True, help="Read every byte of all files and name the bad ones. Exit status 1 if there are any.")
@click.option("--jobs", type=click.IntRange(1), help="With --verify: number of processes. Default: one per core.")
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), help="With --verify: write the bad files to this file, as JSON lines.")
def inspect(target: str, as_json: bool, everything: bool, jobs: int | None, report: Path | None) -> None:
    """Say what PATH holds: a .npy file, or a folder of them.

    With --verify, PATH may be SCRIPT:FUNCTION, which returns a Loader or a source: then all samples are made, by source and transforms.

    Reads headers only, unless --verify is given. For a folder, it reads the headers of all files (up to 4,096) and lists their shapes and
    dtypes. A folder of folders is shown as classes, as `NpyFiles.from_folder` reads it.

    \b
    Examples:
      loader inspect data/x.npy
      loader inspect data/train --json
      loader inspect data/train --verify --report bad.jsonl
      loader inspect train.py:make_loader --verify
    """
    path = Path(target)
    if not path.exists() and not (everything and ":" in target):
        raise click.UsageError(f"Path {target!r} does not exist." + ("" if everything else " SCRIPT:FUNCTION needs --verify."))
    try:
        if everything:
            from loader.watch.verify.verify import verify

            sys.exit(verify(target, jobs, report, as_json))
        found = survey(path) if path.is_dir() else _file(path)
    except (LoaderError, OSError) as error:
        click.echo(f"loader inspect: {error}", err=True)
        sys.exit(1)
    if as_json:
        click.echo(json.dumps(found))
        return
    lines = in_lines(found) if path.is_dir() else {key: f"{value:,}" if isinstance(value, int) else str(value) for key, value in found.items()}
    width = max(map(len, lines))
    for key, value in lines.items():
        click.echo(f"{key:<{width}}  {value}")


main.add_command(tune.command)
main.add_command(bench.command)


def _file(path: Path) -> dict[str, Any]:
    header, size = inspect_file(str(path))
    return {"path": str(path), **describe(header), "bytes": size}
