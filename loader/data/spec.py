"""What a sample looks like: its parts, the arrays in them, and the way between a nested sample and a flat list of arrays.

A sample is a tuple of one to three parts, `(x,)`, `(x, y)` or `(x, y, sample_weight)`; each part is an array, a scalar, or a dict of them.
Everything between a source and a slot works on the flat list of arrays ("leaves"); nesting exists only at the two ends.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from loader.errors import ConfigError

Array = npt.NDArray[Any]
Sample = tuple[Any, ...]

PART_NAMES = ("x", "y", "sample_weight")
_KINDS = "biufc"
_BFLOAT16 = "bfloat16"
_NUMPY = (np.ndarray, np.generic)
_FEW = 4  # items of a list that a message shows
_SHOWN = 60  # characters of a text that it shows
_SAMPLE = "a sample is a tuple (x,), (x, y) or (x, y, sample_weight), where each part is an array, a number or a dict of them"
_SEVERAL = "For several inputs give a dict, such as ({'image': a, 'age': b}, y)"

MAKE_ALIKE = (
    "where sizes differ, Resize, Pad, Crop or a function as the first transform, to make samples alike; or bucket_by=, for batches of similar sizes"
)
"""What to do about a sample that is not like the first one, to follow a colon or a semicolon."""

# What to do with strings, by what they may be.
_CLASSES = "give class numbers: classes, labels = np.unique(names, return_inverse=True)"
_TEXT = (
    "give numbers: for text, the same number of tokens for every sample, as TextLines and decode.text do; "
    "for a path, the content of its file, such as np.load(path)"
)


@dataclass(frozen=True)
class Leaf:
    """One array of a sample: where it stands, its shape and dtype.

    Attributes:
        part: place in the sample's tuple; 0 is x, 1 is y, 2 is sample_weight.
        key: key in the part's dict, or None if the part is a single array.
        shape: shape of one sample's array, without the batch axis.
        dtype: native byte order.
    """

    part: int
    key: str | None
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def name(self) -> str:
        """`x`, `y`, `sample_weight`, or `x['image']` for an entry of a dict."""
        part = PART_NAMES[self.part]
        return part if self.key is None else f"{part}[{self.key!r}]"

    @property
    def nbytes(self) -> int:
        """Bytes of one sample's array."""
        return int(self.dtype.itemsize * math.prod(self.shape))

    def __str__(self) -> str:
        return f"{self.name}: {self.shape} {self.dtype.name}"


@dataclass(frozen=True)
class SampleSpec:
    """Structure, names, shapes and dtypes of every sample of a source or pipeline.

    Attributes:
        parts: per part, None for a single array, else the keys of its dict, in order.
        leaves: the arrays, in the order of `parts`.
        plain: whether no part is a dict, so that a sample is the tuple of its leaves.
    """

    leaves: tuple[Leaf, ...]
    parts: tuple[tuple[str, ...] | None, ...] = field(init=False)
    plain: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        count = 1 + max(leaf.part for leaf in self.leaves)
        keys: list[list[str] | None] = [None] * count
        for leaf in self.leaves:
            if leaf.key is not None:
                keys[leaf.part] = [*(keys[leaf.part] or []), leaf.key]
        object.__setattr__(self, "parts", tuple(None if part is None else tuple(part) for part in keys))
        object.__setattr__(self, "plain", not any(keys))

    @property
    def nbytes(self) -> int:
        """Bytes of one sample, all leaves together."""
        return sum(leaf.nbytes for leaf in self.leaves)

    @classmethod
    def of(cls, sample: object) -> SampleSpec:
        """Return the spec of one sample. Raises TypeError for what can't be a sample, naming the part."""
        leaves: list[Leaf] = []
        for part, value in enumerate(as_parts(sample)):
            if isinstance(value, dict) and not value:
                raise TypeError(f"{PART_NAMES[part]} is an empty dict; give at least one array in it, or leave the part out")
            items: Iterable[tuple[str | None, Any]] = value.items() if isinstance(value, dict) else [(None, value)]
            for key, item in items:
                array = as_leaf(item, Leaf(part, key, (), np.dtype(bool)).name)
                leaves.append(Leaf(part, key, array.shape, array.dtype))
        return cls(tuple(leaves))

    def flatten(self, sample: object, *, any_size: bool = False, remedy: str = "") -> list[Array]:
        """Return the arrays of `sample` in the order of `leaves`. Raises TypeError or ValueError where it differs from this spec.

        Args:
            sample: to be taken apart.
            any_size: allow arrays of other lengths, as long as they have as many axes.
            remedy: end of the message about another shape or dtype.
        """
        if self.plain and type(sample) is tuple and self._fits(sample, any_size):
            return list(sample)
        parts = as_parts(sample)
        if len(parts) != len(self.parts):
            raise ValueError(f"a sample has {len(parts)} parts, but the first had {len(self.parts)}")
        arrays: list[Array] = []
        for number, (part, keys) in enumerate(zip(parts, self.parts, strict=True)):
            arrays.extend(self._flatten_part(number, part, keys))
        for leaf, array in zip(self.leaves, arrays, strict=True):
            same = array.ndim == len(leaf.shape) if any_size else array.shape == leaf.shape
            if not same or array.dtype != leaf.dtype:
                raise ValueError(
                    f"{leaf.name} has shape {array.shape} and dtype {array.dtype}, "
                    f"but the first sample's had shape {leaf.shape} and dtype {leaf.dtype}{remedy}"
                )
        return arrays

    def _fits(self, sample: Sample, any_size: bool) -> bool:
        """Whether a sample is made of arrays, or NumPy scalars, that are as they should be; nearly all are, and it is asked for each."""
        if len(sample) != len(self.leaves):
            return False
        for value, leaf in zip(sample, self.leaves, strict=True):
            if not isinstance(value, _NUMPY) or (value.dtype is not leaf.dtype and value.dtype != leaf.dtype):
                return False
            if value.shape != leaf.shape and not (any_size and value.ndim == len(leaf.shape)):
                return False
        return True

    def _flatten_part(self, number: int, part: object, keys: tuple[str, ...] | None) -> list[Array]:
        name = PART_NAMES[number]
        if keys is None:
            if isinstance(part, dict):
                raise ValueError(f"{name} is a dict, but the first sample's was an array")
            return [as_leaf(part, name)]
        if not isinstance(part, dict) or set(part) != set(keys):
            found = sorted(map(str, part)) if isinstance(part, dict) else type(part).__name__
            raise ValueError(f"{name} has {found}, the first sample's was a dict with keys {list(keys)}")
        return [as_leaf(part[key], f"{name}[{key!r}]") for key in keys]

    def unflatten(self, leaves: Sequence[Any]) -> Sample:
        """Return the nested tuple that holds `leaves`: one sample, or a batch where they have a leading axis."""
        if self.plain:
            return tuple(leaves)
        rest = iter(leaves)
        return tuple(next(rest) if keys is None else {key: next(rest) for key in keys} for keys in self.parts)

    def select(self, fields: Sequence[str]) -> list[int]:
        """Return the numbers of the leaves named by `fields`: a part (`"x"`: all its leaves), or a key of a dict.

        Raises:
            ConfigError: a field names nothing; the message lists what there is.
        """
        chosen: set[int] = set()
        for name in fields:
            found = [n for n, leaf in enumerate(self.leaves) if name in (PART_NAMES[leaf.part], leaf.key, leaf.name)]
            if not found:
                raise ConfigError(f"no field {name!r}; there are {[leaf.name for leaf in self.leaves]}")
            chosen.update(found)
        return sorted(chosen)

    def to_json(self) -> list[dict[str, Any]]:
        """Return the spec as JSON-able data."""
        return [{"part": leaf.part, "key": leaf.key, "shape": list(leaf.shape), "dtype": leaf.dtype.name} for leaf in self.leaves]

    @classmethod
    def from_json(cls, leaves: list[dict[str, Any]]) -> SampleSpec:
        """Build the spec that `to_json` described."""
        return cls(tuple(Leaf(leaf["part"], leaf["key"], tuple(leaf["shape"]), as_dtype(leaf["dtype"])) for leaf in leaves))

    def __str__(self) -> str:
        return "(" + ", ".join(map(str, self.leaves)) + ")"


def as_parts(sample: object) -> Sample:
    """Return `sample` as a tuple of parts: only a tuple has several, anything else is x alone."""
    if sample is None:
        raise TypeError("None is not a sample; return the sample: (x,), (x, y) or (x, y, sample_weight)")
    if not isinstance(sample, tuple):
        return (sample,)
    if not 1 <= len(sample) <= len(PART_NAMES):
        raise TypeError(f"a sample has 1 to 3 parts, (x,), (x, y) or (x, y, sample_weight); this one has {len(sample)}")
    return sample


def as_leaf(value: object, name: str) -> Array:
    """Return `value` as an array of a supported dtype and native byte order; no copy where it is one already.

    Python ints become int32 and floats float32, as labels in every framework; numpy scalars and arrays keep their dtype.

    Raises:
        TypeError: objects, strings, structured or datetime values, a tuple of arrays; the message says what to do instead.
        ValueError: a Python int that int32 can't hold; a list of arrays of different shapes.
    """
    if isinstance(value, np.ndarray):
        array: Array = value
    elif isinstance(value, np.generic | bool):  # before int and float, which bool and np.float64 derive from
        array = np.asarray(value)
    elif isinstance(value, int):
        if not -(2**31) <= value < 2**31:
            raise ValueError(f"{name} is the Python int {value}, which int32 can't hold; give np.int64({value})")
        array = np.asarray(value, np.int32)
    elif isinstance(value, float):
        array = np.asarray(value, np.float32)
    else:
        array = _from_nested(value, name)
    check_dtype(array.dtype, name)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _from_nested(value: Any, name: str) -> Array:
    """Return a list, a tuple of numbers, or anything else that NumPy can make an array of, as one."""
    if value is None:
        raise TypeError(f"{name} is None; {_SAMPLE}. Leave out a part that does not exist, instead of giving None")
    if isinstance(value, str):
        raise TypeError(f"{name} is text, {value[:_SHOWN]!r}; supported are bool, integers, floats and complex. What to do: {text_remedy(name)}")
    if isinstance(value, dict):
        raise TypeError(f"{name} is a dict inside a dict; give each of its arrays a key in the outer dict")
    parts = isinstance(value, tuple) or (isinstance(value, list) and len(value) <= len(PART_NAMES))  # a longer list may be frames of one array
    if parts and any(isinstance(item, np.ndarray) and item.ndim for item in value):
        raise TypeError(f"{name} is a {type(value).__name__} ({_kinds(value)}); {_SAMPLE}. {_SEVERAL}; for one array, np.stack")
    try:
        array = np.asarray(value)
    except ValueError:
        if not isinstance(value, list | tuple):
            raise
        problem = f"{name} is a {type(value).__name__} ({_kinds(value)}) that can't become an array"
        if any(isinstance(item, np.ndarray) for item in value):
            raise ValueError(f"{problem}; {_SAMPLE}. {_SEVERAL}") from None
        raise ValueError(f"{problem}: its items differ in shape. Give all one shape, such as by padding") from None
    if array.dtype == object and not array.ndim:
        raise TypeError(f"{name} is of type {type(value).__name__}, neither an array nor a number; {_SAMPLE}")
    return array


def _kinds(values: Sequence[Any]) -> str:
    """Return what the first items of a list are, in words."""
    kinds = [f"an array {item.shape}" if isinstance(item, np.ndarray) else type(item).__name__ for item in values[:_FEW]]
    return " and ".join(kinds) if len(values) <= 2 else ", ".join(kinds) + (f", ... ({len(values):,})" if len(values) > _FEW else "")


def is_bfloat16(dtype: np.dtype[Any]) -> bool:
    """Whether `dtype` is bfloat16, which NumPy knows from the package ml_dtypes only, and most others by other means."""
    return dtype.kind == "V" and dtype.name == _BFLOAT16


def as_dtype(dtype: npt.DTypeLike) -> np.dtype[Any]:
    """Return `np.dtype(dtype)`; "bfloat16" is understood, too, where ml_dtypes is installed (TensorFlow, JAX and Keras bring it)."""
    if dtype == _BFLOAT16:
        importlib.import_module("ml_dtypes")  # makes the name known to NumPy
    return np.dtype(dtype)


def check_dtype(dtype: np.dtype[Any], name: str) -> None:
    """Raise TypeError unless `dtype` is one that batches can hold: bool, integers, floats, bfloat16, complex."""
    if dtype.kind in _KINDS or is_bfloat16(dtype):
        return
    remedy = {
        "O": "give numbers of one shape: np.stack(list(a)), or one file per sample",
        "U": text_remedy(name),
        "T": text_remedy(name),
        "S": f"{text_remedy(name)}; raw bytes as np.frombuffer(raw, np.uint8)",
        "V": "give each field as an entry of a dict: {name: a[name] for name in a.dtype.names}",
        "M": "give a number: a.astype('datetime64[s]').astype(np.int64)",
        "m": "give a number: a.astype('timedelta64[s]').astype(np.int64)",
    }.get(dtype.kind, "give numbers")
    raise TypeError(f"{name} has dtype {dtype}; supported are bool, integers, floats and complex. What to do: {remedy}")


def text_remedy(name: str) -> str:
    """Return what to give instead of strings: in `x` they are text or paths, in `y` names of classes; elsewhere they may be either."""
    if name.startswith("x"):
        return _TEXT
    return _CLASSES if name.startswith(("y", "labels")) else f"for classes {_CLASSES}; otherwise {_TEXT}"
