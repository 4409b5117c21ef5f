"""`loader.show()`: the samples that a model gets first, as pixels, words and data."""

from __future__ import annotations

import io
import json
import re
import sys
from typing import Any

import numpy as np
import pytest
from PIL import Image

from loader import ConfigError, Loader, MapSource, NpyArrays, NpyFiles, SampleError
from loader import transforms as T
from loader.data.spec import Array
from loader.train.show.contact_sheet import ContactSheet

PICTURES = np.random.default_rng(0).integers(0, 256, (30, 20, 20, 3), "u1")
SCALE = 8  # times larger on the page


def cut(sheet: ContactSheet, block: int, number: int = 0) -> Array:
    """Return a picture of a page, as small as it was."""
    top, left, height, width = sheet.page.places[block][number]
    return sheet.pixels[top : top + height : SCALE, left : left + width : SCALE]


def make(**settings: Any) -> Loader:
    source = MapSource(list(PICTURES), ids=[f"pictures/{number:02}.png" for number in range(30)], labels=["cat", "dog"] * 15)
    return Loader(source, 8, **{"shuffle": True, "seed": 3, "transforms": [T.Flip("horizontal"), T.Noise(20)], "workers": 0, **settings})


def test_what_is_shown_is_what_the_first_batches_hold() -> None:
    with make() as loader:
        sheet = loader.show(samples=11)
        expected = np.concatenate([x for x, _ in loader])
    for number in range(11):
        np.testing.assert_array_equal(cut(sheet, number), expected[number])


def test_a_row_is_a_sample_and_a_column_an_epoch() -> None:
    with make(shuffle=False) as loader:
        sheet = loader.show(samples=3, epochs=4)
        epochs = [np.concatenate([x for x, _ in loader]) for _ in range(4)]
    places = [place for ((*place, _, _),) in sheet.page.places]
    assert len({top for top, _ in places}) == 3
    assert len({left for _, left in places}) == 4
    for number in range(12):
        np.testing.assert_array_equal(cut(sheet, number), epochs[number % 4][number // 4])


def test_the_loader_stays_where_it_is() -> None:
    with make() as loader, make() as undisturbed:
        batches, others = iter(loader), iter(undisturbed)
        for _ in range(2):
            np.testing.assert_array_equal(next(batches)[0], next(others)[0])
            loader.show(samples=2, epochs=3)
        assert loader.state_dict() == undisturbed.state_dict()
        np.testing.assert_array_equal(next(batches)[0], next(others)[0])


def test_what_a_transform_moves_with_the_picture_is_shown_on_it() -> None:
    source = NpyArrays({"image": PICTURES[:4]}, {"a": np.ones((4, 3, 4), "f4"), "b": np.ones((4, 2), "f4"), "c": np.zeros((4, 20, 20), "f4")})
    move = T.Affine(rotation=10, fields="image", masks="c", boxes="a", points="b")
    with Loader(source, 2, transforms=[move], workers=0) as loader:
        shown = [field["shown_as"] for field in loader.show().as_dict()["fields"]]
    assert shown == ["picture", "boxes", "points", "mask"]


def test_a_row_that_becomes_a_picture_is_no_sound() -> None:
    rows = np.random.default_rng(0).random((4, 400), np.float32)
    for transform, kind in ((lambda x: x.reshape(20, 20), "picture"), (lambda x: np.log(x[:380].reshape(20, 19)), "spectrogram")):
        with Loader(NpyArrays(rows), 2, transforms=[lambda sample, rng, f=transform: (f(sample[0]),)], workers=0) as loader:
            assert loader.show().as_dict()["fields"][0]["shown_as"] == kind


def test_the_words_are_about_each_field() -> None:
    with make(name="train") as loader:
        sheet = loader.show()
    assert str(sheet) == (
        "train: 16 of 30 samples\nx: uint8 (20, 20, 3), 0 to 255, mean 127.4; picture; black is 0, white is 255\ny: int32 (), 0 to 1, mean 0.5625"
    )
    assert repr(sheet) == "<ContactSheet of train: 16 of 30 samples>"


def test_the_data_name_the_samples() -> None:
    with make(shuffle=False) as loader:
        data = json.loads(json.dumps(loader.show(samples=2, epochs=2).as_dict()))
    assert data["samples"] == [{"index": 0, "name": "pictures/00.png"}, {"index": 1, "name": "pictures/01.png"}]
    assert [(field["name"], field["dtype"], field["shapes"], field["shown_as"]) for field in data["fields"]] == [
        ("x", "uint8", [[20, 20, 3]], "picture"),
        ("y", "int32", [[]], "value"),
    ]
    assert data["fields"][0]["drawn_from"] == [0, 255]
    assert (data["epochs"], data["of"]) == (2, 30)


def lines(sheet: ContactSheet) -> list[list[str]]:
    """Return the words below each sample."""
    return [list(sheet._block(0, number).lines) for number in range(len(sheet._taken.indices))]


def test_labels_are_names_where_the_source_has_them() -> None:
    with make(shuffle=False, class_weight={0: 1.5, 1: 2.5}) as loader:
        assert lines(loader.show(samples=2)) == [["y: cat", "sample_weight: 1.5"], ["y: dog", "sample_weight: 2.5"]]
    with make(shuffle=False, transforms=[T.OneHot(2)]) as loader:
        assert lines(loader.show(samples=2)) == [["y: cat"], ["y: dog"]]
    with make(shuffle=False, transforms=[T.OneHot(2), lambda sample, rng: (sample[0], sample[1] * 0.4 + 0.3)]) as loader:
        assert lines(loader.show(samples=2)) == [["y: 0.7 cat, 0.3 dog"], ["y: 0.7 dog, 0.3 cat"]]


def test_numbers_are_told_in_words() -> None:
    source = NpyArrays({"a": np.arange(4.0) / 3, "few": np.arange(8, dtype="i2").reshape(4, 2)}, np.arange(4) + 5, np.ones((4, 0)))
    with Loader(source, 2, workers=0) as loader:
        assert lines(loader.show())[1] == ["a: 0.3333", "few: [2, 3]", "y: 6", "sample_weight: empty"]


def test_a_label_that_is_not_a_number_is_told() -> None:
    with Loader(NpyArrays(np.zeros((4, 8, 8)), np.array([1.0, np.nan, np.inf, 2.0])), 2, workers=0) as loader:
        sheet = loader.show()
    assert lines(sheet) == [["y: 1"], ["y: nan"], ["y: inf"], ["y: 2"]]
    assert str(sheet).endswith("y: float64 (), 1 to 2, mean 1.5; 1 NaN, 1 infinite")


def test_fewer_samples_than_asked_for_are_all_of_them() -> None:
    with Loader(NpyArrays(np.zeros((3, 8, 8))), 2, workers=0) as loader:
        assert str(loader.show(samples=100)).startswith(f"{loader.name}: 3 of 3 samples\n")
    with Loader(NpyArrays(np.zeros((6, 8, 8))), 2, workers=0, shard=(1, 3)) as loader:
        assert loader.show().as_dict()["samples"] == [{"index": 2, "name": None}, {"index": 3, "name": None}]


def test_files_that_are_batches_are_shown_one_after_the_other(tmp_path: Any) -> None:
    for number, rows in enumerate((2, 3, 4)):
        np.save(tmp_path / f"{number}.npy", np.full((rows, 8, 8), number))
    with Loader(NpyArrays(str(tmp_path / "*.npy")), None, workers=0) as loader:
        assert [sample["index"] for sample in loader.show(samples=7).as_dict()["samples"]] == list(range(7))


def test_the_picture_of_a_notebook_is_that_of_the_file(tmp_path: Any) -> None:
    with make() as loader:
        sheet = loader.show(samples=2)
    sheet.save(tmp_path / "sheet.png")
    content = (tmp_path / "sheet.png").read_bytes()
    assert content == sheet._repr_png_()
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(content))), sheet.pixels)


def broken(sample: Any, rng: np.random.Generator) -> Any:
    if sample[0][0, 0, 0] == PICTURES[2, 0, 0, 0]:
        raise ArithmeticError("bad")
    return sample


def test_a_bad_sample_is_named() -> None:
    with make(shuffle=False, transforms=[broken]) as loader, pytest.raises(SampleError, match=r"pictures/02\.png"):
        loader.show()


def test_a_bad_sample_that_may_be_replaced_is_told_and_not_reported(tmp_path: Any) -> None:
    with make(shuffle=False, transforms=[broken], on_error="substitute", quarantine=tmp_path / "bad.jsonl") as loader:
        sheet = loader.show(samples=4, epochs=2)
        assert str(sheet).startswith(f"{loader.name}: 4 of 30 samples, in 2 epochs; 1 bad, with others in their place\n")
        assert not np.array_equal(cut(sheet, 4), PICTURES[2])
        np.testing.assert_array_equal(cut(sheet, 6), PICTURES[3])
    assert not (tmp_path / "bad.jsonl").exists() or not (tmp_path / "bad.jsonl").read_text()


@pytest.mark.parametrize("given", [0, -1, 2.0, None, True, "3"])
@pytest.mark.parametrize("name", ["samples", "epochs"])
def test_numbers_that_make_no_sense_are_refused(name: str, given: Any) -> None:
    with make() as loader, pytest.raises(ConfigError, match=re.escape(f"{name}={given!r}")):
        loader.show(**{name: given})


def test_more_than_fits_in_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loader.train.show.samples.available_bytes", lambda: 30_000)
    with make() as loader, pytest.raises(ConfigError, match=r"32 samples of .* samples=12"):
        loader.show(epochs=2)


def test_without_pillow_there_are_words_and_an_error_that_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    with make() as loader:
        sheet = loader.show(samples=2)
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "picture" in str(sheet)
    with pytest.raises(ConfigError, match=r"npy-loader\[image\]"):
        sheet._repr_png_()


def test_samples_of_several_buckets_are_shown_as_their_batches_hold_them(tmp_path: Any) -> None:
    for number in range(12):
        np.save(tmp_path / f"{number:02}.npy", np.full((20 + 10 * number, 4, 4), number, "f4"))
    with Loader(NpyFiles(tmp_path), 2, bucket_by=[40, 80, 160], shuffle=True, seed=1, workers=0) as loader:
        field = loader.show(samples=12, epochs=2).as_dict()["fields"][0]
        assert field["shapes"] == sorted(list(x.shape[1:]) for x in {x.shape[1:]: x for (x,) in loader}.values())


def test_batch_transforms_mix_what_they_mix_in_training() -> None:
    def mixed(batch: Any, rng: np.random.Generator) -> Any:
        x, y = batch
        return (x // 2 + x[rng.permutation(len(x))] // 2, y)

    with make(batch_transforms=[mixed]) as loader:
        sheet = loader.show(samples=11)
        expected = np.concatenate([x for x, _ in loader])
    for number in range(11):
        np.testing.assert_array_equal(cut(sheet, number), expected[number])
