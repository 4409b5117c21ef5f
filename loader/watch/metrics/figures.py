"""From what the loaders answered to figures with labels: what Prometheus is shown, and what is pushed to others. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from loader.watch.client import Found
from loader.watch.metrics.families import FAMILIES, Family, Type

UP = Family("loader_up", Type.GAUGE, "1 if the loader answered; 0 if it did not: it hangs, or the machine is very busy.", lambda _: [])


class Asked(NamedTuple):
    """A loader that was asked.

    Attributes:
        name: of the loader.
        pid: of its supervisor.
        status: what it answered; None if it did not.
    """

    name: str
    pid: str
    status: Mapping[str, Any] | None


class Figures(NamedTuple):
    """All figures of a family.

    Attributes:
        family: what they are.
        samples: labels and value of each.
    """

    family: Family
    samples: list[tuple[dict[str, str], float]]


class Names:
    """Knows what loaders were called when they last answered: one that hangs can't say it."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def asked(self, found: Sequence[Found]) -> list[Asked]:
        """Return the loaders that were found, each with its name."""
        pids = [one.socket.removesuffix(".sock") for one in found]  # with a number behind it if two have the same, as in containers
        self._known = {pid: self._known.get(pid, one.name) if one.status is None else one.name for pid, one in zip(pids, found, strict=True)}
        return [Asked(self._known[pid], pid, one.status) for pid, one in zip(pids, found, strict=True)]


def figures(asked: Sequence[Asked]) -> list[Figures]:
    """Return all figures of all loaders, a family after the other."""
    loaders = list({(one.name, one.pid): one for one in asked}.values())
    told = [(_who(one), one.status) for one in loaders]
    up = Figures(UP, [(who, float(status is not None)) for who, status in told])
    return [up, *(Figures(family, _samples(family, told)) for family in FAMILIES)]


def _who(one: Asked) -> dict[str, str]:
    return {"loader": _text(one.name), "pid": _text(one.pid)}


def _samples(family: Family, told: Sequence[tuple[dict[str, str], Mapping[str, Any] | None]]) -> list[tuple[dict[str, str], float]]:
    """Return what a family has of each loader. Things of one name, such as a transform that is there twice, are added up: labels must be unique."""
    found: dict[tuple[str, ...], tuple[dict[str, str], float]] = {}
    for who, status in told:
        for labels, value in [] if status is None else family.read(status):
            named = who | {name: _text(text) for name, text in labels.items()}
            _, before = found.get(tuple(named.values()), (named, 0.0))
            found[tuple(named.values())] = (named, before + value)
    return list(found.values())


def _text(given: str) -> str:
    """Return a text that has a form in UTF-8, as names of files need not."""
    return given.encode(errors="replace").decode()
