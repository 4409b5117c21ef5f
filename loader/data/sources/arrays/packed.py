"""What `source.pack` has written: a folder of a few large files, and an index.

index.json       samples, classes, arrays of a sample and their files
ids.txt          an ID a line, if the samples have any
x.npy, y.npy, …  the arrays, row i of each is of sample i
"""

from __future__ import annotations

import json
import os
from typing import Any

from loader.data.remote.local_copies import local_copy
from loader.data.remote.options import StorageOptions
from loader.data.sources.arrays.npy_arrays import NpyArrays
from loader.data.sources.files.file_listing import PathLike, absolute_place
from loader.data.spec import PART_NAMES
from loader.errors import ConfigError, DataNotFoundError, LoaderError

INDEX, IDS = "index.json", "ids.txt"
FORMAT = 1


class Packed(NpyArrays):
    """The samples of a pack, with the IDs and classes of what was packed. Made by `NpyArrays.from_pack`.

    Args:
        folder: of the pack, or its URL.
        options: of `NpyArrays`, for a URL.

    Attributes:
        classes: names of the classes; label k means `classes[k]`. Empty if the source had none.

    Raises:
        DataNotFoundError: there is no pack.
        ConfigError, NpyError: it is not whole, or of a later version of this package.
    """

    def __init__(self, folder: PathLike, **options: Any) -> None:
        self._folder = absolute_place(folder)
        self._options = StorageOptions(options.get("storage_options"))
        index = _read_index(self._folder, self._options)
        parts: list[Any] = [None] * len(PART_NAMES)
        for array in index["arrays"]:
            path = os.path.join(self._folder, array["file"])
            if array["key"] is None:
                parts[array["part"]] = path
            else:
                parts[array["part"]] = {**(parts[array["part"]] or {}), array["key"]: path}
        super().__init__(*parts, **options)
        self.classes: tuple[str, ...] = tuple(index["classes"])
        self._has_ids = bool(index["ids"])
        if len(self) != index["samples"]:
            raise ConfigError(f"{self._folder}: {INDEX} tells of {index['samples']:,} samples, but the arrays have {len(self):,}. Pack again")

    def ids(self) -> list[str] | None:
        if not self._has_ids:
            return None
        ids = os.path.join(self._folder, IDS)
        with local_copy(ids, self._options) as path, open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            return file.read().removesuffix("\n").split("\n")


def _read_index(folder: str, options: StorageOptions) -> dict[str, Any]:
    path = os.path.join(folder, INDEX)
    try:
        with local_copy(path, options) as copy, open(copy, encoding="utf-8") as file:
            index: dict[str, Any] = json.load(file)
    except FileNotFoundError:
        raise DataNotFoundError(f"{folder} holds no {INDEX}: it is no pack. What to do: source.pack(folder), or loader pack SOURCE FOLDER") from None
    except LoaderError:
        raise
    except ValueError as error:
        raise ConfigError(f"{path} is damaged: {error}. Pack again") from None
    if index.get("format") != FORMAT:
        raise ConfigError(f"{path} has format {index.get('format')}, and this version of the package reads format {FORMAT}")
    return index
