"""The folder of a fetch cache, as those who make a source with it see it: what it is called, whether it can be one, and what a killed run has left.

    fetched.log       bytes that were added, one number for each file (`budget.py`)
    files/ab/cdef…    one object, or one range of it; the name is a hash of what it is
    new/              files that are being written; they get their names when they are complete
    claims/           empty files: one process is fetching this just now, so that others need not

It holds no URL and no credentials. Whoever can read the folder can read the data.
"""

from __future__ import annotations

import contextlib
import os
import time

from loader.errors import ConfigError

LOG, FILES, NEW, CLAIMS = "fetched.log", "files", "new", "claims"

_LEFT_AFTER_S = 3600.0


def prepare_folder(folder: str) -> None:
    """Make the folder of a cache unless it is there, and remove what runs that were killed an hour ago or longer have left unfinished.

    Raises:
        ConfigError: it can't be made, or is something else.
    """
    try:
        names = os.listdir(folder) if os.path.lexists(folder) else []
        if names and LOG not in names:
            kept = "the samples of source.cache()" if "cache.json" in names else f"other files, such as {min(names)!r}"
            raise ConfigError(f"cache= is {folder!r}, which holds {kept}; give an empty folder, or one that is not there")
        for name in (FILES, NEW, CLAIMS):
            os.makedirs(os.path.join(folder, name), exist_ok=True)
        with open(os.path.join(folder, LOG), "ab"):
            pass
    except NotADirectoryError:
        raise ConfigError(f"cache= is {folder!r}, which is a file; give a folder") from None
    except OSError as error:
        if LOG in names:  # it can be read, which is something
            return
        raise ConfigError(f"the cache {folder!r} can't be made: {error.strerror}. What to do: give a folder that can be written") from None
    for name in (NEW, CLAIMS):
        _remove_old(os.path.join(folder, name))


def _remove_old(folder: str) -> None:
    before = time.time() - _LEFT_AFTER_S
    for entry in list(os.scandir(folder)):
        with contextlib.suppress(OSError):  # another run removes it too
            if entry.stat().st_mtime < before:
                os.unlink(entry.path)
