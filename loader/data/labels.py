"""From what a user gives as `labels=` to one array in the order of the files.

Values become numbers here, once: Python ints int32, Python floats float32, names the index of their class. Arrays keep their dtype.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from loader.data.label_table import read_label_table
from loader.data.npy import read_array
from loader.data.path_index import PathIndex
from loader.data.spec import Array, check_dtype
from loader.errors import ConfigError, DataNotFoundError, LabelError

_MISSING = object()


def read_labels(labels: object, index: PathIndex, classes: Iterable[str] | None = None) -> tuple[Array, tuple[str, ...]]:
    """Return the label of every file of `index` as one array, and the names of the classes.

    Args:
        labels: a dict by ID (other keys are ignored); an array or list in the order of the files; the path of a `.npy` file that holds one,
            or of a `.csv` file with the columns `path,label` or `id,label`. A label is a number, a name, or an array of one shape.
        classes: names of all classes, in order. None: where labels are names, those that occur, sorted.

    Returns:
        Labels of shape `(files, ...)`, C-contiguous and of native byte order, and the classes: `()` where labels are numbers and none were given.

    Raises:
        LabelError: a file has no label, there are more or fewer labels than files, or a value can't be a label.
    """
    names = None if classes is None else check_classes(classes)
    if isinstance(labels, (str, os.PathLike)):
        path = os.path.abspath(os.path.expanduser(os.fspath(labels)))
        if not os.path.isfile(path):
            raise DataNotFoundError(f"labels={labels!r}: {path} does not exist, or is no file")
        if path.lower().endswith(".csv"):
            return parse_texts(_by_path(read_label_table(path), index, path), names)
        if not path.lower().endswith(".npy"):
            raise ConfigError(f"labels={labels!r}: give a .csv file, a .npy file, a dict by ID, or an array in the order of the files")
        labels = read_array(path)
    values = _by_id(labels, index) if isinstance(labels, Mapping) else labels
    return number_classes(as_array(values, len(index)), names)


def as_array(values: object, count: int | None, what: str = "labels") -> Array:
    """Return one value per sample as an array: Python ints as int32, floats as float32, names as strings; arrays keep their dtype.

    Args:
        values: an array or anything that can become one, or a sequence of values of one shape.
        count: of samples; None where any number will do.
        what: names the values in an error.

    Raises:
        LabelError: there are not `count` of them, their shapes differ, or one is None or another object.
    """
    array = values if isinstance(values, np.ndarray) else np.asarray(values) if hasattr(values, "__array__") else None
    if array is None or array.dtype.kind in "OT":  # objects, numpy 2's strings
        array = _from_objects(values, what)
    if array.ndim == 0:
        raise LabelError(f"{what} is a single value, {array!r}; give one for each sample")
    if count is not None and len(array) != count:
        raise LabelError(f"{len(array):,} {what} for {count:,} samples: one for each is needed, in their order; or give a dict by ID")
    if array.dtype.kind == "S":
        try:
            return np.char.decode(array, "utf-8")
        except UnicodeDecodeError as error:
            raise LabelError(f"{what} are bytes that are not UTF-8 text: {error.object!r}") from None
    if array.dtype.kind != "U":
        try:
            check_dtype(array.dtype, what)
        except TypeError as error:
            raise LabelError(str(error)) from None
        array = np.require(array, array.dtype.newbyteorder("="), ["C", "A"])
    return array


def number_classes(array: Array, classes: tuple[str, ...] | None) -> tuple[Array, tuple[str, ...]]:
    """Return labels as numbers, and the classes: names become their place in `classes`; numbers stay, and are checked against it."""
    if array.dtype.kind == "U":
        names = array.ravel().tolist()
        chosen = tuple(sorted(set(names))) if classes is None else classes
        return _find(names, chosen).reshape(array.shape), chosen
    if classes is not None and array.ndim == 1 and array.dtype.kind in "iu" and len(array):
        low, high = int(array.min()), int(array.max())
        if low < 0 or high >= len(classes):
            raise LabelError(f"labels range from {low} to {high}, but {len(classes)} classes were given: labels must be 0 to {len(classes) - 1}")
    return array, classes or ()


def parse_texts(texts: list[str], classes: tuple[str, ...] | None) -> tuple[Array, tuple[str, ...]]:
    """Return labels read from a text file as numbers, and the classes.

    Texts that all are names in `classes` are names; else, if all read as whole numbers, those; else, if all read as numbers, those; else names.
    """
    if classes is None or not set(classes).issuperset(texts):
        for number in (int, float):
            try:
                values = [number(text) for text in texts]
            except ValueError:
                continue
            return number_classes(as_array(values, None), classes)
    return number_classes(np.array(texts, np.str_), classes)


def check_classes(classes: Iterable[str]) -> tuple[str, ...]:
    """Return `classes` as a tuple; refuses a single string, other things than strings, and a name given twice."""
    names = () if isinstance(classes, str) else tuple(classes)
    if not names or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"classes must be a list of names, not {classes!r}")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigError(f"classes has {twice!r} twice")
    return tuple(map(str, names))


def _find(names: list[str], classes: tuple[str, ...]) -> Array:
    places = {name: number for number, name in enumerate(classes)}
    try:
        return np.fromiter(map(places.__getitem__, names), np.int32, len(names))
    except KeyError as error:
        shown = ", ".join(classes[:10]) + (", ..." if len(classes) > 10 else "")
        raise LabelError(f"the label {error.args[0]!r} is not in classes ({shown})") from None


def _from_objects(values: Any, what: str) -> Array:
    """Return Python values as an array, or say which one can't be in it."""
    try:
        items = list(values)
    except TypeError:
        raise LabelError(f"{what} must be a dict by ID, an array, a list, or the path of a .npy or .csv file; not {values!r}") from None
    bad = next((number for number, item in enumerate(items) if item is None), None)
    if bad is not None:
        raise LabelError(f"{what}[{bad}] is None; give every sample one, or leave the sample out")
    try:
        array = np.asarray(items)
    except ValueError:
        raise LabelError(f"the {what} differ in shape; all must have one shape") from None
    if array.dtype == object or (array.dtype.kind == "U" and array.ndim == 1 and not all(isinstance(item, str) for item in items)):
        kinds = sorted({type(item).__name__ for item in items})
        raise LabelError(f"{what} are of the types {kinds}; all must be numbers, names, or arrays of one shape")
    return array if any(isinstance(item, (np.generic, np.ndarray)) for item in items) else _narrow(array, what)


def _narrow(array: Array, what: str) -> Array:
    """Return what numpy made of Python numbers as int32 or float32."""
    if array.dtype.kind in "iu":
        limits = np.iinfo(np.int32)
        if array.size and not limits.min <= array.min() <= array.max() <= limits.max:
            raise LabelError(f"{what} range from {array.min()} to {array.max()}, which int32 can't hold; give them as np.array(..., np.int64)")
        return array.astype(np.int32)
    return array.astype(np.float32) if array.dtype.kind == "f" else array


def _by_id(labels: Mapping[Any, Any], index: PathIndex) -> list[Any]:
    ids = index.ids()
    values = [labels.get(name, _MISSING) for name in ids]
    missing = [name for name, value in zip(ids, values, strict=True) if value is _MISSING]
    if missing:
        raise LabelError(f"{_count(missing, len(ids))}; {_hint(labels, missing[0], index)}")
    return values


def _by_path(table: Mapping[str, str], index: PathIndex, path: str) -> list[str]:
    """Return the labels of a `.csv`, whose first column may hold IDs or paths, with extension or without, even absolute ones."""
    table = {index.relative(key): label for key, label in table.items()}
    values = [table.get(name, table.get(full)) for name, full in zip(index.ids(), index.relative_paths(), strict=True)]
    found = [value for value in values if value is not None]
    if len(found) < len(values):
        missing = [name for name, value in zip(index.ids(), values, strict=True) if value is None]
        raise LabelError(f"{path}: {_count(missing, len(values))}; {_hint(table, missing[0], index)}")
    return found


def _count(missing: Sequence[str], total: int) -> str:
    return f"no label for {len(missing):,} of {total:,} files, the first is {missing[0]!r}"


def _hint(labels: Mapping[Any, Any], name: str, index: PathIndex) -> str:
    """Return why the ID `name` may be no key of `labels`, by looking at keys that resemble it."""
    rule = f"keys are IDs: the path relative to root={index.root!r}, without extension"
    if not labels:
        return f"the dict of labels is empty ({rule})"
    short = name.rpartition("/")[2]
    if f"{name}.npy" in labels:
        return f"there is a key {name + '.npy'!r}, with extension ({rule})"
    if short != name and (short in labels or f"{short}.npy" in labels):
        return f"there is a key {short!r}, without the folder ({rule}): give another root, or put the folder into the keys"
    endings = (f"/{name}", f"/{name}.npy")
    longer = next((key for key in islice(labels, 100_000) if isinstance(key, str) and key.endswith(endings)), None)
    if longer is not None:
        return f"there is a key {longer!r}, with more folders ({rule}): give another root"
    return f"a key that is there: {next(iter(labels))!r} ({rule})"
