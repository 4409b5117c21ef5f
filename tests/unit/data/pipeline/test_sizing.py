"""Samples that differ in size, and the built-in transforms at the start that give them one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import ByteFiles, ConfigError, IterSource, Loader, MapSource, NpyArrays, NpyFiles, SampleError, Source, Zip, decode
from loader import transforms as T
from loader.data.pipeline.leaf_segment import LeafSegment
from loader.data.pipeline.pipeline import Pipeline
from loader.data.pipeline.sizing import SizingSegment, steps_to_one_shape
from loader.data.rng import SampleGenerator
from loader.data.rows import BadSample
from loader.data.spec import Array, Sample, SampleSpec
from tests.unit.data.pictures import EPOCH, SEED, Pictures, compiled, filled

BOTH: Any = {"fields": ("image", "mask")}


class Various(Source):
    """Pictures of different sizes with a mask, a sequence and a label."""

    def __init__(self, sizes: Sequence[tuple[int, int]] = ((9, 12), (12, 9), (30, 8), (8, 31), (16, 16), (9, 12))) -> None:
        self.sizes = sizes
        self.fetched = 0
        self.was_read = 0

    def __len__(self) -> int:
        return len(self.sizes)

    def sample(self, index: int) -> Sample:
        rng = np.random.default_rng(index)
        height, width = self.sizes[index]
        image = rng.integers(0, 256, (height, width, 3), np.uint8)
        return ({"image": image, "mask": image[..., 0] % 5, "words": np.arange(height, dtype=np.int32)}, index)

    def fetch(self, index: int) -> Sample:
        self.fetched += 1
        return self.sample(index)

    def read(self, indices: Any, out: Sequence[Array]) -> None:
        self.was_read += 1
        super().read(indices, out)


def change(sample: Sample, rng: np.random.Generator) -> Sample:
    return ({**sample[0], "image": sample[0]["image"] + rng.random(dtype=np.float32)}, *sample[1:])


WORDS = T.Pad(40, fields="words")
CHAINS: dict[str, list[Any]] = {
    "stretched": [T.Resize((10, 14), fields="image"), T.Resize((10, 14), "nearest", fields="mask"), WORDS],
    "padded": [T.Pad((32, 32), 7, "center", **BOTH), WORDS],
    "cut": [T.Crop((8, 8), **BOTH), WORDS],
    "cut in the middle": [T.Crop((8, 8), "center", **BOTH), WORDS],
    "cut and stretched": [T.RandomResizedCrop(12, fields="image", masks="mask"), WORDS],
    "changed before": [WORDS, T.Flip(**BOTH), T.Noise((1, 9), fields="image"), T.Affine(20, fields="image", masks="mask"), T.Crop((8, 8), **BOTH)],
    "changed after": [T.Crop((8, 8), **BOTH), WORDS, T.Flip(**BOTH), T.Rescale(0.1, fields="image"), T.OneHot(9), change, T.Flip(fields="image")],
    "in two steps": [T.Crop(8, fields="mask"), T.Resize(9, fields="image"), T.Pad((8, 40), fields="mask"), WORDS, T.Noise(2.0, fields="image")],
    "twice": [WORDS, T.Resize(16, **BOTH), T.Crop((8, 8), **BOTH), T.Cast("float32", fields="mask")],
}


def by_hand(source: Source, transforms: Sequence[Any], indices: Sequence[int]) -> list[Array]:
    """Return the leaves of a batch, each sample made by one call after the other."""
    rows = []
    generator = SampleGenerator(SEED)
    for index in indices:
        sample: Any = source[index]
        for place, transform in enumerate(transforms):
            sample = transform(sample, generator.at(EPOCH, index, place))
        rows.append(SampleSpec.of(sample).flatten(sample))
    return [np.stack(leaves) for leaves in zip(*rows, strict=True)]


def assert_equal(found: Sequence[Array], expected: Sequence[Array]) -> None:
    for left, right in zip(found, expected, strict=True):
        assert left.dtype == right.dtype
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("chain", CHAINS)
def test_samples_that_differ_are_what_the_transforms_make_of_each(chain: str) -> None:
    source = Various()
    pipeline = compiled(source, CHAINS[chain])
    for cuts in ((), (1, 4)):
        assert_equal(filled(pipeline, [5, 0, 2, 3, 1, 4], cuts), by_hand(source, CHAINS[chain], [5, 0, 2, 3, 1, 4]))


@pytest.mark.parametrize("chain", CHAINS)
def test_both_ways_make_the_same_bits(chain: str) -> None:
    source = Various([(20, 24)] * 5)
    together, one_by_one = (compiled(source, CHAINS[chain]) for _ in range(2))
    segment = one_by_one._segments[0]
    assert isinstance(segment, SizingSegment)
    segment._differ = True
    assert_equal(filled(together, range(5)), filled(one_by_one, range(5)))


def test_samples_of_one_size_are_read_into_rows() -> None:
    source = Various([(20, 24)] * 5)
    pipeline = compiled(source, CHAINS["cut"])
    filled(pipeline, range(5), (2,))
    assert (source.was_read, source.fetched) == (2, 0)


def test_once_one_differs_all_are_taken_one_by_one() -> None:
    source = Various()
    pipeline = compiled(source, CHAINS["cut"])
    for _ in range(3):
        filled(pipeline, range(6))
    assert (source.was_read, source.fetched) == (1, 18)


def test_a_bad_sample_does_not_make_the_others_slow(tmp_path: Path) -> None:
    for number in range(4):
        np.save(tmp_path / f"{number}.npy", np.zeros((9, 2)))
    (tmp_path / "2.npy").write_bytes(b"nonsense")
    pipeline = compiled(NpyFiles(tmp_path), [T.Crop(4)])
    with pytest.raises(BadSample):
        filled(pipeline, range(4))
    segment = pipeline._segments[0]
    assert isinstance(segment, SizingSegment)
    assert not segment._differ


@pytest.mark.parametrize(
    ("transforms", "steps"),
    [
        ([], 0),
        ([T.Flip(fields="image"), T.Rescale(2, fields="image")], 0),
        ([T.Crop((8, 8), **BOTH)], 1),
        ([T.Flip(fields="image"), T.Crop((8, 8), fields="image"), T.Flip(fields="image")], 2),
        ([T.Resize(9, fields="image"), T.Crop((8, 8), fields="image")], 1),
        ([T.Crop(8, fields="image"), T.Noise(1, fields="image"), T.Crop((8, 8), fields="image")], 3),
        ([T.Crop((8, 8), fields="image"), T.Crop(8, fields="mask"), T.Rescale(2, fields="mask")], 2),
        ([T.Excerpt(1, 10, fields="words"), T.Rescale(1, fields="words")], 1),
    ],
)
def test_only_what_gives_one_shape_and_what_comes_before_it_is_done_one_by_one(transforms: list[Any], steps: int) -> None:
    assert steps_to_one_shape(transforms, Various().spec) == steps


def test_without_such_transforms_all_is_as_it_was() -> None:
    pipeline = compiled(Pictures(), [T.Rescale(2, fields="image")])
    assert type(pipeline._segments[0]) is LeafSegment


def test_only_the_first_transforms_get_samples_that_differ() -> None:
    pipeline = compiled(Pictures(), [lambda sample, rng: sample, T.Crop(2, fields="mask")])
    assert type(pipeline._segments[1]) is LeafSegment


def npy_files(folder: Path, arrays: Sequence[Any], **options: Any) -> NpyFiles:
    folder.mkdir(exist_ok=True)
    for number, array in enumerate(arrays):
        np.save(folder / f"{number}.npy", array)
    return NpyFiles(folder, **options)


def ones(*shape: int) -> Any:
    return np.ones(shape, np.float32)


def made(source: Source, transforms: Sequence[Any], batch_size: int = 2, **more: Any) -> list[Any]:
    with Loader(source, batch_size, transforms=transforms, workers=0, **more) as loader:
        return [np.array(x) for x, *_ in loader]


REFUSED: dict[str, tuple[list[Any], list[Any], str]] = {
    "smaller than the window": (
        [ones(9, 3), ones(5, 3)],
        [T.Crop(8)],
        r"1\.npy\): ValueError: Crop: x: \(5, 3\) float32 is smaller than shape=\(8,\)",
    ),
    "larger than the result": ([ones(9, 3), ones(15, 3)], [T.Pad((10, 3))], r"1\.npy\): ValueError: Pad: x: \(15, 3\) float32 is larger than"),
    "another dtype": (
        [ones(9, 3), np.ones((9, 3))],
        [T.Crop(8)],
        r"1\.npy\): ValueError: x has shape \(9, 3\) and dtype float64, but the first sample",
    ),
    "other axes": (
        [ones(9, 3), ones(9)],
        [T.Pad(10)],
        r"1\.npy\): ValueError: x has shape \(9,\) and dtype float32, but the first sample's had shape \(9, 3\)",
    ),
    "another axis that nothing changes": (
        [ones(9, 3), ones(9, 4)],
        [T.Pad(10)],
        r"x has shape \(9, 4\), and \(10, 4\) after Pad; the first sample's had \(9, 3\), and then \(10, 3\)\. What to do: Resize, Pad or Crop",
    ),
    "other channels": (
        [np.ones((9, 9, 3), np.uint8), np.ones((9, 9, 1), np.uint8)],
        [T.Resize(4)],
        r"x has shape \(9, 9, 1\), and \(4, 4, 1\) after Resize; the first",
    ),
    "nothing that gives one shape": (
        [ones(9, 3), ones(8, 3)],
        [T.Rescale(2)],
        r"1\.npy: has shape \(8, 3\) .*What to do: where sizes differ, Resize, Pad, Crop or a function as the first transform.*bucket_by=",
    ),
    "no transform": ([ones(9, 3), ones(8, 3)], [], r"Resize, Pad, Crop or a function as the first transform.*bucket_by="),
    "another dtype, without a transform": (
        [ones(9, 3), np.ones((9, 3))],
        [],
        r"Convert this file, leave it out, or make the samples alike by a function",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_sample_that_can_not_be_made_like_the_first_is_bad_and_named(case: str, tmp_path: Path) -> None:
    arrays, transforms, words = REFUSED[case]
    with pytest.raises(SampleError, match=words):
        made(npy_files(tmp_path, arrays), transforms)


def test_another_sample_stands_in_for_one_that_is_too_small(tmp_path: Path) -> None:
    with pytest.warns(RuntimeWarning, match="sample 1 .* is bad"):
        (batch,) = made(npy_files(tmp_path, [ones(9), ones(5), ones(20)]), [T.Crop(8)], 3, on_error="substitute")
    assert batch.tolist() == ones(3, 8).tolist()


def test_an_array_that_no_transform_is_for_must_have_one_size() -> None:
    source = MapSource([({"a": ones(9), "b": ones(2)}, 0), ({"a": ones(8), "b": ones(3)}, 0)])
    with pytest.raises(SampleError, match=r"x\['b'\] has shape \(3,\); the first sample's had \(2,\)\. What to do: Resize"):
        made(source, [T.Pad(10, fields="a")])


def test_a_mask_that_is_not_as_large_as_its_picture_is_no_mask_of_it() -> None:
    source = MapSource([({"image": ones(n, n), "mask": ones(m, n)}, 0) for n, m in ((9, 9), (12, 12), (12, 11))])
    with pytest.raises(SampleError, match=r"sample 2: ValueError: x\['image'\], \(12, 12\), and x\['mask'\], \(11, 12\), differ in size"):
        made(source, [T.Crop((8, 8), **BOTH)], 3)


def test_masks_are_cut_where_their_pictures_are() -> None:
    grids = [np.arange(h * w, dtype=np.float32).reshape(h, w) for h, w in ((9, 9), (12, 30), (20, 8))]
    with Loader(MapSource([({"image": grid, "mask": grid}, 0) for grid in grids]), 3, transforms=[T.Crop((8, 8), **BOTH)], workers=0) as loader:
        ((x, _),) = list(loader)
    np.testing.assert_array_equal(x["image"], x["mask"])


def test_a_first_sample_that_is_too_small_is_named_or_substituted(tmp_path: Path) -> None:
    source = npy_files(tmp_path, [ones(3), ones(9), ones(20)])
    with pytest.raises(SampleError, match=r"sample 0 \(.*0\.npy\): ValueError: Crop: x: \(3,\) float32 is smaller.*The first sample must be good"):
        made(source, [T.Crop(8)])
    with pytest.warns(RuntimeWarning, match="sample 0 .* is bad"):
        assert made(source, [T.Crop(8)], 3, on_error="substitute")[0].tolist() == ones(3, 8).tolist()


def test_rows_of_an_array_are_all_too_small() -> None:
    with pytest.raises(ConfigError, match=r"Crop: x: \(3,\) float32 is smaller"):
        made(NpyArrays(ones(4, 3)), [T.Crop(8)])


def test_boxes_move_by_the_size_of_their_own_picture() -> None:
    sizes = ((20, 10), (40, 10), (10, 80))
    boxes = [np.array([[0, 0, width, height]] * count, np.float32) for count, (height, width) in enumerate(sizes, 1)]
    source = MapSource([({"image": ones(*size), "boxes": some}, 0) for size, some in zip(sizes, boxes, strict=True)])
    with Loader(source, 3, transforms=[T.Resize(16, fields="image", boxes="boxes"), T.Pad((4, 4), -1, fields="boxes")], workers=0) as loader:
        ((x, _),) = list(loader)
    for number, rows in enumerate(x["boxes"], 1):
        assert rows.tolist() == [[0, 0, 16, 16]] * number + [[-1] * 4] * (4 - number)


SUMS: dict[str, Callable[[Path], Source]] = {
    "files": lambda folder: npy_files(folder / "a", [ones(4), ones(5)]) + npy_files(folder / "b", [ones(9), ones(3)]),
    "files of one size each": lambda folder: npy_files(folder / "a", [ones(4)] * 2) + npy_files(folder / "b", [ones(9)] * 2),
    "arrays": lambda folder: NpyArrays(ones(2, 4)) + NpyArrays(ones(2, 9)),
    "files and an object": lambda folder: npy_files(folder / "a", [ones(4), ones(5)]) + MapSource([(ones(9),), (ones(3),)]),
    "a part of a sum": lambda folder: (NpyArrays(ones(2, 4)) + NpyArrays(ones(9, 9))).subset([0, 5, 1, 3]),
    "parts": lambda folder: Zip(NpyArrays(ones(2, 4)) + NpyArrays(ones(2, 9))),
}


@pytest.mark.parametrize("kind", SUMS)
def test_sums_of_samples_that_differ_in_size_work(kind: str, tmp_path: Path) -> None:
    source = SUMS[kind](tmp_path)
    lengths = [source[index][0].shape[0] for index in range(4)]
    (batch,) = made(source, [T.Pad(10)], 4)
    assert batch.sum(1).tolist() == lengths
    with pytest.raises(ConfigError, match="where only sizes differ") if kind != "files" else pytest.raises((ConfigError, SampleError)):
        made(source, [], 4)


def test_sums_of_other_dtypes_are_refused_as_before() -> None:
    with pytest.raises(ConfigError, match="What is added must have samples of one kind"):
        made(NpyArrays(ones(2, 4)) + NpyArrays(np.ones((2, 9))), [T.Pad(10)])


def test_a_generator_may_yield_samples_that_differ() -> None:
    lengths = [4, 4, 7, 1, 5]
    batches = made(IterSource(lambda: iter([(ones(length),) for length in lengths])), [T.Pad(8)])
    assert np.concatenate(batches).sum(1).tolist() == lengths


def test_pictures_of_any_sizes_become_one_batch(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    pictures = [np.random.default_rng(n).integers(0, 256, (20 + 3 * n, 30 - n, 3), np.uint8) for n in range(4)]
    for number, picture in enumerate(pictures):
        cv2.imwrite(str(tmp_path / f"{number}.png"), picture)
    source = ByteFiles(tmp_path, decode=decode.image())
    (batch,) = made(source, [T.Resize((8, 12), "area")], 4)
    assert batch.tolist() == [cv2.resize(picture[..., ::-1].copy(), (12, 8), interpolation=cv2.INTER_AREA).tolist() for picture in pictures]


def test_arrays_that_are_not_in_order_in_memory_are_taken_as_well() -> None:
    pytest.importorskip("cv2")
    pictures = [np.random.default_rng(n).integers(0, 256, (20, 30 + n, 3), np.uint8) for n in range(3)]
    source = MapSource([(picture[:, ::-1, ::-1],) for picture in pictures])
    (batch,) = made(source, [T.Resize((8, 8))], 3)
    assert batch.tolist() == made(MapSource([(picture[:, ::-1, ::-1].copy(),) for picture in pictures]), [T.Resize((8, 8))], 3)[0].tolist()


def test_the_row_that_is_worked_on_is_shown() -> None:
    shown: list[int] = []

    class Watching(Various):
        def fetch(self, index: int) -> Sample:
            shown.append(progress[0])
            return super().fetch(index)

    pipeline: Pipeline = compiled(Watching(), CHAINS["cut"])
    progress = memoryview(bytearray(8)).cast("q")
    out = [np.zeros((6, *leaf.shape), leaf.dtype) for leaf in pipeline.spec.leaves]
    pipeline.fill(np.arange(6), EPOCH, out, progress, 100)
    assert shown == [100, 101, 102, 103, 104, 105]
    assert progress[0] == -1
