"""What was found at a path: for programs, for people, and as the code that loads it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np

from loader.data.decode.decoder import Decoder, Undecodable
from loader.data.npy.header import NpyHeader
from loader.errors import DecodeError

MOST_HEADERS = 4096
"""Headers that are read: all, or as many spread evenly over the files. 4,096 take a fifth of a second where they are cached."""

BATCH = 64
"""Samples of the batch that a snippet loads, and whose size is shown."""

SHOWN = 5
"""Forms, columns, and files that can't be read, that people are shown."""

_MOST_LABEL_BYTES = 64 << 20
_MOST_CLASSES = 1000


@dataclass(frozen=True)
class Finding:
    """What was found.

    Attributes:
        facts: for JSON.
        lines: for people, by their headings.
        histogram: samples of each class; empty if there are none.
        snippet: a script that loads a batch.
    """

    facts: dict[str, Any]
    lines: dict[str, str]
    snippet: str
    histogram: Mapping[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return all of it, for JSON."""
        return self.facts | {"class histogram": dict(self.histogram), "snippet": self.snippet}


@dataclass(frozen=True)
class Contents:
    """What the headers of files of one kind say.

    Attributes:
        facts, lines: as of a `Finding`.
        decoder: that makes samples of them; None for `.npy` files.
        sample_bytes: of one sample, as the snippet loads it; None if that is not known.
        code: of the snippet: a function that it takes; may be empty.
        transform: name of that function, where it is the first transform and makes the samples alike.
        function: name of that function, where it is what decodes.
        parts: of a sample that are in the file: `("x",)`, or also `"y"`.
        remarks: comments of the snippet.
        some_stay_bad: whether files can be read, but not be made alike.
    """

    facts: dict[str, Any]
    lines: dict[str, str]
    decoder: Decoder | None
    sample_bytes: int | None
    code: str = ""
    transform: str = ""
    function: str = ""
    parts: tuple[str, ...] = ("x",)
    remarks: tuple[str, ...] = ()
    some_stay_bad: bool = False


@dataclass(frozen=True)
class Look:
    """Files whose headers were read.

    Attributes:
        read: how many.
        good: paths, with what their headers say.
        unreadable: path and problem of each of the others.
    """

    read: int
    good: list[tuple[str, Any]]
    unreadable: list[dict[str, str]]


def look_at(paths: Sequence[str], read: Callable[[str], Any], most: int) -> Look:
    """Read the headers of files: all, or as many spread evenly over them."""
    chosen = evenly(paths, most)
    good: list[tuple[str, Any]] = []
    unreadable: list[dict[str, str]] = []
    for path in chosen:
        try:
            if os.path.exists(path) and not os.path.isfile(path):  # opening a named pipe would wait for ever
                raise Undecodable("is no regular file")
            good.append((path, read(path)))
        except (DecodeError, Undecodable, OSError, MemoryError) as error:
            unreadable.append({"path": path, "problem": _problem(error)})
    return Look(len(chosen), good, unreadable)


def evenly(paths: Sequence[str], most: int) -> list[str]:
    """Return all paths, or as many spread evenly over them."""
    places = np.unique(np.linspace(0, len(paths) - 1, min(len(paths), most)).astype(int)).tolist()
    return [paths[place] for place in places]


def class_counts(header: NpyHeader, read: Callable[[], Any]) -> dict[str, int]:
    """Return how many samples each class has, by their labels; nothing if these are not whole numbers, one for each.

    Args:
        header: of the labels.
        read: returns them.
    """
    if header.dtype.kind not in "iub" or len(header.shape) != 1 or header.nbytes > _MOST_LABEL_BYTES:
        return {}
    values, counts = np.unique(np.asarray(read()), return_counts=True)
    if len(values) > _MOST_CLASSES:
        return {}
    return {str(value): count for value, count in zip(values.tolist(), counts.tolist(), strict=True)}


def batch_bytes(sample: int | None) -> dict[str, int]:
    """Return the bytes of a sample and of a batch, for JSON; nothing if they are not known."""
    return {} if sample is None else {"bytes of one sample": sample, "bytes of one batch": sample * BATCH}


def batch_lines(sample: int | None) -> dict[str, str]:
    """Return the same for people."""
    return {} if sample is None else {"bytes of one sample": f"{sample:,}", "bytes of one batch": f"{sample * BATCH:,} ({BATCH} samples)"}


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return the smallest, the median and the largest of some numbers."""
    return {"min": min(values), "median": median(values), "max": max(values)}


def in_words(values: Mapping[str, float], unit: str = "") -> str:
    """Return what `spread` does, for people."""
    if values["min"] == values["max"]:
        return f"{values['min']:,.5g}{unit}" if values["min"] < 1000 else f"{values['min']:,.0f}{unit}"
    return ", ".join(f"{name} {value:,.5g}" if value < 1000 else f"{name} {value:,.0f}" for name, value in values.items()) + unit


def counts_in_words(counts: Mapping[str, int]) -> str:
    """Return how many there are of each of some things, the commonest first."""
    ranked = sorted(counts.items(), key=lambda item: -item[1])
    more = f", and {len(ranked) - SHOWN:,} more" if len(ranked) > SHOWN else ""
    return ", ".join(f"{count:,} {name}" for name, count in ranked[:SHOWN]) + more


def count_of(number: int, noun: str = "file") -> str:
    """Return a number of things in words."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _problem(error: Exception) -> str:
    if isinstance(error, DecodeError):
        return error.problem
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
