"""`source.pack()`: all samples written to a few large files, by a loader's own pool.

TARGET.partial   a cache of the source (`data/sources/cached`), which the workers fill; killed, it is continued by the next call
TARGET           the same folder, renamed when every sample has been read back from the disk and compared
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from loader.config import brief_size
from loader.data.remote.urls import is_url
from loader.data.sources.arrays.npy_arrays import NpyArrays
from loader.data.sources.arrays.packed import FORMAT, IDS, INDEX, Packed
from loader.data.sources.cached.cache_folder import CHECKSUMS, FILES, LOCK, META, OTHERS, PLACES, CacheFolder
from loader.data.sources.cached.cached import Cached
from loader.data.sources.cached.column_files import column_name
from loader.data.sources.cached.identity import Identity
from loader.data.sources.cached.records import checksum
from loader.data.sources.files.file_listing import PathLike, absolute_path
from loader.data.sources.source import Source, name_or_none
from loader.data.spec import Sample, SampleSpec, is_bfloat16
from loader.errors import ConfigError, DecodeError, SampleError
from loader.train.loader import Loader

_BLOCKS = 64  # of a pass, so that a progress bar moves
_MOST_ROWS = 1024

_log = logging.getLogger("loader")

Checksums = npt.NDArray[np.uint32]


def pack(
    source: Source,
    target: PathLike,
    *,
    workers: int | Literal["auto"] = "auto",
    progress: bool = True,
    storage_options: Mapping[str, Any] | None = None,
    scratch: PathLike | None = None,
) -> Packed:
    """Write all samples to a new folder; see `Source.pack`."""
    if not hasattr(os, "pwrite"):
        raise ConfigError("packing needs Linux or macOS")
    if not len(source):
        raise ConfigError("the source has no samples")
    if is_url(target):
        from loader.train.packing.far_pack import pack_far

        return pack_far(source, str(target), workers=workers, progress=progress, storage_options=storage_options, scratch=scratch)
    if scratch is not None or storage_options is not None:
        raise ConfigError(f"scratch= and storage_options= are for a target that is a URL, and {os.fspath(target)!r} is a folder")
    folder = absolute_path(target)
    partial = f"{folder}.partial"
    _check_target(folder)
    with alone(partial):
        spec, made = make(source, partial, workers, progress)
        _check_written(partial, spec, made, workers, progress)
        write_index(partial, source, spec)
        _finish(partial, folder)
    return Packed(folder)


def make(source: Source, partial: str, workers: int | Literal["auto"], progress: bool) -> tuple[SampleSpec, Checksums]:
    """Write all samples to a folder that is held, but those that are there; return what they are like, and their checksums."""
    _forget_another(source, partial)
    cached = Cached(source, partial)
    _check(cached.spec, len(source), partial)
    return cached.spec, sums(cached, "pack", workers, progress, source)


def _forget_another(source: Source, partial: str) -> None:
    """Empty the folder if what was begun there was of another source, or of this one before it changed."""
    identity = Identity.of(source, "")
    difference = CacheFolder(partial, identity, len(source)).difference(identity)
    if difference is not None:
        _log.info("packing begins anew: %s", difference)
        for name in (META, *sorted(os.listdir(partial))):  # the description first: without it, the rest counts for nothing
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(partial, name))


class _Sum:
    """A transform: the checksum of a sample, in its place."""

    def __init__(self, spec: SampleSpec) -> None:
        self._spec = spec

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        return (np.uint32(checksum([np.ascontiguousarray(leaf) for leaf in self._spec.flatten(sample)])),)


def sums(samples: Source, name: str, workers: int | Literal["auto"], progress: bool, source: Source | None = None) -> Checksums:
    """Make all samples, and return their checksums. If `source` is given, an error says what all of its samples must be like."""
    rows = max(1, min(_MOST_ROWS, len(samples) // _BLOCKS))
    found: list[Checksums] = []
    try:
        with Loader(samples, rows, transforms=[_Sum(samples.spec)], workers=workers, name=name) as loader:
            for (sums,) in loader.progress(disable=not progress):
                found.append(np.array(sums))
    except SampleError as error:
        if source is None:
            raise
        first = name_or_none(source, 0)
        like = f"All samples of a pack have the shapes and dtypes of the first one{f', {first}' if first else ''}: {samples.spec}"
        reason = f"{error.reason}. {like}"
        raise SampleError(index=error.index, name=error.name, reason=reason, worker=error.worker, field=error.field) from None
    return np.concatenate(found)


def _check_target(folder: str) -> None:
    if os.path.lexists(folder):
        raise ConfigError(f"{folder} is there already; give another name, or delete it")
    if not os.path.isdir(os.path.dirname(folder)):
        raise ConfigError(f"there is no folder {os.path.dirname(folder)} to write {os.path.basename(folder)} to")


def _check(spec: SampleSpec, samples: int, partial: str) -> None:
    """Raise ConfigError if the samples can't be kept in `.npy` files, or the disk has no room for them."""
    strange = [leaf for leaf in spec.leaves if is_bfloat16(leaf.dtype)]
    if strange:
        raise ConfigError(f"{strange[0]}: .npy files hold no bfloat16; cast it to float32 where the sample is made")
    there = sum(entry.stat().st_blocks * 512 for entry in os.scandir(partial))
    free = os.statvfs(partial)
    missing, available = samples * spec.nbytes - there, free.f_bavail * free.f_frsize
    if missing > available:
        raise ConfigError(
            f"{samples:,} samples of {spec.nbytes:,} bytes take {brief_size(samples * spec.nbytes)}, and {brief_size(available)} are free in "
            f"{os.path.dirname(partial)}. What to do: make room, or pack to another disk (for a URL: scratch=)"
        )


def _check_written(partial: str, spec: SampleSpec, made: Checksums, workers: int | Literal["auto"], progress: bool) -> None:
    """Read all rows from the disk, and raise DecodeError if one is not what was made."""
    paths = [os.path.join(partial, column_name(leaf)) for leaf in spec.leaves]
    for path in paths:
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)  # so that what is compared is on the disk
        finally:
            os.close(fd)
    written = sums(NpyArrays(dict(zip(map(str, range(len(paths))), paths, strict=True))), "verify", workers, progress)
    wrong = np.flatnonzero(written != made)
    if len(wrong):
        raise DecodeError(
            partial,
            f"{len(wrong):,} samples are not what was written, such as {wrong[0]}; perhaps the disk is damaged. "
            "What to do: pack again, to another disk, or here, where these are made again",
        )


def write_index(partial: str, source: Source, spec: SampleSpec) -> None:
    """Write what `Packed` reads beside the arrays."""
    ids = source.ids()
    if ids is not None and any("\n" in name for name in ids):
        raise ConfigError("an ID holds a line end; rename the file")
    arrays = [{**array, "file": column_name(leaf)} for array, leaf in zip(spec.to_json(), spec.leaves, strict=True)]
    classes = list(getattr(source, "classes", ()))
    index = {"format": FORMAT, "samples": len(source), "source": repr(source), "classes": classes, "ids": ids is not None, "arrays": arrays}
    _write(os.path.join(partial, IDS), "".join(f"{name}\n" for name in ids or ()))
    _write(os.path.join(partial, INDEX), json.dumps(index, indent=1) + "\n")


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _finish(partial: str, folder: str) -> None:
    """Rename the folder, and remove from it what only the filling needed."""
    if os.path.lexists(folder):
        raise ConfigError(f"{folder} has appeared meanwhile; the samples are in {partial}")
    _sync(partial)
    os.rename(partial, folder)
    _sync(os.path.dirname(folder))
    for name in (META, FILES, CHECKSUMS, OTHERS, PLACES, LOCK):
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(folder, name))


def _sync(folder: str) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextlib.contextmanager
def alone(partial: str) -> Iterator[None]:
    """Hold the folder, which is made if it is missing, as the only one that packs into it."""
    import fcntl  # not on Windows

    os.makedirs(partial, exist_ok=True)
    fd = os.open(partial, os.O_RDONLY)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"another process packs into {partial}") from None
        yield
    finally:
        os.close(fd)
