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
_MANIFESTS = (".csv", ".tsv", ".txt", ".jsonl")
_HDF5 = (".h5", ".hdf5", ".hdf")
_NUMPY = (np.ndarray, np.generic)
_IN_MEMORY = ("__dlpack__", "__array_interface__", "to_numpy")  # what has one of these has its data in memory: PyTorch, JAX; pandas
_IN_ORDER = {"datasets": "a Hugging Face IterableDataset", "grain": "a Grain IterDataset or DataLoader"}
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
        flat = f"for the .npy files in it NpyFiles({shown}), for other files ByteFiles({shown}, decode=...)"
        return f"give NpyFiles.from_folder({shown}) if each sub-folder is a class, otherwise {flat}" if has_folders else f"it is a folder; {flat}"
    if place.lower().endswith(_MANIFESTS):
        return f"for a list of files and labels give NpyFiles.from_manifest({shown}), for lines or rows of text TextLines({shown}, decode=...)"
    if place.lower().endswith(_HDF5):
        return f"for a dataset of an HDF5 file give MapSource(h5py.File({shown})['name of the dataset'])"
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
    # Before that of PyTorch, from which it derives where PyTorch is installed.
    if is_made_by(thing, ("datasets",), "IterableDataset") or is_made_by(thing, ("grain",), "IterDataset", "DataLoader"):
        return (
            f"it is {_IN_ORDER[type(thing).__module__.partition('.')[0]]}, which can't be read in random order. Give what has a length and items, "
            "MapSource(dataset); or read it in its own order, by one worker: IterSource(lambda: dataset), with length= for one that has no end"
        )
    if is_made_by(thing, ("torch",), "IterableDataset"):
        return (
            "it is a PyTorch IterableDataset, which can't be read in random order. Give a Dataset with __len__ and __getitem__, MapSource(dataset); "
            "or read it in its own order, by one worker: IterSource(lambda: dataset)"
        )
    if is_made_by(thing, ("tensorflow",), "DatasetV2", "Dataset"):
        return (
            "it is a tf.data.Dataset, which can't be read in random order. Give what it is made of: NpyArrays(x, y) for arrays, NpyFiles for files, "
            "or MapSource(obj) where obj[i] is one sample, (x, y)"
        )
    if is_made_by(thing, ("loader",), "Loader"):
        return "it is a Loader already, which makes batches; give its source: loader.source"
    if isinstance(thing, Iterator):
        return (
            "it can be read once, from start to end. Give its items as a list, MapSource(list(items)), or arrays, NpyArrays(x, y); "
            "or the function that makes it, to be read in its own order by one worker: IterSource(function)"
        )
    return None


def _instead_of_table(thing: Any) -> str | None:
    """Return what to give in the place of something that goes by keys."""
    if is_made_by(thing, ("pandas",), "DataFrame", "Series"):
        return (
            "pandas is indexed by labels, not by position. Give columns of numbers: NpyArrays(frame[columns].to_numpy(), y=frame[label].to_numpy())"
        )
    if is_made_by(thing, ("h5py",), "HLObject") and not thing:
        return "its HDF5 file has been closed; keep it open until the Loader is made"
    if is_made_by(thing, ("datasets",), "DatasetDict"):
        splits = list(map(str, thing))
        return f"it is a DatasetDict with the parts {', '.join(splits)}; give one of them: MapSource(data[{splits[0] if splits else 'train'!r}])"
    if isinstance(thing, Mapping) or is_made_by(thing, ("zarr",), "Group"):
        return instead_of_mapping(thing)
    if isinstance(thing, set | frozenset):
        return "a set has no order; give a sorted list of its items"
    return None


def instead_of_mapping(thing: Any) -> str:
    """Return what to give in the place of a dict, an open .npz archive, or a file or group of HDF5 or Zarr."""
    if isinstance(thing, dict):
        return "for a dict of arrays give NpyArrays(x={'a': ..., 'b': ...}, y=...), for a dict of sources Zip(x={...}, y=...)"
    keys = list(map(str, thing))
    if not keys:
        return "it has no arrays in it"
    x, y = (f"data[{key!r}]" for key in (keys[0], keys[-1 if len(keys) < 2 else 1]))
    if is_made_by(thing, ("h5py", "zarr"), "Group"):
        arrays = f"MapSource({x})" if x == y else f"Zip(MapSource({x}), y=MapSource({y}))"
    else:
        arrays = f"NpyArrays({x})" if x == y else f"NpyArrays({x}, y={y})"
    return f"it has the entries {', '.join(keys[:_SHOWN])}{', ...' if len(keys) > _SHOWN else ''}; give the arrays that you mean: {arrays}"


def is_read_later(thing: Any) -> bool:
    """Whether `thing` looks like an array and has its data elsewhere (h5py, zarr, dask): making an array of it would read it all."""
    kind = type(thing)
    looks_so = all(hasattr(kind, attribute) for attribute in ("__getitem__", "shape", "dtype"))
    in_memory = isinstance(thing, _NUMPY) or any(hasattr(kind, attribute) for attribute in _IN_MEMORY)
    return looks_so and not in_memory and not _is_buffer(thing)


def _is_buffer(thing: Any) -> bool:
    try:
        memoryview(thing).release()
    except TypeError:
        return False
    return True


def instead_of_sequence(thing: object) -> str:
    """Return what to give in the place of arrays, or of a list of what is no source."""
    if is_read_later(thing):
        return "for its rows give MapSource(dataset)"
    if isinstance(thing, tuple) and thing and all(hasattr(item, "shape") for item in thing):
        return "for arrays give NpyArrays(x, y)"
    if isinstance(thing, list | tuple) and thing and all(isinstance(item, str | os.PathLike) for item in thing):
        return "for a list of paths give NpyFiles(paths, labels=...), or ByteFiles(paths, labels=..., decode=...)"
    if isinstance(thing, list | tuple) and thing and all(is_made_by(item, ("loader",), "Source") for item in thing):
        return "join several sources with +, such as source_a + source_b; for the parts of one sample give Zip(x=source_a, y=source_b)"
    if isinstance(thing, np.ndarray) or hasattr(thing, "__array__"):
        return "for an array give NpyArrays(x, y)"
    if hasattr(type(thing), "__getitem__") and hasattr(type(thing), "__len__"):
        return "where obj[i] is one sample, give MapSource(obj)"
    if callable(thing):
        return "for a function that yields samples give IterSource(function)"
    return "give NpyFiles, NpyArrays, ByteFiles, TextLines, MapSource, IterSource or Zip"
