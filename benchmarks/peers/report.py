"""What was measured, as a table and as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.peers.peer import Peer


def as_text(found: Mapping[str, Any], peers: Mapping[str, Peer]) -> str:
    """Return tables in Markdown: samples/s of each peer and task, and what else was found out about it."""
    tasks = found["tasks"]
    lines = [f"{found['machine']}", "", f"| samples/s | {' | '.join(tasks)} |", f"|---|{'---|' * len(tasks)}"]
    names = [name for name in peers if any(name in task for task in tasks.values())]
    for name in names:
        cells = [f"{task[name]['samples_per_s']:,.0f}" if "samples_per_s" in task.get(name, {}) else "–" for task in tasks.values()]
        lines.append(f"| {peers[name].title} {found['versions'].get(name, '')} | {' | '.join(cells)} |")
    if "loader" in names and len(names) > 1:
        lines.append(f"| **the loader, compared with the fastest other** | {' | '.join(_lead(task) for task in tasks.values())} |")
    for key, words, form in (("cpu_s_per_gb", "CPU seconds per GB", "{:.2f}"), ("megabytes", "MB beyond the imports", "{:,.0f}"), _FIRST):
        lines += ["", f"| {words} | {' | '.join(tasks)} |", f"|---|{'---|' * len(tasks)}"]
        for name in names:
            cells = [form.format(task[name][key]) if key in task.get(name, {}) else "–" for task in tasks.values()]
            lines.append(f"| {peers[name].title} | {' | '.join(cells)} |")
    if found["killed"]:
        lines += ["", "| | a worker is killed (SIGKILL) | the same bits for 1 and 2 workers |", "|---|---|---|"]
        lines += [f"| {peers[name].title} | {_end(found['killed'][name])} | {_SAME[found['same_bits'][name]]} |" for name in found["killed"]]
    return "\n".join(lines)


_FIRST = ("first_batch_s", "seconds to the first batch", "{:.2f}")
_SAME = {True: "yes", False: "no", None: "–"}


def _lead(task: Mapping[str, Any]) -> str:
    others = [one["samples_per_s"] for name, one in task.items() if name != "loader" and "samples_per_s" in one]
    return f"**{task['loader']['samples_per_s'] / max(others):.1f} ×**" if others and "samples_per_s" in task["loader"] else "–"


def _end(killed: Mapping[str, Any]) -> str:
    if "stall_ms" in killed:
        return f"{killed['result']} after {killed['stall_ms']:,.0f} ms"
    return str(killed.get("result") or killed["unsupported"])


def draw(found: Mapping[str, Any], peers: Mapping[str, Peer], path: Path) -> None:
    """Draw samples/s as bars, those of the loader full, a panel for each task."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    tasks = found["tasks"]
    figure, panels = pyplot.subplots(1, len(tasks), figsize=(2.6 * len(tasks), 2.8), squeeze=False)
    for panel, (name, task) in zip(panels[0], tasks.items(), strict=True):
        bars = [(peers[peer].title, one["samples_per_s"], peer == "loader") for peer, one in task.items() if "samples_per_s" in one]
        bars.reverse()
        panel.barh([title for title, _, _ in bars], [rate for _, rate, _ in bars], color=["#1f6feb" if ours else "#b8c0cc" for *_, ours in bars])
        panel.set_title(name, fontsize=9)
        panel.tick_params(labelsize=7)
        panel.set_xlabel("samples/s", fontsize=7)
        panel.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        panel.locator_params(axis="x", nbins=3)
        for side in ("top", "right"):
            panel.spines[side].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
