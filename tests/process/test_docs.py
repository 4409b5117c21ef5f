"""The code of the README and of the pages in docs/ runs as it stands there. That of my_data_is_in_another_library.md: test_other_libraries.py."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import soundfile

import loader

ROOT = Path(__file__).parent.parent.parent


class Model:
    """Stands for one of Keras: it takes the batches, and predicts the mean of each sample and nothing else."""

    def fit(self, batches: Any, validation_data: Any, epochs: int) -> None:
        self.seen = [sum(len(y) for _, y in each) for each in (batches, validation_data)]

    def predict(self, batches: Any) -> np.ndarray:
        return np.concatenate([np.stack([x.mean((1, 2, 3)), np.zeros(len(x))], 1) for (x,) in batches])


def run(page: str, chosen: slice = slice(None), **given: Any) -> dict[str, Any]:
    """Run the snippets of a page, one after the other, in the working directory; return what they made.

    Args:
        page: relative to the project.
        chosen: which of its snippets.
        given: what they use and do not make.
    """
    made: dict[str, Any] = {"model": Model(), **given}
    snippets = re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)[chosen]
    assert snippets
    for snippet in snippets:
        exec(compile(snippet, page, "exec"), made)
    return made


@pytest.fixture
def loaders(monkeypatch: pytest.MonkeyPatch) -> list[loader.Loader]:
    """Return the loaders that are made, all of which have no workers."""
    made: list[loader.Loader] = []
    real = loader.Loader

    def make(*arguments: Any, **options: Any) -> loader.Loader:
        made.append(real(*arguments, **{**options, "workers": 0}))
        return made[-1]

    monkeypatch.setattr(loader, "Loader", make)
    return made


def raw_file(folder: Path) -> None:
    rng = np.random.default_rng(0)
    (folder / "data" / "scans").mkdir(parents=True)
    (folder / "data" / "frames.bin").write_bytes(bytes(64) + rng.random((100, 24, 24), np.float32).tobytes())
    np.save(folder / "data" / "labels.npy", np.zeros(100, np.int32))
    (folder / "data" / "batch.bin").write_bytes(bytes(100 * 3073))
    (folder / "data" / "scans" / "a.raw").write_bytes(bytes(64 * 64 * 2))


def series(folder: Path) -> None:
    (folder / "data").mkdir()
    np.save(folder / "data" / "series.npy", np.zeros((1000, 3), np.float32))
    np.save(folder / "data" / "labels.npy", np.zeros(1000, np.int32))


def sounds(folder: Path) -> None:
    for name in ("bark", "meow"):
        (folder / "data" / "sounds" / name).mkdir(parents=True)
        for number in range(20):
            soundfile.write(folder / "data" / "sounds" / name / f"{number}.wav", np.zeros(5000 + 100 * number), 8000)


def picture(path: Path, value: int, height: int = 20, width: int = 30) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((height, width, 3), value, np.uint8))


def classes_of_pictures(folder: Path) -> None:
    for number in range(20):
        picture(folder / "pictures" / ("cat", "dog")[number % 2] / f"{number}.{('jpg', 'png')[number % 3 == 0]}", 10 * number, 130, 140)


def batch_files(folder: Path) -> None:
    (folder / "data").mkdir()
    for number, rows in enumerate((3, 5)):
        np.save(folder / "data" / f"x_00{number}.npy", np.zeros((rows, 7), np.float32))
        np.save(folder / "data" / f"y_00{number}.npy", np.zeros(rows, np.int32))


def rows(folder: Path) -> None:
    np.save(folder / "x.npy", np.zeros((100, 7), np.float32))
    np.save(folder / "y.npy", np.zeros(100, np.int32))


def samples_of_any_size(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for kind in ("cat", "dog"):
        (folder / "photos" / kind).mkdir(parents=True)
        for number in range(8):
            picture = rng.integers(0, 256, (*rng.integers(100, 300, 2), 3), np.uint8)
            cv2.imwrite(str(folder / "photos" / kind / f"{number}.jpg"), picture)
    (folder / "curves").mkdir()
    for number in range(32):
        np.save(folder / "curves" / f"{number}.npy", np.zeros((int(rng.integers(10, 101)), 3), np.float32))


def recordings(folder: Path) -> None:
    (folder / "recordings").mkdir()
    for number, length in enumerate(np.random.default_rng(0).integers(10, 251, 40).tolist()):
        np.save(folder / "recordings" / f"{number}.npy", np.zeros((length, 40), np.float32))


def labelled_pictures(folder: Path) -> None:
    rng = np.random.default_rng(0)
    (folder / "data").mkdir()
    np.save(folder / "data" / "photos.npy", rng.integers(0, 256, (200, 24, 32, 3), np.uint8))
    np.save(folder / "data" / "labels.npy", rng.choice(4, 200, p=[0.6, 0.2, 0.15, 0.05]))


PAGES: dict[str, tuple[Callable[[Path], None], list[str]]] = {
    "larger_than_memory.md": (rows, ["(x: (7,) float32, y: () int32)"]),
    "my_data_is_a_time_series.md": (series, ["(x: (48, 3) float32, y: (6, 3) float32)", "(x: (48, 3) float32, y: (6,) float32)"]),
    "my_data_is_images.md": (
        classes_of_pictures,
        [
            "(x: (224, 224, 3) float32, y: () int32)",
            "(x: (224, 224, 3) float32, y: () int32)",
            "(x: (128, 128, 3) uint8, y: () int32)",
            "(x['image']: (80, 80, 3) uint8, y['boxes']: (20, 4) float32, y['points']: (5, 2) float32)",
            "(x: (12, 28, 28, 1) float32, y: (12, 28, 28, 1) uint8)",
        ],
    ),
    "my_data_is_one_raw_file.md": (raw_file, ["(x: (24, 24) float32, y: () int32)", "(x: (3, 32, 32) uint8, y: () uint8)"]),
    "my_data_is_slow_to_decode.md": (classes_of_pictures, ["(x: (224, 224, 3) float32, y: () int32)"] * 2),
    "my_data_is_sound.md": (
        sounds,
        [
            "(x: (16000,) float32, y: () int32)",
            "(x: (8000,) float32, y: () int32)",
            "(x: (51, 64) float32, y: () int32)",
            "(x: (98, 201) float32, y: () int32)",
        ],
    ),
    "my_samples_differ_in_size.md": (
        samples_of_any_size,
        ["(x: (224, 224, 3) uint8, y: () int32)"] * 2 + ["(x: (100, 3) float32)", "(x: (10, 3) float32)"],
    ),
    "my_samples_differ_in_length.md": (
        recordings,
        [
            "(x: (256, 40) float32)",
            "(x['x']: (256, 40) float32, x['mask']: (256,) bool)",
            "(x['x']: (256, 40) float32, x['mask']: (256,) bool)",
            "(x: (128, 40) float32)",
        ],
    ),
    "my_files_are_batches.md": (batch_files, ["(x: (7,) float32, y: () int32)"]),
    "what_the_model_sees.md": (labelled_pictures, ["(x: (24, 32, 3) float32, y: () int64)"]),
    "statistics.md": (
        labelled_pictures,
        ["(x: (24, 32, 3) float32, y: () int64, sample_weight: () float32)", "(x: (12, 16, 3) float32, y: () int64)"],
    ),
}


@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page_runs_as_it_stands_there(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loaders: list[loader.Loader]) -> None:
    write, specs = PAGES[page]
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    made = run(f"docs/{page}")
    found = []
    for one in loaders:
        with one:
            next(iter(one))
            found.append(str(one.spec))
    assert [spec.replace("(batch, ", "(") for spec in found] == specs
    if "source" in made:
        assert len(made["source"].spec.leaves)


@pytest.mark.parametrize("page", sorted(path.name for path in (ROOT / "docs").glob("my_*.md")))
def test_a_page_about_data_begins_with_the_code(page: str) -> None:
    assert (ROOT / "docs" / page).read_text().split("\n")[2] == "```python"


def test_the_first_lines_of_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loaders: list[loader.Loader]) -> None:
    monkeypatch.chdir(tmp_path)
    for side, count in (("train", 20), ("val", 6)):
        for number in range(count):
            folder = tmp_path / "data" / side / "ab"[number % 2]
            folder.mkdir(parents=True, exist_ok=True)
            np.save(folder / f"{number}.npy", np.zeros((4, 4, 3), np.uint8))
    made = run("README.md", slice(2))
    assert made["model"].seen == [20, 6]
    (x, _), *_ = loaders[-1]
    assert x.std() > 0  # the noise of the second snippet
    for one in loaders:
        one.close()


def test_what_takes_the_place_of_a_data_generator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loaders: list[loader.Loader]) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    names = [f"id-{number}" for number in range(140)]
    for name in names:
        np.save(tmp_path / "data" / f"{name}.npy", np.zeros((4, 4), np.float32))
    partition = {"train": names[:130], "validation": names[130:]}
    made = run("docs/from_data_generator.md", slice(1, 2), partition=partition, labels=dict.fromkeys(names, 1))
    assert made["model"].seen == [128, 10]
    for one in loaders:
        assert str(one.spec) == "(x: (4, 4, 1) float32, y: (6,) float32)"
        one.close()


def test_an_image_data_generator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loaders: list[loader.Loader]) -> None:
    monkeypatch.chdir(tmp_path)
    for number in range(20):
        picture(tmp_path / "pictures" / "ab"[number % 2] / f"{number}.jpg", 10 * number)
    made = run("docs/from_image_data_generator.md")
    assert made["model"].seen == [16, 4]
    for name, spec in (("one", "(x: (150, 150, 3) float32, y: () int32)"), ("both", "(x: (64, 64, 3) uint8, y: (64, 64) uint8)")):
        assert str(made[name].spec) == spec
        assert len(list(made[name])) == len(made[name])
        made[name].close()


def test_several_scripts_read_one_pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.zeros((200, 4), np.float32))
    np.save("y.npy", np.arange(200, dtype=np.int32))
    made = run("docs/many_trainers_one_pool.md", slice(2))
    with made["train"] as train, made["other"] as other:
        assert [y.tolist() for _, y in train] == [y.tolist() for _, y in other]
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "1")
    with run("docs/many_trainers_one_pool.md", slice(2, 3), NpyArrays=loader.NpyArrays, Loader=loader.Loader)["train"] as train:
        assert [len(y) for _, y in train] == [64, 64, 64, 8]


def test_functions_of_a_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loaders: list[loader.Loader]) -> None:
    monkeypatch.chdir(tmp_path)
    labelled_pictures(tmp_path)
    made = run("docs/mix_samples.md")
    with made["train"] as train:
        ((_, plain), *_) = list(train)
    with train.with_settings(batch_transforms=[made["cutmix"]]) as train:
        ((_, cut), *_) = list(train)
    assert plain.shape == cut.shape == (32, 4)
    assert not set(np.unique(cut).tolist()) - {0.0, 0.25, 0.75, 1.0}


def test_functions_of_one_array_and_of_several_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loaders: list[loader.Loader]) -> None:
    monkeypatch.chdir(tmp_path)
    labelled_pictures(tmp_path)
    source = loader.NpyArrays("data/photos.npy", "data/labels.npy")
    made = run("docs/transforms_of_other_libraries.md", slice(-2, None), T=loader.transforms, source=source, Loader=loader.Loader)
    mapped = run("docs/transforms_of_other_libraries.md", slice(-2, -1), T=loader.transforms)["steps"]
    with loader.Loader(source, 32, transforms=mapped) as one:
        assert str(one.spec) == "(x: (24, 32, 3) float32, y: () int32)"
    with made["train"] as one:
        assert len(list(one)) == 7


def test_labels_in_a_csv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    names = [f"{'ab'[number % 2]} {number:02d}.jpg" for number in range(20)]
    for number, name in enumerate(names):
        picture(tmp_path / "photos/2021" / name, 10 * number)
    lines = [f'2021/{name},{("robin", "wren")[number % 2]},{number % 3},{number + 0.5},"a, b"' for number, name in enumerate(names)]
    (tmp_path / "birds.csv").write_text("\n".join(["file,species,age,weight_g,seen", *lines]))
    (tmp_path / "labels.csv").write_text("\n".join(["id,label", *(f"{name.removesuffix('.jpg')},1" for name in names)]))
    made = run("docs/my_labels_are_in_a_csv.md")
    assert made["model"].seen == [16, 4]
    shown = capsys.readouterr().out
    assert "('robin', 'wren')" in shown
    assert "(x: (64, 64, 3) uint8, y: (2,) float32)" in shown
    assert made["source"].classes == ("a", "b")


def test_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [f'{number},"The food was {"not good, alas" if number % 2 else "good"}",{"no" if number % 2 else "yes"}' for number in range(40)]
    Path("reviews.csv").write_text("\n".join(["id,review,opinion", *rows]))
    made = run("docs/my_data_is_text.md")
    assert sum(made["model"].seen) == 40
    assert made["source"].classes == ("no", "yes")
    assert made["source"][1][0][:6].tolist() == [2, 1, 5, 6, 3, 1]


def test_a_folder_to_predict_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number in range(5):
        picture(tmp_path / "incoming" / f"{4 - number}.png", 10 * number)
    picture(tmp_path / "incoming/thumbnails/0.png", 0)
    made = run("docs/i_have_a_folder_to_predict_on.md")
    with open("predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(Path(row["path"]).name, float(row["score"])) for row in rows] == [
        *((f"{number}.png", 10.0 * (4 - number)) for number in range(5)),
        ("0.png", 0.0),
    ]
    assert len(made["source"]) == 5


def test_a_split_by_patient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scans").mkdir()
    names = [f"p{number // 4:02d}_slice_{number % 4}" for number in range(120)]
    for name in names:
        np.save(tmp_path / "scans" / f"{name}.npy", np.zeros(2))
    (tmp_path / "diagnoses.csv").write_text("\n".join(["id,label", *(f"{name},{int(name[1:3]) % 2}" for name in names)]))
    made = run("docs/split_by_patient.md")
    assert len(made["early"]) == 48
    assert (len(made["training"]), len(made["validation"])) == (90, 30)
    assert capsys.readouterr().out.count("of 120)") == 3


def test_a_pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, npy_folder: Callable[..., Path], loaders: list[loader.Loader]) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    npy_folder(100, classes=2).rename("data/train")
    made = run("docs/many_small_files.md")
    assert made["source"].ids() == loader.NpyFiles.from_folder("data/train").ids()
    for one in loaders:
        one.close()


def test_a_position_in_a_loop_of_your_own() -> None:
    run("docs/resume.md", slice(1, 2))
