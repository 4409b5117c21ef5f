"""`From` with stand-ins for the libraries; with the real ones: tests/process/test_pipelines_of_others.py."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from loader.data.global_rng import NUMPY, PYTHON, TORCH, kept
from loader.data.sources.arrays.npy_arrays import NpyArrays
from loader.data.transforms import From, Rescale
from loader.errors import ConfigError
from tests.unit.data.pictures import compiled, filled

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (12, 4, 5, 3)).astype(np.uint8)
MASKS = RNG.integers(0, 2, (12, 4, 5)).astype(np.uint8)
SOUNDS = RNG.random((12, 100), np.float32)


def of(module: str) -> Any:
    """Return a decorator that makes a class look like one of a library."""

    def named(cls: type) -> type:
        cls.__module__ = module
        return cls

    return named


class Mirror:
    """Mirrors, and adds what it draws; notes what it was given."""

    generator: np.random.Generator
    python: random.Random

    def __init__(self) -> None:
        self.given: list[dict[str, Any]] = []

    def __call__(self, **arrays: Any) -> dict[str, Any]:
        self.given.append({name: array.copy() for name, array in arrays.items()})
        mirrored = self.generator.random() < 0.5
        made = {name: array[:, ::-1] if mirrored else array for name, array in arrays.items()}
        return {**made, "image": made["image"] + int(self.python.random() * 100)}


@of("albumentations.core.composition")
class Compose(Mirror):
    def set_random_state(self, generator: np.random.Generator, python: random.Random) -> None:
        self.generator, self.python = generator, python


@of("albumentations.core.composition")
class Seeded(Mirror):
    def set_random_seed(self, seed: int) -> None:
        self.generator, self.python = np.random.default_rng(seed), random.Random(seed)


@of("albumentations.core.composition")
class Global:
    def __call__(self, image: Any) -> dict[str, Any]:
        return {"image": image + int(random.random() * 100) + int(np.random.rand() * 100)}


@of("audiomentations.core.composition")
class Sound:
    def __call__(self, samples: Any, sample_rate: int) -> Any:
        assert samples.flags.c_contiguous
        assert sample_rate == 16000
        return samples * np.float32(random.random() * np.random.rand())


@of("torchvision.transforms.transforms")
class Torch:
    def __call__(self, image: Any) -> Any:
        raise NotImplementedError


@of("torchvision.transforms.v2._container")
class TorchV2(Torch):
    pass


class OfTheUser(Compose):
    """One that derives from a class of a library."""


@pytest.fixture(autouse=True)
def own_states() -> Any:
    with kept(True):
        yield


@pytest.mark.parametrize(
    ("source", "transform"),
    [
        (NpyArrays(IMAGES), From(Compose())),
        (NpyArrays(IMAGES), From(OfTheUser())),
        (NpyArrays(IMAGES), From(Seeded())),
        (NpyArrays(IMAGES), From(Global())),
        (NpyArrays(SOUNDS), From(Sound(), sample_rate=16000)),
    ],
    ids=["albumentations", "derived", "with seeds", "with global generators", "audiomentations"],
)
def test_a_row_is_the_same_in_any_company_and_no_two_draw_alike(source: Any, transform: From) -> None:
    pipeline = compiled(source, [Rescale(1.0), transform])
    assert pipeline.draws_in_words(pipeline.draws) is None  # nothing that the user had to know
    (whole,) = filled(pipeline, range(12))
    random.seed(1)
    np.random.seed(1)
    for row in reversed(range(12)):
        assert np.array_equal(filled(pipeline, [row])[0][0], whole[row])
    changes = {tuple((row - of_source).ravel().tolist()) for row, (of_source,) in zip(whole, (source[n] for n in range(12)), strict=True)}
    assert len(changes) > 8
    assert not np.array_equal(filled(pipeline, range(12), epoch=9)[0], whole)


def test_the_global_generators_of_a_library_are_known_even_where_the_first_sample_draws_from_none() -> None:
    @of("audiomentations.core.composition")
    class Rarely:
        def __call__(self, samples: Any, sample_rate: int) -> Any:
            return samples + (random.random() if samples[0] else 0)

    pipeline = compiled(NpyArrays(np.arange(24, dtype=np.float32).reshape(12, 2)), [From(Rarely(), sample_rate=1)])
    assert pipeline.draws == {0: [PYTHON, NUMPY]}
    (whole,) = filled(pipeline, range(12))
    assert all(np.array_equal(filled(pipeline, [row])[0][0], whole[row]) for row in range(12))


@pytest.mark.parametrize(
    ("source", "fields", "names"),
    [
        (NpyArrays(IMAGES), "x", ["image"]),
        (NpyArrays(IMAGES, MASKS), {"image": "x", "mask": "y"}, ["image", "mask"]),
        (NpyArrays({"image": IMAGES, "mask": MASKS}), ["image", "mask"], ["image", "mask"]),
        (NpyArrays({"a": IMAGES, "b": MASKS}, MASKS), {"image": "a", "mask": "b", "mask2": "y"}, ["image", "mask", "mask2"]),
        (NpyArrays({"a": IMAGES, "b": MASKS}), "a", ["image"]),
    ],
)
def test_fields_are_handed_over_in_the_library_s_terms(source: Any, fields: Any, names: list[str]) -> None:
    pipeline = Compose()
    sample = source[0]
    made = From(pipeline, fields=fields)(sample, np.random.default_rng(0))
    assert [list(given) for given in pipeline.given] == [names]
    assert [type(part) for part in made] == [type(part) for part in sample]
    assert np.array_equal(pipeline.given[0]["image"], IMAGES[0])


def test_boxes_keep_their_precision_and_their_axes() -> None:
    @of("albumentations.core.composition")
    class Boxes:
        def set_random_seed(self, seed: int) -> None:
            pass

        def __call__(self, image: Any, bboxes: Any, labels: Any) -> Any:
            kept = bboxes[bboxes[:, 0] > 0]
            return {"image": image[..., 0], "bboxes": [tuple(box) for box in kept.tolist()], "labels": labels[: len(kept)].tolist()}

    sample = ({"image": IMAGES[0][..., :1], "bboxes": np.ones((2, 4), np.float32), "labels": np.ones(2, np.int8)},)
    for boxes, count in ((sample[0]["bboxes"], 2), (np.zeros((2, 4), np.float32), 0)):
        (x,) = From(Boxes(), fields=["image", "bboxes", "labels"])(({**sample[0], "bboxes": boxes},), RNG)
        assert [(array.shape, array.dtype.name) for array in x.values()] == [((4, 5, 1), "uint8"), ((count, 4), "float32"), ((count,), "int8")]


def test_sound_has_its_channels_last_here_and_first_there() -> None:
    @of("audiomentations.core.composition")
    class Stereo:
        def __call__(self, samples: Any, sample_rate: int) -> Any:
            assert samples.shape == (2, 100)
            return samples * np.array([[1], [2]], np.float32)

    stereo = np.stack([SOUNDS[0], SOUNDS[0]], axis=-1)
    (x,) = From(Stereo(), sample_rate=16000)((stereo,), RNG)
    assert np.array_equal(x, stereo * [1, 2])
    with pytest.raises(ConfigError, match="float32"):
        From(Stereo(), sample_rate=16000)((stereo.astype(np.int16),), RNG)


def test_a_library_gets_arrays_that_it_may_change() -> None:
    @of("albumentations.core.composition")
    class InPlace(Compose):
        def __call__(self, image: Any) -> Any:
            assert image.flags.c_contiguous
            image[...] = 0
            return {"image": image}

    frozen = IMAGES[0].copy()
    frozen.flags.writeable = False
    for given in (frozen, IMAGES[0][:, ::-1]):
        assert not From(InPlace())((given,), RNG)[0].any()
        assert given.any()


def test_what_draws_from_which_generator_is_known_by_library() -> None:
    assert [From(pipeline).draws for pipeline in (Compose(), Seeded(), Global(), TorchV2(), Torch())] == [
        (),
        (),
        (PYTHON, NUMPY),
        (TORCH,),
        (TORCH, PYTHON),
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"pipeline": 3}, "builtins.int"),
        ({"pipeline": [Compose()]}, "any function f"),
        ({"pipeline": lambda sample, rng: sample}, "albumentations, torchvision.transforms and audiomentations"),
        ({"pipeline": Compose}, "Compose is a class"),
        ({"pipeline": Compose(), "sample_rate": 16000}, "is for pipelines of audiomentations"),
        ({"pipeline": Sound()}, "sample_rate=None"),
        ({"pipeline": Sound(), "sample_rate": -1}, "sample_rate=-1"),
        ({"pipeline": Sound(), "sample_rate": 16000, "fields": {"samples": "x", "noise": "y"}}, "takes one array"),
        ({"pipeline": Torch(), "fields": {"image": "x", "mask": "y"}}, "torchvision.transforms.v2"),
        ({"pipeline": TorchV2(), "fields": {"mask": "y"}}, "none of the fields is the image"),
        ({"pipeline": Compose(), "fields": ("x", "y")}, "say what x and y is to the library"),
        ({"pipeline": Compose(), "fields": {}}, "give names"),
        ({"pipeline": Compose(), "fields": {"image": 3}}, "give names"),
        ({"pipeline": Compose(), "fields": ()}, "names no array"),
        ({"pipeline": Compose(), "field": "x"}, "did you mean fields"),
    ],
)
def test_nonsense_is_refused_in_words(arguments: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        From(**arguments)


def test_a_dict_is_no_array() -> None:
    with pytest.raises(ConfigError, match=r"x is a dict with the keys \['image', 'mask'\], and image is one array"):
        compiled(NpyArrays({"image": IMAGES, "mask": MASKS}), [From(Compose())])
