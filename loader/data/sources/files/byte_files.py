"""One file of any kind per sample, turned into arrays by a decoder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from loader.data.decode.decoder import Decoder, Undecodable, as_decoder
from loader.data.global_rng import kept
from loader.data.npy.header import name_path
from loader.data.rows import Indices, RowGauge
from loader.data.sources.decode_rows import decode_rows
from loader.data.sources.files.file_listing import PathLike, Paths
from loader.data.sources.files.file_reader import FileReader
from loader.data.sources.files.labelled_files import Label, LabelledFiles
from loader.data.sources.shapes.shape_table import same_shapes
from loader.data.sources.source import Source
from loader.data.spec import Array, Leaf, Sample, SampleSpec, as_parts
from loader.data.stopwatch import DECODE, READ
from loader.errors import DecodeError, LoaderError, PipelineError


class ByteFiles(LabelledFiles):
    """Samples that are files of any kind, one file each, turned into arrays by a decoder.

    The first file states shapes and dtypes, unless the decoder does. Files may differ in size if the first transforms are built in and
    give them one shape, as `Resize`, `Pad` and `Crop` do; and in anything if the first transform is a function, which gets each sample as the decoder
    makes it, and has to make the samples alike. Otherwise a file that differs is a bad sample.

    Args:
        paths, labels, root, classes, label, exclude, sample_weight: as for `LabelledFiles`. In a list, paths have their extensions. In folders, files
            with other extensions than those of the decoder are left out.
        decode: a decoder of `loader.decode`, or a function that takes the content of a file, `bytes`, and returns an array, a dict of arrays, or a
            tuple `(x, y)` or `(x, y, sample_weight)` of those.

    Raises:
        ConfigError: `decode` is missing or neither, or its library is not installed.

    Example:
        >>> import numpy as np
        >>> ByteFiles(["a.bin", "b.bin"], root="/data", labels=[0, 1], decode=lambda content: np.frombuffer(content, np.uint8))
        ByteFiles(2 files in /data)
    """

    decodes = True
    _reader: FileReader | None = None  # of this process

    def __init__(
        self,
        paths: Paths,
        labels: object = None,
        root: PathLike | None = None,
        classes: Iterable[str] | None = None,
        *,
        decode: object = None,
        label: Label | None = None,
        exclude: str | Sequence[str] = (),
        sample_weight: object = None,
        storage_options: Mapping[str, Any] | None = None,
        cache: PathLike | None = None,
        cache_bytes: int | str | None = None,
    ) -> None:
        self._decoder = as_decoder(decode)
        self.suffixes = self._decoder.suffixes
        given: dict[str, Any] = {"label": label, "exclude": exclude, "sample_weight": sample_weight}
        far: dict[str, Any] = {"storage_options": storage_options, "cache": cache, "cache_bytes": cache_bytes}
        super().__init__(paths, labels, root, classes, **given, **far)

    @classmethod
    def _suffixes_with(cls, options: Mapping[str, Any]) -> tuple[str, ...]:
        return as_decoder(options.get("decode")).suffixes

    def open(self) -> None:
        self._decoder.open()

    def _spec_of(self, path: str) -> SampleSpec:
        with kept(True):  # a function of the user's may draw random numbers
            sample = self._read_file(path)
        try:
            return SampleSpec.of(sample)
        except (TypeError, ValueError) as error:
            raise self._no_sample(error) from None

    def _no_sample(self, error: Exception) -> PipelineError:
        return PipelineError(f"{self!r}: {self._decoder!r} returns something that is not a sample: {error}")

    def text_of(self, numbers: Array) -> str | None:
        return self._decoder.text_of(numbers)

    def header_spec(self) -> SampleSpec | None:
        return None if self._decoder.known_spec() is None else self.spec

    def _leaves_of(self, path: str) -> Sequence[Leaf]:
        spec = self._decoder.known_spec() or self._spec_of(path)
        if len(spec.parts) > 1 and self._columns:
            raise PipelineError(f"{self!r}: {self._decoder!r} returns {len(spec.parts)} parts, so labels= can't be given as well")
        return spec.leaves

    def shapes_at(self, indices: Indices, look: Callable[[Source, Indices], list[Indices]]) -> list[Indices]:
        if self._decoder.known_spec() is not None:
            return same_shapes(self.spec.leaves, len(indices))
        return super().shapes_at(indices, look)

    def _shapes_in(self, path: str) -> Sequence[tuple[int, ...]]:
        try:
            shapes = self._decoder.shapes_in(path) if self._far is None else None
        except Undecodable as error:
            raise DecodeError(path, str(error)) from None
        if shapes is not None:
            return shapes
        return [leaf.shape for leaf in SampleSpec.of(self._read_file(path)).leaves]

    def _shapes_known_by(self) -> str | None:
        return repr(self._decoder) if type(self._decoder).shapes_in is not Decoder.shapes_in else None

    def _read_file(self, path: str) -> Sample:
        return self._parts_of(self._read_content(path), path)

    def _parts_of(self, content: memoryview, path: str) -> Sample:
        watch = self.watch
        if watch is not None:
            watch.lap(READ)
        try:
            decoded = self._decoder.decode(content)
        except Undecodable as error:  # where it was found out is of interest in a function of the user's only
            raise DecodeError(path, str(error)) from (error if self._decoder.of_user else None)
        finally:
            if watch is not None:
                watch.lap(DECODE)
        try:
            return as_parts(decoded)
        except TypeError as error:
            raise self._no_sample(error) from None

    def _read_files(self, indices: Indices, paths: list[bytes], out: Sequence[Array], places: Sequence[int], gauge: RowGauge) -> None:
        keys = paths if self._far is None else map(self._far.span, indices.tolist())
        rows, spec = zip(indices.tolist(), keys, places, strict=True), SampleSpec(self.spec.leaves[: len(out)])
        decode_rows(self._decoder, rows, self._read_content, out, spec, gauge, self.watch, self._cause)

    @property
    def _read_content(self) -> Callable[[Any], memoryview]:
        """What reads the content of a path, or of a span if it is far away; the memory is valid until the next call."""
        if self._far is not None:
            return self._far.read
        if self._reader is None:
            self._reader = FileReader()
        return self._reader.read

    def _cause(self, error: BaseException, index: int) -> BaseException:
        """Return an error about a file with its path in it; what a function of the user's raised stays as it is."""
        path = self._index.path(index)
        if isinstance(error, LoaderError):
            return error
        if isinstance(error, OSError):
            return name_path(error, path)
        if isinstance(error, Undecodable) or (isinstance(error, ValueError) and not self._decoder.of_user):
            return DecodeError(path, str(error))
        return error

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_reader", "watch")}
