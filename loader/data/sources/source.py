"""What every source of samples has in common, and the subset of one.

A source is a picklable, read-only sequence of samples. In a worker it is asked for many samples at once (`read`), straight into the rows of
a slot; anywhere else for one (`source[i]`).
"""

from __future__ import annotations

import operator
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any, ClassVar, overload

import numpy as np
import numpy.typing as npt

from loader.data import fork_guard
from loader.data.copy_rows import put
from loader.data.global_rng import kept
from loader.data.named_arguments import NamedArguments
from loader.data.rows import BadSample, Indices, gauge_of, is_fault_of_sample
from loader.data.sources.far_data import FarData
from loader.data.sources.whole_pass import WholePass
from loader.data.spec import MAKE_ALIKE, Array, Sample, SampleSpec
from loader.data.stopwatch import Stopwatch
from loader.errors import PipelineError

_SCRATCH_BYTES = 4 << 20


def name_or_none(source: Source, index: int) -> str | None:
    """Return what a source calls a sample, as text; None if it has no name for it, or a source of the user's can't tell."""
    try:
        name = source.name_of(index)
        return None if name is None else str(name)  # a `Path` of the user's would be no JSON
    except Exception:
        return None


def with_members(source: Source) -> Iterator[Source]:
    """Yield a source and all that it is made of."""
    yield source
    for member in source.members():
        yield from with_members(member)


def is_in_order(source: Source) -> bool:
    """Return whether a source, or one that it is made of, gives its samples in ascending order only."""
    return any(each.in_order for each in with_members(source))


def spec_of_example(source: Source) -> SampleSpec:
    """Return the spec of a source's first sample, or of the one to learn from. Raises PipelineError if it can't be a sample."""
    with kept(True):  # it may be run in the midst of another sample
        first = source[source._example]
    return spec_of_sample(source, first)


def spec_of_sample(source: Source, sample: Sample) -> SampleSpec:
    """Return the spec of a sample of a source. Raises PipelineError if it can't be a sample."""
    try:
        return SampleSpec.of(sample)
    except (TypeError, ValueError) as error:
        raise PipelineError(f"{source!r} returns something that is not a sample: {error}") from None


class Source(WholePass, FarData, NamedArguments, ABC):
    """A sequence of samples that workers can read.

    Attributes:
        in_order: whether samples come in ascending order only, and from one process, as those of a generator do.
        overlap: whether neighbouring samples share data, so that a split at random would put the same data on both sides.
        decodes: whether it makes samples from the content of files, and tells `watch` when that begins and ends.
        keeps: whether it keeps samples for later epochs, so that they must be the same in each.
        watch: is told about the rows that are read now, if they are timed; else None. The pipeline sets it.
    """

    in_order: ClassVar[bool] = False
    overlap: bool = False
    decodes: ClassVar[bool] = False
    keeps: ClassVar[bool] = False
    watch: Stopwatch | None = None
    _example: int = 0  # the sample that shows what all are like: the first one, unless that is bad

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of samples."""

    @abstractmethod
    def sample(self, index: int) -> Sample:
        """Read sample `index` (0 ≤ index < len) at once, as new arrays that the caller may keep and change."""

    def __getitem__(self, index: int) -> Sample:
        """Read one sample here and now; negative indices count from the end."""
        number = operator.index(index)
        if not -len(self) <= number < len(self):
            raise IndexError(f"sample {number} of {len(self)}")
        return self.sample(number % len(self))

    @cached_property
    def spec(self) -> SampleSpec:
        """Names, shapes and dtypes of a sample, from the first one. Raises PipelineError if that is not a sample."""
        return spec_of_example(self)

    def learn_from(self, index: int) -> None:
        """Let sample `index` show what all are like, and let the sources that this one is made of do the same. Reads nothing."""
        vars(self)["_example"] = index  # a source of the user's may be frozen
        vars(self).pop("spec", None)

    def read(self, indices: Indices, out: Sequence[Array]) -> None:
        """Read the samples `indices` into the rows of `out`.

        Runs in: a worker.

        Args:
            indices: of shape `(n,)`.
            out: one array per leaf of `spec`, of shape `(n, *leaf.shape)`, C-contiguous, the leaf's dtype.

        Raises:
            BadSample: names the sample that failed, from its cause. Rows before it are written, rows after it may not be.
                A source that raises anything else is asked again, row by row, to find out which one it is.
        """
        self._read_each(indices, out, range(len(indices)))

    def read_at(self, indices: Indices, out: Sequence[Array], places: Indices) -> None:
        """Read the samples `indices` into the rows `places` of `out`, which other samples lie between.

        Runs in: a worker, for a sum of sources.

        Raises:
            BadSample: as `read` does, but what is written then is not said.
        """
        if type(self).read is Source.read:
            self._read_each(indices, out, places.tolist())
            return
        step = max(1, _SCRATCH_BYTES // max(1, sum(target.nbytes // len(target) for target in out)))
        for start in range(0, len(indices), step):
            some = indices[start : start + step]
            scratch = [np.empty((len(some), *target.shape[1:]), target.dtype) for target in out]
            self.read(some, scratch)
            for rows, target in zip(scratch, out, strict=True):
                put(rows, target, places[start : start + step])

    def views(self, indices: Indices) -> list[list[Array]] | None:
        """Return samples where they lie in memory, to be looked at: for each array, a list of one of each. None: `read` them. Raises BadSample."""
        return None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name in ("read_at", "views") if "read" in vars(cls) else ():  # they go by its own `read`, whatever the class above it does
            if name not in vars(cls):
                setattr(cls, name, getattr(Source, name))

    def _read_each(self, indices: Indices, out: Sequence[Array], places: Iterable[int]) -> None:
        depth = fork_guard.depth()
        cell, first = gauge_of(out)
        for place, index in zip(places, indices.tolist(), strict=True):
            cell[0] = first + place
            try:
                leaves = self.spec.flatten(self.sample(index), remedy=f". What to do: {MAKE_ALIKE}")
                fork_guard.exit_if_forked(depth)
                for target, leaf in zip(out, leaves, strict=True):
                    target[place] = leaf
            except BaseException as error:
                if not is_fault_of_sample(error):
                    raise
                raise BadSample(index) from error

    def fetch(self, index: int) -> Sample:
        """Return `sample(index)`; a source of several parts raises BadSample, to say which of them failed. Runs in: a worker."""
        return self.sample(index)

    def header_spec(self) -> SampleSpec | None:
        """Return `spec` if headers tell it, so that no sample is read and no code of the user runs; else None."""
        return None

    def members(self) -> Sequence[Source]:
        """Return the sources that this one is made of."""
        return ()

    def name_of(self, index: int) -> str | None:
        """Return the path or ID of a sample, to name it in an error; None if it has none."""
        return None

    def text_of(self, numbers: Array) -> str | None:
        """Return the text that an array of a sample stands for, to show it; None if it stands for none, or nobody knows."""
        return next((text for member in self.members() if (text := member.text_of(numbers)) is not None), None)

    def ids(self) -> list[str] | None:
        """Return the IDs of all samples, in order; None if they have none."""
        return None

    def open(self) -> None:
        """Open or map what all workers share. Runs in: the supervisor, once, before it forks; or the trainer with `workers=0`."""

    def will_read(self, indices: Indices) -> None:
        """Say that these samples will be read soon: ask the system to fetch what they are made of, and don't wait for it. Never fails.

        Runs in: a worker, while reads wait for storage; never while the data is in memory.
        """

    def subset(self, indices: npt.ArrayLike) -> Source:
        """Return a source of these samples only, in this order; `indices` may be a boolean mask."""
        from loader.data.sources.subset import Subset  # here, as it derives from this class

        return Subset(self, indices)

    def cache(self, folder: str | os.PathLike[str] | None = None, max_bytes: int | str | None = None, *, version: str = "") -> Source:
        """Return a source of the same samples, each of which is read and decoded once, and then kept: before anything random.

        A Loader's first transforms, as far as they draw nothing, run before that as well; docs/my_data_is_slow_to_decode.md.

        Any worker that makes a sample adds it. Runs that use one folder at the same time, even if they are killed, fill it together.

        Args:
            folder: on a fast disk; None: in memory, which counts towards `memory_limit` and is filled anew by each run.
            max_bytes: that the samples may take, a number or such as "20GiB"; those beyond are read from this source each time. None: all are kept.
            version: a text that you change when samples change in a way that can't be seen from here: not by paths, sizes and times of files,
                arguments, or the code of your functions.

        Raises:
            ConfigError: the folder holds the samples of another source, or of this one before it changed; the message says what has changed.
        """
        from loader.data.sources.cached.cached import Cached  # here, as it derives from this class

        return Cached(self, folder, max_bytes, version)

    def __add__(self, other: Source) -> Source:
        """Return a source of this one's samples followed by the other's."""
        if not isinstance(other, Source):
            return NotImplemented
        from loader.data.sources.joined import Joined  # here, as it derives from this class

        return Joined([self, other])

    @overload
    def split(
        self, validation: float = ..., seed: int = ..., stratify: bool = ..., *, test: None = ..., groups: object = ...
    ) -> tuple[Source, Source]: ...

    @overload
    def split(
        self, validation: float = ..., seed: int = ..., stratify: bool = ..., *, test: float, groups: object = ...
    ) -> tuple[Source, Source, Source]: ...

    def split(
        self, validation: float = 0.2, seed: int = 0, stratify: bool = False, *, test: float | None = None, groups: object = None
    ) -> tuple[Source, ...]:
        """Split at random into `(training, validation)`, or with `test` into `(training, validation, test)`, in the order of the source.

        Samples that have IDs, as files do, are split by a hash of the ID: each stays on its side when others are added or removed. So the shares
        hold only on average; `repr` and the log (INFO) show the sizes. IDs are relative to `root`: keep it the same. Samples without IDs are
        split at random, with exact shares.

        Args:
            validation: share of the samples in the second one, between 0 and 1.
            seed: of the random choice; the same seed gives the same split.
            stratify: give each class the same share on all sides; needs a source with scalar labels. The shares are exact, so files that are
                added may move a few old ones to another side.
            test: share of the samples in the third one. The validation side is the same with it and without.
            groups: samples of one group stay together, such as all slices of a patient: a group for each sample, in their order; a dict by ID;
                or a function of the ID. The hash of the group decides instead of that of the ID.

        Raises:
            ConfigError: a side would be empty, a sample has no group, or the source has no scalar labels to stratify by.
        """
        from loader.data.sources.split import Shares, split  # here, as it needs this class

        return split(self, Shares.of(validation, test), seed, stratify, groups)

    def shape_of(self, index: int) -> Sequence[tuple[int, ...]]:
        """Return the shapes of the arrays of one sample, reading as little of it as possible."""
        return [leaf.shape for leaf in SampleSpec.of(self.sample(index)).leaves]

    def shapes_at(self, indices: Indices, look: Callable[[Source, Indices], list[Indices]]) -> list[Indices]:
        """Return the shapes of some samples: for each array, int64 of shape `(len(indices), axes)`.

        Args:
            indices: of shape `(n,)`.
            look: finds them out by `shape_of`, for a source and samples of it.
        """
        return look(self, indices)

    def file_rows(self) -> Indices | None:
        """Return the number of rows of each file, of shape `(files,)`; None if samples are not rows of files.

        Raises:
            LabelError: the parts of a sample lie in files with different numbers of rows.
        """
        return None

    def memory_bytes(self) -> tuple[int, int]:
        """Return the bytes of shared memory that samples are kept in once all are there, and those of them that are taken by now."""
        return 0, 0

    def labels(self) -> Array | None:
        """Return the labels of all samples as one array with a leading axis, without reading samples; None if that can't be done."""
        return None
