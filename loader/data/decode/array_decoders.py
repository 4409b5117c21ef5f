"""Files that hold arrays: an archive (`.npz`), one array (`.npy`), or the bytes of one (raw). Nothing is ever unpickled."""

from __future__ import annotations

import io
import lzma
import struct
import zipfile
import zlib
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from loader.data.decode.decoder import Decoder, Undecodable
from loader.data.npy.header import NpyHeader, array_in, inspect_file, parse_header
from loader.data.npy.headerless import checked_dtype, checked_shape, shape_of
from loader.data.spec import MAKE_ALIKE, PART_NAMES, Array, Leaf, SampleSpec
from loader.errors import ConfigError, NpyError

_ENTRY = ".npy"  # how the names of the arrays in an archive end
_HEADER_BYTES = 4096  # enough for the header of any array that can be a sample
_SHOWN = 20  # names that a message lists
# A damaged archive may claim anything: an entry before the file's start, a method of compression that does not exist.
_OF_DAMAGED_ZIPS = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError, OverflowError, RuntimeError, ValueError)
_ENCRYPTED = 1  # bit of an entry's flags


def npy() -> Decoder:
    """Return a decoder of `.npy` files, for code that takes any decoder. `NpyFiles` is faster.

    Example:
        >>> import io
        >>> file = io.BytesIO()
        >>> np.save(file, np.arange(3))
        >>> npy().decode(file.getbuffer())
        array([0, 1, 2])
    """
    return NpyDecoder()


def raw(dtype: npt.DTypeLike, shape: int | Sequence[int]) -> Decoder:
    """Return a decoder of files that hold the bytes of one array, and no header. For many records in one file there is `RawArray`.

    Args:
        dtype: of the numbers, such as `"float32"`, or `">f4"` if they are big-endian.
        shape: of the array; the last axis varies fastest. One length may be -1: as many as the file has.

    Raises:
        ConfigError: an argument is not valid.

    Example:
        >>> raw(">u2", (-1, 2)).decode(memoryview(bytes(range(8))))
        array([[   1,  515],
               [1029, 1543]], dtype=uint16)
    """
    return RawDecoder(checked_dtype(dtype, "decode.raw"), checked_shape(shape, "decode.raw: shape", open_axis=True))


def npz(keys: str | Sequence[Any] | Mapping[str, str]) -> Decoder:
    """Return a decoder of `.npz` files, as `np.savez` and `np.savez_compressed` write them. Arrays that are not named are not read.

    Args:
        keys: which arrays of a file make a sample:
            - a name: that array is x;
            - a tuple `(x, y)` or `(x, y, sample_weight)` of the forms listed here;
            - a list of names: a dict of these arrays;
            - a dict: name in the sample → name in the file.

    Raises:
        ConfigError: `keys` is none of these.

    Example:
        >>> import io
        >>> file = io.BytesIO()
        >>> np.savez(file, image=np.zeros(3), label=7)
        >>> npz(("image", "label")).decode(file.getbuffer())
        (array([0., 0., 0.]), array(7))
    """
    return NpzDecoder(keys)


def read_headers(path: str) -> dict[str, NpyHeader]:
    """Return which arrays a `.npz` file has, by name, as their headers say; those that can't be samples are left out.

    Raises:
        Undecodable: it is damaged, not an archive, or has no array.
        OSError: with the path in it.
    """
    found: dict[str, NpyHeader] = {}
    problem = "has no array"
    with open(path, "rb") as file:
        head = file.read(64)
        try:
            with zipfile.ZipFile(file) as archive:
                for entry in archive.infolist():
                    with archive.open(entry) as stored:
                        raw = stored.read(_HEADER_BYTES)
                    try:
                        found[entry.filename.removesuffix(_ENTRY)] = parse_header(raw, path)
                    except NpyError as error:
                        problem = f"has no array that can be read: {entry.filename!r} {error.problem}"
        except _OF_DAMAGED_ZIPS as error:
            raise Undecodable(_why(memoryview(head), error)) from error
    if not found:
        raise Undecodable(problem)
    return found


class ArrayDecoder(Decoder):
    """A decoder whose arrays may look into the content of the file. They are copied once: into the batch, or for whoever keeps them."""

    @abstractmethod
    def view(self, content: memoryview) -> Any:
        """Return what `decode` does, as arrays that may look into `content`."""

    def decode(self, content: memoryview) -> Any:
        view = self.view(content)
        spec = SampleSpec.of(view)
        parts = spec.unflatten([np.array(leaf, order="C") for leaf in spec.flatten(view)])
        return parts if isinstance(view, tuple) else parts[0]

    def decode_into(self, content: memoryview, out: Sequence[Array], spec: SampleSpec) -> None:
        for target, leaf in zip(out, spec.flatten(self.view(content), remedy=f". What to do: {MAKE_ALIKE}"), strict=True):
            target[...] = leaf


class NpyDecoder(ArrayDecoder):
    """One `.npy` file."""

    suffixes = (".npy",)

    def shapes_in(self, path: str) -> Sequence[tuple[int, ...]]:
        try:
            header, nbytes = inspect_file(path)
            header.check_size(nbytes, path)
        except NpyError as error:
            raise Undecodable(error.problem) from error
        return (header.shape,)

    def view(self, content: memoryview) -> Array:
        return _parsed(content, "array", "")

    def __repr__(self) -> str:
        return "decode.npy()"


class RawDecoder(ArrayDecoder):
    """The bytes of one array.

    Args:
        dtype: as in the file, of either byte order.
        shape: of the array; one length may be -1.
    """

    def __init__(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
        self._dtype = dtype
        self._shape = shape

    def known_spec(self) -> SampleSpec | None:
        return None if -1 in self._shape else SampleSpec((Leaf(0, None, self._shape, self._dtype.newbyteorder("=")),))

    def view(self, content: memoryview) -> Array:
        shape = shape_of(len(content), self._dtype, self._shape)
        if isinstance(shape, str):
            raise Undecodable(shape)
        array: Array = np.ndarray(shape, self._dtype, content)
        return array

    def __repr__(self) -> str:
        return f"decode.raw({self._dtype.name!r}, {self._shape})"


class NpzDecoder(ArrayDecoder):
    """Some arrays of an archive.

    Args:
        keys: those of `npz`.
    """

    suffixes = (".npz",)

    def __init__(self, keys: Any) -> None:
        parts = keys if isinstance(keys, tuple) else (keys,)
        if not 1 <= len(parts) <= len(PART_NAMES):
            raise ConfigError(
                f"decode.npz: keys={keys!r}: a tuple is (x, y) or (x, y, sample_weight); for several inputs give a list or a dict in it"
            )
        self._keys = keys
        self._parts = tuple(map(_checked_part, parts))

    def shapes_in(self, path: str) -> Sequence[tuple[int, ...]]:
        headers = read_headers(path)
        names = [name for part in self._parts for name in ([part] if isinstance(part, str) else part.values())]
        missing = [name for name in names if name.removesuffix(_ENTRY) not in headers]
        if missing:
            raise Undecodable(f"has no array {missing[0]!r} that can be read; it has {', '.join(map(repr, list(headers)[:_SHOWN]))}")
        return [headers[name.removesuffix(_ENTRY)].shape for name in names]

    def view(self, content: memoryview) -> Any:
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                entries = {entry.filename.removesuffix(_ENTRY): entry for entry in archive.infolist()}
                parts = tuple(_part(part, lambda name: _array(archive, entries, name)) for part in self._parts)
        except Undecodable:
            raise
        except _OF_DAMAGED_ZIPS as error:
            raise Undecodable(_why(content, error)) from error
        return parts if isinstance(self._keys, tuple) else parts[0]

    def __repr__(self) -> str:
        return f"decode.npz({self._keys!r})"


def _checked_part(part: Any) -> str | dict[str, str]:
    """Return one part of `keys`: the name of an array, or names in the sample → names in the file. Raises ConfigError."""
    if isinstance(part, str):
        return part
    pairs = list(part.items()) if isinstance(part, Mapping) else [(name, name) for name in part] if isinstance(part, list) else []
    if not pairs or not all(isinstance(name, str) for pair in pairs for name in pair):
        raise ConfigError(
            f"decode.npz: {part!r} names no array; give a name, such as 'x', a list of names, or a dict: name in the sample → in the file"
        )
    return dict(pairs)


def _part(part: str | dict[str, str], read: Callable[[str], Array]) -> Any:
    return read(part) if isinstance(part, str) else {name: read(key) for name, key in part.items()}


def _array(archive: zipfile.ZipFile, entries: Mapping[str, zipfile.ZipInfo], name: str) -> Array:
    """Read one array of an archive. Raises Undecodable if it is missing or not an array."""
    entry = entries.get(name.removesuffix(_ENTRY))
    if entry is None:
        there = f"it has {', '.join(map(repr, list(entries)[:_SHOWN]))}{', ...' if len(entries) > _SHOWN else ''}" if entries else "it is empty"
        raise Undecodable(f"has no array {name!r}; {there}")
    if entry.flag_bits & _ENCRYPTED:
        raise Undecodable(f"its array {name!r} is encrypted")
    return _parsed(memoryview(archive.read(entry)), name, f"its array {name!r} ")


def _parsed(content: memoryview, name: str, where: str) -> Array:
    try:
        return array_in(content, f"{name}{_ENTRY}")
    except NpyError as error:
        raise Undecodable(f"{where}{error.problem}") from error


def _why(content: memoryview, error: Exception) -> str:
    """Return what is wrong with an archive that could not be read."""
    if not len(content):
        return "is empty (0 bytes): perhaps its writing was cut off, or the disk was full"
    if bytes(content[:2]) != b"PK":
        return f"is not a .npz file, which is a zip archive: it begins {bytes(content[:8])!r}"
    return f"is a damaged zip archive, perhaps because its writing or copying was cut off: {error}"
