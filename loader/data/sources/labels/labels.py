"""From what a user gives as `labels=` to one array in the order of the files.

Values become numbers here, once: Python ints int32, Python floats float32, names the index of their class. Arrays keep their dtype.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from loader.data.npy.header import read_array
from loader.data.sources.files.file_listing import absolute_path
from loader.data.sources.files.path_index import PathIndex
from loader.data.sources.labels.label_table import read_label_table
from loader.data.sources.labels.labels_by_id import by_id, by_path
from loader.data.sources.source import Source
from loader.data.spec import PART_NAMES, Array, check_dtype
from loader.errors import ConfigError, DataNotFoundError, LabelError

_FEW = 4
_NOTHING = frozenset(("na", "n/a", "<na>", "null", "none", "missing", "-", "?"))  # texts that stand for no value


def read_labels(labels: object, index: PathIndex, classes: Iterable[str] | None = None, what: str = "labels") -> tuple[Array, tuple[str, ...]]:
    """Return the label of every file of `index` as one array, and the names of the classes.

    Args:
        labels: a dict by ID (other keys are ignored); an array or list in the order of the files; the path of a `.npy` file that holds one,
            or of a `.csv` file with the columns `path,label` or `id,label`. A label is a number, a name, or an array of one shape.
        classes: names of all classes, in order. None: where labels are names, those that occur, sorted.
        what: names the labels in an error.

    Returns:
        Labels of shape `(files, ...)`, C-contiguous and of native byte order, and the classes: `()` where labels are numbers and none were given.

    Raises:
        LabelError: a file has no label, there are more or fewer labels than files, or a value can't be a label.
    """
    names = None if classes is None else check_classes(classes)
    if isinstance(labels, (str, os.PathLike)):
        path = absolute_path(labels)
        if not os.path.isfile(path):
            problem = "is a folder; for one label file per sample: Zip(x, y=NpyFiles(...))" if os.path.isdir(path) else "does not exist"
            classes_in_folders = "; for sub-folders as classes: from_folder(...)" if labels == "inferred" else ""  # what Keras calls it
            raise DataNotFoundError(f"{what}={labels!r}: {path} {problem}{classes_in_folders}; the working directory is {os.getcwd()}")
        if path.lower().endswith(".csv"):
            return parse_texts(by_path(read_label_table(path), index, path, what), names)
        if not path.lower().endswith(".npy"):
            raise ConfigError(f"{what}={labels!r}: give a .csv file, a .npy file, a dict by ID, or an array in the order of the files")
        labels = read_array(path)
    if getattr(getattr(getattr(labels, "index", None), "dtype", None), "kind", "i") not in "iu":  # a Series of pandas with names
        raise LabelError(f"{what} has an index of its own: by ID give {what}.to_dict(), in the order of the files {what}.to_numpy()")
    values = by_id(labels, index, what) if isinstance(labels, Mapping) else labels
    array = as_array(values, len(index), what)
    if array.dtype.kind == "U" and array.size and str(array.flat[0]).endswith(".npy"):
        raise LabelError(f"{what} are paths, such as {str(array.flat[0])!r}; for labels in a file per sample: Zip(x, y=NpyFiles(paths))")
    return number_classes(array, names)


def as_array(values: object, count: int | None, what: str = "labels") -> Array:
    """Return one value per sample as an array: Python ints as int32, floats as float32, names as strings; arrays keep their dtype.

    Args:
        values: an array or anything that can become one, or a sequence of values of one shape.
        count: of samples; None if any number will do.
        what: names the values in an error.

    Raises:
        LabelError: there are not `count` of them, their shapes differ, or one is None or another object.
    """
    _check_kind(values, what)
    array = values if isinstance(values, np.ndarray) else _from_framework(values, what) if hasattr(values, "__array__") else None
    if array is None or array.dtype.kind in "OT":  # objects, numpy 2's strings
        array = _from_objects(values if array is None else array, what)  # going through a data frame would give its columns
    if array.ndim == 0:
        raise LabelError(f"{what} is a single value, {array!r}; give one for each sample")
    if count is not None and len(array) != count:
        rows = ". For samples that are the rows of one file: NpyArrays(x, y)" if count == 1 else ""
        raise LabelError(f"{what}: {len(array):,} values for {count:,} samples; one for each is needed, in their order; or give a dict by ID{rows}")
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

    Raises:
        LabelError: most are numbers, but not all.
    """
    if classes is None or not set(classes).issuperset(texts):
        for number in (int, float):
            try:
                values = [number(text) for text in texts]
            except ValueError:
                continue
            return number_classes(as_array(values, None), classes)
        odd = odd_numbers(texts)
        if odd:
            raise LabelError(
                f"labels are numbers, but for {len(odd):,} of {len(texts):,}, such as {texts[odd[0]]!r}. Leave these out; "
                "if all are names, give classes="
            )
    return number_classes(np.array(texts, np.str_), classes)


def odd_numbers(texts: Sequence[str]) -> list[int]:
    """Return the places of texts that are no numbers among others that are: fewer than half of all, or marks that stand for no value.

    Names of classes would be made of them all.
    """
    if all(map(_is_number, texts[:1])):  # else most probably none is
        try:
            list(map(float, texts))
        except ValueError:
            pass
        else:
            return []
    odd = [place for place, text in enumerate(texts) if not _is_number(text)]
    few = 2 * len(odd) < len(texts) or (len(odd) < len(texts) and _NOTHING.issuperset(texts[place].lower() for place in odd))
    return odd if few else []


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def check_classes(classes: Iterable[str]) -> tuple[str, ...]:
    """Return `classes` as a tuple; refuses a single string, other things than strings, and a name given twice."""
    unordered = isinstance(classes, set | frozenset | Mapping)  # the numbers of the classes follow from the order of the names
    names = tuple(classes) if isinstance(classes, Iterable) and not isinstance(classes, str) and not unordered else ()
    if not names or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"classes must be a list of names, whose order gives their numbers, not {classes!r}")
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
        forms = "an array, a list or a path" if what.startswith(PART_NAMES) else "a dict by ID, an array, a list, or the path of a .npy or .csv file"
        raise LabelError(f"{what} must be {forms}; not {values!r}") from None
    bad = next((number for number, item in enumerate(items) if item is None), None)
    if bad is not None:
        raise LabelError(f"{what}[{bad}] is None; give every sample one, or leave the sample out")
    try:
        array = np.asarray(items)
    except ValueError:
        raise LabelError(f"{what}: the values differ in shape; all must have one shape. {_several(items)}") from None
    if array.dtype == object or (array.dtype.kind == "U" and array.ndim == 1 and not all(isinstance(item, str) for item in items)):
        kinds = ", ".join(sorted({type(item).__name__ for item in np.asarray(items, object).flat}))
        raise LabelError(f"{what} has values of the types {kinds}; all must be numbers, names, or arrays of one shape")
    return array if any(isinstance(item, (np.generic, np.ndarray)) for item in items) else _narrow(array, what)


def _several(items: Sequence[Any]) -> str:
    """Return what to do with a list of values that make no array."""
    if len(items) <= _FEW and all(isinstance(item, np.ndarray) for item in items):
        return "Several arrays: x and y are two arguments, (x, y); for several inputs give a dict, {'a': ..., 'b': ...}"
    return "Pad them; or, for several labels of a sample, give a vector of 0 and 1 for each, one place per class"


def _check_kind(values: Any, what: str) -> None:
    """Refuse what NumPy would make an array of, but another one than was meant."""
    if isinstance(values, set | frozenset):
        raise LabelError(f"{what} is a set, which has no order; give a list")
    if isinstance(values, bytes | bytearray):
        raise LabelError(f"{what} is bytes; for an array of them np.frombuffer(raw, np.uint8), for a path a str")
    if isinstance(values, Source):
        raise LabelError(f"{what} is a source, {values!r}; parts from different sources go together by Zip(x, y=...)")
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        count = int(np.count_nonzero(np.ma.getmaskarray(values)))
        raise LabelError(f"{what} is a masked array with {count:,} values masked, which batches can't be; fill them: a.filled(0)")
    if type(values).__module__.startswith("scipy.sparse"):
        raise LabelError(f"{what} is a sparse matrix, {values!r}; give a.toarray(), or its rows one by one by a MapSource")


def _from_framework(values: Any, what: str) -> Array:
    """Return a tensor, a data frame or anything else that says that it can be an array, as one."""
    try:
        return np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:  # as of PyTorch: on another device, or with a gradient
        raise LabelError(f"{what} is a {type(values).__name__} that can't be made an array: {error}") from error


def _narrow(array: Array, what: str) -> Array:
    """Return what numpy made of Python numbers as int32 or float32."""
    if array.dtype.kind in "iu":
        limits = np.iinfo(np.int32)
        if array.size and not limits.min <= array.min() <= array.max() <= limits.max:
            raise LabelError(f"{what} range from {array.min()} to {array.max()}, which int32 can't hold; give them as np.array(..., np.int64)")
        return array.astype(np.int32)
    return array.astype(np.float32) if array.dtype.kind == "f" else array
