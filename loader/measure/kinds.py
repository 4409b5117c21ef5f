"""What verdicts are about, in one word and in a few."""

from __future__ import annotations

from enum import Enum


class Kind(str, Enum):
    """What a verdict is about; docs/tuning.md says what to do about each."""

    NOTHING = "nothing"
    """Nothing was taken from the loader."""
    MEASURING = "measuring"
    """Too little was taken to tell, since the first batch or since the number of workers has changed."""
    INLINE = "inline"
    """The trainer makes the batches itself."""
    OVERHEAD = "overhead"
    """Batches are so small that handing them over is most of the work."""
    MODEL = "model"
    """The trainer is slow; the workers wait for it."""
    TOO_MANY = "too_many_workers"
    """The same, and at most half as many workers would be enough."""
    BALANCED = "balanced"
    """Both sides are about as fast."""
    MEMORY = "memory"
    """Memory allows fewer workers than are wanted, and they are too slow."""
    READER = "reader"
    """A slower reader of a shared loader holds up this one."""
    SLOTS = "slots"
    """Workers wait for slots that the trainer keeps."""
    STRAGGLER = "straggler"
    """A few samples take many times as long as the others."""
    CORES = "cores"
    """Workers compute all the time, or stand in line for a core."""
    REMOTE = "remote"
    """Workers on other machines do not bring what is missing."""
    NETWORK = "network"
    """Workers wait for what is far away."""
    READING = "reading"
    """The source takes most of the workers' time."""
    DECODING = "decoding"
    """Making arrays from the content of files takes most of it."""
    TRANSFORMING = "transforming"
    """One transform takes most of the workers' time."""
    WORKERS = "workers"
    """There are too few workers."""
    UNCLEAR = "unclear"
    """The trainer waits, and the workers have time to spare."""


_SHORT = {
    Kind.NOTHING: "no batch taken",
    Kind.MEASURING: "measuring",
    Kind.INLINE: "workers=0",
    Kind.OVERHEAD: "tiny batches",
    Kind.MODEL: "model is slower",
    Kind.TOO_MANY: "too many workers",
    Kind.BALANCED: "balanced",
    Kind.MEMORY: "too little memory",
    Kind.READER: "a slow reader",
    Kind.SLOTS: "slots are kept",
    Kind.STRAGGLER: "a few slow samples",
    Kind.CORES: "too few cores",
    Kind.REMOTE: "too little from afar",
    Kind.NETWORK: "network is slow",
    Kind.READING: "reading is slow",
    Kind.DECODING: "decoding is slow",
    Kind.TRANSFORMING: "slow transform",
    Kind.WORKERS: "too few workers",
    Kind.UNCLEAR: "loader is slower",
}


def short(kind: str) -> str:
    """Return a kind in at most 20 characters; empty for one of another version."""
    return _SHORT[Kind(kind)] if kind in list(Kind) else ""
