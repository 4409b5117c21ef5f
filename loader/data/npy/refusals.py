"""Words for files that are refused: what they are instead of what they should be, and how to convert arrays that batches can't hold."""

from __future__ import annotations

import re
import string

import numpy as np

from loader.data.spec import check_dtype

MAGIC = b"\x93NUMPY"

_SAVE = "decode it once and np.save the array, or read it in a MapSource"
_IMAGE = "read it with ByteFiles(..., decode=decode.image()), or decode it once and np.save the array"
_SOUND = "read it with ByteFiles(..., decode=decode.audio()), or decode it once and np.save the array"

# How files begin, what they are, and how to read their arrays where that is possible.
_FORMATS = (
    (b"\x89PNG\r\n\x1a\n", "a PNG image", _IMAGE),
    (b"\xff\xd8\xff", "a JPEG image", _IMAGE),
    (b"GIF8", "a GIF image", _IMAGE),
    (b"II*\x00", "a TIFF image", _IMAGE),
    (b"MM\x00*", "a TIFF image", _IMAGE),
    (b"RIFF", "a RIFF file (WAV, WebP or AVI)", _SAVE),
    (b"OggS", "an Ogg file", _SOUND),
    (b"fLaC", "a FLAC file", _SOUND),
    (b"%PDF", "a PDF document", ""),
    (b"PK\x03\x04", "a zip archive, perhaps an .npz", "write each of its arrays to a file: for name, a in np.load(path).items(): np.save(name, a)"),
    (b"PK\x05\x06", "an empty zip archive, perhaps an .npz without arrays", ""),
    (b"\x1f\x8b", "gzip-compressed; decompress it first", ""),
    (b"\x28\xb5\x2f\xfd", "zstd-compressed; decompress it first", ""),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", "write its arrays with np.save"),
    (b"PAR1", "a Parquet file", "write its columns with np.save"),
    (MAGIC, "a .npy file", ""),
    (b"version https://git-lfs", "a Git LFS pointer: its content was never fetched; run `git lfs pull`", ""),
    (b"<!DOCTYPE", "an HTML page, perhaps a failed download", ""),
    (b"<!doctype", "an HTML page, perhaps a failed download", ""),
    (b"<html", "an HTML page, perhaps a failed download", ""),
)
_PICKLES = tuple(bytes([0x80, protocol]) for protocol in range(2, 6))
_TEXT = frozenset(string.printable.encode())
# `V`: besides structured arrays, np.save writes dtypes that numpy does not know, such as ml_dtypes.bfloat16, as raw bytes.
_DESCR = re.compile(r"([<>=|]?)([?biufcOSUVMm])(\d{0,9})(\[\w{1,12}\])?", re.ASCII)


def foreign(raw: bytes) -> str:
    """Return what a file is that does not begin as a `.npy` file does, from its first bytes, and what to do."""
    if raw and MAGIC.startswith(raw[: len(MAGIC)]):
        return "ends inside the first bytes of its header: perhaps its writing was cut off"
    if raw.startswith(_PICKLES):
        return "is not a .npy file but a Python pickle, which is never loaded: data is not code; write its arrays with np.save"
    words, (_, remedy) = not_a("a .npy file", raw), kind_of(raw)
    return f"{words}; {remedy}" if remedy else words


def not_a(wanted: str, raw: bytes) -> str:
    """Return what a file is instead of what it should be, from its first bytes: 64, if it has so many. `wanted` has an article."""
    if not raw:
        return "is empty (0 bytes): perhaps its writing was cut off, or the disk was full"
    if not any(raw[:64]):
        return f"is not {wanted}: it begins with zeros, perhaps because its writing was cut off by a crash"
    kind, _ = kind_of(raw)
    return f"is not {wanted} but {kind}" if kind else f"is not {wanted}: it begins {raw[:8]!r}"


def kind_of(raw: bytes) -> tuple[str, str]:
    """Return what a file is, from its first bytes, and how to read its arrays; empty if that is not known."""
    for magic, kind, remedy in _FORMATS:
        if raw.startswith(magic):
            return kind, remedy
    if raw and _TEXT.issuperset(raw[:64]):
        return f"text, beginning {raw[:20]!r}", "write arrays with np.save, or read text in a MapSource"
    return "", "" if not any(raw[:64]) else "write it with np.save, read numbers without a header by RawArray, or files of other formats by ByteFiles"


def structured(path: str) -> str:
    """Return what to do with a structured array."""
    return (
        "holds a structured array; supported are bool, integers, floats and complex. What to do: write each field to a file of its own:\n"
        f"    a = np.load({path!r})\n"
        "    for name in a.dtype.names: np.save(f'{name}.npy', a[name])"
    )


def parse_dtype(descr: str, path: str) -> np.dtype[np.generic] | str:
    """Return the dtype that a header names, or, where batches can't hold it, the words that refuse it."""
    match = _DESCR.fullmatch(descr)
    if match is None:
        return f"its header names the dtype {descr[:40]!r}, which is unknown; supported are bool, integers, floats and complex"
    if match[2] == "O":
        return (
            "holds Python objects in pickled form, which are never loaded: data is not code. Where all have one shape, and you trust the file, "
            "convert it once:\n"
            f"    a = np.load({path!r}, allow_pickle=True)\n"
            f"    np.save({path!r}, np.stack([np.asarray(row) for row in a]))"
        )
    if match[2] == "V":
        return (
            f"holds raw items of {match[3]} bytes, a dtype that numpy does not know (bfloat16 is saved so); save another one:\n"
            "    np.save(path, a.astype(np.float32))"
        )
    try:
        dtype = np.dtype(descr)
        check_dtype(dtype, "its array")
    except TypeError as error:
        return str(error) if "supported" in str(error) else f"its header names the dtype {descr!r}, which numpy does not have on this machine"
    if dtype.itemsize == 0 or (match[3] and dtype.itemsize != int(match[3])):
        return f"its header names the dtype {descr!r}, which is unknown"
    return dtype
