"""Images are what OpenCV makes of them, or Pillow where OpenCV does not read them as they are meant."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from loader import ByteFiles, decode
from loader.data.decode.decoder import Decoder
from loader.errors import ConfigError
from tests.unit.data.decode.images import HEIGHT, WIDTH, by_opencv, by_pillow, photo, saved, turned

PHOTO = photo()
GREY16 = np.random.default_rng(1).integers(0, 65_536, (HEIGHT, WIDTH), np.uint16)
WITH_ALPHA = np.dstack([PHOTO, photo(seed=2)[..., 0]])

FILES: dict[str, Callable[[], bytes]] = {
    "JPEG": lambda: saved(PHOTO, "JPEG", quality=90),
    "progressive JPEG": lambda: saved(PHOTO, "JPEG", progressive=True),
    "grey JPEG": lambda: saved(PHOTO, "JPEG", "L"),
    "PNG": lambda: saved(PHOTO, "PNG"),
    "PNG with alpha": lambda: saved(WITH_ALPHA, "PNG"),
    "PNG with a palette": lambda: saved(PHOTO, "PNG", "P"),
    "PNG with a palette and alpha": lambda: saved(PHOTO, "PNG", "P", transparency=3),
    "grey PNG": lambda: saved(PHOTO, "PNG", "L"),
    "grey PNG with alpha": lambda: saved(WITH_ALPHA, "PNG", "LA"),
    "PNG of 1 bit": lambda: saved(PHOTO, "PNG", "1"),
    "WebP": lambda: saved(PHOTO, "WEBP", quality=80),
    "lossless WebP": lambda: saved(PHOTO, "WEBP", lossless=True),
    "WebP with alpha": lambda: saved(WITH_ALPHA, "WEBP", lossless=True),
    "TIFF": lambda: saved(PHOTO, "TIFF"),
    "packed TIFF": lambda: saved(PHOTO, "TIFF", compression="tiff_lzw"),
    "grey TIFF": lambda: saved(PHOTO, "TIFF", "L"),
    "TIFF with a palette": lambda: saved(PHOTO, "TIFF", "P"),
    "BMP": lambda: saved(PHOTO, "BMP"),
    "BMP with a palette": lambda: saved(PHOTO, "BMP", "P"),
}
BY_PILLOW: dict[str, Callable[[], bytes]] = {
    "CMYK JPEG": lambda: saved(PHOTO, "JPEG", "CMYK"),
    "TIFF with alpha": lambda: saved(WITH_ALPHA, "TIFF"),
    "CMYK TIFF": lambda: saved(PHOTO, "TIFF", "CMYK"),
    "GIF": lambda: saved(PHOTO, "GIF"),
    "moving GIF": lambda: saved(PHOTO, "GIF", save_all=True, append_images=[Image.fromarray(255 - PHOTO)]),
    "portable pixmap": lambda: saved(PHOTO, "PPM"),
}


def decoded(decoder: Decoder, content: bytes) -> Any:
    """Return what is decoded. What is decoded into a slot must be the same."""
    alone = decoder.decode(memoryview(content))
    rows = np.full((3, *alone.shape), 77, alone.dtype)
    spec = decoder.known_spec()
    decoder.decode_into(memoryview(content), [rows[1]], spec)  # type: ignore[arg-type]
    np.testing.assert_array_equal(rows[1], alone)
    assert (rows[::2] == 77).all()
    assert spec is None or str(spec) == f"(x: {alone.shape} {alone.dtype})"
    return alone


@pytest.mark.parametrize("kind", FILES)
def test_a_picture_is_what_opencv_makes_of_it(kind: str) -> None:
    content = FILES[kind]()
    np.testing.assert_array_equal(decoded(decode.image(), content), by_opencv(content))
    np.testing.assert_array_equal(decoded(decode.image(mode="L"), content)[..., 0], by_opencv(content, cv2.IMREAD_GRAYSCALE))


@pytest.mark.parametrize("kind", BY_PILLOW)
def test_other_pictures_are_what_pillow_makes_of_them(kind: str) -> None:
    content = BY_PILLOW[kind]()
    np.testing.assert_array_equal(decoded(decode.image(), content), by_pillow(content))
    np.testing.assert_array_equal(decoded(decode.image(mode="L"), content)[..., 0], by_pillow(content, "L"))


@pytest.mark.parametrize("kind", [kind for kind in FILES if "JPEG" not in kind] + [*BY_PILLOW])
def test_transparency_is_what_pillow_makes_of_it(kind: str) -> None:
    content = (FILES | BY_PILLOW)[kind]()
    np.testing.assert_array_equal(decoded(decode.image(mode="RGBA"), content), by_pillow(content, "RGBA"))


def test_a_jpeg_is_opaque() -> None:
    content = FILES["JPEG"]()
    picture = decoded(decode.image(mode="RGBA"), content)
    np.testing.assert_array_equal(picture[..., :3], by_opencv(content))
    assert (picture[..., 3] == 255).all()


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_all_16_bits_are_there_if_they_are_wanted(kind: str) -> None:
    content = saved(GREY16, kind)
    np.testing.assert_array_equal(decoded(decode.image(mode="L16"), content)[..., 0], GREY16)
    np.testing.assert_array_equal(decoded(decode.image(mode="RGB16"), content), np.dstack([GREY16] * 3))
    for mode in ("L", "RGB", "RGBA"):
        upper = decoded(decode.image(mode=mode), content)
        assert np.abs(upper[..., 0].astype(int) - (GREY16 >> 8)).max() <= 1
    assert (upper[..., 3] == 255).all()


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_colours_of_16_bits_are_kept(suffix: str) -> None:
    picture = np.random.default_rng(1).integers(0, 65_536, (HEIGHT, WIDTH, 3), np.uint16)
    content = cv2.imencode(suffix, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes()
    np.testing.assert_array_equal(decoded(decode.image(mode="RGB16"), content), picture)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF"])
def test_pictures_of_8_bits_span_all_of_16(kind: str) -> None:
    content = (FILES | BY_PILLOW)[kind]()
    narrow = decoded(decode.image(size=20), content)
    assert np.abs(decoded(decode.image(size=20, mode="RGB16"), content) / 257 - narrow).max() < 1
    np.testing.assert_array_equal(decoded(decode.image(mode="RGB16"), content), decoded(decode.image(), content) * np.uint16(257))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_a_picture_from_a_phone_stands_upright(kind: str, orientation: int, mode: str) -> None:
    flat = decoded(decode.image(mode=mode), saved(PHOTO, kind))
    ways: list[Callable[[Any], Any]] = [
        lambda a: a,
        lambda a: a[:, ::-1],
        lambda a: a[::-1, ::-1],
        lambda a: a[::-1],
        lambda a: a.transpose(1, 0, 2),
        lambda a: np.rot90(a, -1),
        lambda a: np.rot90(a, 2).transpose(1, 0, 2),
        lambda a: np.rot90(a, 1),
    ]
    content = saved(PHOTO, kind, exif=turned(orientation))
    np.testing.assert_allclose(decoded(decode.image(mode=mode), content), ways[orientation - 1](flat), atol=1 if mode == "L" else 0)


@pytest.mark.parametrize("resample", ["area", "linear", "nearest", "cubic"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF"])
def test_it_is_resized_as_opencv_does_it(kind: str, resample: str) -> None:
    content = (FILES | BY_PILLOW)[kind]()
    flag = getattr(cv2, f"INTER_{resample.upper()}")
    whole = by_pillow(content) if kind == "GIF" else by_opencv(content)
    for size in ((30, 40), (100, 90)):
        want = cv2.resize(whole, size[::-1], interpolation=flag)
        np.testing.assert_array_equal(decoded(decode.image(size, resample=resample), content), want)
    grey = by_pillow(content, "L") if kind == "GIF" else by_opencv(content, cv2.IMREAD_GRAYSCALE)
    small = decoded(decode.image((30, 40), "L", resample), content)
    np.testing.assert_array_equal(small[..., 0], cv2.resize(grey, (40, 30), interpolation=flag))


@pytest.mark.parametrize(("size", "factor"), [((24, 32), 2), ((12, 16), 4), ((13, 16), 2), ((6, 8), 8), ((2, 2), 8), ((25, 32), 1)])
def test_a_jpeg_is_decoded_smaller_where_it_is_twice_as_large_as_wanted(size: tuple[int, int], factor: int) -> None:
    content = FILES["JPEG"]()
    flags = {1: cv2.IMREAD_COLOR, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4, 8: cv2.IMREAD_REDUCED_COLOR_8}
    smaller = by_opencv(content, flags[factor])
    assert smaller.shape[0] >= size[0]
    picture = decoded(decode.image(size), content)
    np.testing.assert_array_equal(picture, cv2.resize(smaller, size[::-1], interpolation=cv2.INTER_AREA))
    whole = cv2.resize(by_opencv(content), size[::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(picture.astype(int) - whole).mean() < 8


def test_a_jpeg_that_was_held_sideways_is_measured_upright() -> None:
    content = saved(PHOTO, "JPEG", exif=turned(6))  # 64 high and 48 wide
    smaller = by_opencv(content, cv2.IMREAD_REDUCED_COLOR_2)
    np.testing.assert_array_equal(decoded(decode.image((32, 24)), content), smaller)
    whole = by_opencv(content)
    np.testing.assert_array_equal(decoded(decode.image((24, 32)), content), cv2.resize(whole, (32, 24), interpolation=cv2.INTER_AREA))


def test_a_mask_keeps_its_values() -> None:
    mask = np.random.default_rng(3).choice(np.array([0, 1, 7], np.uint8), (HEIGHT, WIDTH))
    small = decoded(decode.image((12, 16), mode="L", resample="nearest"), saved(mask, "PNG"))
    np.testing.assert_array_equal(small[..., 0], mask[::4, ::4])


def test_what_surrounds_a_jpeg_does_no_harm() -> None:
    content = FILES["JPEG"]()
    want = by_opencv(content)
    np.testing.assert_array_equal(decoded(decode.image(), content + bytes(100)), want)
    preview = saved(photo(8, 8), "JPEG")
    within = content[:2] + b"\xff\xee" + (len(preview) + 2).to_bytes(2, "big") + preview + content[2:]
    np.testing.assert_array_equal(decoded(decode.image(), within), want)
    filled = content[:2] + b"\xff\xff" + content[2:]
    np.testing.assert_array_equal(decoded(decode.image(), filled), want)


def test_opening_it_leaves_the_scripts_opencv_as_it_is() -> None:
    before = cv2.getNumThreads()
    decode.image().open()
    assert cv2.getNumThreads() == before


def test_it_says_how_it_was_made_and_travels() -> None:
    decoder = decode.image(size=(24, 32), mode="L")
    assert repr(decoder) == "decode.image(size=(24, 32), mode='L')"
    assert repr(decode.image()) == "decode.image()"
    assert decode.image(size=np.int64(24)) == decode.image(size=[24, 24])  # type: ignore[arg-type]
    assert pickle.loads(pickle.dumps(decoder)) == decoder


@pytest.mark.parametrize("size", [0, -1, 2.5, "224", (224,), (1, 2, 3), True, (10, None), 40_000])
def test_a_size_that_is_none_is_refused(size: Any) -> None:
    with pytest.raises(ConfigError, match=r"size=.*must be \(height, width\) in pixels, or one number for a square"):
        decode.image(size=size)


def test_all_wrong_arguments_are_told_at_once() -> None:
    with pytest.raises(ConfigError, match=r"mode='BGR': must be one of 'RGB', 'L', 'RGBA', 'RGB16', 'L16'; resample='best': must be one of 'area'"):
        decode.image(mode="BGR", resample="best")


def test_a_missing_library_is_told_when_the_source_is_made_with_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(FILES["JPEG"]())
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ConfigError, match=r"decode\.image\(size=\(8, 8\)\) needs cv2, not installed here.*pip install 'npy-loader\[image\]'"):
        ByteFiles(tmp_path, decode=decode.image(size=8))
