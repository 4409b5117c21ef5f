"""Rows on their way from a source: which samples they are, where they go, how far the reading is, and which sample failed.

Code that reads rows one by one shows the row it is at, so that a hang can be told from slow work, and a death explained.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from loader.data.spec import Array

Indices = npt.NDArray[np.int64]

UNKNOWN_ROW = -1
"""In place of a row that is not known: in the counter that shows the row, and in what is told of a death."""

READING_AHEAD = -2
"""In place of a row: before the first one, where the source is asked for samples that come later (`Source.will_read`)."""


class BadSample(Exception):
    """Raised by `read` to say which sample failed; its `__cause__` is the failure itself. Never reaches a user.

    Args:
        index: of the sample.
        field: the part of it that failed, where that is known.
        name: of that part, where it has another one than the sample.
    """

    def __init__(self, index: int, field: str | None = None, name: str | None = None) -> None:
        super().__init__(index)
        self.index = index
        self.field = field
        self.name = name

    def at(self, index: int) -> BadSample:
        """Return the same failure for a source that has the sample at another index."""
        return BadSample(index, self.field, self.name)


def is_fault_of_sample(error: BaseException) -> bool:
    """Whether what the user's code raised is an error of the sample that it was at.

    In a worker, where SIGINT is ignored, it always is: no Ctrl-C arrives there as KeyboardInterrupt.
    """
    return isinstance(error, (Exception, SystemExit)) or signal.getsignal(signal.SIGINT) is signal.SIG_IGN


class RowGauge(NamedTuple):
    """Shows the row that is being read.

    Attributes:
        cell: one writable cell, which other processes may look at.
        first: what row 0 is called there.
    """

    cell: memoryview
    first: int


class Targets(list[Array]):
    """Arrays to fill; a list of them for all that do not care.

    Attributes:
        gauge: for whoever fills them row by row.
    """

    def __init__(self, arrays: Iterable[Array], gauge: RowGauge) -> None:
        super().__init__(arrays)
        self.gauge = gauge

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        return Targets(found, self.gauge) if isinstance(key, slice) else found


def gauge_of(out: Sequence[Array]) -> RowGauge:
    """Return the gauge that came with `out`, or one that nobody looks at."""
    return out.gauge if isinstance(out, Targets) else RowGauge(memoryview(bytearray(8)).cast("q"), 0)
