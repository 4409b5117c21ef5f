"""The script that loads what was found, complete: it prints what a batch is."""

from __future__ import annotations

from collections.abc import Sequence

from loader.watch.inspect.finding import BATCH

_NEEDED = {"np.": "import numpy as np", "json.": "import json", "csv.": "import csv"}
"""Imports, by what shows in code that they are needed."""


def write(
    source: str,
    *names: str,
    imports: Sequence[str] = (),
    code: str = "",
    parts: Sequence[str] = ("x",),
    transform: str = "",
    remarks: Sequence[str] = (),
    substitute: bool = False,
) -> str:
    """Return a script.

    Args:
        source: expression that makes the source.
        names: of this package that it takes.
        imports: further lines of imports; those of NumPy, json and csv are found by themselves.
        code: what comes before the source, such as a function.
        parts: names of the parts of a sample.
        transform: name of a function that is the first transform; may be empty.
        remarks: on the source, as comments.
        substitute: whether other samples take the place of bad ones.
    """
    first = sorted({*imports, *(line for sign, line in _NEEDED.items() if sign in code)})
    options = [f"batch_size={BATCH}"]
    options += ["shuffle=True"] if len(parts) > 1 else []  # predictions have the order of the files
    options += [f"transforms=[{transform}]"] if transform else []
    options += ['on_error="substitute"'] if substitute else []
    taken = f"({parts[0]},)" if len(parts) == 1 else ", ".join(parts)
    lines = [*first, *([""] if first else []), f"from loader import {', '.join(sorted({*names, 'Loader'}))}", ""]
    code = in_double_quotes(code)
    if code:
        is_function = code.startswith("def ")
        lines += ["", *code.splitlines(), "", ""] if is_function else code.splitlines()
    lines += [f"# {remark}" for remark in remarks]
    lines += [f"source = {in_double_quotes(source)}", f"with Loader(source, {', '.join(options)}) as train:", f"    {taken} = next(iter(train))"]
    lines += [f"    print({', '.join(f'{part}.shape, {part}.dtype' for part in parts)})"]
    return "\n".join(lines) + "\n"


def in_double_quotes(code: str) -> str:
    """Return code with the quotes that this project uses, unless a text in it has some of its own."""
    return code if '"' in code or "\\" in code else code.replace("'", '"')
