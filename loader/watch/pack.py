"""`loader pack`: many small files into a few large ones, which are read faster."""

from __future__ import annotations

import json
import os
import sys
import time

import click

from loader.errors import LoaderError
from loader.train.pack import pack as pack_source
from loader.watch.describe import meant
from loader.watch.session import INTERRUPTED


@click.command()
@click.argument("source", metavar="SOURCE")
@click.argument("target", metavar="TARGET")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
@click.option("--jobs", type=click.IntRange(0), help="Number of processes; 0 for this one alone. Default: as many as help.")
def pack(source: str, target: str, as_json: bool, jobs: int | None) -> None:
    """Write many small files to a few large ones, read faster.

    All samples of SOURCE go to .npy files in the new folder TARGET. SOURCE is a folder, a glob in quotes or a manifest of .npy files, pictures,
    sound, .npz files or texts. For anything else, SOURCE is SCRIPT:FUNCTION, which returns a source, or a Loader, whose transforms are left out.

    Samples are decoded as for training, and must have one shape. x, labels and weights get a file each. IDs and classes are kept beside them:
    NpyArrays.from_pack(TARGET) is the source.

    Every sample is read back from the disk and compared. TARGET appears when all is there. Interrupted, the same command goes on where it was.

    \b
    Examples:
      loader pack data/train packed
      loader pack 'data/*.npy' packed
      loader pack labels.csv packed --json
      loader pack train.py:make_source packed
    """
    began = time.monotonic()
    try:
        given, _ = meant(source)
        packed = pack_source(given, target, workers="auto" if jobs is None else jobs)
    except (LoaderError, OSError) as error:
        click.echo(f"loader pack: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        click.echo(f"Interrupted. The same command goes on from {target}.partial.", err=True)
        sys.exit(INTERRUPTED)
    files = {entry.name: entry.stat().st_size for entry in sorted(os.scandir(target), key=lambda entry: entry.name) if entry.name.endswith(".npy")}
    seconds = time.monotonic() - began
    if as_json:
        click.echo(json.dumps({"target": target, "samples": len(packed), "files": files, "classes": list(packed.classes), "seconds": seconds}))
        return
    for name, nbytes in files.items():
        click.echo(f"{name:<16} {nbytes:>16,} bytes")
    click.echo(
        f"{len(packed):,} samples, {packed.spec}, read back and compared, in {seconds:.1f} s\n\nThis loads it: NpyArrays.from_pack({target!r})"
    )
