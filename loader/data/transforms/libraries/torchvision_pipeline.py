"""Pipelines of torchvision. The only place outside of training where PyTorch is imported, and the pipeline has imported it before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from loader.data.global_rng import PYTHON, TORCH
from loader.data.spec import Array
from loader.data.transforms.libraries.library_pipeline import LibraryPipeline
from loader.errors import ConfigError

_IMAGE, _BOXES, _KEYPOINTS = "image", "boxes", "keypoints"
_MASKS = ("mask", "masks")


class TorchvisionPipeline(LibraryPipeline):
    """Calls `pipeline({"image": Image, "mask": Mask, "boxes": BoundingBoxes, …})`; pipelines of `transforms` before `v2`: `pipeline(image)`.

    Pictures and masks are tensors with channels first there, and arrays with channels last here; the memory is the same.
    """

    main = _IMAGE

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline
        self._is_v2 = any(base.__module__.startswith("torchvision.transforms.v2") for base in type(pipeline).__mro__)
        self.draws = (TORCH,) if self._is_v2 else (TORCH, PYTHON)

    def check(self, targets: tuple[str, ...]) -> None:
        if self._is_v2 and _IMAGE not in targets:
            raise ConfigError(
                f"From: none of the fields is the image of torchvision, only {', '.join(targets)}. What to do: fields={{'image': 'x', …}}"
            )
        if not self._is_v2 and targets != (_IMAGE,):
            raise ConfigError(
                f"From: pipelines of torchvision.transforms take an image alone, and not {', '.join(targets)}. "
                "What to do: make it of torchvision.transforms.v2, which moves masks and boxes with the image"
            )

    def run(self, arrays: Mapping[str, Array], rng: np.random.Generator) -> Mapping[str, Any]:
        if not self._is_v2:
            return {_IMAGE: _to_array(self._pipeline(_channels_first(arrays[_IMAGE])), arrays[_IMAGE])}
        made = self._pipeline({name: _wrapped(name, array, arrays[_IMAGE].shape[:2]) for name, array in arrays.items()})
        return {name: _to_array(made[name], arrays[name] if name == _IMAGE or name in _MASKS else None) for name in arrays}


def _wrapped(name: str, array: Array, canvas: tuple[int, ...]) -> Any:
    """Return an array as what the library takes by this name; by any other one, a tensor that most transforms leave alone."""
    import torch
    from torchvision import tv_tensors

    if name == _IMAGE:
        return tv_tensors.Image(_channels_first(array))
    if name in _MASKS:
        return tv_tensors.Mask(_channels_first(array) if array.ndim == 3 else torch.from_numpy(array))
    if name == _BOXES:
        return tv_tensors.BoundingBoxes(torch.from_numpy(array), format="XYXY", canvas_size=canvas)
    if name == _KEYPOINTS:
        return tv_tensors.KeyPoints(torch.from_numpy(array), canvas_size=canvas)
    return torch.from_numpy(array)


def _channels_first(picture: Array) -> Any:
    import torch

    tensor = torch.from_numpy(picture)
    return tensor[None] if picture.ndim == 2 else tensor.permute(2, 0, 1)


def _to_array(made: Any, picture: Array | None) -> Array:
    """Return what the library made as an array; of a picture with its channels where `picture`, which went in, had them."""
    array: Array = np.asarray(made)
    if picture is None or array.ndim != 3 or not hasattr(made, "permute"):  # a picture of Pillow has its channels last already
        return array
    return array[0] if picture.ndim == 2 and len(array) == 1 else array.transpose(1, 2, 0)
