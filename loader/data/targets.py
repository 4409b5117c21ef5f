"""Where rows are read to, and where who reads them one by one shows which it is at: so a hang is told from slowness, and a death explained."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from loader.data.spec import Array


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
