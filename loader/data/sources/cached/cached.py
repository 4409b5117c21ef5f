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
from loader.data.sources.cached.records import Records
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
    _opened: Records | None = None  # of this process
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
        records = self._records()
        if records is None:
            return self._source.sample(index)
        row = self._scratch()
        if records.find(np.array([index]), row, None) is None:
            return self._as_sample(row)
        return self._source.sample(index)

    def fetch(self, index: int) -> Sample:
        row = self._scratch()
        try:
            self._read(np.array([index]), row, None)
        except BadSample as bad:
            self._check_size(index, bad)
            raise
        return self._as_sample(row)

    def _check_size(self, index: int, bad: BadSample) -> None:
        """Say it if a sample is bad only because it has another size than those that are kept."""
        try:
            shapes = [tuple(shape) for shape in self._source.shape_of(index)]
        except Exception:  # then the error that is already there says more
            return
        for shape, leaf in zip(shapes, self.spec.leaves, strict=False):
            if shape != leaf.shape:
                raise BadSample(index, bad.field, bad.name) from ValueError(
                    f"{leaf.name} has shape {shape}, but samples that are kept need one size, here {leaf.shape}. What to do: give them one size "
                    "where they are made, as decode.image(size=...) does"
                )

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
        records = self._records()
        if records is None:
            read_into(self._source, indices, out, places)
            return
        there = records.find(indices, out, places)
        if there is None:
            return
        missing = np.flatnonzero(~there)
        rows = missing if places is None else places[missing]
        wanted = indices[missing]
        read_into(self._source, wanted, out, places if len(missing) == len(indices) else rows)
        for index, row in zip(wanted.tolist(), rows.tolist(), strict=True):
            if index < records.room:
                records.add(index, [target[row : row + 1] for target in out])

    def will_read(self, indices: Indices) -> None:
        records = self._records()
        if records is None:
            self._source.will_read(indices)
            return
        there = records.present.take(indices)
        for column in records.columns if self._folder is not None else ():
            column.will_read(indices[there])
        if not there.all():
            self._source.will_read(indices[~there])

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

    def _records(self) -> Records | None:
        """Return where the samples are; None if they have been deleted while this run used them."""
        if self._opened is None and not self._unusable:
            self._opened = self._open_records()
            self._unusable = self._opened is None
        return self._opened

    def _open_records(self) -> Records | None:
        spec = self.spec
        if self._memory is not None:
            return self._memory.records(spec, len(self), self._rows())
        assert self._folder is not None
        if self._flags is None:
            self._flags = RunFlags(len(self))
        parts = [
            part for member in with_members(self) for value in vars(member).values() for part in (value if isinstance(value, list) else (value,))
        ]
        versions = versions_of([name for part in parts if isinstance(part, Decoder | LeafTransform) for name in part.modules])
        return self._folder.prepare(spec, versions, self._max_bytes, self._flags)

    def _rows(self) -> int:
        return len(self) if self._max_bytes is None else min(len(self), self._max_bytes // max(1, self.spec.nbytes))

    def _scratch(self) -> list[Array]:
        return [np.empty((1, *leaf.shape), leaf.dtype) for leaf in self.spec.leaves]

    def _as_sample(self, row: Sequence[Array]) -> Sample:
        return self.spec.unflatten([array[0] for array in row])

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_opened", "_unusable", "_flags", "_others")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _others={})

    def __repr__(self) -> str:
        where = "memory" if self._folder is None else self._folder.path
        most = "" if self._max_bytes is None else f", at most {brief_size(self._max_bytes)}"
        return f"{self._source!r}.cache({where}{most})"
