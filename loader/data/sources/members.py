"""What sources that are made of other sources share."""

from __future__ import annotations

from collections.abc import Sequence

from loader.data.rows import Indices
from loader.data.sources.source import Source
from loader.data.spec import Array


def read_into(source: Source, indices: Indices, out: Sequence[Array], places: Indices | None) -> None:
    """Read samples into the rows `places` of `out`; None: into all of them, one after the other."""
    if places is None:
        source.read(indices, out)
    else:
        source.read_at(indices, out, places)


def paths_of(source: Source) -> list[str]:
    """Return the paths of a source whose samples are files, in order. Raises AttributeError for another one."""
    paths: list[str] | None = getattr(source, "paths", None)
    if paths is None:
        raise AttributeError(f"{source!r} has no paths: its samples are not files of their own")
    return paths
