"""A folder with one sub-folder per class: its files, and the number of the class of each."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress

import numpy as np

from loader.data.sources.files.file_search import FileSearch
from loader.data.sources.labels.labels import check_classes
from loader.data.spec import Array
from loader.errors import ConfigError, DataNotFoundError

PARTS_OF_A_SET = frozenset(("train", "training", "val", "valid", "validation", "dev", "test", "testing"))
"""Names of folders that hold the parts of a data set, not its classes."""


def list_classes(root: str, search: FileSearch, maker: str, classes: Iterable[str] | None) -> tuple[list[str], Array, tuple[str, ...]]:
    """Return the files of all classes, class by class, the number of the class of each, and the names of the classes.

    Args:
        root: absolute; its sub-folders are the classes.
        search: finds the files.
        maker: name of the class of the source.
        classes: names of all classes, in order; None: the sub-folders, sorted as strings.

    Raises:
        DataNotFoundError: the folder is missing, or has no sub-folders, or these hold no files.
        ConfigError: a sub-folder is not in `classes`, or they are parts of a data set.
    """
    folders = search.classes(root)
    if classes is None and len(folders) > 1 and PARTS_OF_A_SET.issuperset(name.lower() for name in folders):
        part = f"{maker}.from_folder({os.path.join(root, folders[0])!r})"
        raise ConfigError(
            f"the sub-folders of {root} are {', '.join(folders)}, which are parts of a data set, not classes: {part}; or give them as classes="
        )
    names = check_classes(folders if classes is None else classes)
    numbers = {name: number for number, name in enumerate(names)}
    unknown = [name for name in folders if name not in numbers]
    if unknown:
        raise ConfigError(f"{root} has sub-folders that are not in classes: {', '.join(unknown)}. Add them to classes, or move them away")
    paths: list[str] = []
    counts: list[int] = []
    for name in folders:
        before = len(paths)
        with suppress(DataNotFoundError):  # a class may be empty, so long as another is not
            paths.extend(search.folder(os.path.join(root, name)))
        counts.append(len(paths) - before)
    if not paths:
        search.folder(root)  # raises: says what is there instead
    search.log_skipped(root)
    search.log_stray(root)
    return search.with_facts(paths), np.repeat(np.array([numbers[name] for name in folders], np.int32), counts), names
