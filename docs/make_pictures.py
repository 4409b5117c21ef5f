"""Makes the pictures of the documentation from what really happens. `make pictures`; the figures are those of the machine that it runs on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PICTURES = Path(__file__).parent / "pictures"


def curve() -> None:
    """Make `tuning.png`: what `loader tune` draws of `examples/measure.py`. Takes half a minute."""
    words = ["tune", "examples/measure.py:make_loader", "--workers", "1,2,4,8,12", "--slots", "3", "--rounds", "3", "--seconds", "0.6"]
    subprocess.run([sys.executable, "-m", "loader", *words, "--png", PICTURES / "tuning.png"], cwd=ROOT, check=True)


if __name__ == "__main__":
    PICTURES.mkdir(exist_ok=True)
    curve()
