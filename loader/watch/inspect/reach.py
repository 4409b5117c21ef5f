"""Objects that are looked at from here: as much of each as its header takes comes to this machine, for a moment.

What is fetched becomes a file of the object's whole size, with a hole where nothing was fetched, which takes no room on the disk. So whoever looks at
it reads the same header, and sees the same size, as of a file that was copied.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from loader.data.remote.gathering.gather import Gather
from loader.data.remote.objects import UNKNOWN_SIZE, Fetched, Objects, Span
from loader.data.remote.options import StorageOptions
from loader.errors import DataNotFoundError, FetchError
from loader.watch.inspect.finding import Look, evenly
from loader.watch.inspect.kinds.kind import Kind, kind_by_name

MOST_OBJECTS = 256
"""Objects that are looked at: all, or as many spread evenly over them. At 50 ms a request, they come in a second."""

_WHOLE_BYTES = 256 * 2**10  # up to which an object is fetched whole: about as fast as a part of it
_HEAD_BYTES = 64 * 2**10
_TAIL_BYTES = 16 * 2**10  # of a JPEG, which says there whether it is complete
_HAVE_HEADS = (".npy", ".jpg", ".jpeg", ".png", ".wav", ".flac")
_NEED_NO_MORE = (Kind.TEXT, Kind.OTHER)  # than beginning and size; what else is larger is read here and there, so it is fetched whole
_MOST_BYTES = 64 * 2**20  # of all objects together, unless the first alone has more
_PART_BYTES = 8 * 2**20  # of what takes long: each has time of its own

_AT_ONCE = 64
_PATIENCE_S = 60.0
_FAILURES = 3  # of the first objects, after which the store is taken for what fails


class Reach:
    """Brings what is known of objects, and the beginnings of them.

    Args:
        objects: their URLs, and sizes as far as they are known.
    """

    def __init__(self, objects: Objects) -> None:
        self._sizes = dict(zip(objects.urls, objects.sizes.tolist(), strict=True))

    def look(self, urls: Sequence[str], most: int, survey: Callable[[list[str]], Look]) -> Look:
        """Return what the headers of objects say.

        Args:
            urls: of the objects.
            most: objects to look at; fewer if each has to be fetched whole.
            survey: looks at files.

        Raises:
            FetchError, DataNotFoundError: nothing can be fetched.
        """
        chosen = evenly(urls, min(most, MOST_OBJECTS))
        needed = sum(map(self._needed, chosen)) // len(chosen)
        chosen = evenly(chosen, max(1, _MOST_BYTES // max(needed, 1)))
        with tempfile.TemporaryDirectory(prefix="loader-") as folder:
            near, failed = self._brought(chosen, folder)
            seen = survey(list(near))
        good = [(near[path], facts) for path, facts in seen.good]
        unreadable = failed + [{"path": near[bad["path"]], "problem": bad["problem"]} for bad in seen.unreadable]
        return Look(len(chosen), good, sorted(unreadable, key=lambda bad: bad["path"]))

    def _brought(self, urls: Sequence[str], folder: str) -> tuple[dict[str, str], list[dict[str, str]]]:
        """Return the URLs of what came, by the files that were made of them, and what did not come."""
        near: dict[str, str] = {}
        failed: list[dict[str, str]] = []
        gather = Gather(StorageOptions(), _PATIENCE_S, _AT_ONCE, 4 * len(urls))
        try:
            gather.begin(span for url in urls for span in self._spans(url))
            for number, url in enumerate(urls):
                try:
                    parts = [(span.start, gather.take(span)) for span in self._spans(url)]
                except (FetchError, DataNotFoundError) as error:
                    failed.append({"path": url, "problem": str(error).removeprefix(f"{url}: ")})
                    if not near and len(failed) >= min(_FAILURES, len(urls)):
                        raise
                    continue
                path = os.path.join(folder, f"{number}{os.path.splitext(url)[1]}")
                _write(path, parts, self._sizes[url])
                near[path] = url
        finally:
            gather.close()
        return near, failed

    def _spans(self, url: str) -> list[Span]:
        size = self._sizes[url]
        if self._needed(url) == size:
            return [Span(url)]
        if size == UNKNOWN_SIZE:
            return [Span(url, 0, _HEAD_BYTES)]
        return [Span(url, 0, _HEAD_BYTES), Span(url, size - _TAIL_BYTES, size)]

    def _needed(self, url: str) -> int:
        size = self._sizes[url]
        head = url.lower().endswith(_HAVE_HEADS) or kind_by_name(url) in _NEED_NO_MORE
        whole = UNKNOWN_SIZE < size <= _WHOLE_BYTES or not (head or size == UNKNOWN_SIZE)
        return size if whole else _HEAD_BYTES + _TAIL_BYTES


class Beginning(NamedTuple):
    """A file that begins as an object does, and whose name ends as its does.

    Attributes:
        path: of the file.
        whole: whether it is all of the object.
    """

    path: str
    whole: bool


@contextmanager
def beginning_of(url: str, size: int, most: int, lines: bool) -> Iterator[Beginning]:
    """Yield the beginning of an object.

    Args:
        url: of the object.
        size: of it.
        most: bytes to fetch.
        lines: whether the file ends with the last whole line that was fetched; else it has the size of the object, with a hole at its end.

    Raises:
        FetchError, DataNotFoundError: it can't be fetched.
    """
    gather = Gather(StorageOptions(), _PATIENCE_S, 1, 1)
    try:
        parts = [(span.start, gather.take(span)) for span in _first_parts(url, size, most)]
    finally:
        gather.close()
    with tempfile.TemporaryDirectory(prefix="loader-") as folder:
        suffix = os.path.splitext(url)[1]
        path = os.path.join(folder, f"object{suffix if suffix[1:].isalnum() else ''}")
        _write(path, parts, size)
        start, last = parts[-1][0], bytes(parts[-1][1].content)
        nbytes = start + len(last)
        whole = nbytes == size or nbytes < most
        if lines and not whole:
            os.truncate(path, start + (last.rfind(b"\n") + 1 or len(last)))
        yield Beginning(path, whole)


def _first_parts(url: str, size: int, most: int) -> list[Span]:
    if UNKNOWN_SIZE < size <= min(most, _PART_BYTES):
        return [Span(url)]
    end, step = (most, most) if size == UNKNOWN_SIZE else (min(size, most), _PART_BYTES)
    return [Span(url, start, min(start + step, end)) for start in range(0, end, step)]


def _write(path: str, parts: Sequence[tuple[int, Fetched]], size: int) -> None:
    """Write a file with some parts of an object at their places; it is as large as the object, if that is known."""
    with open(path, "wb") as file:
        for start, fetched in parts:
            file.seek(start)
            file.write(fetched.content)
        whole = max(size, parts[0][1].size)
        if whole != UNKNOWN_SIZE:
            file.truncate(whole)
