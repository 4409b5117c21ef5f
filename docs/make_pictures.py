"""Draws the pictures of the documentation from real runs. `make pictures`; takes two minutes, on a machine that does nothing else."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI

from loader.watch.client import loaders
from loader.watch.top.asker import answer_of
from loader.watch.top.screen import screen
from loader.watch.top.watched import Watched
from loader.watch.top.web import web_server

FOLDER = Path(__file__).parent / "pictures"
WIDTH, HEIGHT = 92, 26
WATCHED_S = 62

# Reading is what takes time here, as from a remote disk; so more workers than cores help, and `workers="auto"` finds out how many.
TRAIN = """
import sys, time
import numpy as np
from loader import Loader, NpyFiles
from loader import transforms as T

def read_slowly(sample, rng):
    time.sleep(0.004)
    return sample

def source(part):
    return NpyFiles.from_folder("data/" + part)

if __name__ == "__main__":
    with Loader(source("train"), 32, shuffle=True, transforms=[read_slowly, T.Rescale(1 / 255)], max_workers=16, name="train") as train:
        with Loader(source("val"), 32, transforms=[T.Rescale(1 / 255)], workers=1, name="val") as val:
            next(iter(val))
            for x, y in train.batches():
                time.sleep(0.03)
"""


def curve() -> None:
    """Draw what `loader tune` finds out about `examples/measure.py`. Takes half a minute."""
    words = ["tune", "examples/measure.py:make_loader", "--workers", "1,2,4,8,12", "--slots", "3", "--rounds", "3", "--seconds", "0.6"]
    subprocess.run([sys.executable, "-m", "loader", *words, "--png", FOLDER / "tuning.png"], cwd=FOLDER.parent.parent, check=True)


def top() -> None:
    """Watch a script that trains for a minute, and draw what `loader top` shows then."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made).resolve()
        _write_data(folder / "data")
        (folder / "train.py").write_text(TRAIN)
        os.environ["XDG_RUNTIME_DIR"] = os.environ["TMPDIR"] = tempfile.tempdir = made  # only this script's loaders are seen
        search = os.pathsep.join([str(Path(__file__).parent.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
        training = subprocess.Popen([sys.executable, "train.py"], cwd=folder, env={**os.environ, "PYTHONPATH": search})
        try:
            watched = _watch(training)
            _photograph(watched, FOLDER / "top_web.png")
        finally:
            training.kill()
            training.wait()
    _save(watched, FOLDER / "top.svg")


def _write_data(folder: Path) -> None:
    import numpy as np

    for part, count in (("train", 12_000), ("val", 64)):
        for number in range(count):
            target = folder / part / ("cat", "dog")[number % 2]
            target.mkdir(parents=True, exist_ok=True)
            np.save(target / f"{number:06}.npy", np.zeros((8, 8, 3), np.uint8))


def _watch(training: subprocess.Popen[bytes]) -> Watched:
    watched = Watched()
    until = None
    while until is None or time.monotonic() < until or not _all_at_work(watched):
        assert training.poll() is None, "the script has ended"
        with loaders() as found:
            if until is None and len(found) == 2:
                until = time.monotonic() + WATCHED_S
            watched.answered([answer_of(one) for one in found], time.monotonic())
        if watched.view(time.monotonic()).name != "train":
            watched.press("tab", time.monotonic())
        time.sleep(1)
    return watched


def _all_at_work(watched: Watched) -> bool:
    """Whether each worker is at a sample, as nearly always: so the picture shows some."""
    status = watched.view(time.monotonic()).status or {}
    return all(worker["sample"] for worker in status.get("workers", []))


def _photograph(watched: Watched, path: Path) -> None:
    """Open `loader top --web` in Chromium, and save what is seen. Needs Playwright and a Chromium."""
    from playwright.sync_api import sync_playwright

    with web_server(0, 1.0, "key") as server, sync_playwright() as playwright:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        pid = (watched.view(time.monotonic()).status or {})["pid"]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1000, "height": 800})
        page.goto(f"{server.url}/#pid={pid}&key=key")
        page.get_by_text("samples/s").first.wait_for(state="attached")
        time.sleep(6)  # until there are rates of the workers
        page.screenshot(path=path, full_page=True)
        browser.close()
        server.shutdown()


def _save(watched: Watched, path: Path) -> None:
    console = Console(record=True, file=io.StringIO(), width=WIDTH, force_terminal=True, color_system="truecolor", highlight=False)
    for line in screen(watched.view(time.monotonic()), WIDTH, HEIGHT):
        console.print(line, overflow="crop", no_wrap=True)
    # Without the font that rich would have fetched from elsewhere: each text says how long it is, so any other one fits as well.
    svg = re.sub(r"@font-face \{.*?\}", "", console.export_svg(title="loader top", theme=MONOKAI), flags=re.DOTALL)
    path.write_text("\n".join(line.rstrip() for line in svg.splitlines() if line.strip()) + "\n")


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    curve()
    top()
