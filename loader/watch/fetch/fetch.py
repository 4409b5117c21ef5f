"""`loader fetch`: bring objects to this machine beforehand."""

from __future__ import annotations

import json
import os
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import click

from loader.config import mib
from loader.data.remote.fetch_cache.cache_choice import CacheChoice
from loader.data.remote.gathering.gather import Gather
from loader.data.remote.objects import Fetched, Span
from loader.data.remote.options import StorageOptions
from loader.data.remote.urls import is_url
from loader.data.sources.files.far_index import FarIndex
from loader.data.sources.files.far_search import FarSearch
from loader.errors import DataNotFoundError, FetchError
from loader.watch.fetch.into import Into, IntoCache, IntoFiles
from loader.watch.session import INTERRUPTED, MeasurementSession

_AT_ONCE = 256
_AHEAD = 512
_AHEAD_BYTES = 256 * 2**20
_PATIENCE_S = 120.0
_MOST_FAILURES = 20
_KEPT = (".zarray", ".zattrs", ".zgroup", ".zmetadata")  # hidden, and without them nobody can read the chunks of a folder of Zarr 2


@dataclass
class Summary:
    """What was done.

    Attributes:
        url: of the objects.
        folder: where they are now.
        objects: that there are.
        there: of them, those that were there before.
        fetched: those that have come in addition.
        fetched_bytes: that came.
        full: whether the cache has room for no more.
        failed: what did not come, and why.
        seconds: that it took.
    """

    url: str
    folder: str
    objects: int = 0
    there: int = 0
    fetched: int = 0
    fetched_bytes: int = 0
    full: bool = False
    failed: tuple[str, ...] = ()
    seconds: float = 0.0


@click.command()
@click.argument("url", metavar="URL")
@click.argument("folder", metavar="FOLDER")
@click.option("--files", is_flag=True, help="Write files of the same names into FOLDER, instead of a cache.")
@click.option("--cache-bytes", metavar="SIZE", help='How much the cache may hold, such as "200GiB". Default: as much as the disk has.')
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def fetch(url: str, folder: str, files: bool, cache_bytes: str | None, as_json: bool) -> None:
    """Fetch objects beforehand, into a cache or into files.

    URL is a folder, an object or a pattern of an object store: s3://, gs://, az://, or whatever fsspec knows; an object of a web server, too.
    Credentials and endpoint are those of the environment.

    FOLDER becomes a cache, which a source with cache=FOLDER reads; with --files, it becomes a folder of plain files. Many requests are under way at a
    time, and those that fail are sent again. What is there already is not fetched again, so after Ctrl-C the same command goes on.

    \b
    Examples:
      loader fetch s3://bucket/train /data/cache
      loader fetch 's3://bucket/train/*.jpg' /data/cache --cache-bytes 200GiB
      loader fetch gs://bucket/x.npy data --files
    """
    if not is_url(url):
        raise click.UsageError(f"{url!r} is no URL; it is on this machine already.")
    if files and cache_bytes is not None:
        raise click.UsageError("--cache-bytes is the size of a cache; --files makes none.")
    summary = Summary(url, folder)
    began = time.monotonic()
    with MeasurementSession("fetch") as sitting:
        _fetch(summary, files, cache_bytes, sitting)
    summary.seconds = time.monotonic() - began
    click.echo(json.dumps(asdict(summary) | {"complete": _complete(summary)}) if as_json else _told(summary, files))
    if sitting.interrupted:
        click.echo("Interrupted. The same command goes on.", err=True)
    sys.exit(INTERRUPTED if sitting.interrupted else 0 if _complete(summary) or summary.full else 1)


def _fetch(summary: Summary, files: bool, cache_bytes: str | None, sitting: MeasurementSession) -> None:
    options = StorageOptions()
    search = FarSearch((), "loader fetch", (), None, options, _KEPT if files else ())  # a cache is for sources, which leave them out
    found, root = search.find(summary.url)
    index = FarIndex(search.with_facts(found).objects, root)
    summary.objects = len(index)
    choice = None if files else CacheChoice.of(summary.folder, cache_bytes, far=True)
    cache = None if choice is None else choice.open(options)
    into: Into = IntoFiles(index, os.path.abspath(summary.folder)) if cache is None else IntoCache(index, cache)
    gather = Gather(options, _PATIENCE_S, _AT_ONCE, 2 * _AHEAD, cache)

    def progress() -> tuple[int, str]:
        counts = gather.counts
        return into.there + into.done, f"{into.there + into.done:,} of {len(index):,} objects, {mib(counts.nbytes)} fetched"

    failed: list[str] = []
    try:
        with sitting.following(len(index), progress):
            for span, came in _in_order(gather, into.missing()):
                if isinstance(came, Exception):
                    failed.append(str(came))
                else:
                    into.put(span, came)
                if len(failed) >= _MOST_FAILURES:
                    break
    finally:
        into.close()
        gather.close()
        summary.there, summary.fetched, summary.fetched_bytes = into.there, into.done, gather.counts.nbytes
        summary.full, summary.failed = into.full, tuple(failed)


def _in_order(gather: Gather, spans: Iterator[Span]) -> Iterator[tuple[Span, Fetched | Exception]]:
    """Yield spans with what came, or why it did not, while those after them are on their way.

    Of an object of which a part did not come, nothing else is yielded: the same command fetches it from there.
    """
    ahead: deque[Span] = deque()
    nbytes = 0
    broken: set[str] = set()
    whole = (span for span in spans if span.url not in broken)
    while True:
        while len(ahead) < _AHEAD and nbytes < _AHEAD_BYTES and (span := next(whole, None)) is not None:
            gather.begin((span,))
            ahead.append(span)
            nbytes += _bytes_of(span)
        if not ahead:
            return
        span = ahead.popleft()
        nbytes -= _bytes_of(span)
        if span.url in broken:
            gather.drop(span)
            continue
        try:
            yield span, gather.take(span)
        except (FetchError, DataNotFoundError) as error:
            broken.add(span.url)
            yield span, error


def _bytes_of(span: Span) -> int:
    return max(0, (span.size if span.end is None else span.end) - span.start)


def _complete(summary: Summary) -> bool:
    return summary.objects > 0 and summary.there + summary.fetched == summary.objects


def _told(summary: Summary, files: bool) -> str:
    rate = summary.fetched_bytes / 1e6 / max(summary.seconds, 1e-9)
    lines = [
        f"{summary.there + summary.fetched:,} of {summary.objects:,} objects are in {summary.folder}: {summary.there:,} were there, "
        f"{summary.fetched:,} were fetched, {mib(summary.fetched_bytes)} in {summary.seconds:.1f} s ({rate:.0f} MB/s)"
    ]
    if summary.full:
        lines.append("The cache is full. What is not in it is fetched in each epoch.")
    if summary.failed:
        lines.append(f"{len(summary.failed)} did not come{', and no others were tried' if len(summary.failed) >= _MOST_FAILURES else ''}:")
        lines += [f"  {words}" for words in summary.failed[:5]]
    elif summary.objects:
        given = repr(summary.folder) if files else f"{summary.url!r}, cache={summary.folder!r}"
        lines.append(f"\nThis reads them: NpyFiles({given}), or ByteFiles({given}, decode=...)")
    return "\n".join(lines)
