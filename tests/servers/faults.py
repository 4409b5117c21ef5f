"""What a front does to a request instead of answering it well: a pure function of the seed, the request and how often it came.

So the same request meets the same faults in the same order, however many others are under way at the time.
"""

from __future__ import annotations

import enum
import random
from dataclasses import dataclass


class Fate(enum.Enum):
    """What becomes of a request."""

    OK = "ok"
    UNAVAILABLE = "unavailable"
    "503, without a reason."
    SLOW_DOWN = "slow_down"
    "503 with the code SlowDown, as S3 says that it gets too many requests."
    TOO_MANY = "too_many"
    "429."
    SERVER_ERROR = "server_error"
    "500."
    RESET = "reset"
    "The connection is reset before a byte of the answer."
    SHORT = "short"
    "The headers promise the whole body; after half of it the connection is closed."
    SLOW = "slow"
    "The body arrives at `slow_bytes_per_s`."
    HANG = "hang"
    "No answer, until the client gives up."


@dataclass(frozen=True, kw_only=True)
class Faults:
    """Latency and faults of a front.

    Attributes:
        seed: other seeds let other requests fail.
        latency_s: each answer begins so much later.
        unavailable, slow_down, too_many, server_error, reset, short, slow, hang: the share of requests with this `Fate`, 0 to 1.
        slow_bytes_per_s: how fast a slow body arrives.
        attempts: only the first so many requests for the same thing can fail; None: all of them can.
        only: only paths that contain this text can fail.
    """

    seed: int = 0
    latency_s: float = 0.0
    unavailable: float = 0.0
    slow_down: float = 0.0
    too_many: float = 0.0
    server_error: float = 0.0
    reset: float = 0.0
    short: float = 0.0
    slow: float = 0.0
    hang: float = 0.0
    slow_bytes_per_s: float = 10_000.0
    attempts: int | None = None
    only: str = ""

    def fate(self, request: str, attempt: int) -> Fate:
        """Return what becomes of the request that comes for the `attempt`-th time, counted from 0."""
        if self.only not in request or (self.attempts is not None and attempt >= self.attempts):
            return Fate.OK
        draw = random.Random(f"{self.seed} {attempt} {request}").random()
        for fate in Fate:
            share = 0.0 if fate is Fate.OK else float(getattr(self, fate.value))
            if draw < share:
                return fate
            draw -= share
        return Fate.OK
