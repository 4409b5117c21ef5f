"""A source whose samples are made once: what `source.cache()` returns."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from loader.config import brief_size, parse_bytes
from loader.data.decode.decoder import Decoder
from loader.data.rows import BadSample, Indices
from loader.data.sources.cached.cache_folder import CacheFolder, RunFlags, versions_of
from loader.data.sources.cached.cache_memory import CacheMemory
from loader.data.sources.cached.identity import Identity
from loader.data.sources.cached.kept import Kept
from loader.data.sources.files.file_listing import PathLike, absolute_path
from loader.data.sources.members import paths_of, read_into
from loader.data.sources.source import Source, is_in_order, with_members
from loader.data.spec import Array, Sample, SampleSpec
from loader.data.transforms import LeafTransform
from loader.errors import ConfigError

_log = logging.getLogger("loader.cache")


class Cached(Source):
    """Samples of another source, each of which is kept when it has been made. Arguments: `Source.cache`.

    `sample` looks, but adds nothing: a source that draws random numbers is found out when its first sample is made, and not where it is read.
    """

    keeps = True
    _opened: Kept | None = None  # of this process
    _unusable = False
    _flags: RunFlags | None = None  # of this process and its forks

    def __init__(
        self, source: Source, folder: PathLike | None = None, max_bytes: int | str | None = None, version: str = "", files: Indices | None = None
    ) -> None:
        if is_in_order(source):
            raise ConfigError(
                f"{source!r} is read from start to end by one process, and can't be cached; MapSource(obj) can, where obj[i] is a sample"
            )
        if not hasattr(os, "pwrite"):
            raise ConfigError("a cache needs Linux or macOS")
        self._source = source
        self._version = version
        self._others: dict[str, Cached] = {}
        self._max_bytes = None if max_bytes is None else parse_bytes(max_bytes)
        if max_bytes is not None and self._max_bytes is None:
            raise ConfigError(f'max_bytes={max_bytes!r}: give a number of bytes, such as 20 * 2**30, or a text such as "20GiB"')
        self._memory: CacheMemory | None = None
        self._folder: CacheFolder | None = None
        if folder is None:
            if not hasattr(os, "memfd_create"):
                raise ConfigError("a cache in memory needs Linux; give a folder")
            self._memory = CacheMemory()
            return
        identity = Identity.of(source, version, files)
        self._folder = CacheFolder(absolute_path(folder), identity, len(source))
        found = self._folder.check(identity)
        if found is not None:
            _log.info("cache %s: %s", self._folder.path, found)

    @property
    def made_of(self) -> Source:
        """The source whose samples are kept."""
        return self._source

    def of(self, source: Source, name: str, key: str) -> Cached:
        """Return a cache of what is made of the same samples: in a folder in this one's folder, or in other memory.

        Args:
            source: of what is to be kept.
            name: of the folder.
            key: tells it apart from all else that is made of them. The same cache is returned each time.
        """
        if key not in self._others:
            folder = None if self._folder is None else os.path.join(self._folder.path, name)
            files = None if self._folder is None else self._folder.files
            self._others[key] = Cached(source, folder, self._max_bytes, self._version, files)
        return self._others[key]

    def __len__(self) -> int:
        return len(self._source)

    @cached_property
    def spec(self) -> SampleSpec:
        """Names, shapes and dtypes of a sample, as the cache knows them, or else the source."""
        known = None if self._folder is None else self._folder.known_spec()
        if known is None:
            return self._source.spec
        vars(self._source).setdefault("spec", known)  # where a cached property keeps it: so it need not read a sample either
        return known

    def sample(self, index: int) -> Sample:
        kept = self._kept()
        found = None if kept is None else kept.find(index)
        return self._source.sample(index) if found is None else found

    def fetch(self, index: int) -> Sample:
        kept = self._kept()
        if kept is None:
            return self._source.fetch(index)
        found = kept.find(index)
        if found is not None:
            return found
        sample = self._source.fetch(index)
        try:
            leaves = self.spec.flatten(sample, any_size=True)
        except (TypeError, ValueError):  # another kind of sample: whoever asked for it will say so
            return sample
        kept.add(index, leaves)
        return self.spec.unflatten([leaf[()] for leaf in leaves])

    def read(self, indices: Indices, out: Sequence[Array]) -> None:
        try:
            self._read(indices, out, None)
        except BadSample as bad:
            row = int(np.flatnonzero(indices == bad.index)[0])
            if row:  # those before it must be whole, and are kept
                self.read(indices[:row], [target[:row] for target in out])
            raise

    def read_at(self, indices: Indices, out: Sequence[Array], places: Indices) -> None:
        self._read(indices, out, places)

    def _read(self, indices: Indices, out: Sequence[Array], places: Indices | None) -> None:
        kept = self._kept()
        if kept is None:
            read_into(self._source, indices, out, places)
            return
        there = kept.records.find(indices, out, places)
        if there is None:
            return
        missing = np.flatnonzero(~there)
        rows = missing if places is None else places[missing]
        wanted = indices[missing]
        kept.refuse_others(wanted)
        read_into(self._source, wanted, out, places if len(missing) == len(indices) else rows)
        kept.add_rows(wanted, out, rows)

    def will_read(self, indices: Indices) -> None:
        kept = self._kept()
        left = indices if kept is None else kept.will_read(indices, columns=self._folder is not None)
        if len(left):
            self._source.will_read(left)

    def open(self) -> None:
        self._source.open()
        if self._folder is not None and self._flags is None:
            self._flags = RunFlags(len(self))

    def learn_from(self, index: int) -> None:
        super().learn_from(index)
        self._source.learn_from(index)

    def shape_of(self, index: int) -> Sequence[tuple[int, ...]]:
        return self._source.shape_of(index)

    def shapes_at(self, indices: Indices, look: Callable[[Source, Indices], list[Indices]]) -> list[Indices]:
        return self._source.shapes_at(indices, look)

    def memory_bytes(self) -> tuple[int, int]:
        """Return the bytes that the samples take in memory in the end, and those of them that are taken by now."""
        if self._memory is None:
            return 0, 0
        present = self._memory.present_bytes()
        return max(present, self._rows() * self.spec.nbytes + len(self)), present

    def header_spec(self) -> SampleSpec | None:
        return self._source.header_spec()

    def members(self) -> Sequence[Source]:
        return (self._source,)

    def name_of(self, index: int) -> str | None:
        return self._source.name_of(index)

    def ids(self) -> list[str] | None:
        return self._source.ids()

    def labels(self) -> Array | None:
        return self._source.labels()

    def file_rows(self) -> Indices | None:
        return self._source.file_rows()

    @property
    def paths(self) -> list[str]:
        """The paths of all samples, in order, where these are files."""
        return paths_of(self._source)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, where the source has any."""
        classes: tuple[str, ...] = getattr(self._source, "classes", ())
        return classes

    def _kept(self) -> Kept | None:
        """Return the samples that are kept; None if they have been deleted while this run used them."""
        if self._opened is None and not self._unusable:
            self._opened = self._open_kept()
            self._unusable = self._opened is None
        return self._opened

    def _open_kept(self) -> Kept | None:
        spec = self.spec
        if self._memory is not None:
            rows, all_of_them = self._rows(), self._max_bytes is None
            return Kept(spec, *self._memory.records(spec, len(self), rows), rows * spec.nbytes, counted_alike=all_of_them)
        assert self._folder is not None
        if self._flags is None:
            self._flags = RunFlags(len(self))
        parts = [
            part for member in with_members(self) for value in vars(member).values() for part in (value if isinstance(value, list) else (value,))
        ]
        versions = versions_of([name for part in parts if isinstance(part, Decoder | LeafTransform) for name in part.modules])
        prepared = self._folder.prepare(spec, versions, self._max_bytes, self._flags)
        return None if prepared is None else Kept(spec, *prepared, self._max_bytes)

    def _rows(self) -> int:
        return len(self) if self._max_bytes is None else min(len(self), self._max_bytes // max(1, self.spec.nbytes))

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_opened", "_unusable", "_flags", "_others")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _others={})

    def __repr__(self) -> str:
        where = "memory" if self._folder is None else self._folder.path
        most = "" if self._max_bytes is None else f", at most {brief_size(self._max_bytes)}"
        return f"{self._source!r}.cache({where}{most})"
