"""A pack at a URL: made in a folder of this machine, sent, and read back from there.

SCRATCH/HASH     as TARGET.partial of a pack on this machine; it also notes which files have been sent, so the next call goes on where this one was
URL/index.json   is sent last, when every sample has been read back and compared: without it, nobody takes the rest for a pack
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from loader.config import brief_size
from loader.data.remote.objects import MISSING, UNKNOWN_VERSION
from loader.data.remote.options import StorageOptions
from loader.data.remote.scouting.scout import Scout
from loader.data.remote.urls import check_url
from loader.data.sources.arrays.npy_arrays import NpyArrays
from loader.data.sources.arrays.packed import IDS, INDEX, Packed
from loader.data.sources.cached.column_files import column_name
from loader.data.sources.files.file_listing import PathLike, absolute_path
from loader.data.sources.remembering import home_of
from loader.data.sources.source import Source
from loader.errors import ConfigError, DecodeError
from loader.train.packing.pack import alone, make, sums, write_index

_SENT = "sent.json"
_SMALL_BYTES = 64 * 2**20  # files up to this are sent together

_log = logging.getLogger("loader")


def pack_far(
    source: Source,
    target: str,
    *,
    workers: int | Literal["auto"],
    progress: bool,
    storage_options: Mapping[str, Any] | None,
    scratch: PathLike | None,
) -> Packed:
    """Write all samples below a URL; see `Source.pack`."""
    url, scout = check_url(target), Scout(StorageOptions(storage_options))
    if scout.about([f"{url}/{INDEX}"]).sizes[0] != MISSING:
        raise ConfigError(f"{url} has a pack already; give another URL, or delete it")
    partial = scratch_folder(url, scratch)
    with alone(partial):
        spec, made = make(source, partial, workers, progress)
        write_index(partial, source, spec)
        columns = [column_name(leaf) for leaf in spec.leaves]
        _send(scout, partial, url, [*columns, IDS])
        sent = NpyArrays({name: f"{url}/{name}" for name in columns}, storage_options=storage_options)
        wrong = np.flatnonzero(sums(sent, "verify", workers, progress) != made)
        if len(wrong):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(partial, _SENT))
            raise DecodeError(url, f"{len(wrong):,} samples are not what was sent, such as {wrong[0]}. What to do: pack again; all is sent anew")
        scout.send([(os.path.join(partial, INDEX), f"{url}/{INDEX}")])
        shutil.rmtree(partial)
    return Packed(url, storage_options=storage_options)


def scratch_folder(url: str, scratch: PathLike | None) -> str:
    """Return where a pack is made before it is sent: the same for the same URL. Raises ConfigError if nobody knows where."""
    above = home_of("packs") if scratch is None else absolute_path(scratch)
    if above is None:
        raise ConfigError("a pack at a URL is made in a folder of this machine first, and you have no home. What to do: give scratch=, a folder")
    return os.path.join(above, hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()[:16])


def _send(scout: Scout, partial: str, url: str, names: list[str]) -> None:
    """Send files, but those that have been sent and are still what they were."""
    notes = os.path.join(partial, _SENT)
    try:
        with open(notes) as file:
            sent: dict[str, list[int]] = json.load(file)
    except (FileNotFoundError, ValueError):
        sent = {}
    there = scout.about([f"{url}/{name}" for name in names]).stamps().tolist()
    missing = [name for name, stamp in zip(names, there, strict=True) if sent.get(name) != stamp or stamp[1] == UNKNOWN_VERSION]
    sizes = {name: os.path.getsize(os.path.join(partial, name)) for name in missing}
    small = [name for name in missing if sizes[name] <= _SMALL_BYTES]
    for group in [*([small] if small else []), *([name] for name in missing if name not in small)]:
        _log.info("sending %s, %s, to %s", " and ".join(group), brief_size(sum(sizes[name] for name in group)), url)
        scout.send([(os.path.join(partial, name), f"{url}/{name}") for name in group])
        sent |= zip(group, scout.about([f"{url}/{name}" for name in group]).stamps().tolist(), strict=True)
        with open(f"{notes}.part", "w") as file:
            json.dump(sent, file)
        os.replace(f"{notes}.part", notes)
