"""Transforms: what happens to a sample between its file and the batch.

A transform is any callable `f(sample, rng) -> sample`. Those of this room itself also work on many rows at once, from an array to an array, so
that the last one writes straight into the slot; those of its inner rooms run a function of the user's or a pipeline of another library.

Each takes `fields`: names of parts (`"x"`, `"y"`, `"sample_weight"`) or of entries of a part's dict (`"image"`).
"""

from typing import TYPE_CHECKING

from loader.lazy_names import lazy_names

if TYPE_CHECKING:
    from loader.data.transforms.affine import Affine
    from loader.data.transforms.colour import Brightness, Contrast
    from loader.data.transforms.flip import Flip
    from loader.data.transforms.frames import Crop, Pad
    from loader.data.transforms.functions.batch_function import Batch
    from loader.data.transforms.functions.map_function import Map
    from loader.data.transforms.leaf_transform import LeafTransform, RowError, WrongSize
    from loader.data.transforms.libraries.from_library import From
    from loader.data.transforms.noise import Erase, Noise
    from loader.data.transforms.rotate90 import Rotate90
    from loader.data.transforms.sizes import RandomResizedCrop, Resize
    from loader.data.transforms.sound.excerpt import Excerpt
    from loader.data.transforms.sound.gain import Gain
    from loader.data.transforms.sound.log_mel import LogMel
    from loader.data.transforms.values import Cast, Normalize, OneHot, Rescale
else:
    __getattr__ = lazy_names(
        __name__,
        {
            "Affine": "affine",
            "Batch": "functions.batch_function",
            "Brightness": "colour",
            "Cast": "values",
            "Contrast": "colour",
            "Crop": "frames",
            "Erase": "noise",
            "Excerpt": "sound.excerpt",
            "Flip": "flip",
            "From": "libraries.from_library",
            "Gain": "sound.gain",
            "LeafTransform": "leaf_transform",
            "LogMel": "sound.log_mel",
            "Map": "functions.map_function",
            "Noise": "noise",
            "Normalize": "values",
            "OneHot": "values",
            "Pad": "frames",
            "RandomResizedCrop": "sizes",
            "Rescale": "values",
            "Resize": "sizes",
            "Rotate90": "rotate90",
            "RowError": "leaf_transform",
            "WrongSize": "leaf_transform",
        },
    )

__all__ = [
    "Affine",
    "Batch",
    "Brightness",
    "Cast",
    "Contrast",
    "Crop",
    "Erase",
    "Excerpt",
    "Flip",
    "From",
    "Gain",
    "LeafTransform",
    "LogMel",
    "Map",
    "Noise",
    "Normalize",
    "OneHot",
    "Pad",
    "RandomResizedCrop",
    "Rescale",
    "Resize",
    "Rotate90",
    "RowError",
    "WrongSize",
]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
