"""Writes `docs/figures.md` from `loader.watch.metrics.families`, where each figure is declared. `make docs`; a test compares."""

from __future__ import annotations

from pathlib import Path

from loader.watch.metrics.families import FAMILIES
from loader.watch.metrics.figures import UP

PAGE = Path(__file__).parent / "figures.md"

HEAD = """# Figures for Prometheus

What [`loader metrics`](prometheus_and_grafana.md) shows. Each figure has the labels `loader`, the name, and `pid`, the process of its supervisor,
beside those in the table. A counter only grows, so `rate(...[1m])` makes a rate of it. A figure that a loader does not have is not on the page: those
named `fetch` are there if its data are far away, those named `remote`, `gateway` and `node` if it may have workers on other machines. The label
`node` of a worker is there if it is on one of them. This page is made from `loader/watch/metrics/families.py` by `make docs`.

| figure | type | labels | what it says |
|---|---|---|---|
"""


def page() -> str:
    """Return the text of the page."""
    rows = []
    for family in (UP, *FAMILIES):
        labels = ", ".join(f"`{label}`" for label in family.labels)
        rows.append(f"| `{family.name}` | {family.type.value} | {labels} | {family.help} |\n")
    return HEAD + "".join(rows)


if __name__ == "__main__":
    PAGE.write_text(page())
