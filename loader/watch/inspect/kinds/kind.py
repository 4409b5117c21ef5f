"""Which kind of data a file holds, by its name; where the name does not say it, by its first bytes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from enum import Enum

from loader.data.decode.array_decoders import NpzDecoder
from loader.data.decode.audio_decoder import AudioDecoder
from loader.data.decode.image_decoder import ImageDecoder
from loader.data.decode.text_decoder import ByteDecoder
from loader.data.npy.refusals import kind_of
from loader.data.sources.files.npy_files import NpyFiles

_HEAD_BYTES = 64


class Kind(Enum):
    """Kinds of data; the value is the name that is shown. Of two equally frequent ones, the first counts."""

    NPY = ".npy files"
    """Arrays."""
    PICTURES = "pictures"
    """For `decode.image`."""
    SOUND = "sound"
    """For `decode.audio`."""
    NPZ = ".npz files"
    """Several arrays each."""
    TEXT = "text"
    """Files of text: lines, or one text each."""
    TABLE = "tables"
    """Rows with columns: a manifest, or rows of text."""
    HDF5 = "HDF5 files"
    """For h5py."""
    OTHER = "other files"
    """Anything else: perhaps raw numbers."""


SUFFIXES: dict[Kind, tuple[str, ...]] = {
    Kind.NPY: NpyFiles.suffixes,
    Kind.PICTURES: ImageDecoder.suffixes,
    Kind.SOUND: AudioDecoder.suffixes,
    Kind.NPZ: NpzDecoder.suffixes,
    Kind.TEXT: (*ByteDecoder.suffixes, ".text", ".md", ".log"),
    Kind.TABLE: (".csv", ".tsv", ".jsonl", ".ndjson"),
    Kind.HDF5: (".h5", ".hdf5"),
}
"""How the names of files end, in lower case; other files are of the last kind."""
_BY_EXTENSION = {suffix: kind for kind, suffixes in SUFFIXES.items() for suffix in suffixes}

ZARR = frozenset(("zarr.json", ".zarray", ".zgroup"))
"""Files that tell a folder of Zarr."""

_RIFF = {b"WAVE": Kind.SOUND, b"WEBP": Kind.PICTURES}
_ENDS = ((" image", Kind.PICTURES), ("an Ogg file", Kind.SOUND), ("a FLAC file", Kind.SOUND), (".npz", Kind.NPZ), ("HDF5 file", Kind.HDF5))


def kind_by_name(path: str) -> Kind:
    """Return the kind of a file by its extension."""
    return _BY_EXTENSION.get(os.path.splitext(path)[1].lower(), Kind.OTHER)


def kind_by_content(path: str) -> tuple[Kind, str]:
    """Return the kind of a file by its first bytes, and what it is in words; empty if that is not known. Raises OSError."""
    with open(path, "rb") as file:
        head = file.read(_HEAD_BYTES)
    words, _ = kind_of(head)
    if head[:4] == b"RIFF":
        return _RIFF.get(head[8:12], Kind.OTHER), words
    if words == "a .npy file":
        return Kind.NPY, words
    if words.startswith("text"):
        return Kind.TEXT, words
    return next((kind for end, kind in _ENDS if words.endswith(end)), Kind.OTHER), words


def is_zarr(folder: str) -> bool:
    """Whether a folder is an array or a group of Zarr."""
    return any(os.path.isfile(os.path.join(folder, name)) for name in ZARR)


def by_kind(paths: Iterable[str]) -> dict[Kind, list[str]]:
    """Return files by their kinds, the commonest one first."""
    found: dict[Kind, list[str]] = {kind: [] for kind in Kind}
    for path in paths:
        found[kind_by_name(path)].append(path)
    return dict(sorted(((kind, files) for kind, files in found.items() if files), key=lambda item: -len(item[1])))


def extensions(paths: Sequence[str]) -> list[str]:
    """Return the extensions of files, in lower case, sorted."""
    return sorted({os.path.splitext(path)[1].lower() or "no extension" for path in paths})
