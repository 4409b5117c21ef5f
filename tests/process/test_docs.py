"""The code on the pages of docs/ that begin with it runs as it stands there."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import loader

DOCS = Path(__file__).parent.parent.parent / "docs"


def raw_file(data: Path) -> None:
    rng = np.random.default_rng(0)
    (data / "frames.bin").write_bytes(bytes(64) + rng.random((100, 24, 24), np.float32).tobytes())
    np.save(data / "labels.npy", np.zeros(100, np.int32))
    (data / "batch.bin").write_bytes(bytes(100 * 3073))
    (data / "scans").mkdir()
    (data / "scans" / "a.raw").write_bytes(bytes(64 * 64 * 2))


def series(data: Path) -> None:
    np.save(data / "series.npy", np.zeros((1000, 3), np.float32))
    np.save(data / "labels.npy", np.zeros(1000, np.int32))


def sounds(data: Path) -> None:
    for name in ("bark", "meow"):
        (data / "sounds" / name).mkdir(parents=True)
        for number in range(20):
            soundfile.write(data / "sounds" / name / f"{number}.wav", np.zeros(5000 + 100 * number), 8000)


PAGES: dict[str, tuple[Callable[[Path], None], list[str]]] = {
    "my_data_is_one_raw_file.md": (raw_file, ["(x: (24, 24) float32, y: () int32)", "(x: (3, 32, 32) uint8, y: () uint8)"]),
    "my_data_is_a_time_series.md": (series, ["(x: (48, 3) float32, y: (6, 3) float32)", "(x: (48, 3) float32, y: (6,) float32)"]),
    "my_data_is_sound.md": (
        sounds,
        ["(x: (16000,) float32, y: () int32)", "(x: (8000,) float32, y: () int32)", "(x: (98, 201) float32, y: () int32)"],
    ),
}


@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page_runs_as_it_stands_there(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, specs = PAGES[page]
    (tmp_path / "data").mkdir()
    write(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    made: list[loader.Loader] = []
    real = loader.Loader

    def make(*arguments: Any, **options: Any) -> loader.Loader:
        made.append(real(*arguments, **options, workers=0))
        return made[-1]

    monkeypatch.setattr(loader, "Loader", make)
    text = (DOCS / page).read_text()
    assert text.split("\n")[2] == "```python", "a page begins with the code"
    namespace: dict[str, Any] = {}
    exec("\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL)), namespace)
    found = []
    for one in made:
        with one:
            next(iter(one))
            found.append(str(one.spec))
    assert [spec.replace("(batch, ", "(") for spec in found] == specs
    if "source" in namespace:
        assert len(namespace["source"].spec.leaves)
