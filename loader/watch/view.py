"""What `loader top` is to show, and the words of its help page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

HELP = (
    ("+  -", "one worker more, one less; this ends auto"),
    ("a", "auto: the loader finds the number of workers"),
    ("tab  arrows", "another loader"),
    ("?", "this page, and back"),
    ("q", "quit; training goes on"),
    ("", ""),
    ("samples/s", "what training took; the curves show the last minute"),
    ("trainer waits", "share of the time that training waited for data"),
    ("workers wait", "share of the time that workers had nothing to do"),
    ("slots", "shared memory for batches: ready, lent to training, filling, free"),
    ("memory", "shared and private memory of the loader, and its limit"),
    ("workers", "died counts the ones that were replaced after a death"),
    ("decisions", "what auto, memory limit, script and operators changed, and why"),
)


@dataclass(frozen=True)
class View:
    """What is to be shown.

    Attributes:
        name: of the loader; empty where there is none.
        status: its last answer; None where it has given none.
        state: "live", "silent" (does not answer) or "ended".
        age_s: seconds since it answered.
        place, count: which one it is among the loaders, from 1.
        rates: samples per second of each worker, by its pid.
        message: answers the last key.
        help: whether the keys are explained instead.
    """

    name: str = ""
    status: Mapping[str, Any] | None = None
    state: str = "live"
    age_s: float = 0.0
    place: int = 0
    count: int = 0
    rates: Mapping[int, float] = field(default_factory=dict)
    message: str = ""
    help: bool = False
