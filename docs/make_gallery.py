"""Draws pictures that say what transforms do. `make pictures`; takes seconds, and the same code makes the same pictures."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from loader import Loader, NpyArrays
from loader import transforms as T
from loader.data.spec import Array
from loader.train.show.sheet import Block, Page, page, png
from loader.train.show.tiles import colours
from loader.train.show.values import Scale

FOLDER = Path(__file__).parent / "pictures"
SIDE = 72
DRAWN = 3
COLUMNS = 4
SEED = 4

# What stands below the pictures, and the transform.
STEPS = {
    "as it is": None,
    'T.Flip("horizontal")': T.Flip("horizontal"),
    'T.Flip("vertical")': T.Flip("vertical"),
    "T.Rotate90()": T.Rotate90(),
    "T.Affine(rotation=30)": T.Affine(rotation=30),
    "T.Affine(shift=0.2)": T.Affine(shift=0.2),
    "T.Affine(shear=0.4)": T.Affine(shear=0.4),
    "T.Affine(zoom=0.3)": T.Affine(zoom=0.3),
    'T.Affine(…, fill="nearest")': T.Affine(rotation=30, shift=0.2, fill="nearest"),
    'T.Affine(…, fill="reflect")': T.Affine(rotation=30, shift=0.2, fill="reflect"),
    'T.Affine(…, fill="wrap")': T.Affine(rotation=30, shift=0.2, fill="wrap"),
    "T.Crop((48, 48))": T.Crop((48, 48)),
    "T.RandomResizedCrop(72)": T.RandomResizedCrop(72),
    "T.Pad((80, 80), value=128)": T.Pad((80, 80), value=128, position="center"),
    "T.Resize((40, 72))": T.Resize((40, 72)),
    "T.Brightness(0.5)": T.Brightness(0.5),
    "T.Contrast(0.6)": T.Contrast(0.6),
    "T.Noise(25)": T.Noise(25),
    "T.Erase(p=1.0)": T.Erase(p=1.0),
}

# What `loader show` draws for docs/what_the_model_sees.md.
TRAIN = """
import numpy as np
from loader import Loader, MapSource, NpyArrays
from loader import transforms as T
from make_gallery import house

pictures = [house(wall) for wall in ((236, 214, 170), (178, 206, 160), (214, 170, 190), (170, 190, 220))]

def make_loader():
    source = MapSource(pictures, ids=[f"houses/{number:03}.png" for number in range(4)], labels=["sand", "green", "rose", "blue"])
    steps = [T.Flip("horizontal"), T.Affine(rotation=15, shift=0.1, zoom=0.2, fill="nearest"), T.Brightness(0.3), T.Rescale(1 / 255)]
    return Loader(source, 4, shuffle=True, seed=3, transforms=steps, workers=0, name="train")

def make_found():
    mask = np.zeros((4, 72, 72), np.uint8)
    mask[:, 30:62, 12:46], mask[:, 48:62, 36:43] = 1, 2
    places = {"boxes": np.float32([[(12, 14, 46, 62), (49, 5, 65, 21)]] * 4), "points": np.float32([[(28.5, 14), (57, 13)]] * 4)}
    move = {"fields": "image", "masks": "mask", "boxes": "boxes", "points": "points"}
    steps = [T.Affine(rotation=20, shift=0.1, zoom=0.2, **move)]
    return Loader(NpyArrays({"image": np.stack(pictures), "mask": mask}, places), 4, transforms=steps, workers=0, name="found")
"""


def house(wall: tuple[int, int, int] = (236, 214, 170)) -> Array:
    """Return a picture that looks different from each side: a house with a letter on it, under a sun."""
    rows, columns = np.indices((SIDE, SIDE))
    picture = np.empty((SIDE, SIDE, 3), np.uint8)
    picture[...] = (120, 180, 235)
    picture[rows >= 56] = (96, 160, 80)
    picture[(rows - 13) ** 2 + (columns - 57) ** 2 < 64] = (250, 220, 80)
    picture[30:62, 12:46] = wall
    picture[(rows >= 14) & (rows < 30) & (abs(columns - 28.5) < rows - 9)] = (170, 70, 55)
    picture[38:58, 18:22] = picture[38:42, 18:32] = picture[46:50, 18:28] = (60, 50, 90)
    picture[48:62, 36:43] = (120, 80, 50)
    return picture


def gallery() -> Page:
    """Draw what each transform of pictures does to one picture, in three epochs."""
    blocks = []
    for name, step in STEPS.items():
        with Loader(NpyArrays(house()[None]), 1, transforms=[step] if step else [], seed=SEED, workers=0) as loader:
            pictures = [colours(np.array(next(iter(loader))[0][0]), Scale(0, 255)) for _ in range(DRAWN)]
        drawn = pictures if step and step.random else pictures[:1]
        blocks.append(Block(drawn, [""] * len(drawn), name))
    return page([], [], [blocks[start : start + COLUMNS] for start in range(0, len(blocks), COLUMNS)])


def shown() -> None:
    """Draw what `loader show` draws of a script."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "train.py")
        script.write_text(TRAIN)
        sys.path.insert(0, str(Path(__file__).parent))
        for function, picture, options in (("make_loader", "show.png", ["--epochs", "5"]), ("make_found", "show_places.png", ["--samples", "2"])):
            words = ["show", f"{script}:{function}", *options, "--png", str(FOLDER / picture)]
            subprocess.run([sys.executable, "-m", "loader", *words], check=True, env={"PYTHONPATH": ":".join(sys.path)})


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "transforms.png").write_bytes(png(gallery().pixels))
    shown()
