"""One file per sample, with or without a label: the index of paths, the labels, and the three ways to name them. What a file holds is left open."""

from __future__ import annotations

import os
import re
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, TypeVar

import numpy as np

from loader.data.copy_rows import put
from loader.data.npy.file_io import will_read
from loader.data.remote.local_copies import local_copy
from loader.data.remote.options import StorageOptions
from loader.data.rows import Indices, RowGauge, gauge_of
from loader.data.sources.far_data import FarSpans
from loader.data.sources.files.class_listing import list_classes
from loader.data.sources.files.file_listing import PathLike, Paths, absolute_place, unreadable
from loader.data.sources.files.index_making import IndexMaker, reader_of, shown_folder
from loader.data.sources.labels.file_name_labels import labels_of_names
from loader.data.sources.labels.labels import check_classes, read_labels
from loader.data.sources.labels.manifest import Columns, check_options, read_manifest
from loader.data.sources.shapes.shape_cache import remembered
from loader.data.sources.shapes.shape_table import same_shapes, split_by_leaf, width_of
from loader.data.sources.source import Source
from loader.data.spec import Array, Leaf, Sample, SampleSpec
from loader.errors import ConfigError, DecodeError, LabelError

if TYPE_CHECKING:
    from loader.data.remote.fetcher import Fetcher

Label: TypeAlias = "str | re.Pattern[str] | Callable[[str], Any]"

_HEADER_BYTES = 4096  # of a file, beside what the sample is made of

Files = TypeVar("Files", bound="LabelledFiles")


class LabelledFiles(Source):
    """One file per sample, optionally with a label and a weight.

    Args:
        paths: a folder (all files in it and in its sub-folders, sorted; names that begin with a dot are left out), a glob, a single path, or a
            list of paths. In a list with `root`, the extension may be left out.
        labels: a dict by ID, an array or list in the order of `paths`, or the path of a `.npy` or `.csv` file that holds them; see `read_labels`.
        root: folder that relative paths are in, and that IDs are relative to. None: for a list, the working directory or, if all
            paths are absolute, their common folder; for a folder, itself; for a glob, its part before the first wildcard.
        classes: names of all classes, in order. None: if labels are names, those that occur, sorted.
        label: instead of `labels`, how to find a file's label in its ID: a regular expression whose first group it is, or a function of the ID.
        exclude: one or several patterns of files to leave out of a folder or glob, as paths relative to `root`: `"old/*"`, `"*_mask.npy"`.
        sample_weight: of each sample, in one of the forms of `labels`; needs labels.
        storage_options: for URLs: endpoint, region, credentials, ... of the store, beside what the environment says.
        cache: for URLs: a folder in which what was fetched is kept as it came, so that later epochs and other runs need not fetch it.
        cache_bytes: that the folder may hold, such as "200GiB". What comes when it is full is not kept. None: as much as the disk has.

    Attributes:
        classes: names of the classes; label k means `classes[k]`. Empty if labels are numbers and no classes were given.
    """

    suffixes: tuple[str, ...] = ()
    """How the files end that a folder or glob means, in lower case. Empty: any file."""

    appended: ClassVar[str] = ""
    """What is appended to the IDs of a list that has a root, where it is missing."""

    file_error: ClassVar[type[DecodeError]] = DecodeError
    """Of a file that can't be opened."""

    finds_missing: ClassVar[bool] = True
    """Whether files of a list that do not exist, or are folders, are an error when the source is made."""

    def __init__(
        self,
        paths: Paths,
        labels: object = None,
        root: PathLike | None = None,
        classes: Iterable[str] | None = None,
        *,
        label: Label | None = None,
        exclude: str | Sequence[str] = (),
        sample_weight: object = None,
        storage_options: Mapping[str, Any] | None = None,
        cache: PathLike | None = None,
        cache_bytes: int | str | None = None,
    ) -> None:
        if labels is not None and label is not None:
            raise ConfigError("labels= and label= both say what the labels are; give one of them")
        if labels is None and label is None and sample_weight is not None:
            raise ConfigError("sample_weight needs labels: a sample is (x, y, sample_weight)")
        self._options = StorageOptions(storage_options)
        self._index = self._index_maker(self.suffixes, exclude, self._options).make(paths, root)
        self._far = reader_of(self._index, self._options, cache, cache_bytes)
        self.classes: tuple[str, ...] = () if classes is None else check_classes(classes)
        self._columns: list[Array] = []  # what follows x in a sample: nothing, or labels, or labels and weights
        if labels is not None:
            with local_copy(labels, self._options) as given:
                values, self.classes = read_labels(given, self._index, classes)
            self._columns.append(values)
        if label is not None:
            values, self.classes = labels_of_names(label, self._index.ids(), self.classes or None)
            self._columns.append(values)
        if sample_weight is not None:
            with local_copy(sample_weight, self._options) as given:
                weights, names = read_labels(given, self._index, what="sample_weight")
            if names:
                raise LabelError(f"sample_weight is text, such as {names[0]!r}; give numbers")
            self._columns.append(weights if weights.dtype.kind == "f" else weights.astype(np.float32))

    @classmethod
    def from_folder(cls: type[Files], folder: PathLike, classes: Iterable[str] | None = None, **options: Any) -> Files:
        """Make a source from a folder with one sub-folder per class. The label is the number of the class, int32.

        Args:
            folder: its sub-folders are searched for files, with everything below them.
            classes: names of all classes, in order; a class may have no sub-folder here. None: the sub-folders, sorted as strings.
            options: of the class itself.

        Raises:
            DataNotFoundError: the folder is missing, or has no sub-folders, or these hold no files.
            ConfigError: a sub-folder is not in `classes`.
        """
        for name in ("labels", "label", "root"):
            if name in options:
                raise ConfigError(
                    f"from_folder takes no {name}=, because the sub-folders are its labels; for other labels: {cls.__name__}(folder, {name}=...)"
                )
        root = absolute_place(folder)
        stores = StorageOptions(options.get("storage_options"))
        search = cls._index_maker(cls._suffixes_with(options), options.pop("exclude", ()), stores).search(root, root)
        paths, labels, names = list_classes(root, search, cls.__name__, classes)
        return cls(paths, labels=labels, root=root, classes=names, **options)

    @classmethod
    def from_manifest(
        cls: type[Files],
        file: Any,
        root: PathLike | None = None,
        *,
        classes: Iterable[str] | None = None,
        path_column: str = "path",
        label_columns: str | Sequence[str] | None = None,
        weight_column: str | None = None,
        **options: Any,
    ) -> Files:
        """Make a source from a table that lists the files and their labels.

        Args:
            file: `.csv` or `.tsv` with a header, `.jsonl` with one object per line, `.txt` with lines `path label`, or a data frame of pandas or
                polars. Lines that begin with `#` are comments. Paths written on Windows work. If all labels of a text file read as numbers,
                they are numbers; otherwise they are names of classes. Weights become float32.
            root: folder that the paths are relative to. None: the folder of the manifest; for a data frame, the working directory.
            classes: names of all classes, in order; labels that are among them are names, even if they look like numbers.
            path_column: name of the column of paths.
            label_columns: name of the column of labels; or several, of numbers, which become one float32 vector; or `()` for no labels. None:
                `label`, if there is such a column.
            weight_column: name of the column of weights. None: `weight`, if there is such a column.
            options: of the class itself.

        Raises:
            DataNotFoundError: there is no such file, or it lists none.
            ConfigError: a column is missing.
            LabelError: lines are bad; lists them by number.
        """
        check_options(options)
        columns = Columns.of(path_column, () if label_columns is None and "label" in options else label_columns, weight_column)
        is_path = isinstance(file, (str, os.PathLike))
        folder = absolute_place(root) if root is not None else os.path.dirname(absolute_place(file)) if is_path else None
        names = None if classes is None else check_classes(classes)
        with local_copy(file, StorageOptions(options.get("storage_options"))) as table:
            manifest = read_manifest(table, folder or os.getcwd(), columns, names, cls.appended, cls.finds_missing)
        return cls(manifest.paths, manifest.labels, folder, manifest.classes or names, sample_weight=manifest.weights, **options)

    def __len__(self) -> int:
        return len(self._index)

    def sample(self, index: int) -> Sample:
        path = self._index.path(index)
        try:
            parts = self._read_file(path) if self._far is None else self._parts_of(self._far.fetch(self._far.index.span(index)).content, path)
        except OSError as error:
            raise unreadable(path, error, type(self).__name__, self.file_error) from None
        return (*parts, *(column[index].copy() for column in self._columns))

    @cached_property
    def spec(self) -> SampleSpec:
        """Names, shapes and dtypes of a sample: those of the first file, and of the labels. Raises DataNotFoundError, DecodeError, OSError."""
        path = self._index.path(self._example)
        try:
            leaves = self._leaves_of(path)
        except OSError as error:
            raise unreadable(path, error, type(self).__name__, self.file_error) from None
        parts = 1 + leaves[-1].part
        columns = [Leaf(part, None, column.shape[1:], column.dtype) for part, column in enumerate(self._columns, parts)]
        return SampleSpec((*leaves, *columns))

    def read(self, indices: Indices, out: Sequence[Array]) -> None:
        files = len(out) - len(self._columns)
        for column, target in zip(self._columns, out[files:], strict=True):  # before the files: whichever fails, the rows before it are whole
            np.take(column, indices, axis=0, out=target, mode="clip")  # the default mode would buffer `out`
        self._read_files(indices, self._index.raw_paths(indices), out[:files], range(len(indices)), gauge_of(out))

    def read_at(self, indices: Indices, out: Sequence[Array], places: Indices) -> None:
        files = len(out) - len(self._columns)
        for column, target in zip(self._columns, out[files:], strict=True):
            put(column.take(indices, axis=0, mode="clip"), target, places)
        self._read_files(indices, self._index.raw_paths(indices), out[:files], places.tolist(), gauge_of(out))

    def fetchers(self) -> list[Fetcher]:
        return [] if self._far is None else [self._far.fetcher]

    def versions(self) -> Indices | None:
        return None if self._far is None else self._far.index.stamps()

    def far_spans(self, indices: Indices) -> FarSpans:
        return () if self._far is None else [(self._far.fetcher, self._far.index.spans(indices))]

    def will_read(self, indices: Indices) -> None:
        if self._far is not None:
            self._far.begin(indices)
            return
        nbytes = self.spec.nbytes + _HEADER_BYTES
        for path in self._index.raw_paths(indices):
            will_read(path, ((0, nbytes),))

    @property
    def paths(self) -> list[str]:
        """The paths of all samples, absolute, in order: predictions without shuffling have the same."""
        return self._index.paths()

    def name_of(self, index: int) -> str:
        return self._index.path(index)

    def ids(self) -> list[str]:
        """Return the IDs of all samples, in order."""
        return self._index.ids()

    def labels(self) -> Array | None:
        return self._columns[0] if self._columns else None

    def shape_of(self, index: int) -> Sequence[tuple[int, ...]]:
        path = self._index.path(index)
        try:
            shapes = self._shapes_in(path)
        except OSError as error:
            raise unreadable(path, error, type(self).__name__, self.file_error) from None
        return [*shapes, *(column.shape[1:] for column in self._columns)]

    def shapes_at(self, indices: Indices, look: Callable[[Source, Indices], list[Indices]]) -> list[Indices]:
        reader = self._shapes_known_by()
        if reader is None:
            return look(self, indices)
        leaves = self.spec.leaves[: len(self.spec.leaves) - len(self._columns)]

        def find(places: Indices) -> Indices:
            return np.concatenate(look(self, indices[places])[: len(leaves)], axis=1)

        stamps = None if self._far is None else self._far.index.stamps()[indices]
        table = remembered(self._index.raw_paths(indices), reader, width_of(leaves), find, stamps)
        return [*split_by_leaf(table, leaves), *same_shapes(self.spec.leaves[len(leaves) :], len(indices))]

    def __repr__(self) -> str:
        files = f"{len(self):,} file{'s' if len(self) > 1 else ''}"
        classes = f", {len(self.classes)} classes" if self.classes else ""
        return f"{type(self).__name__}({files} in {shown_folder(self._index.root)}{classes})"

    @abstractmethod
    def _leaves_of(self, path: str) -> Sequence[Leaf]:
        """Return the arrays that a file holds, reading as little of it as possible: x, and more parts where a file has them."""

    def _shapes_in(self, path: str) -> Sequence[tuple[int, ...]]:
        """Return the shapes of the arrays that a file holds, reading as little of it as possible."""
        return [leaf.shape for leaf in self._leaves_of(path)]

    def _shapes_known_by(self) -> str | None:
        """Return what tells the shapes of a file, if they may be remembered: words that change whenever it would tell others."""
        return None

    @abstractmethod
    def _read_file(self, path: str) -> Sample:
        """Return what one file holds, fresh: x, and more parts where a file has them."""

    @abstractmethod
    def _parts_of(self, content: memoryview, path: str) -> Sample:
        """Return what `_read_file` does, from the content of the file."""

    @abstractmethod
    def _read_files(self, indices: Indices, paths: list[bytes], out: Sequence[Array], places: Sequence[int], gauge: RowGauge) -> None:
        """Read files into the rows `places` of `out`, one array for each of `_leaves_of`; raises BadSample as `Source.read` does."""

    @classmethod
    def _index_maker(cls, suffixes: tuple[str, ...], exclude: str | Sequence[str], options: StorageOptions) -> IndexMaker:
        return IndexMaker(cls.__name__, suffixes, cls.appended, cls.finds_missing, exclude, options)

    @classmethod
    def _suffixes_with(cls, options: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the `suffixes` of a source that is made with these options."""
        return cls.suffixes
