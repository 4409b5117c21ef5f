"""Decoding rows one by one, for sources that make samples from the content of files or of parts of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from loader.data import fork_guard
from loader.data.decode.decoder import Decoder
from loader.data.rows import BadSample, RowGauge, is_fault_of_sample
from loader.data.spec import Array, SampleSpec
from loader.data.stopwatch import DECODE, READ, Stopwatch

Key = TypeVar("Key")


def decode_rows(
    decoder: Decoder,
    rows: Iterable[tuple[int, Key, int]],
    content_of: Callable[[Key], memoryview],
    out: Sequence[Array],
    spec: SampleSpec,
    gauge: RowGauge,
    watch: Stopwatch | None,
    cause: Callable[[BaseException, int], BaseException],
) -> None:
    """Read and decode samples into rows of `out`.

    Args:
        decoder: of the content.
        rows: number of each sample, the key of its content, and its row in `out`.
        content_of: returns the content for a key.
        out: one array for each leaf of `spec`.
        spec: of what the decoder makes.
        gauge: shows the row that it is at.
        watch: is told when reading and decoding end; None if nobody times it.
        cause: returns the error to report in the place of one that was raised for a sample.

    Raises:
        BadSample: names the sample that failed. The rows before it are written.
    """
    decode_into, depth = decoder.decode_into, fork_guard.depth()
    cell, first = gauge
    for index, key, place in rows:
        cell[0] = first + place
        try:
            content = content_of(key)
            if watch is not None:
                watch.lap(READ)
            decode_into(content, [target[place, ...] for target in out], spec)
            fork_guard.exit_if_forked(depth)
            if watch is not None:
                watch.lap(DECODE)
        except BaseException as error:
            if not is_fault_of_sample(error):
                raise
            raise BadSample(index) from cause(error, index)
