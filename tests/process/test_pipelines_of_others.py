"""Pipelines of Albumentations, audiomentations and torchvision, each with the real library where it is installed."""

from __future__ import annotations

import functools
import os
import random
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import loader
from loader import Loader, NpyArrays, SampleError
from loader import transforms as T
from loader.errors import ConfigError
from loader.train.remote import launch
from tests.batches import assert_same, inline, take
from tests.conftest import ROOT
from tests.processes import workers_of
from tests.warm_popen import for_supervisors
from tests.warm_starts import SUPERVISORS, WarmInterpreter, warm_starts_are_wanted

COUNT = 60
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (COUNT, 24, 32, 3)).astype(np.uint8)
MASKS = (IMAGES[..., 0] > 100).astype(np.uint8)
SOUNDS = RNG.uniform(-0.5, 0.5, (COUNT, 800)).astype(np.float32)
SHUFFLED: Any = {"shuffle": True, "seed": 3}


def same_bits(source: Any, transforms: list[Any]) -> list[Any]:
    """Return what a pipeline makes, after a look that three workers make the same."""
    expected = inline(source, 7, epochs=2, transforms=transforms, **SHUFFLED)
    random.seed(1)
    np.random.seed(1)
    with Loader(source, 7, workers=3, transforms=transforms, **SHUFFLED) as train:
        assert_same(take(train, epochs=2), expected)
    return expected


@pytest.fixture(scope="module")
def library() -> Iterator[tuple[Any, WarmInterpreter | None]]:
    """Albumentations, and an interpreter that has imported it, which takes seconds where PyTorch is there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_ALBUMENTATIONS_UPDATE", "1")  # it would ask on the line for newer versions of itself
        A = pytest.importorskip("albumentations")
        interpreter = WarmInterpreter(*SUPERVISORS, "albumentations", search=str(ROOT)) if warm_starts_are_wanted() else None
        yield A, interpreter
        if interpreter is not None:
            interpreter.close()


@pytest.fixture
def A(library: tuple[Any, WarmInterpreter | None], warm_starts: None, monkeypatch: pytest.MonkeyPatch) -> Any:
    A, interpreter = library
    if interpreter is not None:
        monkeypatch.setattr(launch, "subprocess", for_supervisors(interpreter.forks))
    return A


def pictures(A: Any, **more: Any) -> Any:
    return A.Compose(
        [
            A.RandomCrop(20, 24),
            A.HorizontalFlip(p=0.5),
            A.OneOf([A.Rotate(limit=30, p=1.0), A.RandomBrightnessContrast(p=1.0)], p=0.8),
            A.GaussNoise(p=0.5),
            A.CoarseDropout(p=0.5),
        ],
        **more,
    )


def test_albumentations_makes_the_same_bits_for_any_number_of_workers(A: Any) -> None:
    made = same_bits(NpyArrays(IMAGES), [T.From(pictures(A)), T.Rescale(1 / 255)])
    rows = np.concatenate([x for (x,) in made])
    assert rows.shape[1:] == (20, 24, 3)
    assert len(np.unique(rows, axis=0)) == len(rows)


def test_albumentations_moves_the_mask_with_the_image(A: Any) -> None:
    source = NpyArrays({"image": np.repeat(MASKS[..., None] * 200, 3, -1), "mask": MASKS})
    flips = A.Compose([A.HorizontalFlip(p=0.5), A.VerticalFlip(p=0.5), A.RandomCrop(16, 16)])
    for (x,) in inline(source, 7, transforms=[T.From(flips, fields=["image", "mask"])]):
        assert np.array_equal(x["image"][..., 0], x["mask"] * 200)
    parts = NpyArrays(np.repeat(MASKS[..., None] * 200, 3, -1), MASKS)
    for x, y in inline(parts, 7, transforms=[T.From(flips, fields={"image": "x", "mask": "y"})]):
        assert np.array_equal(x[..., 0], y * 200)


def test_albumentations_moves_boxes_and_keeps_their_labels(A: Any) -> None:
    boxes = np.tile(np.array([[2, 3, 10, 12], [20, 4, 30, 20]], np.float32), (COUNT, 1, 1))
    source = NpyArrays({"image": IMAGES, "bboxes": boxes, "labels": np.tile(np.array([1, 2]), (COUNT, 1))})
    flip = A.Compose([A.HorizontalFlip(p=0.5)], bbox_params=A.BboxParams(format="pascal_voc", label_fields=["labels"]))
    mirrored = np.array([[22, 3, 30, 12], [2, 4, 12, 20]], np.float32)
    seen = set()
    for (x,) in inline(source, 7, transforms=[T.From(flip, fields=["image", "bboxes", "labels"])]):
        assert (x["bboxes"].dtype, x["labels"].dtype, x["labels"].tolist()[0]) == (np.float32, np.int64, [1, 2])
        for row in x["bboxes"]:
            turned = np.allclose(row, mirrored, atol=1e-4)
            assert turned or np.allclose(row, boxes[0], atol=1e-4)
            seen.add(turned)
    assert seen == {True, False}


def test_a_single_transform_of_albumentations_is_taken_as_well(A: Any) -> None:
    made = inline(NpyArrays(IMAGES[..., :1]), 7, transforms=[T.From(A.HorizontalFlip(p=0.5))])
    assert made[0][0].shape == (7, 24, 32, 1)


def test_a_transform_of_the_user_s_in_it_draws_the_same(A: Any) -> None:
    class Darker(A.ImageOnlyTransform):
        def apply(self, img: Any, **params: Any) -> Any:
            return (img * self.random_generator.random() * self.py_random.random()).astype(np.uint8)

    assert len({int(x.sum()) for (x,) in same_bits(NpyArrays(IMAGES), [T.From(A.Compose([Darker(p=1.0)]))])}) > 10


def test_after_a_kill_albumentations_makes_the_same_again(A: Any) -> None:
    transforms = [T.From(pictures(A))]
    with Loader(NpyArrays(IMAGES), 7, workers=2, slots=2, transforms=transforms, **SHUFFLED) as train:
        batches = train.batches()
        found = [tuple(x.copy() for x in next(batches))]
        os.kill(workers_of(train)[0], signal.SIGKILL)
        found += [tuple(x.copy() for x in next(batches)) for _ in range(8)]
    assert_same(found, inline(NpyArrays(IMAGES), 7, transforms=transforms, **SHUFFLED)[:9])


def test_what_albumentations_refuses_is_said_with_the_sample(A: Any) -> None:
    transforms = [T.From(A.Compose([A.RandomCrop(100, 100)]))]
    with Loader(NpyArrays(IMAGES), 7, workers=0, transforms=transforms) as train, pytest.raises(SampleError, match=r"sample 0: .*rop size"):
        take(train)


def test_audiomentations_makes_the_same_bits_for_any_number_of_workers(caplog: pytest.LogCaptureFixture) -> None:
    am = pytest.importorskip("audiomentations")
    augment = am.Compose([am.AddGaussianNoise(p=0.5), am.Gain(p=0.5), am.Shift(p=0.5)])
    made = same_bits(NpyArrays(SOUNDS), [T.From(augment, sample_rate=16000)])
    assert len(np.unique(np.concatenate([x for (x,) in made]), axis=0)) > COUNT
    stereo = np.stack([SOUNDS, SOUNDS[:, ::-1]], axis=-1)
    (x,) = same_bits(NpyArrays(stereo), [T.From(am.Compose([am.Shift(p=1.0)]), sample_rate=16000)])[0]
    assert x.shape == (7, 800, 2)
    assert "global generator" not in caplog.text  # it is known of the library, and nobody has to be told


def test_audiomentations_takes_float32() -> None:
    am = pytest.importorskip("audiomentations")
    transforms = [T.From(am.Compose([am.Gain(p=0.5)]), sample_rate=16000)]
    with Loader(NpyArrays(SOUNDS.astype(np.float64)), 7, workers=0, transforms=transforms) as train, pytest.raises(ConfigError, match="float32"):
        take(train)
    with pytest.raises(ConfigError, match="sample_rate=None"):
        T.From(am.Gain(p=0.5))


@pytest.fixture(scope="module")
def v2() -> Any:
    pytest.importorskip("torch")
    return pytest.importorskip("torchvision.transforms.v2")


@pytest.mark.torch
def test_torchvision_makes_the_same_bits_for_any_number_of_workers(v2: Any, caplog: pytest.LogCaptureFixture) -> None:
    crop = v2.Compose([v2.RandomResizedCrop((16, 20), antialias=True), v2.RandomHorizontalFlip(), v2.ColorJitter(0.3), v2.GaussianNoise(clip=False)])
    import torch

    floats = v2.Compose([v2.ToDtype(torch.float32, scale=True), crop])
    made = same_bits(NpyArrays(IMAGES), [T.From(floats)])
    rows = np.concatenate([x for (x,) in made])
    assert (rows.shape[1:], rows.dtype) == ((16, 20, 3), np.float32)
    assert len(np.unique(rows, axis=0)) == len(rows)
    assert "global generator" not in caplog.text


@pytest.mark.torch
def test_torchvision_moves_masks_and_boxes_with_the_image(v2: Any) -> None:
    boxes = np.tile(np.array([[2, 3, 10, 12]], np.float32), (COUNT, 1, 1))
    source = NpyArrays({"image": np.repeat(MASKS[..., None] * 200, 3, -1), "mask": MASKS, "boxes": boxes, "labels": np.ones((COUNT, 1), np.int64)})
    flip = v2.Compose([v2.RandomHorizontalFlip()])
    seen = set()
    for (x,) in same_bits(source, [T.From(flip, fields=["image", "mask", "boxes", "labels"])]):
        assert np.array_equal(x["image"][..., 0], x["mask"] * 200)
        seen |= {tuple(row[0]) for row in x["boxes"].tolist()}
    assert seen == {(2.0, 3.0, 10.0, 12.0), (22.0, 3.0, 30.0, 12.0)}


@pytest.mark.torch
def test_torchvision_before_v2_takes_an_image_alone(v2: Any) -> None:
    from torchvision import transforms as v1

    pipeline = v1.Compose([v1.RandomCrop(16), v1.RandomChoice([v1.RandomHorizontalFlip(1.0), v1.RandomVerticalFlip(1.0)])])
    assert same_bits(NpyArrays(IMAGES), [T.From(pipeline)])[0][0].shape == (7, 16, 16, 3)
    assert same_bits(NpyArrays(MASKS), [T.From(pipeline)])[0][0].shape == (7, 16, 16)
    with pytest.raises(ConfigError, match="v2"):
        T.From(pipeline, fields={"image": "x", "mask": "y"})


def snippets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *chosen: int) -> dict[str, Any]:
    """Run snippets of the page, on data that it names; return what they made. All its loaders have no workers."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    for name, data in {"photos": IMAGES, "masks": MASKS, "labels": np.zeros(COUNT, np.int32), "sounds": SOUNDS}.items():
        np.save(tmp_path / "data" / f"{name}.npy", data)
    page = (Path(__file__).parent.parent.parent / "docs/transforms_of_other_libraries.md").read_text()
    code = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    monkeypatch.setattr(loader, "Loader", functools.partial(Loader, workers=0))
    made: dict[str, Any] = {"Loader": loader.Loader, "NpyArrays": NpyArrays, "T": T, "source": NpyArrays(IMAGES)}
    for number in chosen:
        exec(compile(code[number], "docs", "exec"), made)
    return made


def test_the_page_s_code_for_albumentations(A: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = snippets(tmp_path, monkeypatch, 0, 1)
    with made["train"] as train, made["both"] as both:
        assert next(iter(train))[0].shape == (32, 20, 24, 3)
        assert next(iter(both))[1].shape == (32, 16, 16)


@pytest.mark.torch
def test_the_page_s_code_for_torchvision(v2: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with snippets(tmp_path, monkeypatch, 2)["train"] as train:
        assert next(iter(train))[0].shape == (32, 20, 24, 3)


def test_the_page_s_code_for_audiomentations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("audiomentations")
    with snippets(tmp_path, monkeypatch, 3)["train"] as train:
        assert next(iter(train))[0].shape == (32, 800)
