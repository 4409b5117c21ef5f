"""What is mistaken for a source, or for the object behind a `MapSource`, and what to give instead.

Recognised by what it can do and by the names of its classes, so that no framework is imported on its account.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

_KERAS = ("keras", "tf_keras", "tensorflow")
_MANIFESTS = (".csv", ".txt")
_SHOWN = 3  # entries of an archive that a message lists


def is_made_by(thing: object, packages: Sequence[str], *names: str) -> bool:
    """Return whether an object's class, or one that it derives from, has one of these names and comes from one of these packages."""
    return any(kind.__name__ in names and kind.__module__.partition(".")[0] in packages for kind in type(thing).__mro__)


def instead_of(thing: object) -> str | None:
    """Return what to give instead of something that is not a source and can't be its samples; None if a MapSource can take it."""
    if isinstance(thing, type):
        return f"it is a class; make an instance: {thing.__name__}(...)"
    if isinstance(thing, str | os.PathLike):
        return _instead_of_path(os.fspath(thing))
    return _instead_of_loader(thing) or _instead_of_table(thing)


def _instead_of_path(path: str | bytes) -> str:
    place = os.path.expanduser(os.fsdecode(path))
    shown = repr(place)
    if os.path.isdir(place):
        with os.scandir(place) as entries:
            has_folders = any(entry.is_dir() and not entry.name.startswith(".") for entry in entries)
        flat = f"for the .npy files in it NpyFiles({shown})"
        return f"give NpyFiles.from_folder({shown}) if each sub-folder is a class, otherwise {flat}" if has_folders else f"it is a folder; {flat}"
    if place.lower().endswith(_MANIFESTS):
        return f"for a list of files and labels give NpyFiles.from_manifest({shown})"
    if glob.has_magic(place) and not os.path.exists(place):
        return f"for one file per sample give NpyFiles({shown}), for the rows of all files joined NpyArrays({shown})"
    missing = "" if os.path.exists(place) else f" (there is no such file; the working directory is {os.getcwd()})"
    return f"for the rows of one large file give NpyArrays({shown}), for one file per sample NpyFiles with all of them{missing}"


def _instead_of_loader(thing: object) -> str | None:
    """Return what to give in the place of what makes batches, or can be read from start to end only."""
    if is_made_by(thing, _KERAS, "PyDataset", "Sequence"):
        return (
            "it is a Keras PyDataset (or Sequence), whose items are batches; the Loader makes batches itself. Give its arrays, NpyArrays(x, y), "
            "or MapSource(obj) where obj[i] is one sample, (x, y), and len(obj) the number of samples"
        )
    if is_made_by(thing, ("torch",), "DataLoader"):
        return "it is a PyTorch DataLoader, which makes batches, as the Loader does. Give the Dataset behind it: MapSource(data_loader.dataset)"
    if is_made_by(thing, ("torch",), "IterableDataset"):
        return "it is a PyTorch IterableDataset, which can't be read in random order. Give a Dataset with __len__ and __getitem__: MapSource(dataset)"
    if is_made_by(thing, ("tensorflow",), "DatasetV2", "Dataset"):
        return (
            "it is a tf.data.Dataset, which can't be read in random order. Give what it is made of: NpyArrays(x, y) for arrays, NpyFiles for files, "
            "or MapSource(obj) where obj[i] is one sample, (x, y)"
        )
    if is_made_by(thing, ("loader",), "Loader"):
        return "it is a Loader already, which makes batches; give its source: loader.source"
    if isinstance(thing, Iterator):
        return "it can be read once, from start to end. Give its items as a list, MapSource(list(items)), or arrays, NpyArrays(x, y)"
    return None


def _instead_of_table(thing: Any) -> str | None:
    """Return what to give in the place of something that goes by keys."""
    if is_made_by(thing, ("pandas",), "DataFrame", "Series"):
        return (
            "pandas is indexed by labels, not by position. Give columns of numbers: NpyArrays(frame[columns].to_numpy(), y=frame[label].to_numpy())"
        )
    if isinstance(thing, Mapping):
        return instead_of_mapping(thing)
    if isinstance(thing, set | frozenset):
        return "a set has no order; give a sorted list of its items"
    return None


def instead_of_mapping(thing: Mapping[Any, Any]) -> str:
    """Return what to give in the place of a dict, an open .npz archive or an HDF5 file."""
    if isinstance(thing, dict):
        return "for a dict of arrays give NpyArrays(x={'a': ..., 'b': ...}, y=...), for a dict of sources Zip(x={...}, y=...)"
    keys = list(map(str, thing))
    if not keys:
        return "it has no arrays in it"
    x, *rest = keys
    arrays = f"data[{x!r}]" + (f", y=data[{rest[0]!r}]" if rest else "")
    return f"it has the entries {', '.join(keys[:_SHOWN])}{', ...' if len(keys) > _SHOWN else ''}; give the arrays that you mean: NpyArrays({arrays})"


def instead_of_sequence(thing: object) -> str:
    """Return what to give in the place of arrays, or of a list of what is no source."""
    if isinstance(thing, tuple) and thing and all(hasattr(item, "shape") for item in thing):
        return "for arrays give NpyArrays(x, y)"
    if isinstance(thing, list | tuple) and thing and all(isinstance(item, str | os.PathLike) for item in thing):
        return "for a list of paths give NpyFiles(paths, labels=...)"
    if isinstance(thing, np.ndarray) or hasattr(thing, "__array__"):
        return "for an array give NpyArrays(x, y)"
    if hasattr(type(thing), "__getitem__") and hasattr(type(thing), "__len__"):
        return "where obj[i] is one sample, give MapSource(obj)"
    return "give NpyFiles, NpyArrays, Zip or MapSource"
