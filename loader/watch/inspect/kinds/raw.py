"""Files of numbers without a header, or of a kind that is not known: which records would fit."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from loader.data.decode.array_decoders import raw
from loader.data.decode.decoder import FunctionDecoder, Undecodable
from loader.data.npy.refusals import not_a
from loader.watch.inspect.finding import Contents, Finding, Look, batch_bytes, batch_lines, in_words, look_at, spread
from loader.watch.inspect.kinds.kind import extensions
from loader.watch.inspect.snippet import write

_ITEM_BYTES = {"uint8": 1, "int16": 2, "float32": 4, "float64": 8}
_SIDES = (28, 32, 48, 64, 96, 100, 128, 224, 256, 299, 320, 384, 512, 1024)
_SHAPES = [(side, side, *rest) for side in _SIDES for rest in ((), (1,), (3,), (4,))]
_LONGEST_ROW = 65_536
_GUESS = "a guess that fits the size: give dtype and shape"
_LISTED = 8  # proposals


def look(paths: list[str], most: int) -> Look:
    """Look at the sizes of files."""
    return look_at(paths, _size_of, most)


def contents(seen: Look) -> Contents:
    """Return what is known of files of an unknown kind: their sizes."""
    if not seen.good:
        return Contents({}, {}, raw("uint8", -1), None)
    sizes = spread([size for _, size in seen.good])
    facts = {"extensions": extensions([path for path, _ in seen.good]), "bytes of a file": sizes}
    lines = {"extensions": ", ".join(facts["extensions"]), "bytes of a file": in_words(sizes)}
    smallest = int(sizes["min"])
    if sizes["min"] == sizes["max"]:
        decoder = raw(*_fitting(smallest, records=1)[0])
        return Contents(facts, lines | batch_lines(smallest), decoder, smallest, remarks=(_GUESS,))
    return Contents(
        facts,
        lines | batch_lines(smallest),
        FunctionDecoder(_beginning(smallest)),
        smallest,
        code=f"def beginning(content):\n    return np.frombuffer(content[:{smallest}], np.uint8)",
        function="beginning",
        remarks=("their sizes differ: write a function, bytes -> array; this one takes as many bytes as the smallest file has",),
    )


def one_file(path: str) -> Finding:
    """Return the size of a binary file, and which records would fill it. Raises Undecodable, OSError."""
    size = _size_of(path)
    fits = _fitting(size)
    listed = [[dtype, list(shape), _records(size, dtype, shape)] for dtype, shape in fits]
    facts: dict[str, Any] = {"path": path, "kind": "raw binary", "bytes": size, "fits": listed}
    lines = {"path": path, "bytes": f"{size:,}", "what it is": "not known: no header that is known; give dtype and shape"}
    for number, (dtype, shape) in enumerate(fits, 1):
        lines[f"  {number}"] = f"would fit: {_records(size, dtype, shape):,} × {shape} {dtype}"
    dtype, shape = fits[0]
    sample = _ITEM_BYTES[dtype] * math.prod(shape)
    script = write(
        f"RawArray({path!r}, {dtype!r}, {shape})",
        "RawArray",
        remarks=[f"{_GUESS}, and offset= where there is a header"],
    )
    return Finding(facts | batch_bytes(sample), lines | batch_lines(sample), script)


def _beginning(nbytes: int) -> Callable[[bytes], Any]:
    """Return what the snippet defines as `beginning`."""
    return lambda content: np.frombuffer(content[:nbytes], np.uint8)


def _size_of(path: str) -> int:
    """Return the size of a file. Raises Undecodable if it is empty, OSError."""
    size = os.stat(path).st_size
    if not size:
        raise Undecodable(not_a("a file of numbers", b""))
    return size


def _fitting(size: int, records: int = 0) -> list[tuple[str, tuple[int, ...]]]:
    """Return dtypes and shapes of records that fill `size` bytes: of the usual shapes, the largest first; a row of numbers where none does.

    Args:
        size: in bytes.
        records: how many there must be; 0 for any number.
    """
    fits = [
        (dtype, shape)
        for dtype, item in _ITEM_BYTES.items()
        for shape in _SHAPES
        if size % (item * math.prod(shape)) == 0 and (not records or size == records * item * math.prod(shape))
    ]
    if fits:
        return sorted(fits, key=lambda fit: -math.prod(fit[1]))[:_LISTED]
    if records:
        return [("uint8", (size,))]
    rows = [length for length in range(min(_LONGEST_ROW, size), 1, -1) if size % length == 0][:_LISTED]
    return [("uint8", (length,)) for length in rows] or [("uint8", ())]


def _records(size: int, dtype: str, shape: tuple[int, ...]) -> int:
    return size // (_ITEM_BYTES[dtype] * math.prod(shape))
