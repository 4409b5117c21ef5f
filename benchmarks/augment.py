"""Pictures that are changed at random: how the loader and the bare loop do it, with the same draws, so that their batches are the same.

affine      (224, 224, 3) float32: turned, shifted and zoomed by one `warpAffine`
augment     (256, 256, 3) uint8: a crop of 224 × 224, mirrored or not, of other brightness and contrast
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.workloads import SEED, Workload
from loader import Loader, NpyArrays
from loader import transforms as T
from loader.data.rng import SampleGenerator
from loader.data.transforms.affine import affine_matrix

_SIZE = 224
_LEVELS = np.arange(256, dtype=np.float64)

Step = Any  # a built-in transform
Change = Callable[[Any, Any, Sequence[Any]], None]


@dataclass(frozen=True)
class AugmentWorkload(Workload):
    """Pictures in one file, changed at random.

    Attributes:
        steps: what the loader does.
        by_hand: does the same in the bare loop: from a picture to a row, with what each of the steps draws.
    """

    steps: tuple[Step, ...] = ()
    by_hand: Change | None = None

    def loader(self, data: Path, workers: int) -> Loader:
        source = NpyArrays(str(self.path(data)))
        return Loader(source, self.batch_size, transforms=self.steps, shuffle=True, seed=SEED, drop_last=True, workers=workers)

    @property
    def delivered(self) -> tuple[int, ...]:
        return (_SIZE, _SIZE, 3)

    def filler(self, data: Path) -> Callable[[Any, Any], None]:
        """Return what fills a batch without any loader. It draws beforehand, so that only the pictures are left to be changed."""
        assert self.by_hand is not None
        cv2.setNumThreads(0)
        pictures = np.load(self.path(data), mmap_mode="r")
        generator, change = SampleGenerator(SEED), self.by_hand
        drawn = [[step.draw(generator.at(0, index, place)) for place, step in enumerate(self.steps)] for index in range(self.samples)]

        def fill(indices: Any, out: Any) -> None:
            for row, index in zip(out, indices.tolist(), strict=True):
                change(pictures[index], row, drawn[index])

        return fill


def _warp(picture: Any, row: Any, drawn: Sequence[Any]) -> None:
    matrix = np.array(affine_matrix(_SIZE, _SIZE, drawn[0]))
    cv2.warpAffine(picture, matrix, (_SIZE, _SIZE), dst=row, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=(0,) * 4)


def _crop_and_colour(picture: Any, row: Any, drawn: Sequence[Any]) -> None:
    place, mirrored, brightness, contrast = drawn
    top, left = (int(share * (whole - _SIZE + 1)) for share, whole in zip(place, picture.shape, strict=False))
    cut = picture[top : top + _SIZE, left : left + _SIZE]
    cut = cv2.flip(cut, 1) if mirrored else np.ascontiguousarray(cut)
    cv2.LUT(cut, _table(_LEVELS * brightness), dst=cut)
    offsets = np.array(cv2.mean(cut)[:3]) * (1 - contrast)
    cv2.LUT(cut, _table(_LEVELS[:, None] * contrast + offsets), dst=row)


def _table(values: Any) -> Any:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8).reshape(1, 256, -1)


AUGMENTED = {
    workload.name: workload
    for workload in (
        AugmentWorkload(
            "affine",
            500,
            (_SIZE, _SIZE, 3),
            "float32",
            one_file=True,
            target=0.9,
            steps=(T.Affine(rotation=15, shift=0.1, zoom=0.1),),
            by_hand=_warp,
        ),
        AugmentWorkload(
            "augment",
            1_000,
            (256, 256, 3),
            "uint8",
            one_file=True,
            target=0.95,
            steps=(T.Crop((_SIZE, _SIZE)), T.Flip(), T.Brightness(0.2), T.Contrast(0.2)),
            by_hand=_crop_and_colour,
        ),
    )
}
