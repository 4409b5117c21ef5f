"""`loader pack`: many small files into a few large ones, which are read faster."""

from __future__ import annotations

import json
import os
import sys
import time

import click

from loader.data.remote.options import StorageOptions
from loader.data.remote.scouting.scout import Scout
from loader.data.remote.urls import is_url
from loader.data.sources.cached.column_files import column_name
from loader.data.sources.source import Source
from loader.errors import LoaderError
from loader.train.packing.pack import pack as pack_source
from loader.watch.describe import meant
from loader.watch.session import INTERRUPTED


@click.command()
@click.argument("source", metavar="SOURCE")
@click.argument("target", metavar="TARGET")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
@click.option("--jobs", type=click.IntRange(0), help="Number of processes; 0 for this one alone. Default: as many as help.")
@click.option("--scratch", metavar="FOLDER", help="Where files are made before they are sent, if TARGET is a URL. Default: in ~/.cache/loader.")
def pack(source: str, target: str, as_json: bool, jobs: int | None, scratch: str | None) -> None:
    """Write many small files to a few large ones, read faster.

    All samples of SOURCE go to .npy files in the new folder TARGET. SOURCE is a folder, a glob in quotes or a manifest of .npy files, pictures,
    sound, .npz files or texts, or the URL of .npy files. For anything else, SOURCE is SCRIPT:FUNCTION, which returns a source, or a Loader, whose
    transforms are left out.

    Samples are decoded as for training, and must have one shape. x, labels and weights get a file each. IDs and classes are kept beside them:
    NpyArrays.from_pack(TARGET) is the source.

    Every sample is read back from the disk and compared. TARGET appears when all is there. Interrupted, the same command goes on where it was.

    TARGET may be a URL: s3://, gs://, az://, or whatever fsspec knows, with credentials and endpoint of the environment. The files are made on this
    machine, sent, and read back from there.

    \b
    Examples:
      loader pack data/train packed
      loader pack 'data/*.npy' packed
      loader pack labels.csv packed --json
      loader pack train.py:make_source packed
      loader pack data/train s3://bucket/packed
    """
    began = time.monotonic()
    try:
        given, _ = meant(source)
        packed = pack_source(given, target, workers="auto" if jobs is None else jobs, scratch=scratch)
        files = _files_of(packed, target)
    except (LoaderError, OSError) as error:
        click.echo(f"loader pack: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        click.echo(f"Interrupted. The same command goes on{'' if is_url(target) else f' from {target}.partial'}.", err=True)
        sys.exit(INTERRUPTED)
    seconds = time.monotonic() - began
    if as_json:
        click.echo(json.dumps({"target": target, "samples": len(packed), "files": files, "classes": list(packed.classes), "seconds": seconds}))
        return
    for name, nbytes in files.items():
        click.echo(f"{name:<16} {nbytes:>16,} bytes")
    click.echo(
        f"{len(packed):,} samples, {packed.spec}, read back and compared, in {seconds:.1f} s\n\nThis loads it: NpyArrays.from_pack({target!r})"
    )


def _files_of(packed: Source, target: str) -> dict[str, int]:
    """Return the arrays of a pack with their sizes. Raises OSError, FetchError."""
    paths = {name: os.path.join(target, name) for name in map(column_name, packed.spec.leaves)}
    if is_url(target):
        return dict(zip(paths, Scout(StorageOptions()).about(list(paths.values())).sizes.tolist(), strict=True))
    return {name: os.path.getsize(path) for name, path in paths.items()}
