"""One `.npy` file per sample."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from loader.data.npy.header import NpyHeader, array_of, inspect_file, read_array
from loader.data.npy.reader import NpyReader
from loader.data.rows import BadSample, Indices, RowGauge
from loader.data.sources.files.labelled_files import LabelledFiles
from loader.data.spec import Array, Leaf, Sample, SampleSpec
from loader.errors import DataNotFoundError, DecodeError, NpyError

if TYPE_CHECKING:
    from loader.data.sources.files.far_reader import FarReader


class NpyFiles(LabelledFiles):
    """Samples that are `.npy` files, one file each.

    The header of the first file states shape and dtype. Files may differ in byte order and axis order; in size if the first transforms are built in
    and give them one shape, as `Resize`, `Pad` and `Crop` do; and in anything if the first transform is a function, which gets each file as it is,
    and has to make the samples alike. Otherwise a file that differs is a bad sample.

    Args:
        paths, labels, root, classes, label, exclude, sample_weight: as for `LabelledFiles`.

    Example:
        >>> NpyFiles(["a", "b"], labels={"a": 0, "b": 1}, root="/data")
        NpyFiles(2 files in /data)
    """

    suffixes = (".npy",)
    appended = ".npy"
    file_error = NpyError
    _reader: NpyReader | None = None  # of this process

    @cached_property
    def _headers(self) -> dict[bytes, NpyHeader]:
        """Headers that this process has parsed, where files are read one by one: in one order or another, each length comes again and again."""
        return {}

    def learn_from(self, index: int) -> None:
        super().learn_from(index)
        self._reader = None

    def header_spec(self) -> SampleSpec:
        return self.spec

    def _leaves_of(self, path: str) -> Sequence[Leaf]:
        header, _ = self._inspect(path)
        return (Leaf(0, None, header.shape, header.native),)

    def _shapes_in(self, path: str) -> Sequence[tuple[int, ...]]:
        header, nbytes = self._inspect(path)
        if nbytes >= 0:  # else it is far away, and its store does not say
            header.check_size(nbytes, path)
        return (header.shape,)

    def _inspect(self, path: str) -> tuple[NpyHeader, int]:
        if self._far is None:
            return inspect_file(path)
        from loader.data.remote.objects import Span
        from loader.data.sources.files.far_npy import FIRST_BYTES, header_of

        first = self._far.fetch(Span(path, 0, FIRST_BYTES))
        return header_of(first, path, self._far.fetch), first.size

    def _shapes_known_by(self) -> str:
        return type(self).__name__

    def _read_file(self, path: str) -> Sample:
        return (read_array(path, self._headers),)

    def _parts_of(self, content: memoryview, path: str) -> Sample:
        return (array_of(content, path),)

    def _read_files(self, indices: Indices, paths: list[bytes], out: Sequence[Array], places: Sequence[int], gauge: RowGauge) -> None:
        if self._reader is None:
            leaf = self.spec.leaves[0]
            self._reader = NpyReader(leaf.shape, leaf.dtype, self._index.path(self._example))
        if self._far is None:
            self._reader.read(indices, paths, out[0], places, gauge)
        else:
            self._read_far(self._reader, self._far, indices, out[0], places, gauge)

    def _read_far(self, reader: NpyReader, far: FarReader, indices: Indices, out: Array, places: Sequence[int], gauge: RowGauge) -> None:
        cell, first = gauge
        for index, place in zip(indices.tolist(), places, strict=True):
            cell[0] = first + place
            try:
                reader.put(far.read(far.span(index)), self._index.path(index), out, place)
            except (DecodeError, DataNotFoundError) as error:
                raise BadSample(index) from error

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_reader", "_headers")}
