"""One file per sample, with or without a label: the index of paths, the labels, and the three ways to name them. What a file holds is left open."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, TypeVar

import numpy as np

from loader.data.copy_rows import put
from loader.data.rows import Indices, RowGauge, gauge_of
from loader.data.sources.files.file_listing import (
    PathLike,
    Paths,
    absolute_path,
    as_path_list,
    check_first,
    check_there,
    class_folders,
    find_files,
    list_folder,
    path_text,
    unreadable,
)
from loader.data.sources.files.path_index import PathIndex
from loader.data.sources.labels.label_table import read_manifest
from loader.data.sources.labels.labels import check_classes, parse_texts, read_labels
from loader.data.sources.source import Source
from loader.data.spec import Array, Leaf, Sample, SampleSpec
from loader.errors import ConfigError, DataNotFoundError, LabelError

_PARTS_OF_A_SET = frozenset(("train", "training", "val", "valid", "validation", "dev", "test", "testing"))

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
        sample_weight: of each sample, in one of the forms of `labels`; needs labels.

    Attributes:
        classes: names of the classes; label k means `classes[k]`. Empty where labels are numbers and no classes were given.
    """

    suffixes: tuple[str, ...] = ()
    """How the files end that a folder or glob means, in lower case; a single one is appended to the IDs of a list. Empty: any file."""

    finds_missing: ClassVar[bool] = True
    """Whether files of a list that do not exist are an error when the source is made."""

    def __init__(
        self,
        paths: Paths,
        labels: object = None,
        root: PathLike | None = None,
        classes: Iterable[str] | None = None,
        *,
        sample_weight: object = None,
    ) -> None:
        if labels is None and sample_weight is not None:
            raise ConfigError("sample_weight needs labels: a sample is (x, y, sample_weight)")
        self._index = self._make_index(paths, root)
        self.classes: tuple[str, ...] = () if classes is None else check_classes(classes)
        self._columns: list[Array] = []  # what follows x in a sample: nothing, or labels, or labels and weights
        if labels is not None:
            values, self.classes = read_labels(labels, self._index, classes)
            self._columns.append(values)
        if sample_weight is not None:
            weights, names = read_labels(sample_weight, self._index, what="sample_weight")
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
        for name in ("labels", "root"):
            if name in options:
                raise ConfigError(
                    f"from_folder takes no {name}=, because the sub-folders are its labels; for other labels: {cls.__name__}(folder, labels=...)"
                )
        root, suffixes = absolute_path(folder), cls._suffixes_with(options)
        folders = class_folders(root)
        if classes is None and len(folders) > 1 and _PARTS_OF_A_SET.issuperset(name.lower() for name in folders):
            parts = f"{cls.__name__}.from_folder({os.path.join(root, folders[0])!r})"
            raise ConfigError(
                f"the sub-folders of {root} are {', '.join(folders)}, which are parts of a data set, not classes: {parts}; or give them as classes="
            )
        names = check_classes(folders if classes is None else classes)
        numbers = {name: number for number, name in enumerate(names)}
        unknown = [name for name in folders if name not in numbers]
        if unknown:
            raise ConfigError(f"{root} has sub-folders that are not in classes: {', '.join(unknown)}. Add them to classes, or move them away")
        paths: list[str] = []
        counts: list[int] = []
        for name in folders:
            before = len(paths)
            paths.extend(_files_of_class(os.path.join(root, name), suffixes))
            counts.append(len(paths) - before)
        if not paths:
            list_folder(root, suffixes)  # raises: says what is there instead
        labels = np.repeat(np.array([numbers[name] for name in folders], np.int32), counts)
        return cls(paths, labels=labels, root=root, classes=names, **options)

    @classmethod
    def from_manifest(
        cls: type[Files], file: PathLike, root: PathLike | None = None, *, classes: Iterable[str] | None = None, **options: Any
    ) -> Files:
        """Make a source from a text file that lists the files and their labels.

        Args:
            file: `.csv` with the header `path,label` or `path,label,weight`, or `.txt` with lines `path label`. If all labels read as numbers, they
                are numbers; otherwise they are names of classes. Weights become float32.
            root: folder that the paths are relative to. None: the folder of the manifest.
            classes: names of all classes, in order; labels that are among them are names, even if they look like numbers.
            options: of the class itself.

        Raises:
            DataNotFoundError, ConfigError, LabelError: they name the line of the manifest.
        """
        place = absolute_path(file)
        manifest = read_manifest(place)
        labels, names = parse_texts(manifest.labels, None if classes is None else check_classes(classes))
        weights = None if manifest.weights is None else np.array(manifest.weights, np.float32)
        folder = os.path.dirname(place) if root is None else root
        return cls(manifest.paths, labels=labels, root=folder, classes=names or None, sample_weight=weights, **options)

    def __len__(self) -> int:
        return len(self._index)

    def sample(self, index: int) -> Sample:
        path = self._index.path(index)
        try:
            parts = self._read_file(path)
        except OSError as error:
            raise unreadable(path, error) from None
        return (*parts, *(column[index].copy() for column in self._columns))

    @cached_property
    def spec(self) -> SampleSpec:
        """Names, shapes and dtypes of a sample: those of the first file, and of the labels. Raises DataNotFoundError, DecodeError, OSError."""
        path = self._index.path(0)
        try:
            leaves = self._leaves_of(path)
        except OSError as error:
            raise unreadable(path, error) from None
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

    def name_of(self, index: int) -> str:
        return self._index.path(index)

    def ids(self) -> list[str]:
        """Return the IDs of all samples, in order."""
        return self._index.ids()

    def labels(self) -> Array | None:
        return self._columns[0] if self._columns else None

    def __repr__(self) -> str:
        files = f"{len(self):,} file{'s' if len(self) > 1 else ''}"
        classes = f", {len(self.classes)} classes" if self.classes else ""
        return f"{type(self).__name__}({files} in {_shown(self._index.root)}{classes})"

    @abstractmethod
    def _leaves_of(self, path: str) -> Sequence[Leaf]:
        """Return the arrays that a file holds, reading as little of it as possible: x, and more parts where a file has them."""

    @abstractmethod
    def _read_file(self, path: str) -> Sample:
        """Return what one file holds, fresh: x, and more parts where a file has them."""

    @abstractmethod
    def _read_files(self, indices: Indices, paths: list[bytes], out: Sequence[Array], places: Sequence[int], gauge: RowGauge) -> None:
        """Read files into the rows `places` of `out`, one array for each of `_leaves_of`; raises BadSample as `Source.read` does."""

    @classmethod
    def _suffixes_with(cls, options: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the `suffixes` of a source that is made with these options."""
        return cls.suffixes

    def _make_index(self, paths: Paths, root: PathLike | None) -> PathIndex:
        folder = None if root is None else absolute_path(root)
        if isinstance(paths, (str, os.PathLike)):
            if folder is not None:
                paths = os.path.join(folder, os.path.expanduser(os.fspath(paths)))
            found, own = find_files(paths, self.suffixes)
            return PathIndex(found, folder or own)
        names = as_path_list(paths)
        if folder is None:
            check_first(names[0], self.suffixes)
        elif len(self.suffixes) == 1:
            (suffix,) = self.suffixes
            names = [name if name.endswith(suffix) else name + suffix for name in map(path_text, names)]
        index = PathIndex(names, folder)
        if self.finds_missing:
            check_there(len(index), index.path)
        return index


def _files_of_class(folder: str, suffixes: tuple[str, ...]) -> list[str]:
    """Return the files of one class; a class may be empty, so long as another is not."""
    try:
        return list_folder(folder, suffixes)
    except DataNotFoundError:
        return []


def _shown(folder: str) -> str:
    """Return a folder as a user would write it: relative where it lies in the working directory."""
    here = os.getcwd()
    return os.path.relpath(folder, here) if folder.startswith(here.rstrip("/") + "/") else folder
