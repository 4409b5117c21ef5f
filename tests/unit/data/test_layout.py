from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.data.layout import ALIGNMENT, SlotLayout, align, aligned_copy, aligned_empty
from loader.data.spec import Array, Leaf, SampleSpec
from tests.examples import examples

VECTOR = Leaf(0, None, (3,), np.dtype("float32"))
LABEL = Leaf(1, None, (), np.dtype("int32"))

DTYPES = ("bool", "uint8", "int16", "float32", "float64", "complex128")

leaves = st.builds(
    lambda shape, dtype: (tuple(shape), np.dtype(dtype)),
    shape=st.lists(st.integers(0, 5), max_size=3),
    dtype=st.sampled_from(DTYPES),
)


@st.composite
def layouts(draw: st.DrawFn) -> SlotLayout:
    drawn = draw(st.lists(leaves, min_size=1, max_size=4))
    spec = SampleSpec(tuple(Leaf(0, f"leaf{number}", shape, dtype) for number, (shape, dtype) in enumerate(drawn)))
    return SlotLayout(spec, draw(st.integers(1, 20)), draw(st.integers(1, 5)))


def slot_of(layout: SlotLayout) -> Array:
    """Return bytes for a slot that start at a multiple of 64, as in the arena."""
    memory = np.zeros(layout.nbytes + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + layout.nbytes]


@examples(150)
@given(layout=layouts())
def test_each_leaf_of_each_batch_is_aligned_writable_and_in_c_order(layout: SlotLayout) -> None:
    slot = slot_of(layout)
    batches = layout.batches(slot, layout.capacity, layout.batch_size)
    assert len(batches) == layout.capacity
    for arrays in batches:
        for leaf, array in zip(layout.spec.leaves, arrays, strict=True):
            assert array.ctypes.data % ALIGNMENT == 0
            assert array.flags.c_contiguous
            assert array.flags.writeable
            assert (array.shape, array.dtype) == ((layout.batch_size, *leaf.shape), leaf.dtype)


@examples(150)
@given(layout=layouts())
def test_no_two_arrays_share_a_byte(layout: SlotLayout) -> None:
    slot = slot_of(layout)
    for arrays in layout.batches(slot, layout.capacity, layout.batch_size):
        for array in arrays:
            used = array.reshape(-1).view(np.uint8)
            assert not used.any()
            used[...] = 1
    assert int(slot.sum()) == layout.spec.nbytes * layout.batch_size * layout.capacity


@examples(150)
@given(layout=layouts(), data=st.data())
def test_runs_are_the_rows_of_the_batches_in_order(layout: SlotLayout, data: st.DataObject) -> None:
    slot, size = slot_of(layout), layout.batch_size
    first = data.draw(st.integers(0, size * layout.capacity - 1), label="first")
    rows = data.draw(st.integers(1, size * layout.capacity - first), label="rows")
    runs = layout.runs(slot, first, rows)
    assert sum(count for count, _ in runs) == rows
    assert not layout.gapless or len(runs) == 1
    batches, row = layout.batches(slot, layout.capacity, size), first
    for count, run in runs:
        for number, leaf in enumerate(run):
            assert leaf.shape[0] == count
            for offset in range(count):
                batch, within = divmod(row + offset, size)
                expected = batches[batch][number][within : within + 1]
                assert not leaf.size or leaf[offset : offset + 1].ctypes.data == expected.ctypes.data
        row += count


@pytest.mark.parametrize(("shape", "size", "gapless"), [((4, 4), 1, True), ((3,), 16, True), ((3,), 10, False), ((16,), 7, True)])
def test_a_layout_is_gapless_where_a_batch_fills_whole_multiples_of_64_bytes(shape: tuple[int, ...], size: int, gapless: bool) -> None:
    spec = SampleSpec((Leaf(0, None, shape, np.dtype("float32")),))
    layout = SlotLayout(spec, size, 4)
    assert layout.gapless is gapless
    assert len(layout.runs(slot_of(layout), 0, 4 * size)) == (1 if gapless else 4)


def test_one_leaf_with_a_gap_makes_the_whole_layout_one_with_gaps() -> None:
    image, label = Leaf(0, None, (16,), np.dtype("float32")), Leaf(1, None, (), np.dtype("int32"))
    assert SlotLayout(SampleSpec((image,)), 10, 2).gapless
    assert not SlotLayout(SampleSpec((image, label)), 10, 2).gapless


def test_only_the_last_batch_may_be_partial_and_it_lies_at_the_beginning_of_a_full_one() -> None:
    layout = SlotLayout(SampleSpec((VECTOR, LABEL)), 10, 3)
    slot = slot_of(layout)
    full, partial = layout.batches(slot, 3, 10), layout.batches(slot, 3, 4)
    assert [[array.shape for array in arrays] for arrays in partial] == [[(10, 3), (10,)], [(10, 3), (10,)], [(4, 3), (4,)]]
    assert [array.ctypes.data for array in partial[2]] == [array.ctypes.data for array in full[2]]


@examples(100)
@given(layout=layouts(), count=st.integers(1, 5))
def test_the_first_batches_are_where_they_are_among_all(layout: SlotLayout, count: int) -> None:
    slot, count = slot_of(layout), min(count, layout.capacity)
    some, every = layout.batches(slot, count, layout.batch_size), layout.batches(slot, layout.capacity, layout.batch_size)
    assert [[array.ctypes.data for array in arrays] for arrays in some] == [[array.ctypes.data for array in arrays] for arrays in every[:count]]


def test_arrays_share_the_memory_of_the_slot() -> None:
    layout = SlotLayout(SampleSpec((VECTOR, LABEL)), 4, 2)
    slot = slot_of(layout)
    for arrays in layout.batches(slot, 2, 4):
        for array in arrays:
            assert np.shares_memory(array, slot)


def test_copied_leaves_have_the_same_values_aligned_in_memory_of_their_own() -> None:
    layout = SlotLayout(SampleSpec((VECTOR, LABEL)), 5, 3)
    slot = slot_of(layout)
    slot[...] = np.arange(len(slot)) % 100
    for copied, arrays in zip(layout.batches(slot, 3, 2, copied={1}), layout.batches(slot, 3, 2), strict=True):
        assert np.shares_memory(copied[0], slot)
        assert not np.shares_memory(copied[1], slot)
        assert copied[1].ctypes.data % ALIGNMENT == 0
        assert copied[1].flags.writeable
        assert np.array_equal(copied[1], arrays[1])


def test_small_leaves_are_those_whose_batch_is_small() -> None:
    layout = SlotLayout(SampleSpec((VECTOR, LABEL)), 10, 1)
    assert layout.small_leaves(39) == frozenset()
    assert layout.small_leaves(40) == {1}
    assert layout.small_leaves(120) == {0, 1}


@examples(100)
@given(shape=st.lists(st.integers(0, 5), max_size=3), dtype=st.sampled_from(DTYPES))
def test_empty_arrays_and_copies_are_aligned(shape: list[int], dtype: str) -> None:
    empty = aligned_empty(tuple(shape), np.dtype(dtype))
    assert (empty.shape, empty.dtype, empty.ctypes.data % ALIGNMENT) == (tuple(shape), np.dtype(dtype), 0)
    empty[...] = 1
    copy = aligned_copy(empty)
    assert copy.ctypes.data % ALIGNMENT == 0
    assert np.array_equal(copy, empty)
    assert not np.shares_memory(copy, empty)


@pytest.mark.parametrize(("nbytes", "to", "aligned"), [(0, 64, 0), (1, 64, 64), (64, 64, 64), (65, 64, 128), (4097, 4096, 8192)])
def test_align_rounds_up(nbytes: int, to: int, aligned: int) -> None:
    assert align(nbytes, to) == aligned
