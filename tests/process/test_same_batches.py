"""The pool makes the batches that the calling process would make, bit for bit, whatever the number of workers and slots."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import Loader, MapSource, NpyArrays, NpyFiles, Source, Zip
from loader import transforms as T
from tests.batches import assert_same, copied, inline, take

EPOCHS = 3

Case = tuple[Source, int, dict[str, Any]]
CASES: dict[str, Callable[[Any, Path], Case]] = {}


def case(function: Callable[[Any, Path], Case]) -> Callable[[Any, Path], Case]:
    CASES[function.__name__] = function
    return function


def noise() -> Callable[..., Any]:
    def add_noise(sample: Any, rng: np.random.Generator) -> Any:
        x, *rest = sample
        return x + rng.normal(0, 0.1, x.shape).astype(x.dtype), *rest

    return add_noise


@case
def files_in_order(npy_folder: Any, folder: Path) -> Case:
    return NpyFiles(npy_folder(50)), 8, {}


@case
def files_shuffled_and_flipped(npy_folder: Any, folder: Path) -> Case:
    source = NpyFiles.from_folder(npy_folder(50, (6, 5, 3), "uint8", classes=3))
    return source, 8, {"shuffle": True, "seed": 3, "transforms": [T.Rescale(1 / 255), T.Flip("horizontal"), T.OneHot(3)], "slots": 3}


@case
def files_weighted_by_class(npy_folder: Any, folder: Path) -> Case:
    source = NpyFiles.from_folder(npy_folder(41, classes=2))
    return source, 4, {"shuffle": True, "drop_last": True, "class_weight": {0: 0.5, 1: 3.0}, "slots": 8}


@case
def files_with_a_function_that_draws(npy_folder: Any, folder: Path) -> Case:
    files = npy_folder(30)
    labels = {f"{i:06d}": i / 7 for i in range(30)}
    return NpyFiles(files, labels=labels), 7, {"shuffle": True, "seed": 11, "transforms": [noise()]}


@case
def files_of_other_byte_and_axis_order(npy_folder: Any, folder: Path) -> Case:
    for i in range(24):
        array = np.arange(12.0).reshape(3, 4) + i
        np.save(folder / f"{i:02d}.npy", [array, array.astype(">f8"), np.asfortranarray(array)][i % 3])
    return NpyFiles(folder), 5, {"shuffle": True}


@case
def tiny_batches(npy_folder: Any, folder: Path) -> Case:
    return NpyArrays(np.arange(6006.0).reshape(2002, 3), y=np.arange(2002)), 4, {"shuffle": True}


@case
def small_batches_that_share_slots(npy_folder: Any, folder: Path) -> Case:
    x = np.arange(700 * 300, dtype=np.float32).reshape(700, 300)
    return NpyArrays(x, y=np.arange(700)), 33, {"shuffle": True, "seed": 2**64 - 1, "slots": 4}


@case
def rows_of_joined_files(npy_folder: Any, folder: Path) -> Case:
    for number, rows in enumerate((100, 1, 57)):
        np.save(folder / f"x{number}.npy", np.arange(rows * 64).reshape(rows, 8, 8).astype(np.uint8) + number)
    np.save(folder / "labels.npy", np.arange(158))
    source = NpyArrays(str(folder / "x*.npy"), y=str(folder / "labels.npy"))
    return source, 16, {"shuffle": True, "transforms": [T.Flip("vertical"), T.Normalize(3.0, 2.0)]}


@case
def large_rows(npy_folder: Any, folder: Path) -> Case:
    x = np.arange(12 * 120 * 130 * 3, dtype=np.uint32).astype(np.uint8).reshape(12, 120, 130, 3)
    np.save(folder / "x.npy", x)
    return NpyArrays(folder / "x.npy"), 5, {"shuffle": True, "transforms": [T.Flip(), T.Rescale(1 / 255)]}


@case
def dicts_and_sample_weights(npy_folder: Any, folder: Path) -> Case:
    n = 90
    x = {"image": np.arange(n * 48, dtype=np.float32).reshape(n, 4, 4, 3), "mask": np.arange(n * 16).reshape(n, 4, 4).astype(np.int16)}
    source = NpyArrays(x, y=np.arange(n) % 4, sample_weight=np.linspace(0, 1, n, dtype=np.float32))
    steps = [T.Flip(0, fields=("image", "mask")), T.OneHot(4)]
    return source, 8, {"shuffle": True, "transforms": steps, "class_weight": {0: 1, 1: 2, 2: 3, 3: 4}}


@case
def a_list_of_samples(npy_folder: Any, folder: Path) -> Case:
    rng = np.random.default_rng(0)
    samples = [({"a": rng.random((3, 2)), "b": i}, i % 2 == 0, float(i)) for i in range(37)]
    return MapSource(samples), 6, {"shuffle": True, "drop_last": True}


@case
def functions_between_built_in_transforms(npy_folder: Any, folder: Path) -> Case:
    def crop(sample: Any, rng: np.random.Generator) -> Any:
        start = int(rng.integers(0, 3))
        return sample[0][start : start + 4], np.int64(start)

    steps = [T.Rescale(2.0), crop, T.Flip("horizontal"), T.Cast("float64"), noise(), noise(), T.Cast("float32")]
    return MapSource([np.arange(42.0).reshape(7, 6) + i for i in range(25)]), 4, {"shuffle": True, "seed": 5, "transforms": steps}


@case
def a_sum_of_subsets(npy_folder: Any, folder: Path) -> Case:
    train, rest = NpyFiles(npy_folder(40)).split(0.3, seed=1)
    return train + rest.subset([0, 3, 3, 1]), 6, {"shuffle": True, "transforms": [noise()]}


@case
def parts_from_two_folders_matched_by_id(npy_folder: Any, folder: Path) -> Case:
    images, masks = NpyFiles(npy_folder(30, (6, 5, 3), "uint8")), NpyFiles(npy_folder(40, (6, 5), "int16"))
    source = Zip(images.subset(np.arange(30)[::-1]), y=masks)
    return source, 7, {"shuffle": True, "transforms": [T.Flip("horizontal", fields=("x", "y")), T.Rescale(1 / 255)]}


@case
def mixed_within_windows(npy_folder: Any, folder: Path) -> Case:
    return NpyArrays(np.arange(30_000).reshape(10_000, 3)), 64, {"shuffle": 300, "seed": 2}


@case
def mixed_within_windows_of_so_many_bytes(npy_folder: Any, folder: Path) -> Case:
    return NpyFiles(npy_folder(40)), 8, {"shuffle": "blocks"}


@case
def one_batch_an_epoch(npy_folder: Any, folder: Path) -> Case:
    return NpyFiles(npy_folder(5)), 64, {"shuffle": True}


@pytest.mark.parametrize("name", CASES)
def test_any_number_of_workers_makes_the_same_batches(name: str, npy_folder: Any, tmp_path: Path) -> None:
    folder = tmp_path / "case"
    folder.mkdir()
    source, batch_size, settings = CASES[name](npy_folder, folder)
    expected = inline(source, batch_size, EPOCHS, **settings)
    for workers in (1, 3):
        with Loader(source, batch_size, **settings, workers=workers) as loader:
            assert len(loader) * EPOCHS == len(expected)
            assert_same(take(loader, EPOCHS), expected)


@pytest.mark.parametrize("slots", [2, 3, 5, 16])
def test_any_number_of_slots_makes_the_same_batches(slots: int) -> None:
    source = NpyArrays(np.arange(200 * 500, dtype=np.float32).reshape(200, 500))
    expected = inline(source, 7, 2, shuffle=True, transforms=[noise()])
    with Loader(source, 7, shuffle=True, transforms=[noise()], workers=2, slots=slots) as loader:
        assert_same(take(loader, 2), expected)


def test_fast_batches_share_a_slot_and_slow_ones_do_not() -> None:
    def slowly(sample: Any, rng: np.random.Generator) -> Any:
        import time

        time.sleep(0.002)
        return sample

    source = NpyArrays(np.arange(100 * 2000, dtype=np.float32).reshape(100, 2000))
    for steps, lent in (((), 1), ([slowly], 2)):
        with Loader(source, 4, transforms=steps, workers=1) as loader:
            iterator = iter(loader)
            next(iterator)  # the first batch has a slot of its own
            kept = [next(iterator), next(iterator)]
            assert loader.stats().slots.lent == lent
            assert_same(list(map(copied, kept)), inline(source, 4)[1:3])
            del kept


def test_another_seed_makes_other_batches() -> None:
    source = NpyArrays(np.arange(1000))
    with Loader(source, 100, shuffle=True, seed=1, workers=1) as one, Loader(source, 100, shuffle=True, seed=2, workers=1) as other:
        assert [x.tolist() for (x,) in one] != [x.tolist() for (x,) in other]
