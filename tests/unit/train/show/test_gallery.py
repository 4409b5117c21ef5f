"""The picture of all transforms in docs/ is the one that they make today."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
from PIL import Image

DOCS = Path(__file__).parents[4] / "docs"
NEAR = 2  # of 255, on average: versions of OpenCV round differently


def test_the_gallery_in_the_docs_is_that_of_the_code() -> None:
    page = runpy.run_path(str(DOCS / "make_gallery.py"))["gallery"]()
    committed = np.asarray(Image.open(DOCS / "pictures" / "transforms.png").convert("RGB")).astype(int)
    assert committed.shape == page.pixels.shape, "`make pictures` draws docs/pictures/transforms.png"
    for number, places in enumerate(page.places):
        for top, left, height, width in places:
            part = np.s_[top : top + height, left : left + width]
            assert abs(committed[part] - page.pixels[part]).mean() <= NEAR, f"block {number}: `make pictures` draws docs/pictures/transforms.png"


def test_the_gallery_is_small() -> None:
    assert (DOCS / "pictures" / "transforms.png").stat().st_size < 150_000
