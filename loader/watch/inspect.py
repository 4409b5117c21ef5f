"""`loader inspect` says what a file or a folder holds: the forms that the files have, by their headers. With --verify, `verify` takes over."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np

from loader.data.npy.header import NpyHeader, inspect_file
from loader.data.sources.source import Source
from loader.errors import LoaderError, NpyError
from loader.watch.verify.checks import files_in

MOST_HEADERS = 4096
"""Headers that are read: all, or as many spread evenly over the files. 4,096 take a fifth of a second where they are cached."""

_SHOWN = 5  # how many forms, and files that can't be read, are shown to people


@click.command()
@click.argument("target", metavar="PATH")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
@click.option("--verify", "everything", is_flag=True, help="Read every byte of all files and name the bad ones. Exit status 1 if there are any.")
@click.option("--jobs", type=click.IntRange(1), help="With --verify: number of processes. Default: one per core.")
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), help="With --verify: write the bad files to this file, as JSON lines.")
def inspect(target: str, as_json: bool, everything: bool, jobs: int | None, report: Path | None) -> None:
    """Say what PATH holds: a .npy file, or a folder of them.

    With --verify, PATH may be SCRIPT:FUNCTION, which returns a Loader or a source: then all samples are made, by source and transforms.

    Reads headers only, unless --verify is given. For a folder, it reads the headers of all files (up to 4,096) and lists their shapes and
    dtypes. A folder of folders is shown as classes, as `NpyFiles.from_folder` reads it.

    \b
    Examples:
      loader inspect data/x.npy
      loader inspect data/train --json
      loader inspect data/train --verify --report bad.jsonl
      loader inspect train.py:make_loader --verify
    """
    path = Path(target)
    if not path.exists() and not (everything and ":" in target):
        raise click.UsageError(f"Path {target!r} does not exist." + ("" if everything else " SCRIPT:FUNCTION needs --verify."))
    try:
        if everything:
            from loader.watch.verify.verify import verify

            sys.exit(verify(target, jobs, report, as_json))
        found = survey(path) if path.is_dir() else _file(path)
    except (LoaderError, OSError) as error:
        click.echo(f"loader inspect: {error}", err=True)
        sys.exit(1)
    if as_json:
        click.echo(json.dumps(found))
        return
    lines = in_lines(found) if path.is_dir() else {key: _shown(value) for key, value in found.items()}
    width = max(map(len, lines))
    for key, value in lines.items():
        click.echo(f"{key:<{width}}  {value}")


def describe(header: NpyHeader) -> dict[str, Any]:
    """Return what a header says, for JSON."""
    return {"dtype": header.dtype.str, "shape": list(header.shape), "order": "Fortran" if header.fortran_order else "C"}


def survey(folder: Path, most: int = MOST_HEADERS) -> dict[str, Any]:
    """Return what a folder holds, for JSON; shape, dtype and so on are those of the commonest form.

    Args:
        folder: of files, or of folders with files.
        most: headers to read.

    Raises:
        DataNotFoundError: there are no files.
    """
    source = files_in(folder)
    forms, unreadable, read = _forms(source, most)
    found: dict[str, Any] = {"path": str(folder), "files": len(source), "classes": list(source.classes), "headers read": read}
    if forms:
        found |= {key: value for key, value in forms[0].items() if key != "files"}
    return found | {"forms": forms, "unreadable": unreadable}


def in_lines(found: Mapping[str, Any]) -> dict[str, str]:
    """Return what `survey` found as lines for people, by their headings."""
    files, read, forms, unreadable = (found[key] for key in ("files", "headers read", "forms", "unreadable"))
    lines = {"path": found["path"], "files": f"{files:,}"}
    if found["classes"]:
        lines["classes"] = f"{len(found['classes']):,}: {', '.join(found['classes'])}"
    lines["headers read"] = "all" if read == files else f"{read:,} of {files:,}, spread evenly; --verify reads all"
    if len(forms) == 1:
        lines |= {key: _shown(found[key]) for key in ("dtype", "shape", "order", "bytes of one sample", "first file")}
    elif forms:
        lines["forms"] = f"{len(forms):,}; the samples of a source must all have the same, or a function as the first transform that makes them alike"
    for number, form in enumerate(forms[:_SHOWN] if len(forms) > 1 else (), 1):
        lines[f"  {number}"] = f"{_count(form['files'])} {form['dtype']} {form['shape']} {form['order']}, the first {form['first file']}"
    if unreadable:
        lines["not readable"] = f"{_count(len(unreadable))} of those read"
    for number, bad in enumerate(unreadable[:_SHOWN], 1):
        lines[f"  bad {number}"] = f"{bad['path']}: {bad['problem']}"
    return lines


def _forms(source: Source, most: int) -> tuple[list[dict[str, Any]], list[dict[str, str]], int]:
    """Return the forms, the commonest first, the files whose headers can't be read, and how many headers were looked at."""
    indices = np.unique(np.linspace(0, len(source) - 1, min(len(source), most)).astype(int)).tolist()
    forms: dict[tuple[object, ...], dict[str, Any]] = {}
    unreadable: list[dict[str, str]] = []
    for index in indices:
        path = source.name_of(index) or ""
        try:
            if os.path.exists(path) and not os.path.isfile(path):  # opening a named pipe would wait for ever
                raise NpyError(path, "is no regular file")
            header, _ = inspect_file(path)
        except (NpyError, OSError) as error:
            unreadable.append({"path": path, "problem": error.problem if isinstance(error, NpyError) else error.strerror or str(error)})
            continue
        key = (header.dtype.str, header.shape, header.fortran_order)
        if key not in forms:
            forms[key] = {"files": 0, "first file": path, **describe(header), "bytes of one sample": header.nbytes}
        forms[key]["files"] += 1
    return sorted(forms.values(), key=lambda form: -form["files"]), unreadable, len(indices)


def _file(path: Path) -> dict[str, Any]:
    header, size = inspect_file(str(path))
    return {"path": str(path), **describe(header), "bytes": size}


def _shown(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _count(files: int) -> str:
    return f"{files:,} file{'s' if files > 1 else ''}"
