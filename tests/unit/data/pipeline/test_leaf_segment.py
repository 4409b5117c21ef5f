"""Built-in transforms one after the other: row by row where they can, and on rows that stay where they lie."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import NpyArrays, Source
from loader import transforms as T
from loader.data.rng import SampleGenerator
from loader.data.rows import BadSample
from loader.data.spec import Array
from loader.data.stopwatch import READ, TIMING_CELLS, Stopwatch, Timing, stage_of
from tests.unit.data.pictures import EPOCH, SEED, compiled, filled

COUNT, SHAPE = 12, (110, 104, 3)  # rows of more than 32 KB
PICTURES = np.random.default_rng(0).integers(0, 256, (COUNT, *SHAPE), np.uint8)
LABELS = np.arange(COUNT, dtype=np.int32)
INDICES = np.array([7, 0, 7, 11, 3, 5], np.int64)

CHAINS: dict[str, list[Any]] = {
    "cut, mirrored, coloured": [T.Crop((96, 100)), T.Flip(), T.Brightness(0.3), T.Contrast(0.3)],
    "cut": [T.Crop((96, 100))],
    "cut twice": [T.Crop((100, 100)), T.Crop((90, 90), "center")],
    "cut at last": [T.Flip(), T.Crop((90, 90))],
    "cut, then changed many at once": [T.Crop((96, 100)), T.Rescale(1 / 255)],
    "row by row around many at once": [T.Crop((96, 96), "center"), T.Rotate90(), T.Rescale(0.5), T.Affine(20), T.Flip("vertical"), T.Erase()],
    "never mirrored": [T.Crop((96, 96)), T.Flip(p=0)],
    "nothing changed": [T.Flip(p=0), T.Rotate90(turns=(0,))],
    "a random part": [T.RandomResizedCrop((50, 60)), T.Flip()],
    "a random part alone": [T.RandomResizedCrop((50, 60))],
    "labels, too": [T.Crop((96, 96)), T.Flip(), T.OneHot(COUNT)],
    "changed before it is cut": [T.Brightness(0.3), T.Resize((70, 80)), T.Crop((60, 60))],
}


def in_memory(folder: Path) -> Source:
    return NpyArrays(PICTURES, LABELS)


def in_files(folder: Path) -> Source:
    for number, part in enumerate(np.array_split(PICTURES, 3)):
        np.save(folder / f"{number}.npy", part)
    return NpyArrays(str(folder / "*.npy"), LABELS)


def in_another_byte_order(folder: Path) -> Source:
    np.save(folder / "y.npy", LABELS.astype(">i4"))
    return NpyArrays(PICTURES, str(folder / "y.npy"))


def of_some(folder: Path) -> Source:
    return (in_files(folder) + NpyArrays(PICTURES, LABELS)).subset(range(COUNT))


SOURCES = [in_memory, in_files, in_another_byte_order, of_some]


def sample_by_sample(transforms: Sequence[Any], indices: Sequence[int]) -> list[Array]:
    rows = []
    for index in indices:
        sample: Any = (PICTURES[index], LABELS[index])
        for place, transform in enumerate(transforms):
            sample = transform(sample, SampleGenerator(SEED).at(EPOCH, index, place))
        rows.append(sample)
    return [np.stack(part) for part in zip(*rows, strict=True)]


@pytest.mark.parametrize("make", SOURCES)
@pytest.mark.parametrize("name", CHAINS)
def test_rows_are_what_the_transforms_make_of_each_sample(name: str, make: Callable[[Path], Source], tmp_path: Path) -> None:
    pipeline = compiled(make(tmp_path), CHAINS[name])
    for made, expected in zip(filled(pipeline, INDICES), sample_by_sample(CHAINS[name], INDICES.tolist()), strict=True):
        assert made.dtype == expected.dtype
        assert np.array_equal(made, expected)


@pytest.mark.parametrize("make", [in_memory, in_files, lambda folder: in_files(folder).subset(range(COUNT))])
def test_large_rows_that_are_cut_are_not_read_first(make: Callable[[Path], Source], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = compiled(make(tmp_path), [T.Crop((96, 96)), T.Flip()])
    monkeypatch.setattr(NpyArrays, "read", None)
    assert np.array_equal(filled(pipeline, INDICES)[0], sample_by_sample(pipeline.transforms, INDICES.tolist())[0])


def test_a_source_that_reads_in_its_own_way_is_asked_to_read() -> None:
    class Darker(NpyArrays):
        def read(self, indices: Any, out: Sequence[Array]) -> None:
            super().read(indices, out)
            out[0][...] //= 2

    chain = [T.Crop((96, 96), "center")]
    own, plain = (filled(compiled(kind(PICTURES), chain), INDICES)[0] for kind in (Darker, NpyArrays))
    assert np.array_equal(own, plain // 2)


def test_a_transform_with_an_apply_of_its_own_is_not_passed_over() -> None:
    class Marked(T.Flip):
        def apply(self, rows: Array, out: Array, draws: Sequence[Any]) -> None:
            super().apply(rows, out, draws)
            out[:, 0, 0] = 77

    made = filled(compiled(NpyArrays(PICTURES), [T.Crop((96, 96)), Marked(), T.Flip(p=0)]), INDICES)[0]
    assert (made[:, 0, 0] == 77).all()


def test_a_file_that_has_gone_names_the_first_of_its_rows(tmp_path: Path) -> None:
    for number in range(65):  # more than are mapped before there are workers
        np.save(tmp_path / f"{number:02}.npy", PICTURES[:2])
    pipeline = compiled(NpyArrays(str(tmp_path / "*.npy")).subset(range(1, 130)), [T.Crop((96, 96)), T.Flip()])
    (tmp_path / "20.npy").unlink()
    with pytest.raises(BadSample) as caught:
        filled(pipeline, np.array([3, 70, 40, 39], np.int64))
    assert caught.value.index == 40
    assert "20.npy" in str(pipeline.error(caught.value))


def test_reading_is_told_from_transforming_where_rows_are_not_read_first() -> None:
    cells = memoryview(bytearray(8 * TIMING_CELLS)).cast("q")
    pipeline = compiled(NpyArrays(PICTURES, LABELS), [T.Crop((96, 96)), T.Flip(p=1)])
    expected = filled(pipeline, INDICES)
    pipeline.watch = Stopwatch(cells, clocks=False).begin(1 << 62, len(INDICES))
    assert all(map(np.array_equal, filled(pipeline, INDICES), expected))
    assert all(cells[len(Timing) + stage] for stage in (READ, stage_of(1)))
