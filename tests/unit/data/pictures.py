"""A source of pictures, functions on them, and the plainest way to run a pipeline over them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from loader.data.pipeline.pipeline import Pipeline
from loader.data.pipeline.segments import Transform
from loader.data.sources.source import Source
from loader.data.spec import Array, Sample

SEED, EPOCH = 11, 3


class Pictures(Source):
    """Images with a mask and a label, all different; `extra` parts are appended to each sample."""

    def __init__(self, count: int = 12, extra: Callable[[int], tuple[Any, ...]] = lambda index: ()) -> None:
        self.count = count
        self.extra = extra

    def __len__(self) -> int:
        return self.count

    def sample(self, index: int) -> Sample:
        rng = np.random.default_rng(index)
        image, mask = rng.integers(0, 256, (4, 5, 3)).astype(np.uint8), rng.integers(0, 2, (4, 5)).astype(np.uint8)
        return ({"image": image, "mask": mask}, index % 5, *self.extra(index))

    def name_of(self, index: int) -> str:
        return f"picture {index}"


def add_noise(sample: Sample, rng: np.random.Generator) -> Sample:
    x, *rest = sample
    noise = rng.integers(0, 5, x["image"].shape)
    return ({**x, "image": (x["image"] + noise).astype(x["image"].dtype)}, *rest)


def compiled(source: Source, transforms: Sequence[Transform] = (), **more: Any) -> Pipeline:
    pipeline = Pipeline(source, transforms, SEED, **more)
    pipeline.compile(pipeline.probe())
    return pipeline


def filled(pipeline: Pipeline, indices: Sequence[int], cuts: Sequence[int] = (), epoch: int = EPOCH) -> list[Array]:
    """Return the leaves of the batch, filled by one call for each part between `cuts`."""
    out = [np.zeros((len(indices), *leaf.shape), leaf.dtype) for leaf in pipeline.spec.leaves]
    edges = sorted({0, *(cut % len(indices) for cut in cuts), len(indices)})
    for start, stop in pairwise(edges):
        pipeline.fill(np.array(indices[start:stop]), epoch, [leaf[start:stop] for leaf in out], memoryview(bytearray(8)).cast("q"))
    return out
