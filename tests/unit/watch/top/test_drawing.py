"""Curves and bars made of characters."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from loader.watch.top.drawing import FINE, PLAIN, bar, cut, printable, sparkline


def test_a_curve_ends_with_the_last_value() -> None:
    assert sparkline([0.0, 0.5, 1.0], 60, 1.0) == " " * 57 + "▁▅█"
    assert sparkline([], 60, 1.0) == " " * 60
    assert sparkline([1.0] * 100, 60, 0.0) == "▁" * 60


def test_few_columns_average_and_many_repeat() -> None:
    assert sparkline([0.0, 1.0] * 30, 30, 1.0) == "▅" * 30
    assert sparkline([0.0] * 59 + [1.0], 120, 1.0) == "▁" * 118 + "██"
    assert sparkline([1.0], 3, 1.0, PLAIN) == "  #"


@given(st.lists(st.floats(allow_nan=False, width=32), max_size=100), st.integers(-3, 200), st.floats(-1, 1e9))
def test_a_curve_is_as_wide_as_it_should_be(values: list[float], width: int, most: float) -> None:
    curve = sparkline(values, width, most)
    assert len(curve) == max(0, width)
    assert set(curve) <= {" ", *FINE.levels}


@given(st.floats(-1, 2), st.integers(-2, 100))
def test_a_bar_is_full_only_when_all_is_done(share: float, width: int) -> None:
    filled = bar(share, width)
    assert 0 <= filled <= max(0, width)
    if width > 1:
        assert (filled == width) == (share >= 1)
        assert (filled == 0) == (share <= 0)


@given(st.text(), st.integers(0, 30), st.booleans())
def test_what_is_cut_fits_and_keeps_its_end_or_beginning(text: str, width: int, left: bool) -> None:
    text = printable(text)
    short = cut(text, width, left=left)
    assert cell_len(short) <= width
    if short != text and short:
        assert text.endswith(short[1:]) if left else text.startswith(short[:-1])
