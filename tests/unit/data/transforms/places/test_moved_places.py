"""Boxes and key points against pictures of them: what is drawn into a picture must lie where the transform says that it went."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from loader.data.spec import Array, Leaf, SampleSpec
from loader.data.transforms import Affine, Crop, Flip, Pad, RandomResizedCrop, Resize, Rotate90
from loader.data.transforms.moving import MovingTransform
from loader.errors import ConfigError

RNG = np.random.default_rng(0)
HEIGHT, WIDTH = 40, 60
PLACES: Any = {"boxes": "boxes", "points": "points"}
BOTH: Any = {"fields": "image", **PLACES}
EXACT: dict[str, MovingTransform] = {
    "flip": Flip(**BOTH),
    "flip the height": Flip("vertical", **BOTH),
    "flip axis 1": Flip(-2, **BOTH),
    "flip the channels": Flip(2, **BOTH),
    "rotate by a half": Rotate90((0, 2), **BOTH),
    "crop": Crop((30, 45), **BOTH),
    "crop the middle": Crop((31, 44), "center", **BOTH),
    "crop channels, too": Crop((30, 45, 1), **BOTH),
    "pad": Pad((50, 65), **BOTH),
    "pad around": Pad((51, 66), position="center", **BOTH),
    "double": Resize((2 * HEIGHT, 2 * WIDTH), "nearest", **BOTH),
}
OTHERS: dict[str, MovingTransform] = {
    "shift": Affine(shift=0.2, **BOTH),
    "affine": Affine(40, 0.1, 0.2, 0.3, **BOTH),
    "zoom": Affine(zoom=(0.5, 0.7), **BOTH),
    "resize": Resize((31, 83), **BOTH),
    "random resized crop": RandomResizedCrop((45, 50), (0.5, 1.0), **BOTH),
}


def made(transform: MovingTransform, image: Array, boxes: Any = (), points: Any = (), seed: int = 0) -> tuple[Array, Array, Array]:
    sample = {"image": image, "boxes": np.array(boxes, np.float32).reshape(-1, 4), "points": np.array(points, np.float32).reshape(-1, 2)}
    (x,) = transform((sample,), np.random.default_rng(seed))
    return x["image"], x["boxes"], x["points"]


def extent(mask: Array) -> list[int]:
    """Return the smallest box around what is not zero; zeros if there is nothing."""
    rows, columns = np.nonzero(mask)
    return [int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1] if len(rows) else [0] * 4


def random_box(height: int, width: int) -> list[int]:
    (left, right), (top, bottom) = (sorted(RNG.choice(size + 1, 2, replace=False).tolist()) for size in (width, height))
    return [left, top, right, bottom]


def painted(box: list[int], height: int = HEIGHT, width: int = WIDTH) -> Array:
    image = np.zeros((height, width, 2), np.float32)
    image[box[1] : box[3], box[0] : box[2]] = 1
    return image


@pytest.mark.parametrize("name", EXACT)
def test_boxes_lie_around_what_was_painted_into_them(name: str) -> None:
    for seed in range(20):
        box = random_box(HEIGHT, WIDTH)
        image, boxes, _ = made(EXACT[name], painted(box), [box], seed=seed)
        assert np.allclose(boxes[0], extent(image[..., 0] > 0.5), atol=1e-4)


@pytest.mark.parametrize("name", OTHERS)
def test_boxes_lie_around_what_was_painted_into_them_to_a_pixel(name: str) -> None:
    whole = 0
    for seed in range(60):
        box = random_box(HEIGHT, WIDTH)
        image, boxes, _ = made(OTHERS[name], painted(box), [box], seed=seed)
        (left, top, right, bottom), found = boxes[0], extent(image[..., 0] > 0.5)
        height, width = image.shape[:2]
        inside = left > 0 and top > 0 and right < width and bottom < height
        if name != "affine" or inside:
            assert min(right - left, bottom - top) < 1.5 if not any(found) else np.allclose(boxes[0], found, atol=1.5)
        elif any(found):  # a turned box that is cut has lost corners: what is left of it may be smaller than the box around them
            assert (np.array([left, top]) - 1.5 <= found[:2]).all()
            assert (np.array([right, bottom]) + 1.5 >= found[2:]).all()
        whole += bool(inside)
    assert whole > 5


@pytest.mark.parametrize("name", EXACT)
def test_points_lie_on_the_pixel_that_was_painted(name: str) -> None:
    for seed in range(40):
        column, row = int(RNG.integers(WIDTH)), int(RNG.integers(HEIGHT))
        image, _, points = made(EXACT[name], painted([column, row, column + 1, row + 1]), points=[(column, row)], seed=seed)
        found = extent(image[..., 0] > 0.5)
        expected = [(found[0] + found[2] - 1) / 2, (found[1] + found[3] - 1) / 2] if any(found) else [-1, -1]
        assert np.allclose(points[0], expected, atol=1e-4)


@pytest.mark.parametrize("name", sorted({*EXACT, *OTHERS} - {"flip the channels", "crop channels, too", "double"}))
def test_points_lie_where_the_picture_holds_their_coordinates(name: str) -> None:
    transform = {**EXACT, **OTHERS}[name]
    coordinates = np.stack(np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT)), axis=-1).astype(np.float32)
    for seed in range(10):
        given = RNG.uniform((4, 4), (WIDTH - 5, HEIGHT - 5), (30, 2))
        image, _, points = made(transform, coordinates, points=given, seed=seed)
        inside = (points > 3).all(1) & (points < np.array(image.shape[1::-1]) - 4).all(1)
        assert inside.any()
        place = points[inside][:, None].astype(np.float32)
        there = cv2.remap(image, place, np.zeros(0), cv2.INTER_LINEAR)[:, 0]
        assert np.allclose(there, given[inside], atol=0.1)


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_places_take_quarter_turns(turns: int) -> None:
    transform = Rotate90((turns,), **BOTH)
    for _ in range(20):
        box = random_box(40, 40)
        image, boxes, points = made(transform, painted(box, 40, 40), [box], [(box[0], box[1])])
        assert boxes[0].tolist() == extent(image[..., 0])
        corner = made(transform, painted([box[0], box[1], box[0] + 1, box[1] + 1], 40, 40))[0]
        assert points[0].tolist() == (extent(corner[..., 0])[:2] if max(box[:2]) < 40 else [-1, -1])


def test_many_rows_get_each_their_own_draw() -> None:
    flip = Flip(**BOTH)
    boxes = RNG.uniform(0, 40, (6, 3, 4)).astype(np.float32)
    spec = SampleSpec.of({"image": np.zeros((HEIGHT, WIDTH)), "boxes": boxes[0], "points": np.zeros((2, 2))})
    step = next(step for number, step, _ in flip.steps(spec) if spec.leaves[number].key == "boxes")
    draws = [True, False, True, True, False, False]
    together = np.empty_like(boxes)
    step.apply(boxes, together, draws)
    for row, drawn in enumerate(draws):
        alone = np.empty_like(boxes[:1])
        step.apply(boxes[row : row + 1], alone, [drawn])
        assert np.array_equal(alone[0], together[row])


def test_boxes_are_cut_at_the_edges_and_those_outside_become_zeros() -> None:
    given = [(-5, 10, 30, 200), (70, 10, 80, 20), (50, 5, 59, 9)]
    assert made(Pad((HEIGHT, WIDTH), **BOTH), painted(given[0]), given)[1].tolist() == [[0, 10, 30, 40], [0, 0, 0, 0], [50, 5, 59, 9]]
    assert made(Crop((20, 20), "center", **BOTH), painted(given[0]), [(0, 0, 20, 40)])[1].tolist() == [[0, 0, 0, 0]]


def test_points_outside_become_minus_ones() -> None:
    given = [(59.4, 39.4), (59.6, 3), (-0.5, 3), (3, -0.6)]
    points = made(Pad((HEIGHT, WIDTH), **BOTH), painted([0, 0, 1, 1]), points=given)[2]
    assert np.array_equal(points, np.array([(59.4, 39.4), (-1, -1), (-0.5, 3), (-1, -1)], np.float32))


@pytest.mark.parametrize("transform", [Flip(p=1, **BOTH), Affine((90, 90), **BOTH), Crop((9, 9), **BOTH)], ids=str)
@pytest.mark.parametrize("filler", [-1, 0, np.nan, -3.5])
def test_rows_that_fill_up_stay_as_they_are(transform: MovingTransform, filler: float) -> None:
    with np.errstate(all="raise"):
        _, boxes, points = made(transform, painted([0, 0, 1, 1]), [[filler] * 4, [5, 5, 3, 9]], [(np.nan, 3), (-1, -1), (filler, np.nan)])
    assert np.array_equal(boxes, np.array([[filler] * 4, [5, 5, 3, 9]], np.float32), equal_nan=True)
    assert np.array_equal(points, np.array([(np.nan, 3), (-1, -1), (filler, np.nan)], np.float32), equal_nan=True)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(4,), (0, 4), (3, 4), (2, 3, 4)])
def test_boxes_keep_their_shape_and_dtype(shape: Any, dtype: str) -> None:
    boxes = np.zeros(shape, dtype)
    _, y = Flip(boxes="y")((painted([0, 0, 1, 1]), boxes), RNG)
    assert (y.shape, y.dtype) == (boxes.shape, boxes.dtype)


@pytest.mark.parametrize("seed", range(4))
def test_places_beside_the_picture_in_x_are_not_taken_for_pictures(seed: int) -> None:
    box = [10, 5, 30, 25]
    (x,) = Flip(boxes="boxes", points="points")(
        ({"image": painted(box), "boxes": np.array([box], np.float32), "points": np.array([(10, 5)], np.float32)},), np.random.default_rng(seed)
    )
    assert x["boxes"][0].tolist() == extent(x["image"][..., 0])


def spec_of(**shapes: Any) -> SampleSpec:
    return SampleSpec(tuple(Leaf(0, key, shape, np.dtype(dtype)) for key, (shape, dtype) in shapes.items()))


@pytest.mark.parametrize(
    ("shapes", "problem"),
    [
        ({"image": ((8, 9), "u1"), "boxes": ((3, 5), "f4")}, r"does not hold boxes, \(\.\.\., 4\): left, top, right, bottom"),
        ({"image": ((8, 9), "u1"), "points": ((), "f4")}, r"does not hold points, \(\.\.\., 2\): column, row"),
        ({"image": ((8, 9), "u1"), "boxes": ((3, 4), "i4")}, r"can't hold fractions of a pixel\. .* put Cast\('float32', fields='boxes'\) before it"),
        ({"image": ((8, 9), "u1"), "second": ((9, 9), "u1"), "boxes": ((3, 4), "f4")}, r"must have one size; there are .*\(8, 9\).* and .*\(9, 9\)"),
        ({"image": ((3, 8, 9, 1), "u1"), "boxes": ((3, 4), "f4")}, "boxes and points lie in pictures"),
        ({"boxes": ((3, 4), "f4")}, "must have one size; there are none"),
        ({"image": ((8, 9), "u1")}, "no field 'boxes'"),
    ],
)
def test_what_can_not_be_moved_is_refused(shapes: Any, problem: str) -> None:
    names = {key: key for key in shapes if key in ("boxes", "points")} or {"boxes": "boxes"}
    with pytest.raises(ConfigError, match=problem):
        Flip(**names).steps(spec_of(**shapes))


def test_names_that_are_none_are_refused() -> None:
    with pytest.raises(ConfigError, match="Flip: boxes=4; give names"):
        Flip(boxes=4)  # type: ignore[arg-type]
