"""Files of any kind, decoded by a function of the user's."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import ByteFiles, Loader, TextLines, decode
from loader.data.decode.decoder import Decoder
from loader.data.rows import BadSample
from loader.data.spec import Leaf, SampleSpec
from loader.errors import ConfigError, DataNotFoundError, PipelineError, SampleError

COUNT = 6


def four_bytes(content: bytes) -> Any:
    return np.frombuffer(content, np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six files of four bytes each, in two sub-folders; file n holds n four times."""
    for number in range(COUNT):
        place = tmp_path / "ab"[number % 2]
        place.mkdir(exist_ok=True)
        (place / f"{number}.bin").write_bytes(bytes([number] * 4))
    return tmp_path


def test_a_file_is_what_the_function_makes_of_its_bytes(folder: Path) -> None:
    source = ByteFiles(folder, decode=four_bytes)
    assert [int(source[index][0][0]) for index in range(COUNT)] == [0, 2, 4, 1, 3, 5]
    assert str(source.spec) == "(x: (4,) uint8)"


def test_folders_are_classes(folder: Path) -> None:
    source = ByteFiles.from_folder(folder, decode=four_bytes)
    assert source.classes == ("a", "b")
    assert [int(source[index][1]) for index in range(COUNT)] == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_the_samples(folder: Path, workers: int) -> None:
    source = ByteFiles.from_folder(folder, decode=four_bytes)
    with Loader(source, 2, shuffle=True, seed=3, workers=workers) as loader:
        rows = [(int(x[0]), int(y)) for xs, ys in loader for x, y in zip(xs, ys, strict=True)]
    assert sorted(rows) == [(number, number % 2) for number in range(COUNT)]


def test_a_function_may_return_a_dict_or_a_whole_sample(folder: Path) -> None:
    def split(content: bytes) -> Any:
        row = four_bytes(content)
        return {"low": row[:1], "high": row[1:]}, int(row[0])

    source = ByteFiles(folder, decode=split)
    out = [np.zeros((COUNT, *leaf.shape), leaf.dtype) for leaf in source.spec.leaves]
    source.read(np.arange(COUNT), out)
    assert [leaf.name for leaf in source.spec.leaves] == ["x['low']", "x['high']", "y"]
    assert out[2].tolist() == [0, 2, 4, 1, 3, 5]
    assert out[1][3].tolist() == [1, 1, 1]


def test_labels_of_the_source_beside_those_of_the_file_are_refused(folder: Path) -> None:
    source = ByteFiles(folder, labels=range(COUNT), decode=lambda content: (four_bytes(content), 1))
    with pytest.raises(PipelineError, match="returns 2 parts, so labels= can't be given"):
        _ = source.spec


def test_a_file_that_makes_another_shape_is_named(folder: Path) -> None:
    (folder / "a" / "4.bin").write_bytes(b"123")
    source = ByteFiles(folder, decode=four_bytes)
    with Loader(source, 3, workers=0) as loader, pytest.raises(SampleError, match=r"4\.bin.*has shape \(3,\) and dtype uint8, but the first"):
        list(loader)


def test_what_the_function_raises_is_told_about_its_file(folder: Path) -> None:
    def fails(content: bytes) -> Any:
        if content[0] == 3:
            raise KeyError("no three")
        return four_bytes(content)

    source = ByteFiles(folder, decode=fails)
    out = [np.zeros((COUNT, 4), np.uint8)]
    with pytest.raises(BadSample) as caught:
        source.read(np.arange(COUNT), out)
    assert caught.value.index == 4
    assert isinstance(caught.value.__cause__, KeyError)
    assert out[0][:4, 0].tolist() == [0, 2, 4, 1]


def test_a_function_that_returns_nothing_is_named(folder: Path) -> None:
    source = ByteFiles(folder, decode=lambda content: None)
    for ask in (lambda: source.spec, lambda: source[0]):
        with pytest.raises(PipelineError, match=r"ByteFiles\(6 files .*lambda> returns something that is not a sample: None"):
            ask()


@pytest.mark.parametrize("workers", [0, 1])
def test_the_error_of_the_first_sample_says_that_it_must_be_good(folder: Path, workers: int) -> None:
    source = ByteFiles(folder, decode=decode.raw("uint8", (5,)))
    with (
        Loader(source, 3, workers=workers) as loader,
        pytest.raises(SampleError, match="The first sample must be good") as caught,
    ):
        next(iter(loader))
    assert "Undecodable" not in str(caught.value)


def test_a_large_file_comes_whole(tmp_path: Path) -> None:
    content = np.random.default_rng(1).integers(0, 255, 3_000_001, np.uint8)
    (tmp_path / "a.bin").write_bytes(content.tobytes())
    (tmp_path / "b.bin").write_bytes(content[::-1].tobytes())
    source = ByteFiles(tmp_path, decode=four_bytes)
    out = [np.zeros((2, len(content)), np.uint8)]
    source.read(np.arange(2), out)
    np.testing.assert_array_equal(out[0], np.stack([content, content[::-1]]))


def test_it_travels_after_it_has_been_read(folder: Path) -> None:
    source = ByteFiles(folder, decode=four_bytes)
    source.read(np.arange(1), [np.zeros((1, 4), np.uint8)])
    assert pickle.loads(pickle.dumps(source))[1][0].tolist() == [2] * 4


def test_something_else_than_a_decoder_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"decode='image': give a decoder of loader\.decode"):
        ByteFiles(folder, decode="image")


def test_a_missing_decoder_is_an_error_that_says_what_to_give(folder: Path) -> None:
    (folder / "m.csv").write_text("path,label\na/0.bin,1\n")
    makers: list[Callable[[], object]] = [
        lambda: ByteFiles(folder),
        lambda: ByteFiles.from_folder(folder),
        lambda: ByteFiles.from_manifest(folder / "m.csv"),
        lambda: TextLines(folder / "m.csv"),
    ]
    for make in makers:
        with pytest.raises(ConfigError, match=r"decode= is missing.* decode\.image\(size=\(224, 224\)\) for pictures.*or a function: bytes -> array"):
            make()


def test_a_file_that_is_missing_is_named(folder: Path) -> None:
    with pytest.raises(DataNotFoundError, match=r"9\.bin"):
        ByteFiles([folder / "a" / "9.bin"], decode=four_bytes)


class Words(Decoder):
    """Four bytes, which it says beforehand."""

    def known_spec(self) -> SampleSpec:
        return SampleSpec((Leaf(0, None, (4,), np.dtype(np.uint8)),))

    def decode(self, content: memoryview) -> Any:
        return np.frombuffer(bytes(content), np.uint8)


def test_a_decoder_that_knows_what_it_makes_needs_no_file_for_it(folder: Path) -> None:
    (folder / "a" / "0.bin").write_bytes(b"of another length")
    source = ByteFiles.from_folder(folder, decode=Words())
    assert str(source.header_spec()) == str(source.spec) == "(x: (4,) uint8, y: () int32)"
    assert ByteFiles(folder, decode=four_bytes).header_spec() is None
