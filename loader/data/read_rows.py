"""Reading many rows at once, from a source that may be the user's own and raise what it likes."""

from __future__ import annotations

from collections.abc import Sequence

from loader.data import forks
from loader.data.source import BadSample, Indices, Source, is_fault_of_sample
from loader.data.spec import Array
from loader.data.targets import RowGauge, Targets


def read_rows(source: Source, indices: Indices, out: Sequence[Array], gauge: RowGauge) -> None:
    """Read the samples `indices` into the rows of `out`, as `Source.read` does.

    `read` has to say which sample failed. One that raises anything else is asked again, row by row, and the first row that fails alone is to
    blame. If none does, all are there: how many rows are read at once depends on the time that they take, and must not decide what is an error.

    `gauge` shows the row that is being read, where the source tells; -1 afterwards.

    Raises:
        BadSample: names the sample that failed, from its cause.
    """
    depth = forks.depth()
    try:
        source.read(indices, Targets(out, gauge))
    except BaseException as error:
        forks.end_if_deeper(depth)
        if not is_fault_of_sample(error) or (isinstance(error, BadSample) and error.index in indices):
            raise
        if len(indices) == 1:
            raise BadSample(int(indices[0])) from error
    else:
        gauge.cell[0] = -1
        return
    for row in range(len(indices)):
        read_rows(source, indices[row : row + 1], [leaf[row : row + 1] for leaf in out], RowGauge(gauge.cell, gauge.first + row))
