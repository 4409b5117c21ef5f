"""What workers do for `loader inspect --verify`: they read each file, or make each sample, and note what they find where everybody can see it."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import IntEnum
from typing import Any, Protocol

import numpy as np

from loader.data.layout import aligned_empty
from loader.data.pipeline.pipeline import Pipeline
from loader.data.rows import BadSample, Indices, is_fault_of_sample
from loader.data.sources.files.labelled_files import LabelledFiles
from loader.data.sources.source import Source
from loader.data.spec import Array, Sample
from loader.errors import DecodeError, LoaderError, NpyError
from loader.ipc import memfd
from loader.ipc.quarantine import BadEntry, Quarantine, utc_now
from loader.produce.failures import exhaustion
from loader.watch.verify.file_check import Usual, check_file

_TIMEOUT_S = 60.0
_SLOWEST_BYTES_PER_S = 4e6  # a worker that reads more slowly than this hangs

# Longer than a row that a pool considers fast and times again.
_BLANK_S = 0.006


_DIFFERENT = (
    "many files differ in shape or dtype, which is not counted as bad. Training needs a first transform that makes them alike; "
    "loader inspect --verify SCRIPT:FUNCTION checks that too"
)


class BadItem(Exception):
    """A file or sample is bad; the message says why."""


class Check(Protocol):
    """Looks at items by number. It is sent to workers, which may be killed by an item.

    Attributes:
        noun: what the items are.
        timeout_s: a worker that spends this long on one item hangs.
        remark: about all of them together; may be empty.
    """

    noun: str
    timeout_s: float
    remark: str

    def __len__(self) -> int: ...

    def name_of(self, index: int) -> str | None:
        """Return the path of an item, or None where it has none."""

    def check(self, index: int, advance: Callable[[int], None]) -> tuple[int, int]:
        """Read an item; return how many of its values are NaN, and how many infinite.

        Args:
            index: of the item.
            advance: is told the bytes of each piece that was read.

        Raises:
            BadItem: it is bad.
        """


class FileCheck:
    """Files, read to their last byte.

    Args:
        files: to read.
        usual: the form that all must have, if it is binding; None for any.
    """

    noun = "files"

    def __init__(self, files: LabelledFiles, usual: Usual | None) -> None:
        self._files = files
        self._usual = usual
        self.timeout_s = _TIMEOUT_S + (0 if usual is None else usual.nbytes / _SLOWEST_BYTES_PER_S)  # files of another form are not read on
        differ = usual is not None and not usual.binding
        self.remark = _DIFFERENT if differ else ""

    def __len__(self) -> int:
        return len(self._files)

    def name_of(self, index: int) -> str | None:
        return self._files.name_of(index)

    def check(self, index: int, advance: Callable[[int], None]) -> tuple[int, int]:
        path = self._files.name_of(index)
        assert path is not None
        try:
            return check_file(path, self._usual, advance)
        except NpyError as error:
            raise BadItem(error.problem) from error
        except OSError as error:
            raise BadItem(error.strerror or str(error)) from error


class SampleCheck:
    """Samples, made by source and transforms as in the first epoch of training.

    Args:
        source: of the samples.
        timeout_s: see `Check`.
        settings: for `Pipeline`: transforms, seed and so on.
    """

    noun = "samples"
    remark = ""

    def __init__(self, source: Source, timeout_s: float = _TIMEOUT_S, **settings: Any) -> None:
        self.timeout_s = timeout_s
        self._source = source
        self._settings = settings
        self._pipeline = Pipeline(source, **settings)
        self._out: list[Array] = []

    def __len__(self) -> int:
        return len(self._source)

    def name_of(self, index: int) -> str | None:
        return self._source.name_of(index)

    def check(self, index: int, advance: Callable[[int], None]) -> tuple[int, int]:
        bad = self._make(index)
        if bad is not None and exhaustion(bad) is not None:
            raise bad.__cause__ or bad  # the pool knows what to do: a fresh worker, or one that may have more memory
        if bad is not None:
            raise BadItem(self._reason(bad)) from bad
        advance(sum(leaf.nbytes for leaf in self._out))
        floats = [leaf for leaf in self._out if leaf.dtype.kind in "fc"]
        nan = sum(int(np.isnan(leaf).sum()) for leaf in floats)
        return nan, sum(int((~np.isfinite(leaf)).sum()) for leaf in floats) - nan

    def _reason(self, bad: BadSample) -> str:
        """Return what is wrong with a sample, without its path, which is told beside it."""
        cause, name = bad.__cause__, self.name_of(bad.index)
        if isinstance(cause, DecodeError) and name is not None and name.startswith(cause.path):
            line = name.removeprefix(f"{cause.path}, ")
            return cause.problem.partition(": ")[2] if cause.problem.startswith(f"{line}, which begins at byte ") else cause.problem
        if isinstance(cause, OSError) and cause.strerror is not None and cause.filename == name:
            return cause.strerror
        return self._pipeline.sample_error(bad).reason

    def _make(self, index: int) -> BadSample | None:
        """Make a sample; return how it failed, or None. The first good one shows what a finished sample is."""
        try:
            if not self._out:
                self._learn(index)
                spec = self._pipeline.compile(self._pipeline.probe(index))
                self._out = [aligned_empty((1, *leaf.shape), leaf.dtype) for leaf in spec.leaves]
            self._pipeline.fill(np.array([index]), 0, self._out, memoryview(bytearray(8)).cast("q"))
        except BadSample as bad:
            return bad
        except LoaderError as error:  # the transforms do not fit it
            raise BadItem(str(error)) from error
        return None

    def _learn(self, index: int) -> None:
        """Find out what samples are like, from the first one or, if that is bad, from sample `index`."""
        try:
            _ = self._source.spec
        except BaseException as error:
            if not is_fault_of_sample(error):
                raise
            self._source.learn_from(index)  # `probe` reads it


class Column(IntEnum):
    """Columns of the table of results, 8-byte words."""

    DONE = 0
    """1 where an item need not be looked at any more."""
    BYTES = 1
    """That were read of it."""
    NAN = 2
    """Values that are."""
    INFINITE = 3
    """Likewise."""


class Results:
    """What is known of each item: a table of numbers, and a report with a line for each bad one, to which the pool writes as well.

    Both are files, so that a copy that travels opens the same ones, and what was found is known at once and outlives its finder.

    Args:
        table: path of `len(Column)` × items words.
        report: path of the report. Its numbers are those of the pool's samples.

    Attributes:
        columns: the table, int64 of shape `(len(Column), items)`.
    """

    def __init__(self, table: str, report: str) -> None:
        self._paths = table, report
        with open(table, "r+b") as file:
            self.columns: Indices = memfd.attach(file.fileno()).view(np.int64).reshape(len(Column), -1)
        self._report = Quarantine(report)

    def __reduce__(self) -> tuple[Any, ...]:
        return Results, self._paths

    def accuse(self, sample: int, reason: str) -> None:
        """Report a bad item, by the number of its sample."""
        self._report.append(BadEntry(time=utc_now(), path=None, index=sample, reason=reason, traceback=""))


class Examine:
    """The transform by which a pool's workers check items: sample i + 1 stands for item i, all others for nothing.

    What is bad about an item is noted, and no error of the sample. What goes further is left to the pool: that a worker dies of an item, hangs
    at it, or lacks memory for it. An item that is done is not looked at again, whatever the pool makes of a ticket whose worker has died.

    Args:
        check: of the items.
        results: to note things in.
    """

    def __init__(self, check: Check, results: Results) -> None:
        self._check = check
        self._results = results

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        number = int(sample[0])
        if number == 0:  # it is what the pool measures: taken for slow, it is followed by tickets of a single row until those are known to be fast
            time.sleep(_BLANK_S)
        elif number <= len(self._check) and not self._results.columns[Column.DONE, number - 1]:
            self._examine(number)
        return sample

    def _examine(self, number: int) -> None:
        cells = self._results.columns[:, number - 1]
        done = 0

        def advance(nbytes: int) -> None:
            nonlocal done
            done += nbytes
            cells[Column.BYTES] = done

        try:
            cells[Column.NAN], cells[Column.INFINITE] = self._check.check(number - 1, advance)
        except BadItem as bad:
            self._results.accuse(number, str(bad))
        cells[Column.DONE] = 1
