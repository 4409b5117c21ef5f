"""`.npy` files: the forms that they have."""

from __future__ import annotations

from typing import Any

from loader.data.npy.header import NpyHeader, inspect_file
from loader.watch.inspect.finding import SHOWN, Contents, Finding, Look, batch_bytes, batch_lines, count_of, look_at
from loader.watch.inspect.snippet import write

_TRANSFORM = "make_alike"
_MUST_AGREE = "the samples of a source must all have the same, or a first transform that makes them alike"
_ALIKE = '''def {name}(sample, rng):
    """Cut, or pad with zeros, to one shape."""
    x, *others = sample
    out = np.zeros({shape}, np.{dtype})
    common = tuple(slice(min(lengths)) for lengths in zip(x.shape, out.shape))
    out[common] = x[common]
    return (out, *others)
'''


def look(paths: list[str], most: int) -> Look:
    """Read the headers of files."""
    return look_at(paths, lambda path: inspect_file(path)[0], most)


def contents(seen: Look) -> Contents:
    """Return what the headers of `.npy` files say; shape, dtype and so on are those of the commonest form."""
    forms: dict[tuple[object, ...], dict[str, Any]] = {}
    for path, header in seen.good:
        key = (header.dtype.str, header.shape, header.fortran_order)
        forms.setdefault(key, {"files": 0, "first file": path, **describe(header), "bytes of one sample": header.nbytes})["files"] += 1
    ranked = sorted(forms.values(), key=lambda form: -form["files"])
    facts = {key: value for key, value in ranked[0].items() if key != "files"} if ranked else {}
    if len(ranked) == 1:
        lines = {key: str(facts[key]) for key in ("dtype", "shape", "order")} | batch_lines(facts["bytes of one sample"])
        lines["first file"] = facts["first file"]
        return Contents(facts | {"forms": ranked}, lines, None, facts["bytes of one sample"])
    lines = {}
    if ranked:
        lines["forms"] = f"{len(ranked):,}; {_MUST_AGREE}"
    for number, form in enumerate(ranked[:SHOWN], 1):
        lines[f"  {number}"] = f"{count_of(form['files'])} {form['dtype']} {form['shape']} {form['order']}, the first {form['first file']}"
    code = _alike(seen, ranked)
    nbytes = facts.get("bytes of one sample")
    several_ranks = len({len(form["shape"]) for form in ranked}) > 1
    return Contents(facts | {"forms": ranked}, lines, None, nbytes, code=code, transform=_TRANSFORM if code else "", some_stay_bad=several_ranks)


def one_file(path: str) -> Finding:
    """Return what a single `.npy` file holds: its rows are samples, unless it has none. Raises NpyError, OSError."""
    header, size = inspect_file(path)
    facts: dict[str, Any] = {"path": path, "kind": "one .npy file", **describe(header), "bytes": size}
    lines = {key: f"{value:,}" if isinstance(value, int) else str(value) for key, value in facts.items() if key != "kind"}
    if not header.shape or not header.shape[0]:
        return Finding(facts, lines, write(f"NpyFiles({path!r})", "NpyFiles"))
    sample = header.nbytes // header.shape[0]
    return Finding(facts | batch_bytes(sample), lines | batch_lines(sample), write(f"NpyArrays({path!r})", "NpyArrays"))


def describe(header: NpyHeader) -> dict[str, Any]:
    """Return what a header says, for JSON."""
    return {"dtype": header.dtype.str, "shape": list(header.shape), "order": "Fortran" if header.fortran_order else "C"}


def _alike(seen: Look, ranked: list[dict[str, Any]]) -> str:
    """Return code that makes the samples alike, where shapes or dtypes differ; those with another number of axes stay bad."""
    if len({(header.native.str, header.shape) for _, header in seen.good}) < 2:
        return ""
    common = next(header for path, header in seen.good if path == ranked[0]["first file"])
    return _ALIKE.format(name=_TRANSFORM, shape=common.shape, dtype=common.native.name)
