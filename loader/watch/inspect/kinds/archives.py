"""`.npz` files: the arrays in them, and which of them could be x and y."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from loader.data.decode.array_decoders import npz, read_headers
from loader.data.npy.header import NpyHeader
from loader.watch.inspect.finding import SHOWN, Contents, Finding, Look, batch_bytes, batch_lines, class_counts, count_of, look_at
from loader.watch.inspect.kinds.npy_files import describe
from loader.watch.inspect.snippet import write

LABELS = ("label", "labels", "y", "target", "targets", "class", "classes", "category", "y_train")
"""Names of what is a label, in the order in which they are looked for."""


def look(paths: list[str], most: int) -> Look:
    """Read the headers of the arrays in archives."""
    return look_at(paths, read_headers, most)


def contents(seen: Look, with_labels: bool = True) -> Contents:
    """Return what archives hold, one sample each, and how they could be decoded: as x, or also the label that is in them."""
    forms: Counter[tuple[tuple[str, str, tuple[int, ...]], ...]] = Counter()
    for _, arrays in seen.good:
        forms[tuple((name, header.native.name, header.shape) for name, header in arrays.items())] += 1
    ranked = [{"files": count, "arrays": {name: [dtype, list(shape)] for name, dtype, shape in form}} for form, count in forms.most_common()]
    lines = {f"  {number}": f"{count_of(form['files'])}: {_listed(form['arrays'])}" for number, form in enumerate(ranked[:SHOWN], 1)}  # type: ignore[arg-type]
    lines = {"forms": f"{len(ranked):,}"} | lines if len(ranked) != 1 else {"arrays": _listed(ranked[0]["arrays"])}
    if not ranked:
        return Contents({"forms": []}, {}, npz("arr_0"), None)
    first = forms.most_common(1)[0][0]
    arrays = next(found for _, found in seen.good if tuple((name, header.native.name, header.shape) for name, header in found.items()) == first)
    x, y = choose(arrays)
    y = y if with_labels else None
    nbytes = arrays[x].nbytes
    decoder = npz(x if y is None else (x, y))
    parts = ("x",) if y is None else ("x", "y")
    return Contents({"forms": ranked}, lines | batch_lines(nbytes), decoder, nbytes, parts=parts)


def one_file(path: str) -> Finding:
    """Return what a single archive holds: the rows of its arrays are samples. Raises Undecodable, OSError."""
    arrays = read_headers(path)
    listed = {name: [header.native.name, list(header.shape)] for name, header in arrays.items()}
    facts: dict[str, Any] = {"path": path, "kind": "one .npz file", "arrays": {name: describe(header) for name, header in arrays.items()}}
    x, y = choose(arrays, rows=True)
    lines = {"path": path, "arrays": _listed(listed)}
    if not arrays[x].shape or not arrays[x].shape[0]:
        return Finding(facts, lines, write(f"ByteFiles({path!r}, decode={npz(x)!r})", "ByteFiles", "decode"))
    sample = arrays[x].nbytes // arrays[x].shape[0]
    source = f"NpyArrays(arrays[{x!r}]{'' if y is None else f', arrays[{y!r}]'})"
    script = write(
        source,
        "NpyArrays",
        code=f"arrays = np.load({path!r})",
        parts=("x",) if y is None else ("x", "y"),
        remarks=["all rows are loaded into memory; for files larger than it, save each array with np.save"],
    )
    histogram = {} if y is None else class_counts(arrays[y], lambda: np.load(path)[y])
    return Finding(facts | batch_bytes(sample), lines | batch_lines(sample), script, histogram)


def choose(arrays: dict[str, NpyHeader], rows: bool = False) -> tuple[str, str | None]:
    """Return which array is x, and which one y, if any: by their names, or else their sizes.

    Args:
        arrays: by name.
        rows: whether samples are the rows of them; then both have equally many, and numbers along one axis may be y whatever they are called.
    """
    named = [name for wanted in LABELS for name in arrays if name.lower() == wanted]
    x = max((name for name in arrays if name not in named or len(arrays) == len(named)), key=lambda name: arrays[name].nbytes)
    count = arrays[x].shape[:1]
    fits = [name for name in arrays if name != x and (not rows or arrays[name].shape[:1] == count)]
    y = next((name for name in named if name in fits), None)
    if y is None and rows:
        y = next((name for name in fits if len(arrays[name].shape) == 1), None)
    return x, y


def _listed(arrays: Any) -> str:
    shown = [f"{name} {tuple(shape)} {dtype}" for name, (dtype, shape) in list(arrays.items())[:SHOWN]]
    return ", ".join(shown) + (f", and {len(arrays) - SHOWN:,} more" if len(arrays) > SHOWN else "")
