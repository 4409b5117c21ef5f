"""What the pages about labels, folders and splits show, run as it stands there."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

DOCS = Path(__file__).parent.parent.parent / "docs"


class Model:
    """Stands for one of Keras: it takes the batches, and predicts the mean of each sample and nothing else."""

    def fit(self, batches: Any, validation_data: Any, epochs: int) -> None:
        self.seen = [sum(len(y) for _, y in each) for each in (batches, validation_data)]

    def predict(self, batches: Any) -> np.ndarray:
        return np.concatenate([np.stack([x.mean((1, 2, 3)), np.zeros(len(x))], 1) for (x,) in batches])


def run(page: str) -> dict[str, Any]:
    """Run all snippets of a page, one after the other, in the working directory; return what they made."""
    made: dict[str, Any] = {"model": Model()}
    for snippet in re.findall(r"^```python\n(.*?)^```", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL):
        exec(compile(snippet, page, "exec"), made)
    return made


def picture(path: Path, value: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((20, 30, 3), value, np.uint8))


def test_labels_in_a_csv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    names = [f"{'ab'[number % 2]} {number:02d}.jpg" for number in range(20)]
    for number, name in enumerate(names):
        picture(tmp_path / "photos/2021" / name, 10 * number)
    lines = [f'2021/{name},{("robin", "wren")[number % 2]},{number % 3},{number + 0.5},"a, b"' for number, name in enumerate(names)]
    (tmp_path / "birds.csv").write_text("\n".join(["file,species,age,weight_g,seen", *lines]))
    (tmp_path / "labels.csv").write_text("\n".join(["id,label", *(f"{name.removesuffix('.jpg')},1" for name in names)]))
    made = run("my_labels_are_in_a_csv.md")
    assert made["model"].seen == [16, 4]
    shown = capsys.readouterr().out
    assert "('robin', 'wren')" in shown
    assert "(x: (64, 64, 3) uint8, y: (2,) float32)" in shown
    assert made["source"].classes == ("a", "b")


def test_a_folder_to_predict_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number in range(5):
        picture(tmp_path / "incoming" / f"{4 - number}.png", 10 * number)
    picture(tmp_path / "incoming/thumbnails/0.png", 0)
    made = run("i_have_a_folder_to_predict_on.md")
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
    made = run("split_by_patient.md")
    assert len(made["early"]) == 48
    assert (len(made["training"]), len(made["validation"])) == (90, 30)
    assert capsys.readouterr().out.count("of 120)") == 3
