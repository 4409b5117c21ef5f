"""The files that hold the arrays of kept samples, a `.npy` file for each array of a sample."""

from __future__ import annotations

from urllib.parse import quote

from loader.data.layout import c_strides
from loader.data.sources.arrays.stored_array import StoredArray
from loader.data.spec import PART_NAMES, Leaf

HEADER_BYTES = 4096  # a page, so that rows begin where pages do


def column_name(leaf: Leaf) -> str:
    """Return the name of the file of a leaf: `x.npy`, or `x-image.npy` for an entry of a dict."""
    return f"{PART_NAMES[leaf.part]}{'' if leaf.key is None else '-' + quote(leaf.key, safe='')}.npy"


def npy_header(leaf: Leaf, rows: int) -> bytes:
    """Return the header of a `.npy` file of `HEADER_BYTES`, for rows of a leaf."""
    text = f"{{'descr': {leaf.dtype.str!r}, 'fortran_order': False, 'shape': {(rows, *leaf.shape)!r}, }}"
    length = HEADER_BYTES - 10
    return b"\x93NUMPY\x01\x00" + length.to_bytes(2, "little") + text.ljust(length - 1).encode() + b"\n"


def stored_column(path: str, leaf: Leaf, rows: int) -> StoredArray:
    """Return where rows of a leaf lie in its file."""
    shape = (rows, *leaf.shape)
    return StoredArray(path, HEADER_BYTES, leaf.dtype, shape, c_strides(shape, leaf.dtype), HEADER_BYTES + rows * leaf.nbytes)
