"""Who a loader is: its name, and the script that made it. On the board, for requests to the supervisor."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass

from loader.ipc.board import Cells, TrainerCell

_SCRIPT_CHARACTERS = 120


@dataclass(frozen=True)
class Identity:
    """Who a loader is.

    Attributes:
        name: of the loader.
        script: what the trainer was started with, shortened from the left.
        started: when the loader was made, in seconds since 1970.
    """

    name: str
    script: str
    started: float


def introduce(trainer: Cells, name: str | None) -> None:
    """Write down who the loader is. Runs in the trainer, before there is a supervisor that could read half of it.

    Args:
        trainer: the trainer's row of the board.
        name: that the user gave.
    """
    script = (sys.argv[0] if sys.argv else "") or "python"
    shown = "".join(character if character.isprintable() else "?" for character in script[-_SCRIPT_CHARACTERS:])  # a terminal will get it
    trainer.write_text({"name": name, "script": shown, "started": time.time()})


def set_name(trainer: Cells, pid: int) -> None:
    """Call a loader without a name after its first supervisor. The name stays when another supervisor follows."""
    trainer[TrainerCell.NAME_PID] = pid


def identity(trainer: Cells) -> Identity:
    """Return who the loader is. Runs in the supervisor, whose pid is the name until the trainer has come to write it down."""
    known = trainer.read_text()
    name = known.get("name") or default_name(trainer[TrainerCell.NAME_PID] or os.getpid())
    return Identity(name, known.get("script", ""), known.get("started", 0.0))


def default_name(pid: int) -> str:
    """Return the name of a loader to which the user gave none."""
    return f"loader-{pid}"
