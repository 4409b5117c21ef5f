"""Arrays in files of their own: what comes out is what went in, and what is no such file is refused in words."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import ByteFiles, ConfigError, DecodeError, Loader, PipelineError, SampleError, decode
from loader.data.decode.decoder import Undecodable
from tests.batches import take

IMAGE = np.arange(12, dtype=np.float32).reshape(3, 4)


def npy_file(array: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def npz_file(compressed: bool = False, **arrays: Any) -> bytes:
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, **arrays)
    return file.getvalue()


def of(decoder: Any, content: bytes) -> Any:
    """Decode from memory that is overwritten afterwards, as that of the next file is."""
    buffer = bytearray(content)
    found = pickle.loads(pickle.dumps(decoder)).decode(memoryview(buffer))
    buffer[:] = b"\xff" * len(buffer)
    return found


@pytest.mark.parametrize("dtype", ["u1", ">i2", "<f4", ">f8", "c8", "?"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(), (5,), (3, 4), (0, 3), (2, 3, 4)])
def test_an_array_is_what_was_saved(dtype: str, order: Any, shape: tuple[int, ...]) -> None:
    array = np.asarray(np.arange(int(np.prod(shape))).reshape(shape).astype(dtype), order=order)
    raw = np.ascontiguousarray(array)
    found = {
        "npy": of(decode.npy(), npy_file(array)),
        "npz": of(decode.npz("a"), npz_file(a=array)),
        "z": of(decode.npz("a"), npz_file(True, a=array)),
    }
    if array.size:
        found["raw"] = of(decode.raw(dtype, shape), raw.tobytes())
    for one in found.values():
        np.testing.assert_array_equal(one, array)
        assert (one.dtype, one.flags.c_contiguous, one.flags.writeable) == (array.dtype.newbyteorder("="), True, True)


def test_keys_say_what_a_sample_is() -> None:
    content = npz_file(a=IMAGE, b=IMAGE + 1, label=7, weight=np.float32(0.5))
    np.testing.assert_array_equal(of(decode.npz("b"), content), IMAGE + 1)
    np.testing.assert_array_equal(of(decode.npz("b.npy"), content), IMAGE + 1)
    x, y, weight = of(decode.npz(("a", "label", "weight")), content)
    assert (x.shape, int(y), float(weight)) == ((3, 4), 7, 0.5)
    assert list(of(decode.npz(["b", "a"]), content)) == ["b", "a"]
    np.testing.assert_array_equal(of(decode.npz({"image": "b"}), content)["image"], IMAGE + 1)
    inputs, target = of(decode.npz((["a", "b"], {"class": "label"})), content)
    assert (list(inputs), int(target["class"])) == (["a", "b"], 7)
    assert len(of(decode.npz(("a",)), content)) == 1


@pytest.mark.parametrize("keys", [[], {}, (), ("a", 3), 3, None, {"a": 1}, {1: "a"}, [1], ("a", "b", "c", "d"), [["a"]]])
def test_keys_that_name_no_array_are_refused(keys: Any) -> None:
    with pytest.raises(ConfigError, match=r"decode\.npz: "):
        decode.npz(keys)


def test_an_open_axis_is_as_long_as_the_file() -> None:
    decoder = decode.raw("<i2", (-1, 2))
    assert (of(decoder, bytes(8)).shape, of(decoder, bytes(20)).shape, decoder.known_spec()) == ((2, 2), (5, 2), None)
    assert str(decode.raw(">i2", 4).known_spec()) == "(x: (4,) int16)"


def zip_of(**entries: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in entries.items():
            archive.writestr(f"{name}.npy", content)
    return file.getvalue()


OBJECTS = np.array([{}, None])
BAD = {
    "a missing key": (decode.npz("z"), npz_file(a=1, b=2), "has no array 'z'; it has 'a', 'b'"),
    "an empty archive": (decode.npz("z"), npz_file(), "has no array 'z'; it is empty"),
    "an empty file": (decode.npz("a"), b"", "is empty (0 bytes)"),
    "half an archive": (
        decode.npz("a"),
        npz_file(a=np.zeros(1000))[:4000],
        "is a damaged zip archive, perhaps because its writing or copying was cut off",
    ),
    "a changed byte": (decode.npz("a"), npz_file(a=np.zeros(1000)).replace(bytes(100), b"\1" * 100, 1), "Bad CRC-32 for file 'a.npy'"),
    "text": (decode.npz("a"), b"hello", "is not a .npz file, which is a zip archive: it begins b'hello'"),
    "a .npy as .npz": (decode.npz("a"), npy_file(IMAGE), "is not a .npz file"),
    "a pickle in an archive": (decode.npz("a"), npz_file(a=OBJECTS), "its array 'a' holds Python objects in pickled form, which are never loaded"),
    "text in an archive": (decode.npz("a"), zip_of(a=b"hello"), "its array 'a' is not a .npy file but text"),
    "half an array in an archive": (decode.npz("a"), zip_of(a=npy_file(IMAGE)[:-5]), "its array 'a' truncated: "),
    "a pickle": (decode.npy(), npy_file(OBJECTS), "holds Python objects in pickled form, which are never loaded"),
    "a cut .npy": (decode.npy(), npy_file(IMAGE)[:-5], "truncated: its header means 48 bytes of data"),
    "a cut header": (decode.npy(), npy_file(IMAGE)[:50], "ends inside its header"),
    "a long .npy": (decode.npy(), npy_file(IMAGE) + b"abc", "over-long"),
    "an archive as .npy": (decode.npy(), npz_file(a=1), "is not a .npy file but a zip archive"),
    "nothing": (decode.npy(), b"", "is empty (0 bytes)"),
    "3 bytes too many": (decode.raw("u1", (5, 4)), bytes(23), "has 23 bytes, but shape (5, 4) and dtype uint8 mean 20; it has 3 more. No shape like"),
    "no whole rows": (decode.raw("f4", (-1, 3)), bytes(50), "mean a multiple of 12: 50 = 4 × 12 + 2"),
    "no bytes": (decode.raw("f4", (-1, 3)), b"", "is empty (0 bytes)"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_such_file_is_refused_in_words(name: str) -> None:
    decoder, content, words = BAD[name]
    with pytest.raises(Undecodable) as caught:
        decoder.decode(memoryview(content))
    assert words in str(caught.value)


@pytest.mark.parametrize("compressed", [False, True])
def test_an_archive_cut_anywhere_or_with_any_byte_changed_is_read_or_refused(compressed: bool) -> None:
    content, decoder = npz_file(compressed, a=IMAGE, b=np.arange(3)), decode.npz(["a", "b"])
    damaged = [content[:end] for end in range(len(content))]
    damaged += [content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :] for place in range(len(content))]
    refused = 0
    for one in damaged:
        try:
            decoder.decode(memoryview(one))
        except Undecodable:
            refused += 1
    assert refused > len(content)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(9):
        np.savez(tmp_path / f"{number}.npz", image=IMAGE + number, label=np.int32(number))
    return tmp_path


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_reads_archives(folder: Path, workers: int) -> None:
    (folder / "notes.txt").write_text("not an archive")
    with Loader(ByteFiles(folder, decode=decode.npz(("image", "label"))), 4, workers=workers) as loader:
        assert str(loader.spec).startswith("(x: (3, 4) float32, y: () int32)")
        batches = [(x.copy(), y.copy()) for x, y in take(loader)]
    np.testing.assert_array_equal(np.concatenate([y for _, y in batches]), np.arange(9))
    np.testing.assert_array_equal(np.concatenate([x for x, _ in batches]), IMAGE + np.arange(9)[:, None, None])


def test_a_file_of_another_shape_is_a_bad_sample_by_its_path(folder: Path) -> None:
    np.savez(folder / "3.npz", image=IMAGE.T, label=np.int32(3))
    with Loader(ByteFiles(folder, decode=decode.npz(("image", "label"))), 4, workers=0) as loader, pytest.raises(SampleError) as caught:
        take(loader)
    assert f"{folder}/3.npz" in str(caught.value)
    assert "x has shape (4, 3)" in str(caught.value)
    (folder / "3.npz").write_bytes(b"nothing")
    with pytest.raises(DecodeError, match=r"3\.npz: is not a \.npz file"):
        ByteFiles(folder, decode=decode.npz("image"))[3]


def test_labels_come_from_the_archive_or_from_the_source(folder: Path) -> None:
    with pytest.raises(PipelineError, match="returns 2 parts, so labels= can't be given as well"):
        _ = ByteFiles(folder, labels=list(range(9)), decode=decode.npz(("image", "label"))).spec
    assert ByteFiles(folder, labels=list(range(9)), decode=decode.npz("image"))[4][1] == 4


def test_the_words_of_a_decoder_are_the_code_that_makes_it() -> None:
    decoders = [decode.npy(), decode.npz(("a", "b")), decode.raw("float32", (3, -1))]
    assert [repr(decoder) for decoder in decoders] == ["decode.npy()", "decode.npz(('a', 'b'))", "decode.raw('float32', (3, -1))"]


@pytest.mark.parametrize("name", ["npy", "npz", "raw", "audio", "text"])
def test_a_decoder_that_was_not_called_is_noticed(folder: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=rf"decode=decode\.{name} is a function that makes a decoder; call it: decode=decode\.{name}\(\.\.\.\)"):
        ByteFiles(folder, decode=getattr(decode, name))
