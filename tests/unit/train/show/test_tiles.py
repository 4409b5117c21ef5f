"""Arrays as pixels: the same ones from the same array, and those that one would expect."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from loader import ConfigError, NpyArrays
from loader.data.spec import Array
from loader.train.show.curves import PALETTE, curves
from loader.train.show.fields import fields_of
from loader.train.show.samples import take_from_source
from loader.train.show.sheet import Block, page, text_tile
from loader.train.show.tiles import colours, tiles_of
from loader.train.show.values import Scale

BYTES, MAGENTA = Scale(0, 255), [255, 0, 255]


def tile(array: Array, *labels: Array, number: int = 0) -> Array:
    """Return the picture of one sample."""
    fields = fields_of(take_from_source("it", NpyArrays(array[None], *(label[None] for label in labels)), 1))
    return tiles_of(fields, 0, 0)[number]


def checksum(pixels: Array) -> str:
    return hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()[:16]


def picture(height: int, width: int) -> Array:
    return (np.arange(height * width * 3) * 7 % 256).astype("u1").reshape(height, width, 3)


def test_a_small_picture_is_enlarged_by_a_whole_number_and_keeps_its_bytes() -> None:
    small = picture(30, 50)
    shown = tile(small)
    assert shown.shape == (90, 150, 3)
    np.testing.assert_array_equal(shown[::3, ::3], small)


def test_a_large_picture_is_made_smaller_by_means() -> None:
    large = picture(320, 480)
    shown = tile(large)
    assert shown.shape == (107, 160, 3)
    np.testing.assert_allclose(shown.mean(), large.mean(), atol=0.5)


def test_floats_are_drawn_as_the_bytes_that_they_were_made_of() -> None:
    small = picture(30, 50)
    np.testing.assert_array_equal(tile((small / 255).astype("f4")), tile(small))
    np.testing.assert_array_equal(tile((small / 127.5 - 1).astype("f4")), tile(small))
    np.testing.assert_array_equal(tile(np.moveaxis(small, -1, 0).copy()), tile(small))


def test_channels_that_can_not_be_drawn_are_left_out() -> None:
    many = np.stack([np.full((4, 4), number, "u1") for number in range(7)], axis=-1)
    assert colours(many, BYTES)[0, 0].tolist() == [0, 1, 2]
    assert colours(many[..., 5:7], BYTES)[0, 0].tolist() == [5, 5, 5]
    assert colours(many[..., 3], BYTES)[0, 0].tolist() == [3, 3, 3]


def test_what_is_not_finite_is_magenta() -> None:
    odd = np.zeros((4, 4, 3), "f4")
    odd[1, 2, 0], odd[3, 3, 2] = np.nan, -np.inf
    shown = colours(odd, Scale(0, 1))
    assert [shown[1, 2].tolist(), shown[3, 3].tolist()] == [MAGENTA, MAGENTA]
    assert int((shown != 0).any(-1).sum()) == 2


def test_a_mask_lies_over_its_picture() -> None:
    mask = np.zeros((10, 10), "u1")
    mask[2:5, 3:6] = 1
    below = np.full((10, 10, 3), 100, "u1")
    shown = tile(below, mask, number=1)[::16, ::16]
    assert shown[0, 0].tolist() == [100, 100, 100]
    assert shown[2, 3].tolist() == [round(40 + 0.6 * channel) for channel in PALETTE[1]]
    assert int((shown != below).any(-1).sum()) == 9


def test_boxes_are_drawn_inside_their_edges_and_points_around_theirs() -> None:
    below = np.zeros((1, 16, 16, 3), "u1")
    boxes = np.array([[[2, 4, 8, 10], [0, 0, 0, 0], [-5, -5, 3, 99], [np.nan, 0, 1, 1], [-1e30, 1e30, 2e30, 3e30]]], "f4")
    points = np.array([[[7.5, 3.5], [-1, -1], [0, 15]]], "f4")
    source = NpyArrays({"image": below}, {"boxes": boxes, "points": points})
    _, framed, dotted = tiles_of(fields_of(take_from_source("it", source, 1)), 0, 0)
    first, third = PALETTE[1], PALETTE[3]
    assert [tuple(framed[row, column].tolist()) for row, column in ((40, 40), (98, 78), (50, 20), (60, 60), (0, 0), (159, 29))] == [
        *(first, first, first, (0, 0, 0), third, third)
    ]
    assert int((dotted == PALETTE[1]).all(-1).sum()) == 36
    assert tuple(dotted[40, 80].tolist()) == PALETTE[1]
    assert tuple(dotted[155, 5].tolist()) == third


def test_a_volume_is_cut_in_the_middle_along_each_axis() -> None:
    volume = np.zeros((20, 30, 40), "u1")
    volume[10], volume[:, 15], volume[:, :, 20] = 50, 100, 200
    shown = tile(volume)
    assert shown.shape == (90, 120 + 4 + 120 + 4 + 90, 3)
    assert [shown[0, 0, 0], shown[0, 125, 0], shown[0, 249, 0]] == [50, 100, 200]


def test_a_spectrogram_has_time_to_the_right_and_low_frequencies_at_the_bottom() -> None:
    from loader import MapSource

    grid = np.full((60, 40), -5, "f4")
    grid[0, 0] = 5  # the first moment, the lowest frequency

    source = MapSource([np.zeros(400, "f4")])
    taken = take_from_source("it", source, 1)
    taken = type(taken)("it", source, taken.indices, 1, NpyArrays(grid[None]).spec.leaves, [[[grid]]])
    shown = tiles_of(fields_of(taken), 0, 0)[0]
    assert shown.shape == (120, 240, 3)
    assert shown[-1, 0].tolist() == [253, 231, 37]
    assert shown[0, 0].tolist() == shown[-1, -1].tolist() == [68, 1, 84]


def test_a_curve_goes_from_the_bottom_to_the_top_and_has_gaps() -> None:
    steps = np.linspace(-1, 1, 101)
    steps[48:53] = np.nan
    shown = curves(steps, Scale(-1, 1), 60, 40)
    inked = (shown != 246).any(-1)
    inked[20] = False  # the line at zero
    assert inked[-4:, :3].any()
    assert inked[:4, -3:].any()
    assert not inked[:20, :20].any()
    assert not inked[:, 30].any()
    assert (shown == PALETTE[0]).all(-1).any()


def test_a_long_curve_keeps_its_peaks() -> None:
    sound = np.zeros(100_000, "f4")
    sound[77_777] = 1
    shown = curves(sound, Scale(0, 1), 240, 120)
    assert (shown[:10, 184:190] != 246).any()


def test_each_kind_of_drawing_is_the_same_everywhere() -> None:
    times = np.arange(500)
    waves = np.stack([np.where(times // 50 % 2, 1.0, -1.0), times / 500], axis=-1)
    assert checksum(tile(picture(30, 50))) == "0bdfbf08adf5cbb4"
    assert checksum(tile(waves)) == "edf148c50f054adf"
    assert checksum(tile((np.arange(400).reshape(20, 20) - 200).astype("f4"))) == "bb2161cb430ae173"


def test_a_page_holds_the_pictures_where_it_says() -> None:
    pictures = [picture(30, 20 + number) for number in range(3)]
    made = page(
        ["a title that is longer than the page is wide " * 4],
        ["one", "two"],
        [
            [Block(pictures[:1], [""], "a"), Block(pictures[1:2], [""], "b", ["y: 1"])],
            [Block(pictures[2:], [""], "a name " * 20)],
        ],
    )
    found = [place for places in made.places for place in places]
    for (top, left, height, width), expected in zip(found, pictures, strict=True):
        np.testing.assert_array_equal(made.pixels[top : top + height, left : left + width], expected)
    assert found[0][0] == found[1][0] < found[2][0]
    assert found[0][1] == found[2][1] < found[1][1]


def test_letters_that_no_font_has_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    words = "Bär, Żółć, ねこ"
    with_font = text_tile(words, 120, 15)
    monkeypatch.setattr("loader.train.show.sheet._wider_font", lambda: None)
    np.testing.assert_array_equal(text_tile(words, 120, 15), text_tile("Bar, Zo?c, ??", 120, 15))
    assert with_font.shape == (15, 120, 3)


def test_a_page_that_is_too_large_is_refused() -> None:
    block = Block([np.zeros((160, 160, 3), "u1")], [""], "a")
    with pytest.raises(ConfigError, match=r"5,000 samples make a picture of .* show fewer"):
        page([], [], [[block]] * 5000)


def test_channels_of_curves_may_come_first() -> None:
    waves = np.sin(np.arange(300).reshape(100, 3) / 20)
    np.testing.assert_array_equal(curves(waves, Scale(-1, 1), 60, 40), curves(waves.T, Scale(-1, 1), 60, 40))


def test_a_text_that_is_too_long_fills_its_place_and_no_more() -> None:
    short, long = text_tile("a few words", 120, 60), text_tile("endless" * 200, 120, 60)
    assert (short.shape, long.shape) == ((15, 120, 3), (60, 120, 3))
    assert (long[45:] < 255).any()
    assert (text_tile("", 120, 60) == 255).all()
