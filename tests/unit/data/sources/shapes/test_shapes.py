"""The shapes of samples that differ in size: from headers, as reading gives them, through every source that is made of others."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from loader import ByteFiles, ConfigError, IterSource, MapSource, NpyArrays, NpyError, NpyFiles, SampleError, Source, TextLines, Zip, decode
from loader.data.spec import SampleSpec

SIZES = [(3, 7), (5, 2), (1, 9), (4, 4)]


def npy_files(folder: Path, **options: Any) -> NpyFiles:
    folder.mkdir(exist_ok=True)
    for number, shape in enumerate(SIZES):
        np.save(folder / f"{number}.npy", np.full(shape, number, np.float32))
    return NpyFiles(folder, **options)


def picture(kind: str, height: int, width: int, orientation: int = 1, **options: Any) -> bytes:
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    Image.fromarray(np.zeros((height, width, 3), np.uint8)).save(file, kind, exif=exif, **options)
    return file.getvalue()


def sound(kind: str, samples: int, channels: int) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.zeros((samples, channels), np.float32), 16_000, format=kind)
    return file.getvalue()


def npz(shape: tuple[int, ...]) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, image=np.zeros(shape), label=np.int64(1))
    return file.getvalue()


def as_read(source: Source) -> dict[str, list[tuple[int, ...]]]:
    """Return the shapes of all samples as reading them gives them."""
    rows = [SampleSpec.of(source[index]).leaves for index in range(len(source))]
    return {leaf.name: [row[number].shape for row in rows] for number, leaf in enumerate(source.spec.leaves)}


def as_told(source: Source) -> dict[str, list[tuple[int, ...]]]:
    told = source.shapes(workers=0)
    assert all(shapes.dtype == np.int64 and len(shapes) == len(source) for shapes in told.values())
    return {name: [tuple(shape) for shape in shapes.tolist()] for name, shapes in told.items()}


CONTENTS: dict[str, tuple[Any, list[bytes]]] = {
    "pictures": (decode.image(), [picture("JPEG", 20, 30), picture("PNG", 7, 5), picture("BMP", 8, 9), picture("GIF", 3, 4)]),
    "pictures on their side": (decode.image(mode="L"), [picture(kind, 20, 30, 6) for kind in ("JPEG", "PNG", "WEBP", "TIFF")]),
    "pictures upside down": (decode.image(mode="RGBA"), [picture(kind, 20, 30, 3) for kind in ("JPEG", "PNG", "WEBP", "TIFF")]),
    "pictures of one size": (decode.image(size=(4, 6)), [picture("JPEG", 20, 30), picture("PNG", 7, 5)]),
    "sound": (decode.audio(), [sound("WAV", 1000, 1), sound("FLAC", 77, 2), sound("OGG", 4000, 1), sound("MP3", 4000, 1)]),
    "sound of all channels": (decode.audio(mono=False, offset_s=0.01), [sound("WAV", 1000, 2), sound("FLAC", 500, 2)]),
    "sound at another rate": (decode.audio(sample_rate=11_025), [sound("WAV", n, 1) for n in (1, 999, 1000, 1001)]),
    "sound of one length": (decode.audio(duration_s=0.1), [sound("WAV", 1000, 1), sound("FLAC", 7777, 1)]),
    "archives": (decode.npz(("image", "label")), [npz((2, 3)), npz((5, 1))]),
    "numbers without a header": (decode.raw("int16", (-1, 2)), [bytes(8), bytes(40)]),
    "a function": (lambda content: {"a": np.zeros(len(content)), "b": np.zeros((len(content), 2))}, [bytes(3), bytes(4)]),
}


@pytest.mark.parametrize("kind", CONTENTS)
def test_headers_tell_the_shapes_that_decoding_gives(kind: str, tmp_path: Path) -> None:
    decoder, contents = CONTENTS[kind]
    for number, content in enumerate(contents):
        (tmp_path / f"{number}.bin").write_bytes(content)
    labels = None if kind == "archives" else np.zeros((len(contents), 5))
    source = ByteFiles([f"{number}.bin" for number in range(len(contents))], labels, tmp_path, decode=decoder)
    assert as_told(source) == as_read(source)


def test_the_content_of_npy_files_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = npy_files(tmp_path, labels=np.arange(4))
    assert source.spec
    monkeypatch.setattr(NpyFiles, "_read_file", None)
    assert as_told(source) == {"x": SIZES, "y": [()] * 4}


SOURCES: dict[str, Callable[[Path], Source]] = {
    "files": npy_files,
    "a subset": lambda folder: npy_files(folder).subset([2, 0, 2]),
    "a sum": lambda folder: npy_files(folder / "a") + npy_files(folder / "b").subset([1]),
    "a split": lambda folder: NpyArrays(np.zeros((9, 2))).split(0.5)[0],
    "parts": lambda folder: Zip(x={"a": npy_files(folder), "b": npy_files(folder)}, y=NpyArrays(np.zeros((4, 3)))),
    "parts by ID": lambda folder: Zip(npy_files(folder / "a").subset([3, 1]), y=npy_files(folder / "b")),
    "a subset of a sum": lambda folder: (npy_files(folder / "a") + npy_files(folder / "b")).subset([7, 0, 5]),
    "arrays": lambda folder: NpyArrays(np.zeros((5, 2, 3)), np.zeros(5)),
    "an object": lambda folder: MapSource([(np.zeros(shape), 1) for shape in SIZES]),
    "a part of an object": lambda folder: MapSource([(np.zeros(shape), 1) for shape in SIZES]).subset([3, 1]),
    "a generator": lambda folder: IterSource(lambda: iter([(np.zeros(shape),) for shape in SIZES])),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_any_source_tells_the_shapes_of_its_samples(kind: str, tmp_path: Path) -> None:
    source = SOURCES[kind](tmp_path)
    assert as_told(source) == as_read(source)


def test_lines_of_text_have_one_shape(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo and more\n")
    assert as_told(TextLines(tmp_path / "a.txt", decode=decode.text(None, length=8))) == {"x": [(8,), (8,)]}


def test_all_bad_files_are_named_at_once(tmp_path: Path) -> None:
    source = npy_files(tmp_path)
    (tmp_path / "1.npy").write_bytes(b"nonsense")
    (tmp_path / "2.npy").unlink()
    np.save(tmp_path / "3.npy", np.zeros(4, np.float32))
    with pytest.raises(SampleError) as caught:
        source.shapes(workers=0)
    said = str(caught.value)
    assert said.startswith(f"sample 1 ({tmp_path}/1.npy): NpyError: ")
    assert "3 samples of 4 are bad; the others:" in said
    assert "2.npy: No such file" in said
    assert "x has shape (4,), 1 axes, but the first sample's has shape (3, 7), 2" in said


def test_a_bad_first_file_is_named_with_the_others(tmp_path: Path) -> None:
    source = npy_files(tmp_path)
    for number in (0, 2):
        (tmp_path / f"{number}.npy").write_bytes(b"")
    with pytest.raises(SampleError, match=r"(?s)sample 0 .*2 samples of 4 are bad; the others:.*sample 2 "):
        source.shapes(workers=0)


def test_where_all_files_are_bad_the_first_is_named(tmp_path: Path) -> None:
    source = npy_files(tmp_path)
    for path in source.paths:
        Path(path).write_bytes(b"")
    with pytest.raises(NpyError, match=r"0\.npy"):
        source.shapes(workers=0)


def test_a_number_of_workers_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="workers=-1"):
        npy_files(tmp_path).shapes(workers=-1)


def test_of_many_bad_files_some_are_named_and_all_are_counted(tmp_path: Path) -> None:
    for number in range(50):
        (tmp_path / f"{number:02}.npy").write_bytes(b"")
    np.save(tmp_path / "00.npy", np.zeros(3))
    with pytest.raises(SampleError, match=r"(?s)sample 1 .*49 samples of 50 are bad; the others:.*sample 20 .*and 29 more$"):
        NpyFiles(tmp_path).shapes(workers=0)


def test_a_file_that_is_cut_off_has_no_shape(tmp_path: Path) -> None:
    source = npy_files(tmp_path)
    whole = (tmp_path / "2.npy").read_bytes()
    (tmp_path / "2.npy").write_bytes(whole[:-1])
    with pytest.raises(SampleError, match=r"2\.npy"):
        source.shapes(workers=0)


def test_sums_of_samples_with_other_axes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must have samples of one kind"):
        (npy_files(tmp_path) + NpyArrays(np.zeros((3, 4), np.float32))).shapes(workers=0)


def test_no_samples_have_no_shapes(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no samples"):
        npy_files(tmp_path).subset([]).shapes(workers=0)
