"""Small files of a store, such as a table of labels, as files of this machine for a moment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from loader.data.remote.options import StorageOptions
from loader.data.remote.urls import check_url, is_url


@contextmanager
def local_copy(file: Any, options: StorageOptions) -> Iterator[Any]:
    """Yield what was given, or if it is a URL the path of a copy. Raises FetchError, DataNotFoundError, ConfigError."""
    if not is_url(file):
        yield file
        return
    import tempfile

    from loader.data.remote.objects import Span
    from loader.data.remote.scouting import Scout

    url = check_url(file)
    content = Scout(options).content(Span(url))
    with tempfile.TemporaryDirectory(prefix="loader-") as folder:
        path = os.path.join(folder, url.rpartition("/")[2])
        with open(path, "wb") as copy:
            copy.write(content)
        yield path
