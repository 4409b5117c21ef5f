"""Taking batches from a loader, and comparing them bit for bit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np

from loader import Loader, Source

Batch = tuple[Any, ...]


def arrays_of(batch: Batch) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the arrays of a batch with their places in it: `0`, or `0.image` in a dict."""
    assert isinstance(batch, tuple)
    for number, part in enumerate(batch):
        for key, array in part.items() if isinstance(part, dict) else [("", part)]:
            yield f"{number}.{key}".rstrip("."), array


def copied(batch: Batch) -> Batch:
    """Return a batch whose arrays are the caller's own."""
    return tuple({key: np.array(array) for key, array in part.items()} if isinstance(part, dict) else np.array(part) for part in batch)


def take(loader: Loader, epochs: int = 1) -> list[Batch]:
    """Return copies of all batches of the next `epochs` epochs."""
    return [copied(batch) for _ in range(epochs) for batch in loader]


def take_until_replaced(loader: Loader, batches: Iterator[Batch], times: int = 1) -> list[Batch]:
    """Return copies of batches until the supervisor has been replaced; those that were ready when it died come first."""
    found = []
    while loader.stats().supervisor_restarts < times:
        found.append(copied(next(batches)))
    return found


def inline(source: Source, batch_size: int, epochs: int = 1, **settings: Any) -> list[Batch]:
    """Return the batches that a loader without processes makes: what every other one must make, too."""
    settings.pop("slots", None)
    with Loader(source, batch_size, **{**settings, "workers": 0}) as loader:
        return take(loader, epochs)


def inline_first(source: Source, batch_size: int, count: int, **settings: Any) -> list[Batch]:
    """Return the first `count` of these batches, over as many epochs as that takes."""
    with Loader(source, batch_size, **{**settings, "workers": 0}) as loader:
        return [copied(batch) for batch in islice(loader.batches(), count)]


def assert_same(found: Sequence[Batch], expected: Sequence[Batch]) -> None:
    """Fail unless both are the same batches: structure, shapes, dtypes and every bit."""
    for number, (left, right) in enumerate(zip(found, expected, strict=False)):
        assert_same_batch(left, right, f"batch {number}")
    assert len(found) == len(expected)


def assert_same_batch(found: Batch, expected: Batch, what: str = "batch") -> None:
    left, right = dict(arrays_of(found)), dict(arrays_of(expected))
    assert list(left) == list(right), what
    for name, array in left.items():
        other = right[name]
        assert (array.dtype, array.shape) == (other.dtype, other.shape), f"{what}, {name}"
        assert array.tobytes() == other.tobytes(), f"{what}, {name}: {array!r} instead of {other!r}"


def first_numbers(batches: Iterable[Batch]) -> list[int]:
    """Return the first element of every row of x: the number of the sample, in the data that the tests use."""
    return [int(row.reshape(-1)[0]) for batch in batches for row in batch[0]]
