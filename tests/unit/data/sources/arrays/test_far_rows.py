"""Which ranges of objects bring which rows: neighbours together, or blocks for a cache. No store is asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from loader.data.remote.fetch_cache.cache_choice import CacheChoice
from loader.data.remote.objects import Fetched, Span
from loader.data.remote.options import StorageOptions
from loader.data.sources.arrays.far_array import FarArray, FarColumn, far_columns

OFFSET = 128


def array(url: str, rows: int, row_bytes: int, *, stride: int = 0, cached: bool = False) -> FarArray:
    """Return bytes in an object, which count up from 0, as rows."""
    stride = stride or row_bytes
    end = OFFSET + (rows - 1) * stride + row_bytes
    cache = CacheChoice("/nowhere", None) if cached else None
    return FarArray(url, OFFSET, np.dtype("u1"), (rows, row_bytes), (stride, 1), end, 7, StorageOptions(), cache)


class Recorded:
    """Stands for a fetcher: what was begun, and content that counts up."""

    rows = 1000
    expecting = False

    def __init__(self) -> None:
        self.begun: list[tuple[int, int]] = []
        self.fetched: list[Span] = []
        self.kept: list[int] | None = None  # where the blocks begin that a full cache has; None: it has room

    def keeps(self, span: Span) -> bool:
        return self.kept is None or span.start - OFFSET in self.kept

    def begin(self, spans: Iterable[Span]) -> None:
        self.begun += [(span.start - OFFSET, (span.end or 0) - OFFSET) for span in spans]

    def fetch(self, span: Span) -> Fetched:
        self.fetched.append(span)
        content = np.arange(span.start - OFFSET, (span.end or 0) - OFFSET).astype(np.uint8)
        return Fetched(memoryview(content.tobytes()), span.size, span.version)


def columns(*views: Sequence[FarArray], rows: Sequence[FarArray] | None = None) -> tuple[list[Any], Recorded]:
    made = far_columns(rows or views[0], views)
    recorded = Recorded()
    for column in made:
        assert isinstance(column, FarColumn)
        column._rows.fetcher = recorded  # type: ignore[assignment]
    return made, recorded


@pytest.mark.parametrize(
    ("row_bytes", "wanted", "expected"),
    [
        (100, [5, 3, 4], [(300, 600)]),
        (100, [0, 160], [(0, 16_100)]),  # a gap of 15,900 bytes takes less than a request
        (100, [0, 170], [(0, 100), (17_000, 17_100)]),
        (600_000, [0, 1, 2], [(0, 600_000), (600_000, 1_200_000), (1_200_000, 1_800_000)]),  # two would be more than 1 MiB
    ],
)
def test_neighbours_come_together(row_bytes: int, wanted: list[int], expected: list[tuple[int, int]]) -> None:
    (column,), recorded = columns([array("s3://b/x", 200, row_bytes)])
    column.will_read(np.array(wanted))
    assert recorded.begun == expected
    out = np.empty((len(wanted), row_bytes), np.uint8)
    column.read(np.array(wanted), out)
    assert out[:, 0].tolist() == [row * row_bytes % 256 for row in wanted]
    assert recorded.begun == expected
    assert len(recorded.fetched) == len(expected)


def test_rows_of_two_objects_never_come_together() -> None:
    (column,), recorded = columns([array("s3://b/x", 3, 10), array("s3://b/y", 3, 10)])
    column.will_read(np.arange(6))
    assert recorded.begun == [(0, 30), (0, 30)]


def test_a_cache_gets_the_same_blocks_whatever_is_wanted() -> None:
    (column,), recorded = columns([array("s3://b/x", 1000, 100, cached=True)])
    for wanted in ([170, 5], [7], [0, 999]):
        column.will_read(np.array(wanted))
    assert recorded.begun == [(0, 16_300), (16_300, 32_600), (0, 16_300), (0, 16_300), (97_800, 100_000)]
    assert [(span.start, span.end) for _, spans in column.far_spans(np.arange(0, 400, 9)) for span in spans] == [
        (OFFSET, OFFSET + 16_300), (OFFSET + 16_300, OFFSET + 32_600), (OFFSET + 32_600, OFFSET + 48_900),
    ]  # fmt: skip


def test_of_blocks_that_a_full_cache_lacks_only_the_rows_come() -> None:
    (column,), recorded = columns([array("s3://b/x", 1000, 100, cached=True)])
    recorded.kept = [16_300]
    wanted = np.array([5, 6, 164, 300, 326, 900])
    column.will_read(wanted)
    assert recorded.begun == [(500, 700), (16_300, 32_600), (32_600, 32_700), (90_000, 90_100)]
    out = np.empty((len(wanted), 100), np.uint8)
    column.read(wanted, out)
    assert out[:, 0].tolist() == [row * 100 % 256 for row in wanted.tolist()]
    assert len(recorded.fetched) == 4


def test_large_rows_are_blocks_of_their_own() -> None:
    (column,), recorded = columns([array("s3://b/x", 9, 20_000, cached=True)])
    column.will_read(np.array([3, 4]))
    assert recorded.begun == [(60_000, 80_000), (80_000, 100_000)]


@pytest.mark.parametrize("cached", [False, True])
def test_one_request_serves_all_columns_that_show_parts_of_a_row(cached: bool) -> None:
    whole = [array("s3://b/x", 50, 9, stride=4, cached=cached)]
    x = replace(whole[0], shape=(50, 6))
    y = replace(whole[0], shape=(50, 3), offset=OFFSET + 6)
    (one, other), recorded = columns([x], [y], rows=whole)
    wanted = np.array([9, 2, 40])
    outs = [np.empty((3, 6), np.uint8), np.empty((3, 3), np.uint8)]
    for column, out in zip((one, other), outs, strict=True):
        column.read(wanted, out)
    assert np.concatenate(outs, 1).tolist() == [list(range(4 * row, 4 * row + 9)) for row in wanted]
    assert recorded.begun == [(0, 205)] if cached else [(8, 169)]
    assert len(recorded.fetched) == 1
    assert (other.fetcher, other.versions(), list(other.far_spans(wanted))) == (None, None, [])
