from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from loader.data.spec import Array, Leaf
from loader.data.transforms import Affine
from loader.data.transforms.volumes.volume_affine import volume_matrix
from tests.lazily import lazily

ndimage = lazily("scipy.ndimage")
RNG = np.random.default_rng(0)
VOLUME = RNG.integers(0, 256, (7, 9, 11, 2)).astype(np.uint8)
NOTHING = (0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def moved(affine: Affine, volume: Array, drawn: Any) -> Array:
    leaf = Leaf(0, None, volume.shape, volume.dtype)
    assert affine.result(leaf) == leaf
    out = np.full((1, *volume.shape), 77, volume.dtype)
    affine.for_leaf(leaf).apply(volume[None], out, [drawn])
    return out[0]


def drawn_with(**changes: float) -> list[float]:
    names = ("rotation", "down", "right", "shear", "tall", "wide", "nod", "swing", "deep", "thick")
    return [changes.get(name, value) for name, value in zip(names, NOTHING, strict=True)]


@pytest.mark.parametrize(("interpolation", "order"), [("linear", 1), ("nearest", 0), ("cubic", 3)])
@pytest.mark.parametrize(("fill", "mode"), [("constant", "grid-constant"), ("nearest", "nearest"), ("reflect", "reflect"), ("wrap", "grid-wrap")])
@pytest.mark.parametrize("dtype", ["uint8", "float32", "uint16", "int16", "float64"])
def test_the_result_is_what_scipy_makes_of_the_same_matrix(dtype: str, fill: Any, mode: str, interpolation: Any, order: int) -> None:
    volume = VOLUME.astype(dtype)
    affine = Affine(25, 0.2, 0.2, 0.2, fill, 9, interpolation, tilt=20)
    drawn = affine.draw(np.random.default_rng(3))
    matrix, offset = volume_matrix((7, 9, 11), drawn)
    channels = [ndimage.affine_transform(volume[..., c], matrix, offset, order=order, mode=mode, cval=9) for c in range(2)]
    made = moved(affine, volume, drawn)
    assert made.dtype == np.dtype(dtype)
    assert np.array_equal(made, np.stack(channels, axis=-1))


def test_the_matrix_zooms_shears_turns_tilts_and_shifts_about_the_middle() -> None:
    def about(axes: tuple[int, int], degrees: float) -> Array:
        angle, (first, second) = np.radians(degrees), axes
        turn = np.eye(4)
        turn[[first, second], [first, second]] = np.cos(angle)
        turn[first, second], turn[second, first] = np.sin(angle), -np.sin(angle)
        return turn

    def shifted(by: Any) -> Array:
        shift = np.eye(4)
        shift[:3, 3] = by
        return shift

    middle = np.array([3, 4, 5])
    shear = np.eye(4)
    shear[2, 1] = 0.3
    zoom = np.diag([0.7, 0.9, 1.2, 1])
    forwards = shifted([0.5 * 7, -0.1 * 9, 0.2 * 11]) @ about((2, 0), 15) @ about((1, 0), -10) @ about((2, 1), 20) @ shear @ zoom
    expected = np.linalg.inv(shifted(middle) @ forwards @ shifted(-middle))
    matrix, offset = volume_matrix((7, 9, 11), (20, -0.1, 0.2, 0.3, 0.9, 1.2, -10, 15, 0.5, 0.7))
    assert np.allclose(matrix, expected[:3, :3], atol=1e-12)
    assert np.allclose(offset, expected[:3, 3], atol=1e-12)


def test_nothing_drawn_leaves_the_volume_as_it_is() -> None:
    assert np.array_equal(moved(Affine(), VOLUME, NOTHING), VOLUME)


@pytest.mark.parametrize(("turn", "axes"), [("rotation", (1, 2)), ("nod", (0, 1)), ("swing", (0, 2))])
def test_a_quarter_turn_is_that_of_numpy(turn: str, axes: tuple[int, int]) -> None:
    cube = RNG.integers(0, 256, (7, 7, 7, 2)).astype(np.uint8)
    assert np.array_equal(moved(Affine(), cube, drawn_with(**{turn: 90})), np.rot90(cube, 1, axes))


def test_each_slice_is_moved_as_a_picture_is() -> None:
    rows, columns = np.mgrid[:40, :50]
    smooth = (np.sin(rows / 8) + np.cos(columns / 9)).astype(np.float32)
    affine = Affine(30, 0.1, 0.1, 0.2, "nearest")
    drawn = affine.draw(np.random.default_rng(1))
    drawn[8:] = 0.0, 1.0
    picture = np.empty((1, *smooth.shape), np.float32)
    affine.apply(smooth[None], picture, [drawn])
    made = moved(affine, np.broadcast_to(smooth, (3, 40, 50))[..., None], drawn)
    assert np.allclose(made[..., 0], picture, atol=0.01)  # OpenCV rounds places to 1 / 32 of a pixel


def test_the_depth_is_shifted_and_zoomed() -> None:
    made = moved(Affine(value=5), VOLUME, drawn_with(deep=2 / 7))
    assert np.array_equal(made[2:], VOLUME[:-2])
    assert (made[:2] == 5).all()
    block = np.zeros((9, 3, 3, 1), np.uint8)
    block[3:6] = 1
    assert moved(Affine(interpolation="nearest"), block, drawn_with(thick=2))[:, 1, 1, 0].sum() > 3


def test_without_a_fraction_of_its_own_the_depth_is_not_shifted() -> None:
    assert Affine(shift=(0.1, 0.2)).shift == (0, 0.1, 0.2)
    assert Affine(shift=0.1).shift == (0.1, 0.1, 0.1)
    assert Affine(shift=(0.3, 0.1, 0.2)).shift == (0.3, 0.1, 0.2)


def test_volume_and_mask_are_moved_alike_and_the_mask_gets_no_new_classes() -> None:
    mask = np.where(VOLUME[..., :1] > 128, np.uint8(200), np.uint8(10))
    affine = Affine(30, 0.2, zoom=0.2, value=128, fields="scan", masks="mask", mask_value=255)
    x, y = affine(({"scan": VOLUME}, {"mask": mask}), np.random.default_rng(5))
    drawn = affine.draw(np.random.default_rng(5))
    assert np.array_equal(x["scan"], moved(Affine(value=128), VOLUME, drawn))
    assert np.array_equal(y["mask"], moved(Affine(value=255, interpolation="nearest"), mask, drawn))
    assert set(np.unique(y["mask"])) <= {10, 200, 255}
