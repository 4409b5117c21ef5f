"""Statistics are those of NumPy, and the same to the last bit, however the rows are dealt to workers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from loader.data.spec import Leaf
from loader.data.statistics.row_moments import measure_rows, width_of
from loader.data.statistics.statistics import FieldStatistics
from loader.data.statistics.totals import Totals

SHAPES = st.sampled_from([(), (5,), (3, 4), (2, 3, 3), (7, 2, 1), (2, 2, 3, 2), (0,), (0, 2, 2), (40, 30, 2)])
DTYPES = st.sampled_from(["?", "u1", "i1", "u2", "i2", "i4", "u4", "i8", "u8", "f2", "f4", "f8"])


@st.composite
def rows_of_any_kind(draw: Any) -> Any:
    dtype, shape, count = np.dtype(draw(DTYPES)), draw(SHAPES), draw(st.integers(1, 12))
    if np.prod(shape) > 1000:  # filled by a generator: drawing each value takes too long
        rng = np.random.default_rng(draw(st.integers(0, 99)))
        return rng.normal(100, 40, (count, *shape)).astype(dtype)
    return draw(arrays(dtype, (count, *shape)))


def words_of(rows: Any) -> Any:
    out = np.empty((len(rows), width_of(rows.shape[1:])), np.int64)
    measure_rows(rows, out)
    return out


def statistics_of(rows: Any, block: int = 5) -> FieldStatistics:
    totals = Totals(Leaf(0, None, rows.shape[1:], rows.dtype))
    words = words_of(rows)
    for first in range(0, len(rows), block):
        totals.add(words[first : first + block])
    return totals.result()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@given(rows=rows_of_any_kind(), cuts=st.lists(st.integers(1, 5), min_size=1))
def test_a_row_is_measured_to_the_same_bits_whichever_rows_are_measured_with_it(rows: Any, cuts: list[int]) -> None:
    together = words_of(rows)
    begin = 0
    for cut in cuts * len(rows):
        assert words_of(rows[begin : begin + cut]).tobytes() == together[begin : begin + cut].tobytes()
        begin += cut


@given(rows=rows_of_any_kind().filter(lambda rows: rows.dtype.kind in "biu"), block=st.integers(1, 13))
def test_statistics_of_integers_are_exact(rows: Any, block: int) -> None:
    found = statistics_of(rows, block)
    channels = rows.shape[-1] if rows.ndim >= 4 else 1
    for channel, values in enumerate(rows.reshape(-1, channels).T.astype(object)):
        assert found.count[channel] == len(values)
        if not len(values):
            assert np.isnan([found.mean[channel], found.std[channel], found.minimum[channel], found.maximum[channel]]).all()
            continue
        numbers = [int(value) for value in values]
        assert (found.minimum[channel], found.maximum[channel]) == (float(min(numbers)), float(max(numbers)))
        mean = sum(numbers) / len(numbers)
        variance = sum(len(numbers) ** 2 * number**2 for number in numbers) / len(numbers) ** 3 - (sum(numbers) / len(numbers)) ** 2
        if rows.dtype.itemsize <= 2:
            assert found.mean[channel] == mean
            assert found.std[channel] ** 2 == pytest.approx(variance, rel=1e-9, abs=1e-6)
        else:
            assert found.mean[channel] == pytest.approx(mean, rel=1e-12, abs=1e-12 * max(map(abs, numbers), default=0))


@given(seed=st.integers(0, 1000), scale=st.sampled_from([1.0, 1e3, 1e6]), offset=st.sampled_from([0.0, 1.0, 1e6]), bad=st.integers(0, 4))
def test_statistics_of_floats_are_those_of_numpy(seed: int, scale: float, offset: float, bad: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.normal(offset, scale, (11, 6, 5, 2))
    for value in (np.nan, np.inf, -np.inf, np.nan)[:bad]:
        rows[tuple(rng.integers(0, rows.shape))] = value
    found = statistics_of(rows)
    values = rows.reshape(-1, 2)
    finite = np.where(np.isfinite(values), values, np.nan)
    np.testing.assert_array_equal(found.nan, np.isnan(values).sum(0))
    np.testing.assert_array_equal(found.infinite, np.isinf(values).sum(0))
    np.testing.assert_allclose(found.mean, np.nanmean(finite, 0), rtol=1e-13, atol=1e-13 * scale)
    np.testing.assert_allclose(found.std, np.nanstd(finite, 0), rtol=1e-9)
    np.testing.assert_array_equal(found.minimum, np.nanmin(finite, 0))
    np.testing.assert_array_equal(found.maximum, np.nanmax(finite, 0))
