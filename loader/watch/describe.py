"""`loader describe`: what the values of a data set are like, from one pass over all samples."""

from __future__ import annotations

import glob
import json
import sys
import time
from pathlib import Path

import click

from loader.data.decode.image_decoder import ImageDecoder, image
from loader.data.remote.options import StorageOptions
from loader.data.remote.urls import check_url, is_url
from loader.data.sources.arrays.npy_arrays import NpyArrays
from loader.data.sources.files.class_listing import PARTS_OF_A_SET
from loader.data.sources.files.far_search import FarSearch
from loader.data.sources.files.npy_files import NpyFiles
from loader.data.sources.source import Source
from loader.errors import LoaderError
from loader.train.loader import Loader
from loader.train.statistics import measure
from loader.watch.inspect.files import DECODED
from loader.watch.inspect.kinds.kind import Kind, by_kind
from loader.watch.inspect.survey import files_at, is_glob
from loader.watch.script import call, described
from loader.watch.session import INTERRUPTED
from loader.watch.writable import Writable


@click.command()
@click.argument("target", metavar="PATH")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs; Statistics.from_dict reads it.")
@click.option("--jobs", type=click.IntRange(0), help="Number of processes; 0 for this one alone. Default: as many as help.")
@click.option("--report", metavar="FILE", help="Write the JSON to FILE as well, a path or a URL.")
def describe(target: str, as_json: bool, jobs: int | None, report: str | None) -> None:
    """Read all samples, and say what their values are like.

    PATH is a folder, a glob in quotes or a manifest of .npy files, pictures, sound, .npz files or texts, or one .npy file, whose rows are samples;
    or the URL of a folder or glob of .npy files, or of one.
    For anything else, PATH is SCRIPT:FUNCTION, which returns a source, or a Loader: its transforms then run, as in the first epoch.

    For each array of a sample: its shapes; how many values there are, how many are NaN or infinite; mean, standard deviation, minimum and maximum of
    the others; how often each label occurs. Arrays of three or more dimensions, such as pictures (height, width, channels), have figures for each
    index of the last axis.

    \b
    Examples:
      loader describe photos
      loader describe 'photos/*.jpg'
      loader describe data/x.npy --json > statistics.json
      loader describe train.py:make_loader --report s3://bucket/statistics.json
    """
    began = time.monotonic()
    try:
        source, loader = meant(target)
        writable = None if report is None else Writable(report)
        transforms, seed = ((), 0) if loader is None else (loader.transforms, loader._config.seed)
        found = measure(source, transforms, seed=seed, workers="auto" if jobs is None else jobs)
        text = json.dumps({"path": target} | found.as_dict())
        if writable is not None:
            writable.write(f"{text}\n")
    except (LoaderError, OSError) as error:
        click.echo(f"loader describe: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        click.echo("Interrupted.", err=True)
        sys.exit(INTERRUPTED)
    if as_json:
        click.echo(text)
    else:
        click.echo(f"{found}\n{time.monotonic() - began:.1f} s")


def meant(target: str) -> tuple[Source, Loader | None]:
    """Return the source that a path, a glob or SCRIPT:FUNCTION means, and the loader, closed, where a script makes one."""
    if is_url(target):
        return _source_at_url(check_url(target)), None
    path = Path(target)
    if path.exists() or (is_glob(target) and not Path(target.rpartition(":")[0]).is_file()):
        return _source_at(path), None
    if ":" not in target:
        raise click.UsageError(f"Path {target!r} does not exist.")
    made = call(target)
    if isinstance(made, Source):
        return made, None
    if not isinstance(made, Loader):
        raise click.UsageError(f"{target!r} returned {described(made)}; it must return a Loader or a source")
    made.close()  # its workers would be in the way
    return made.source, made


def _source_at(path: Path) -> Source:
    if path.is_file() and path.suffix == ".npy":
        return NpyArrays(path)
    files = files_at(str(path))
    if files.kind is Kind.NPY:
        return files.source(None)
    if files.kind not in DECODED:
        raise click.UsageError(f"{files.place} holds {files.kind.value}; how samples are made of them, SCRIPT:FUNCTION says: it returns a source")
    _, contents = files.look()
    decoder = contents.decoder
    return files.source(image(mode=decoder.mode) if isinstance(decoder, ImageDecoder) else decoder)  # pictures as they are, of any size


def _source_at_url(url: str) -> Source:
    """Return the source of `.npy` files at a URL. Raises UsageError for others, of which the headers would have to be fetched."""
    if url.endswith(".npy") and not glob.has_magic(url):
        return NpyArrays(url)
    found, folder = FarSearch((), "NpyFiles", (), None, StorageOptions()).find(url)
    kinds = by_kind(found)
    if Kind.NPY not in kinds:
        holds = next(iter(kinds)).value
        raise click.UsageError(f"{url} holds {holds}; how samples are made of them, SCRIPT:FUNCTION says: it returns a source of URLs")
    names = [each.removeprefix(f"{folder}/") for each in kinds[Kind.NPY]]
    classes = {name.partition("/")[0] for name in names}
    if folder != url or len(classes) < 2 or not all("/" in name for name in names):
        return NpyFiles(url)
    if PARTS_OF_A_SET.issuperset(map(str.lower, classes)):
        raise click.UsageError(f"the sub-folders of {url} are {', '.join(sorted(classes))}, which are parts of a data set: give one of them")
    return NpyFiles.from_folder(url)
