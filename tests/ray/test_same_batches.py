"""Workers on other machines make the batches that the calling process would make, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import Buckets, MapSource, NpyArrays, NpyFiles, Source
from loader import transforms as T
from tests.ray.remotely import compare_until, made_remotely, remotely
from tests.servers.faults import Faults
from tests.servers.fronts import Front

Case = tuple[Source, Any, dict[str, Any]]
CASES: dict[str, Callable[[Any, Path], Case]] = {}


def case(function: Callable[[Any, Path], Case]) -> Callable[[Any, Path], Case]:
    CASES[function.__name__] = function
    return function


@case
def files_shuffled_with_random_transforms(npy_folder: Any, folder: Path) -> Case:
    def noise(sample: Any, rng: np.random.Generator) -> Any:
        x, y = sample
        return x + rng.normal(0, 0.1, x.shape).astype(x.dtype), y

    source = NpyFiles.from_folder(npy_folder(200, (6, 5, 3), classes=3))
    return source, 8, {"shuffle": True, "seed": 3, "transforms": [T.Flip("horizontal"), noise, T.OneHot(3)]}


@case
def small_batches_that_share_slots(npy_folder: Any, folder: Path) -> Case:
    x = np.arange(20_000 * 30, dtype=np.float32).reshape(20_000, 30)
    return NpyArrays(x, y=np.arange(20_000)), 33, {"shuffle": True}


@case
def files_weighted_by_class(npy_folder: Any, folder: Path) -> Case:
    return NpyFiles.from_folder(npy_folder(101, classes=2)), 4, {"shuffle": True, "class_weight": {0: 0.5, 1: 3.0}}


@case
def samples_of_different_length(npy_folder: Any, folder: Path) -> Case:
    lengths = np.random.default_rng(0).integers(5, 60, 200)
    source = MapSource([np.arange(n, dtype=np.float32) + n for n in lengths.tolist()])
    return source, 6, {"shuffle": True, "bucket_by": Buckets([16, 32, 64])}


@case
def whole_batches_that_are_mixed(npy_folder: Any, folder: Path) -> Case:
    def mix(batch: Any, rng: np.random.Generator) -> Any:
        x, y = batch
        order = rng.permutation(len(x))
        return x + 0.5 * x[order], y

    return NpyArrays(np.arange(9000.0).reshape(3000, 3), y=np.arange(3000)), 10, {"shuffle": True, "batch_transforms": [mix]}


@case
def others_in_the_place_of_bad_samples(npy_folder: Any, folder: Path) -> Case:
    def refuse(sample: Any, rng: np.random.Generator) -> Any:
        if int(sample[0].flat[0]) % 17 == 5:
            raise ValueError("this one is bad")
        return (sample[0] + rng.random(dtype=np.float32),)

    return NpyFiles(npy_folder(150)), 7, {"shuffle": True, "transforms": [refuse], "on_error": "substitute"}


QUICK = ("files_shuffled_with_random_transforms", "others_in_the_place_of_bad_samples")


@pytest.mark.parametrize("name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.thorough) for name in CASES])
def test_remote_workers_make_the_same_batches(name: str, npy_folder: Any, tmp_path: Path, ray_address: str) -> None:
    source, size, settings = CASES[name](npy_folder, tmp_path)
    with remotely(source, size, ray_address, **settings) as loader:
        compare_until(loader, lambda: made_remotely(loader) >= 60, least=len(loader))


@pytest.mark.thorough
def test_rows_that_are_far_away_come_to_remote_workers_as_well(npy_folder: Any, ray_address: str) -> None:
    server = Front(npy_folder(200), Faults(latency_s=0.01))
    try:
        source = NpyFiles([f"{server.endpoint}/{number:06d}.npy" for number in range(200)])
        with remotely(source, 8, ray_address, shuffle=True) as loader:
            compare_until(loader, lambda: made_remotely(loader) >= 60)
    finally:
        server.close()


@pytest.mark.thorough
def test_remote_workers_can_be_seen_in_stats(ray_address: str) -> None:
    with remotely(NpyArrays(np.arange(3000.0).reshape(1000, 3)), 10, ray_address, remote=2) as loader:
        compare_until(loader, lambda: len(loader.stats().workers) == 3)
