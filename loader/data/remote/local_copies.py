"""Objects as files of this machine: small ones, such as a table of labels, for a moment; and where in a folder one goes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from loader.data.remote.options import StorageOptions
from loader.data.remote.urls import check_url, is_url


def path_below(folder: str, name: str) -> str | None:
    """Return the path of a file in a folder, which is absolute; None if its name, which comes from a store, leads elsewhere."""
    path = os.path.normpath(os.path.join(folder, name))
    return path if path.startswith(os.path.join(folder, "")) and "\0" not in name else None


@contextmanager
def local_copy(file: Any, options: StorageOptions) -> Iterator[Any]:
    """Yield what was given, or if it is a URL the path of a copy. Raises FetchError, DataNotFoundError, ConfigError."""
    if not is_url(file):
        yield file
        return
    import tempfile

    from loader.data.remote.objects import Span
    from loader.data.remote.scouting.scout import Scout

    url = check_url(file)
    content = Scout(options).content(Span(url))
    with tempfile.TemporaryDirectory(prefix="loader-") as folder:
        path = os.path.join(folder, url.rpartition("/")[2])
        with open(path, "wb") as copy:
            copy.write(content)
        yield path
