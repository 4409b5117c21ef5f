"""What was measured, as lines for the terminal and as tables in Markdown for the documentation."""

from __future__ import annotations

import re
import statistics
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.peers import cells
from benchmarks.peers.cells import Cell
from benchmarks.peers.loaders.peer import Peer
from benchmarks.peers.plan import BARE
from benchmarks.peers.tasks import TASKS, Task

Found = Mapping[str, Any]
Peers = Mapping[str, Peer]

_SPEED = "samples_per_s"
_NONE = "–"
_WIDTH = 150
_GOES_ON = "goes on"


def as_lines(found: Found, task: Task, peers: Peers) -> str:
    """Return a line for each peer in a task."""
    return "\n".join(f"{task.name:<9}{peers[name].title:<24}{_line(found, task, name, peers)}" for name in peers)


def _line(found: Found, task: Task, name: str, peers: Peers) -> str:
    cell = found["tasks"][task.name].get(name, {})
    if (reason := cells.why_not(cell)) or not cells.rounds_of(cell):
        return f"not measured: {reason or next((each['unsupported'] for each in cell.values() if 'unsupported' in each), 'interrupted')}"
    count = cells.best_count(cell)
    best = f"{count} {peers[name].parallel.rstrip('s') if count == 1 else peers[name].parallel}"
    if task.fit:
        share = cells.fit_share(cell, found["tasks"][task.name].get(BARE, {}))
        shown = "" if share is None else f"   {100 * share:5.1f} % of it is the loader's"
        return f"{cells.median(cell, 'step_ms'):8.2f} ms a step{shown}   {cells.median(cell, 'seconds'):5.1f} s in all   {best}"
    least, most = cells.spread(cell, _SPEED)
    rate = f"{cells.median(cell, _SPEED):>11,.0f} samples/s ({least:,.0f} to {most:,.0f})"
    memory = cells.memory(cell)
    megabytes = "" if memory is None else f"{memory:7,.0f} MB"
    return f"{rate:<48}{cells.median(cell, 'cpu_s_per_gb'):8.2f} CPU s/GB{megabytes}   first {cells.median(cell, 'first_batch_s'):5.2f} s   {best}"


def short(found: Found, peers: Peers) -> str:
    """Return what stands in README.md: one table of speeds, the picture, and a table of what else distinguishes the loaders."""
    note = f"{found['machine']}. The best of each line is bold; a dash means that a loader has no way of its own to do it:"
    return "\n\n".join(
        [textwrap.fill(note, _WIDTH), _speeds(found, peers), "![speeds of other loaders](docs/pictures/peers-speed.png)", _character(found, peers)]
    )


def full(found: Found, peers: Peers) -> str:
    """Return what stands in benchmarks/README.md: everything that was measured."""
    parts = [found["machine"], _speeds(found, peers), _missing(found, peers), _pictures("speed")]
    parts += [f"**{what}.**\n\n{table}" for what, of in _FIGURES.items() if (table := _table(found, peers, of))]
    parts += [_pictures("cpu", "memory"), _fit(found, peers), _pictures("fit"), _character(found, peers), _deaths(found, peers)]
    return "\n\n".join(part for part in parts if part)


def _pictures(*names: str) -> str:
    return "\n".join(f"![{name}](../docs/pictures/peers-{name}.png)" for name in names)


def _head(found: Found, peers: Peers, first: str) -> list[str]:
    titles = [f"{peers[name].title} {_short_version(found, name)}".strip() for name in _shown(found, peers)]
    return [f"| {first} | {' | '.join(titles)} |", f"|---|{'---|' * len(titles)}"]


def _short_version(found: Found, name: str) -> str:
    version = found["versions"].get(name, "")
    found_version = re.match(r"\d+\.\d+(\.[1-9]\d*)?", version)
    return found_version[0] if found_version else version


def _shown(found: Found, peers: Peers) -> list[str]:
    return [name for name in peers if any(name in task for task in found["tasks"].values())]


def _speeds(found: Found, peers: Peers) -> str:
    lines = _head(found, peers, "samples/s")
    for name, task in found["tasks"].items():
        if not TASKS[name].fit:
            rates = {peer: cells.median(task.get(peer, {}), _SPEED) for peer in _shown(found, peers)}
            lines.append(_row(TASKS[name].says, rates, "{:,.0f}", best=max))
        elif BARE in task:
            shares = {peer: _percent(cells.fit_share(task.get(peer, {}), task[BARE])) for peer in _shown(found, peers)}
            lines.append(_row(f"{TASKS[name].says}: the loader's share of a step", shares, "{} %", best=min))
    return "\n".join(lines)


def _percent(share: float | None) -> int | None:
    return None if share is None else round(100 * share)


def _row(first: str, values: Mapping[str, float | None], form: str, best: Callable[[list[float]], float] | None = None) -> str:
    there = [value for value in values.values() if value is not None]
    marked = best(there) if best and there else None
    shown = [_NONE if value is None else f"**{form.format(value)}**" if value == marked else form.format(value) for value in values.values()]
    return f"| {first} | {' | '.join(shown)} |"


_FIGURES: dict[str, tuple[str, Callable[[Cell], float | None]]] = {
    "CPU seconds for a GB of batches, all processes together": ("{:.2f}", lambda cell: cells.median(cell, "cpu_s_per_gb")),
    "Most memory that was seen, Σ Pss of all processes in MB, beyond the imports": ("{:,.0f}", cells.memory),
    "Seconds to the first batch, from making the loader, without imports": ("{:.2f}", lambda cell: cells.median(cell, "first_batch_s")),
    "Batches that are read ahead while nobody takes any": ("{:,.1f}", lambda cell: cell.get("held", {}).get("batches")),
    "Slowest round to fastest round, as a share of the median": ("{:.0f} %", lambda cell: _range(cell)),
    "The number of workers or threads that was the fastest": ("{:.0f}", lambda cell: cells.best_count(cell) if cells.rounds_of(cell) else None),
}


def _range(cell: Cell) -> float | None:
    if not cells.rounds_of(cell) or not (middle := cells.median(cell, _SPEED)):
        return None
    least, most = cells.spread(cell, _SPEED)
    return 100 * (most - least) / middle


def _table(found: Found, peers: Peers, figure: tuple[str, Callable[[Cell], float | None]]) -> str:
    form, value = figure
    rows = []
    for name, task in found["tasks"].items():
        if not TASKS[name].fit:
            values = {peer: value(task[peer]) if peer in task and not cells.why_not(task[peer]) else None for peer in _shown(found, peers)}
            if any(each is not None for each in values.values()):
                rows.append(_row(TASKS[name].says, values, form))
    return "\n".join([*_head(found, peers, ""), *rows]) if rows else ""


def _fit(found: Found, peers: Peers) -> str:
    rows = []
    for name, task in found["tasks"].items():
        if not TASKS[name].fit or not (bare := cells.median(task.get(BARE, {}), "step_ms")):
            continue
        rows = [f"| {TASKS[name].says} | ms a step | of it the loader's | seconds from start to end |", "|---|---|---|---|"]
        rows.append(f"| a batch that exists | {bare:.1f} | | {cells.median(task[BARE], 'seconds'):.1f} |")
        for peer in _shown(found, peers):
            cell = task.get(peer, {})
            if (share := cells.fit_share(cell, task[BARE])) is not None:
                step_ms, seconds = cells.median(cell, "step_ms"), cells.median(cell, "seconds")
                rows.append(f"| {peers[peer].title} | {step_ms:.1f} | {_percent(share)} % | {seconds:.1f} |")
    return "\n".join(rows)


def _character(found: Found, peers: Peers) -> str:
    """Return what does not depend on the task, as far as the tasks agree."""
    lines = ["| | a worker is killed (SIGKILL) | same bits for any number of workers | batches read ahead |", "|---|---|---|---|"]
    for name in _shown(found, peers):
        mine = {task: every[name] for task, every in found["tasks"].items() if name in every and not cells.why_not(every[name])}
        lines.append(f"| {peers[name].title} | {_death(mine)} | {_bits(mine)} | {_ahead(mine)} |")
    return "\n".join(lines)


def _death(mine: Mapping[str, Cell]) -> str:
    deaths = [cell["killed"] for cell in mine.values() if "result" in cell.get("killed", {})]
    results = sorted({death["result"] for death in deaths} - {"no worker processes"}) or sorted({death["result"] for death in deaths})
    stalls = [death["stall_ms"] for death in deaths if "stall_ms" in death]
    after = f" after {statistics.median(stalls):,.0f} ms (at most {max(stalls):,.0f})" if stalls else ""
    return ", ".join(result + (after if result == _GOES_ON else "") for result in results) or _NONE


def _bits(mine: Mapping[str, Cell]) -> str:
    same = {name: cells.same_bits(cell) for name, cell in mine.items()}
    others = [name for name, yes in same.items() if yes is False]
    if others:
        return f"no: {', '.join(f'`{name}`' for name in others)}" if any(same.values()) else "no"
    return "yes" if any(same.values()) else _NONE


def _ahead(mine: Mapping[str, Cell]) -> str:
    held = [cell["held"] for cell in mine.values() if "batches" in cell.get("held", {})]
    if not held:
        return _NONE
    least, most = (choose(each["batches"] for each in held) for choose in (min, max))
    span = f"{least:.0f} to {most:.0f}" if round(least) < round(most) else f"{least:.0f}"
    return span + (", or all that there are" if any(each["all"] for each in held) else "")


def _missing(found: Found, peers: Peers) -> str:
    reasons = []
    for name, task in found["tasks"].items():
        for peer in _shown(found, peers):
            if peer in task and (reason := cells.why_not(task[peer])):
                reasons.append(f"- {peers[peer].title}, {TASKS[name].says}: {reason}")
    return "\n".join(["Not measured:", "", *reasons]) if reasons else ""


def _deaths(found: Found, peers: Peers) -> str:
    lines = ["**After SIGKILL of a worker, task by task.**", "", *_head(found, peers, "")]
    for name, task in found["tasks"].items():
        if not TASKS[name].fit:
            shown = [_death({name: task[peer]}) if peer in task and not cells.why_not(task[peer]) else _NONE for peer in _shown(found, peers)]
            lines.append(f"| {TASKS[name].says} | {' | '.join(shown)} |")
    return "\n".join(lines)


def paste(file: Path, text: str) -> None:
    """Replace what stands in a file between the two marks of this benchmark."""
    begin, end = "<!-- make bench-peers -->", "<!-- end of make bench-peers -->"
    content = file.read_text()
    if content.count(begin) != 1 or content.count(end) != 1:
        raise ValueError(f"{file} has no place for the tables: a line {begin} and a line {end}")
    before, _, rest = content.partition(begin)
    _, _, after = rest.partition(end)
    file.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}")
