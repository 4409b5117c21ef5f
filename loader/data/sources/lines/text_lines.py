"""One sample per line of a text file, or per row of a CSV or JSON-lines file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from loader.data.copy_rows import by_part, put
from loader.data.decode.decoder import FunctionDecoder, Undecodable, as_decoder
from loader.data.decode.text_decoder import ByteDecoder
from loader.data.remote.options import StorageOptions
from loader.data.remote.urls import is_url
from loader.data.rows import Indices, gauge_of
from loader.data.sources.arrays.array_parts import cache_of
from loader.data.sources.decode_rows import decode_rows
from loader.data.sources.files.file_listing import PathLike, Paths, as_path_list
from loader.data.sources.files.file_search import find_files
from loader.data.sources.labels.labels import check_classes
from loader.data.sources.lines.columns import Chosen, Column, Format, as_columns, choose_rows, first_rows, format_of
from loader.data.sources.lines.copy_lines import copy_lines
from loader.data.sources.lines.line_index import Held, LineIndex, find_lines
from loader.data.sources.lines.mapped_files import MappedFiles
from loader.data.sources.lines.row_labels import number_labels, refuse, vectors
from loader.data.sources.shapes.shape_table import same_shapes
from loader.data.sources.source import Source, spec_of_example
from loader.data.spec import Array, Leaf, Sample, SampleSpec
from loader.data.stopwatch import DECODE, READ
from loader.errors import ConfigError, DecodeError, PipelineError

if TYPE_CHECKING:
    from loader.data.remote.fetcher import Fetcher
    from loader.data.sources.lines.far_lines import FarLines
    from loader.data.sources.lines.far_text import FarText


class TextLines(Source):
    """Samples that are lines of text files, or rows of CSV or JSON-lines files, which may be larger than memory.

    Each file is read once here, to find where its lines begin; that takes about a second for 1.5 GB, and 12 bytes of memory per line. The processes
    that read samples map the files, which must not change.

    Files that are far away are brought here once for that, one after the other. Then lines are fetched by ranges, or read from the copies if `cache`
    has room for them.

    Empty lines are not samples. Lines may end as on Windows, and a byte-order mark at the start is not part of the text.

    Args:
        paths: a path, a glob, a folder, or a list of paths and globs, or URLs of them; the files are joined in this order.
        decode: turns a text into arrays: a decoder, such as `decode.text(tokenizer, 128)`, or a function that takes its bytes, as for `ByteFiles`.
        text_column: the column with the text, if a row has several: a name, or a number from 0 up; in JSON, a key. None: the only one that holds no
            label; for a function, the whole row.
        label_columns: the column with the label, which may be a number or the name of a class; or several columns of numbers, which become one
            float32 vector. None: no labels.
        classes: names of all classes, in order. None: if labels are names, those that occur, sorted.
        format: `"lines"`, `"csv"` or `"jsonl"`. None: by the extension; `.csv`, `.tsv`, `.jsonl`, `.ndjson` and `.json`; others are lines.
        header: whether the first row of a CSV file names its columns.
        delimiter: between the columns of a CSV file. None: a tab in a `.tsv`, else a comma.
        storage_options: for URLs: endpoint, region, credentials, ... of the store, beside what the environment says.
        cache: for URLs: a folder in which files are kept, as they are far away, so that neither lines nor, by other runs, files are fetched.
        cache_bytes: that the folder may hold, such as "200GiB". A file for which there is no room is not kept. None: as much as the disk has.

    Attributes:
        classes: names of the classes; label k means `classes[k]`. Empty if labels are numbers and no classes were given.

    Raises:
        ConfigError: there is no such column, or several and none was chosen.
        DataNotFoundError: there is no file, or no line in the files.
        DecodeError: a file is not text.
        FetchError: a store can't be asked, or a file does not come.
        LabelError: rows have no label, or one that is unlike the others; says in which lines.

    Example:
        >>> from loader import decode
        >>> TextLines("reviews.csv", decode=decode.text(None, 128), text_column="review", label_columns="stars")  # doctest: +SKIP
        TextLines(25,000 lines of reviews.csv, 5 classes)
    """

    decodes = True

    def __init__(
        self,
        paths: Paths,
        *,
        decode: object = None,
        text_column: Column | None = None,
        label_columns: Column | Sequence[Column] | None = None,
        classes: Iterable[str] | None = None,
        format: str | None = None,
        header: bool = True,
        delimiter: str | None = None,
        storage_options: Mapping[str, Any] | None = None,
        cache: PathLike | None = None,
        cache_bytes: int | str | None = None,
    ) -> None:
        self._decoder = as_decoder(decode)
        names = None if classes is None else check_classes(classes)
        given = [paths] if isinstance(paths, (str, os.PathLike)) else as_path_list(paths, "TextLines")
        urls = [str(path) for path in given if is_url(path)]
        kept = cache_of(cache, cache_bytes, far=bool(urls))
        if urls and len(urls) < len(given):
            raise ConfigError(f"paths has URLs, such as {urls[0]}, and files; join two sources with +")
        self._columns: list[Array] = []  # what follows x in a sample: nothing, or labels
        self.classes: tuple[str, ...] = names or ()
        self._files: MappedFiles | FarLines
        chosen = Chosen(text_column, as_columns(label_columns), header, isinstance(self._decoder, FunctionDecoder))
        if urls:
            from loader.data.sources.lines.far_text import FarText  # only who has far data waits for what it imports

            text = FarText(urls, StorageOptions(storage_options), kept)
            self._find_far(text, format_of(text.objects.urls, format, delimiter), chosen, names)
        else:
            files = [file for path in given for file in find_files(path, ())[0]]
            self._find(files, None, format_of(files, format, delimiter), chosen, names)

    def _find(self, files: list[str], held: Sequence[Held] | None, kind: Format, chosen: Chosen, names: tuple[str, ...] | None) -> LineIndex:
        """Find the lines of files, those that are samples, and their labels; return the index of all lines."""
        index = find_lines(files, delimiter=kind.delimiter if kind.is_csv else None, held=held)
        self._files = MappedFiles(files, index.sizes.tolist(), held)
        self._index, self._formats = choose_rows(kind, index, self._files, chosen)
        if len(chosen.labels) > 1:
            self._columns.append(vectors(self._read_labels(), chosen.labels, self.name_of))
        elif chosen.labels:
            values, self.classes = number_labels([value for (value,) in self._read_labels()], names, kind.is_csv, self.name_of)
            self._columns.append(values)
        return index

    def _find_far(self, text: FarText, kind: Format, chosen: Chosen, names: tuple[str, ...] | None) -> None:
        """Do what `_find` does with files that are far away, unless it is remembered."""
        memory = text.memory((kind, chosen, names))
        known = memory.recall()
        if known is None:
            with text.copies() as held:
                index = self._find(text.objects.urls, held, kind, chosen, names)
                first = [] if self._formats is None else first_rows(index, self._files)
            memory.keep(index, first, self._columns, self.classes)
        else:
            index, lines, self._columns, self.classes = known
            self._index, self._formats = choose_rows(kind, index, lines, chosen)
        self._files = text.lines(self._index)

    def __len__(self) -> int:
        return len(self._index)

    def sample(self, index: int) -> Sample:
        watch = self.watch
        try:
            text = self._text(index)
            if watch is not None:
                watch.lap(READ)
            decoded = self._decoder.decode(text)
        except Undecodable as error:
            raise self._problem(index, error) from (error if self._decoder.of_user else None)
        if watch is not None:
            watch.lap(DECODE)
        parts = decoded if isinstance(decoded, tuple) else (decoded,)
        if len(parts) > 1 and self._columns:
            raise PipelineError(f"{self!r}: {self._decoder!r} returns {len(parts)} parts, so label_columns= can't be given as well")
        return (*parts, *(column[index].copy() for column in self._columns))

    @cached_property
    def spec(self) -> SampleSpec:
        """Names, shapes and dtypes of a sample, as the decoder knows them, or else from the first one."""
        known = self._decoder.known_spec()
        if known is None:
            return spec_of_example(self)
        columns = [Leaf(part, None, column.shape[1:], column.dtype) for part, column in enumerate(self._columns, len(known.parts))]
        return SampleSpec((*known.leaves, *columns))

    def text_of(self, numbers: Array) -> str | None:
        return self._decoder.text_of(numbers)

    def header_spec(self) -> SampleSpec | None:
        return None if self._decoder.known_spec() is None else self.spec

    def read(self, indices: Indices, out: Sequence[Array]) -> None:
        texts = len(out) - len(self._columns)
        for column, target in zip(self._columns, out[texts:], strict=True):
            np.take(column, indices, axis=0, out=target, mode="clip")  # the default mode would buffer `out`
        if isinstance(self._decoder, ByteDecoder) and self._formats is None:
            try:
                return self._copy_all(indices, out[0], self._decoder.pad)
            except (DecodeError, OSError):
                pass  # reading them one by one shows which one can't be read
        numbers, spec = indices.tolist(), SampleSpec(self.spec.leaves[:texts])
        rows = zip(numbers, numbers, range(len(numbers)), strict=True)
        decode_rows(self._decoder, rows, self._text, out[:texts], spec, gauge_of(out), self.watch, self._cause)

    def shapes_at(self, indices: Indices, look: Callable[[Source, Indices], list[Indices]]) -> list[Indices]:
        return super().shapes_at(indices, look) if self.header_spec() is None else same_shapes(self.spec.leaves, len(indices))

    def name_of(self, index: int) -> str:
        return f"{self._path(index)}, {self._line(index)}"

    def open(self) -> None:
        self._decoder.open()
        self._files.open()

    def fetchers(self) -> list[Fetcher]:
        return list(self._files.fetchers)

    def will_read(self, indices: Indices) -> None:
        self._files.will_read(indices)

    def versions(self) -> Indices | None:
        return self._files.versions()

    def labels(self) -> Array | None:
        return self._columns[0] if self._columns else None

    def __repr__(self) -> str:
        path, more = self._index.paths[0], len(self._index.paths) - 1
        first = path if is_url(path) else os.path.relpath(path)
        classes = f", {len(self.classes)} classes" if self.classes else ""
        return f"TextLines({len(self):,} lines of {first}{f' and {more:,} more' if more else ''}{classes})"

    def _text(self, index: int) -> memoryview:
        """Return the text of a line. Raises Undecodable, DecodeError, OSError."""
        file = self._index.file_of(index) if len(self._index.paths) > 1 else 0
        row = self._files.line(self._index, file, index)
        return row if self._formats is None else self._formats[file].text(row)

    def _copy_all(self, indices: Indices, out: Array, pad: int) -> None:
        starts, lengths = self._index.starts[indices], self._index.lengths[indices]
        if len(self._index.paths) == 1:
            return copy_lines(self._files.content(0), starts, lengths, out, pad)
        for file, _, places in by_part(self._index.ends, indices):
            rows = np.empty((len(places), out.shape[1]), np.uint8)
            copy_lines(self._files.content(file), starts[places], lengths[places], rows, pad)
            put(rows, out, places)

    def _read_labels(self) -> list[list[Any]]:
        """Return the labels of each row as they are written."""
        assert self._formats is not None
        values: list[list[Any]] = []
        problems: list[tuple[int, str]] = []
        starts, ends = self._index.starts, self._index.starts + self._index.lengths
        for file, end in enumerate(self._index.ends.tolist()):
            content, labels = memoryview(self._files.content(file)), self._formats[file].labels
            some = slice(len(values), end)
            for start, stop in zip(starts[some].tolist(), ends[some].tolist(), strict=True):
                try:
                    values.append(labels(content[start:stop]))
                except Undecodable as error:
                    problems.append((len(values), str(error)))
                    values.append([])
        refuse(problems, len(values), self.name_of)
        return values

    def _cause(self, error: BaseException, index: int) -> BaseException:
        """Return an error about a text with its place in it; what a function of the user's raised stays as it is."""
        foreign = isinstance(error, ValueError) and not isinstance(error, DecodeError) and not self._decoder.of_user
        return self._problem(index, error) if foreign or isinstance(error, Undecodable) else error

    def _problem(self, index: int, error: BaseException) -> DecodeError:
        return DecodeError(self._path(index), f"{self._line(index)}, which begins at byte {int(self._index.starts[index]):,}: {error}")

    def _line(self, index: int) -> str:
        try:
            return f"line {self._index.line_number(index, self._files):,}"
        except (DecodeError, OSError):  # the file is gone, or far away, so its lines can't be counted
            return f"sample {index:,}"

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "watch"}

    def _path(self, index: int) -> str:
        return self._index.paths[self._index.file_of(index)]
