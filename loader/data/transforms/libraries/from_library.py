"""A pipeline of another library as a transform."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from loader.data.named_arguments import NamedArguments
from loader.data.spec import PART_NAMES, Array, Sample, as_leaf, as_parts
from loader.data.transforms.functions.field_places import FieldPlaces, Place, array_at, with_arrays
from loader.data.transforms.leaf_transform import Fields, names_of_fields
from loader.data.transforms.libraries.albumentations_pipeline import AlbumentationsPipeline
from loader.data.transforms.libraries.audiomentations_pipeline import AudiomentationsPipeline
from loader.data.transforms.libraries.library_pipeline import LibraryPipeline
from loader.data.transforms.libraries.torchvision_pipeline import TorchvisionPipeline
from loader.errors import ConfigError

_TAKEN = "pipelines and transforms of albumentations, torchvision.transforms and audiomentations"
_ANYTHING = "What to do: any function f(sample, rng) that returns the sample is a transform as it is; T.Map takes a function of one array"


class From(NamedArguments):
    """Apply a pipeline of Albumentations, torchvision or audiomentations, as it is.

    Its random state is set for each sample, so that the batches are the same for any number of workers.

    Args:
        pipeline: such as `albumentations.Compose([...])`.
        fields: the arrays that it gets. One name: the array that the pipeline is about, which is `image` for pictures and `samples` for sound.
            A dict for several: the library's name, then the array's: `{"image": "x", "mask": "y"}`. A list of names if they are the same on
            both sides: `["image", "mask"]`.
        sample_rate: samples in a second, which audiomentations needs.
    """

    def __init__(self, pipeline: Callable[..., Any], fields: Fields | Mapping[str, str] = "x", sample_rate: int | None = None) -> None:
        self.pipeline = pipeline
        self._library = _library_of(pipeline, sample_rate)
        self.fields = _targets(fields, self._library.main)
        self._library.check(tuple(self.fields))
        self._places = {target: FieldPlaces([name]) for target, name in self.fields.items()}
        self.draws = self._library.draws
        self.__name__ = self.__qualname__ = f"From({type(pipeline).__name__})"

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Transform one sample."""
        sample = as_parts(sample)
        places = {target: self._place(target, sample) for target in self.fields}
        given = {target: _owned(as_leaf(array_at(sample, place), self.fields[target])) for target, place in places.items()}
        shapes = {target: (array.ndim, (0, *array.shape)[-1]) for target, array in given.items()}
        made = self._library.run(given, rng)
        return with_arrays(sample, [(place, _as_array(made[target], *shapes[target])) for target, place in places.items()])

    def _place(self, target: str, sample: Sample) -> Place:
        places = self._places[target].of(sample)
        if len(places) > 1:
            raise ConfigError(
                f"{self.__name__}: {self.fields[target]} is a dict with the keys {[key for _, key in places]}, and {target} is one array. "
                f"What to do: name it, as in fields={{{target!r}: {places[0][1]!r}}}"
            )
        return places[0]

    def __repr__(self) -> str:
        return f"{self.__name__.removesuffix(')')}, fields={self.fields!r})"


def _library_of(pipeline: object, sample_rate: int | None) -> LibraryPipeline:
    """Return what calls a pipeline, told by where its class comes from. Raises ConfigError for what is of no known library."""
    if isinstance(pipeline, type):
        raise ConfigError(f"From: {pipeline.__name__} is a class; give an object of it, such as {pipeline.__name__}([...])")
    libraries = {base.__module__.split(".")[0] for base in type(pipeline).__mro__}
    if "audiomentations" in libraries and callable(pipeline):
        return AudiomentationsPipeline(pipeline, sample_rate)
    if sample_rate is not None:
        raise ConfigError(f"From: sample_rate={sample_rate!r} is for pipelines of audiomentations, and {type(pipeline).__name__} is none")
    if "albumentations" in libraries and callable(pipeline):
        return AlbumentationsPipeline(pipeline)
    if "torchvision" in libraries and callable(pipeline):
        return TorchvisionPipeline(pipeline)
    kind = type(pipeline)
    raise ConfigError(f"From takes {_TAKEN}, and not {kind.__module__}.{kind.__qualname__}. {_ANYTHING}")


def _targets(fields: Fields | Mapping[str, str], main: str) -> dict[str, str]:
    """Return the names of the arrays by those that the library has for them. Raises ConfigError for anything else."""
    if isinstance(fields, Mapping):
        if not fields or not all(isinstance(name, str) for pair in fields.items() for name in pair):
            raise ConfigError(f"From: fields={fields!r}; give names: the library's, then the array's, such as {{'image': 'x', 'mask': 'y'}}")
        return dict(fields)
    names = names_of_fields(fields, "From: fields")
    if len(names) == 1:
        return {main: names[0]}
    if unclear := [name for name in names if name in PART_NAMES]:
        raise ConfigError(f"From: fields={fields!r}; say what {' and '.join(unclear)} is to the library, such as {{'image': 'x', 'mask': 'y'}}")
    return {name: name for name in names}


def _owned(array: Array) -> Array:
    """Return an array that code in C may take and change."""
    return array if array.flags.c_contiguous and array.flags.writeable else array.copy()


def _as_array(made: Any, axes: int, channels: int) -> Any:
    """Return what a library made of an array as one; with the axis of a single channel, which some leave out."""
    array = np.asarray(made)
    return array[..., None] if channels == 1 and array.ndim == axes - 1 else array
