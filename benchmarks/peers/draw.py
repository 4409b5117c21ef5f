"""The tables as pictures. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.peers import cells
from benchmarks.peers.cells import Cell
from benchmarks.peers.loaders.peer import Peer
from benchmarks.peers.plan import BARE, OURS
from benchmarks.peers.tasks import TASKS

_OURS, _OTHERS, _MODEL = "#1f6feb", "#b8c0cc", "#e6e9ee"
_COLUMNS = 5
_DPI = 110

Found = Mapping[str, Any]


def draw(found: Found, peers: Mapping[str, Peer], folder: Path) -> list[Path]:
    """Draw all pictures of what was measured into a folder, and return their files."""
    import matplotlib

    matplotlib.use("Agg")
    versions = ", ".join(f"{peers[name].title} {found['versions'][name]}" for name in peers if name in found["versions"] and name != OURS)
    note = f"{found['machine']}\n{versions}"
    drawn = [
        _panels(found, peers, folder / "peers-speed.png", "samples/s", note, lambda cell: cells.median(cell, "samples_per_s")),
        _panels(found, peers, folder / "peers-cpu.png", "CPU seconds per GB", note, lambda cell: cells.median(cell, "cpu_s_per_gb")),
        _panels(found, peers, folder / "peers-memory.png", "MB beyond the imports, Σ Pss", note, cells.memory),
        _fit(found, peers, folder / "peers-fit.png", note),
    ]
    return [file for file in drawn if file]


def _panels(found: Found, peers: Mapping[str, Peer], file: Path, label: str, note: str, figure: Callable[[Cell], float | None]) -> Path | None:
    """Draw bars, those of the loader full, a panel for each task."""
    from matplotlib import pyplot

    tasks = {name: _bars(task, peers, figure) for name, task in found["tasks"].items() if not TASKS[name].fit}
    tasks = {name: bars for name, bars in tasks.items() if bars}
    if not tasks:
        return None
    rows = -(-len(tasks) // _COLUMNS)
    columns = min(_COLUMNS, len(tasks))
    titles = [peers[name].title for name in reversed(peers) if any(name in bars for bars in tasks.values())]
    canvas, panels = pyplot.subplots(
        rows, columns, figsize=(2.1 + 2.1 * columns, 0.7 + (0.5 + 0.21 * len(titles)) * rows), squeeze=False, sharey=True
    )
    for place, panel in enumerate(panels.flat):
        if place >= len(tasks):
            panel.set_visible(False)
            continue
        name, bars = list(tasks.items())[place]
        for peer, value in bars.items():
            panel.barh(peers[peer].title, value, color=_OURS if peer == OURS else _OTHERS)
            panel.annotate(_short(value), (value, peers[peer].title), xytext=(2, 0), textcoords="offset points", va="center", fontsize=6.5)
        for title in set(titles) - {peers[peer].title for peer in bars}:
            panel.annotate("–", (0, title), xytext=(2, 0), textcoords="offset points", va="center", fontsize=6.5, color="#57606a")
        panel.set_yticks(range(len(titles)), titles)
        panel.set_title(TASKS[name].says.replace("`", ""), fontsize=7.5)
        panel.set_xlim(0, 1.28 * max(bars.values()))
        _plain(panel)
        panel.set_xticks([])
    canvas.suptitle(label, fontsize=10, x=0.01, ha="left")
    return _save(canvas, note, file)


def _bars(task: Mapping[str, Cell], peers: Mapping[str, Peer], figure: Callable[[Cell], float | None]) -> dict[str, float]:
    """Return the figure of each peer that has one, from the last to the first, as bars are stacked."""
    values = {name: figure(task[name]) for name in reversed(list(peers)) if name in task and not cells.why_not(task[name])}
    return {name: value for name, value in values.items() if value is not None}


def _fit(found: Found, peers: Mapping[str, Peer], file: Path, note: str) -> Path | None:
    """Draw a step of `fit`: the model's part, and what the loader adds."""
    from matplotlib import pyplot

    task = next((task for name, task in found["tasks"].items() if TASKS[name].fit), {})
    bare = cells.median(task.get(BARE, {}), "step_ms")
    bars = _bars(task, peers, lambda cell: cells.median(cell, "step_ms"))
    if not bare or not bars:
        return None
    canvas, panel = pyplot.subplots(figsize=(7, 0.9 + 0.27 * len(bars)))
    for peer, step in bars.items():
        panel.barh(peers[peer].title, min(bare, step), color=_MODEL)
        panel.barh(peers[peer].title, max(0.0, step - bare), left=bare, color=_OURS if peer == OURS else _OTHERS)
        panel.annotate(f"{step:.1f} ms", (max(bare, step), peers[peer].title), xytext=(3, 0), textcoords="offset points", va="center", fontsize=7)
    panel.axvline(bare, color="#57606a", linewidth=0.8)
    panel.set_xlim(0, 1.15 * max(bars.values()))
    panel.set_title(f"a step of fit: {bare:.1f} ms are the model's, the rest the loader's", fontsize=9, loc="left")
    _plain(panel)
    return _save(canvas, note, file)


def _plain(panel: Any) -> None:
    panel.tick_params(labelsize=7, length=0)
    for side in ("top", "right", "bottom"):
        panel.spines[side].set_visible(False)


def _short(value: float) -> str:
    if value >= 1e6:
        return f"{value / 1e6:.3g} M"
    if value >= 1e4:
        return f"{value / 1e3:,.0f} k"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _save(canvas: Any, note: str, file: Path) -> Path:
    from matplotlib import pyplot

    canvas.text(0.01, 0.005, note, fontsize=5.5, color="#57606a", va="bottom")
    canvas.tight_layout(rect=(0, 0.06, 1, 1))
    file.parent.mkdir(parents=True, exist_ok=True)
    canvas.savefig(file, dpi=_DPI, metadata={"Software": None})
    pyplot.close(canvas)
    return file
