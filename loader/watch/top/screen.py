"""What `loader top` shows: from the status that the supervisor answers with to lines of text. Pure: no terminal, no clock.

    title, epoch         which loader, how far it is
    curves               the last minute: rate, waits of trainer and workers
    verdict              which side is the slow one
    slots … stages       where things are
    readers              a line each, of a loader that several read
    remote               what workers on other machines bring, a line for each machine
    workers              a line each
    decisions            of tuner and memory control
    keys

Lines are as wide as they are allowed to be and never wider. Where there are too few rows, blocks give up some of theirs (`arrange`). Colour says
nothing that the text does not say.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from rich.cells import cell_len
from rich.text import Text

from loader.config import brief_size
from loader.watch.status import STILL_S
from loader.watch.top.drawing import FINE, Glyphs, bar, count, cut, printable, span, sparkline
from loader.watch.top.tables import Block, arranged, node_lines, reader_lines, worker_lines
from loader.watch.top.watched import HELP, View

_LABEL = 14
_VALUE = 5
_CURVE_WIDTHS = (60, 30, 20, 15, 12, 10, 6)
_MUCH_WAITING, _SOME_WAITING = 0.2, 0.05


def screen(view: View, width: int, height: int, glyphs: Glyphs = FINE) -> list[Text]:
    """Return at most `height` lines of at most `width` columns each; the keys stand in the last one."""
    width, height = max(1, width), max(1, height)
    footer = [_footer(view, width, glyphs)] if height > 1 else []
    blocks = [Block([_title(view, width, glyphs)])]
    if view.help:
        blocks += [Block(_help(width, glyphs))]
    elif view.status is not None:
        blocks += _blocks(view, view.status, width, glyphs)
    elif not view.name:
        blocks += [Block([Text(), *_wrapped("", "no loader of yours is running; the next one that starts will be shown here", "", width)])]
    lines = [_fit(line, width, glyphs) for line in arranged(blocks, height - len(footer))]
    return [*lines, *[Text()] * (height - len(lines) - len(footer)), *footer]


# Blocks.


def _blocks(view: View, status: Mapping[str, Any], width: int, glyphs: Glyphs) -> list[Block]:
    gap = Block([Text()], squeeze=[(2, 0)])
    some = _troubles(status)
    readers = reader_lines(status, width, glyphs)
    nodes = node_lines(status, width, glyphs)
    workers = worker_lines(status, view.rates, width, glyphs)
    return [
        Block([_epoch(view, status, width, glyphs)]),
        gap,
        Block(_curves(status, width, glyphs), squeeze=[(4, 3), (9, 2)]),
        Block(_verdict(status, width), squeeze=[(6, 2), (7, 1), (9, 0)], cut=glyphs.ellipsis),
        gap,
        Block([_slots(status, width, glyphs)], squeeze=[(7, 0)]),
        Block([_memory(status, width, glyphs)], squeeze=[(7, 0)]),
        Block([_trouble(some, width, glyphs)], squeeze=[(8 if some else 5, 0)]),
        Block([*_stages(status, width, glyphs), *_network(status, width, glyphs)], squeeze=[(5, 0)]),
        *([gap, Block(readers, squeeze=[(1, 8), (4, 4), (8, 0)], more="       and {} more", head=2)] if readers else []),
        *([gap, Block(nodes, squeeze=[(1, 6), (4, 4), (8, 0)], more="       and {} more", head=2)] if nodes else []),
        gap,
        Block([_wanted(status, width, glyphs)], squeeze=[(9, 0)]),
        Block(workers, squeeze=[(1, 9), (4, 5), (8, 0)], more="       and {} more", head=1),
        gap,
        Block(_decisions(status, width), squeeze=[(0, 4), (3, 2), (6, 0)]),
    ]


def _title(view: View, width: int, glyphs: Glyphs) -> Text:
    if not view.name:
        return Text(cut("loader top", width, glyphs), "bold")
    line = Text().append(printable(view.name), "bold")
    if view.state == "ended":
        line.append("  ").append(" ended ", "reverse red")
    elif view.state == "silent":
        line.append("  ").append(f" does not answer for {span(view.age_s)} ", "reverse yellow")
    status = view.status or {}
    told = [str(status.get("script") or "").rpartition("/")[2], f"trainer {status['trainer_pid']}" if status.get("trainer_pid") else None]
    told += [f"supervisor {status['pid']}" if "pid" in status else None]
    line.append("  ").append(f"  {glyphs.dot}  ".join(printable(str(one)) for one in told if one), "dim")
    right = f"{view.place} of {view.count}" if view.count > 1 else ""
    room = width - len(right) - 2 if right and width > 30 else width
    line = _fit(line, room, glyphs)
    if right and width > 30:
        line.append(" " * (width - line.cell_len - len(right))).append(right, "cyan")
    return line


def _epoch(view: View, status: Mapping[str, Any], width: int, glyphs: Glyphs) -> Text:
    line = _labelled(f"epoch {status.get('epoch', 0)}")
    batches, batch = status.get("epoch_batches") or 0, status.get("batch") or 0
    if not batches:
        return _fit(line.append(f"{status.get('batches_delivered', 0):,} batches delivered"), width, glyphs)
    share = min(1.0, batch / batches)
    rate = status.get("samples_per_s") or 0
    ago_s = status.get("seconds_since_last_batch") or 0
    if view.state != "live":
        left = ""
    elif ago_s >= STILL_S:
        left = f", no batch taken for {span(ago_s)}"
    else:
        left = f", {span((batches - batch) * status.get('mean_rows', 0) / rate)} left" if rate else ""
    words = f" {share:4.0%}  batch {batch:,} of {batches:,}{left}"
    line.append_text(_bar(share, max(0, min(width - _LABEL - len(words), 60)), "cyan", glyphs)).append(words)
    return _fit(line, width, glyphs)


def _curves(status: Mapping[str, Any], width: int, glyphs: Glyphs) -> list[Text]:
    minute = status.get("last_minute") or {}
    rates, waits = minute.get("samples_per_s") or [], minute.get("trainer_wait_ratio") or []
    idle = minute.get("worker_wait_ratio") or []
    room = width - _LABEL - _VALUE - 1
    wide = room // 60 * 60 if room >= 60 else next((columns for columns in _CURVE_WIDTHS if columns <= room), 0)
    busy = [worker.get("busy_ratio", 0.0) for worker in status.get("workers") or []]
    waiting, idling = status.get("trainer_wait_ratio") or 0.0, 1 - sum(busy) / len(busy) if busy else 1.0
    most = max(rates, default=0.0)
    lines = []
    for label, value, style, points, top in (
        ("samples/s", count(status.get("samples_per_s") or 0), "cyan", rates, most),
        ("trainer waits", f"{waiting:.0%}", _colour(waiting), waits, 1.0),
        ("workers wait", f"{idling:.0%}", "blue", idle, 1.0),
    ):
        line = _labelled(label, _LABEL - 1).append(f"{value:>{_VALUE + 1}} ", "bold")
        lines.append(_fit(line.append(sparkline(points, wide, top, glyphs), style), width, glyphs))
    if wide >= 30:
        left = "a minute ago"
        top_rate = f"most {count(most)}/s"
        axis = f"{left}{top_rate:^{wide - len(left) - 3}}now"
        lines.append(Text(" " * (_LABEL + _VALUE + 1) + axis, "dim"))
    return lines


def _verdict(status: Mapping[str, Any], width: int) -> list[Text]:
    verdict = str(status.get("verdict", ""))
    slow = "yellow" if verdict.startswith("the loader") else "green" if verdict.startswith("the model") else ""
    return _wrapped("verdict", verdict, f"bold {slow}".strip(), width)


def _slots(status: Mapping[str, Any], width: int, glyphs: Glyphs) -> Text:
    slots = status.get("slots") or {}
    line, picture = _labelled("slots"), Text("  ")
    for name, glyph, style in zip(("ready", "lent", "filling", "free"), glyphs.slots, ("green", "cyan", "yellow", "dim"), strict=True):
        number = slots.get(name, 0)
        line.append(glyph, style).append(f" {number} {name}   ")
        picture.append(glyph * number, style)
    if line.cell_len + picture.cell_len <= width:
        line.append_text(picture)
    return _fit(line, width, glyphs)


def _memory(status: Mapping[str, Any], width: int, glyphs: Glyphs) -> Text:
    memory = status.get("memory") or {}
    used, limit = memory.get("arena_bytes", 0) + memory.get("private_bytes", 0), memory.get("limit_bytes")
    line = _labelled("memory")
    if not limit:
        return _fit(line.append(brief_size(used)), width, glyphs)
    share = used / limit
    line.append_text(_bar(share, max(0, min(30, width - _LABEL - 44)), "red" if share > 0.9 else "cyan", glyphs))
    line.append(f" {share:4.0%}  {brief_size(used)} of {brief_size(limit)}").append(
        " (default limit)" if memory.get("limit_is_default") else "", "dim"
    )
    if memory.get("reduced_to"):
        line.append(f", only {memory['reduced_to']} workers fit", "yellow")
    return _fit(line, width, glyphs)


def _troubles(status: Mapping[str, Any]) -> list[str]:
    replaced = (status.get("memory") or {}).get("replaced_workers", 0)
    known = (
        (status.get("errors", 0), "errors", "error"),
        (status.get("quarantined", 0), "bad samples", "bad sample"),
        (status.get("substituted", 0), "rows substituted", "row substituted"),
        (status.get("restarts", 0), "workers died", "worker died"),
        (replaced, "workers replaced because of their memory", "worker replaced because of its memory"),
        (status.get("supervisor_restarts", 0), "supervisors replaced", "supervisor replaced"),
    )
    return [f"{number:,} {one if number == 1 else many}" for number, many, one in known if number]


def _trouble(some: list[str], width: int, glyphs: Glyphs) -> Text:
    words = f" {glyphs.dot} ".join(some) or "none: no errors, nothing substituted, no restarts"
    return _fit(_labelled("trouble").append(words, "red" if some else "dim"), width, glyphs)


def _network(status: Mapping[str, Any], width: int, glyphs: Glyphs) -> list[Text]:
    found = status.get("network")
    if not found:
        return []
    told = [f"{found['in_flight']} in flight", f"{found.get('latency_ms', 0):,.0f} ms", f"{found['objects_per_s']:,.0f} objects/s"]
    told += [f"{found['bytes_per_s'] / 1e6:,.1f} MB/s", f"{found['retries']:,} retries"]
    told += [f"{found.get('hit_ratio', 0):.0%} cached"] * bool(found["hits"])
    return [_fit(_labelled("network").append(f" {glyphs.dot} ".join(told)), width, glyphs)]


def _stages(status: Mapping[str, Any], width: int, glyphs: Glyphs) -> list[Text]:
    stages = status.get("stages") or []
    told = [f"{printable(str(stage.get('name')))} {stage.get('share') or 0:.0%} ({_cost(stage)})" for stage in stages]
    return [_fit(_labelled("stages").append(f" {glyphs.dot} ".join(told)), width, glyphs)] if told else []


def _cost(stage: Mapping[str, Any]) -> str:
    per_batch = stage.get("ms_per_batch")
    return f"{stage.get('ms_per_sample') or 0:.3g} ms" if per_batch is None else f"{per_batch:.3g} ms per batch"


def _wanted(status: Mapping[str, Any], width: int, glyphs: Glyphs) -> Text:
    there, wanted = sum(worker.get("node") is None for worker in status.get("workers") or []), status.get("wanted_workers")
    words = f"{there}" if wanted in (None, there) else f"{there} {glyphs.arrow} {wanted}"
    line = _labelled("workers").append(words, "bold")
    if status.get("auto"):
        line.append(", number chosen by auto", "cyan")
    if status.get("max_workers"):
        line.append(f", at most {status['max_workers']}", "dim")
    return _fit(line, width, glyphs)


def _decisions(status: Mapping[str, Any], width: int) -> list[Text]:
    lines: list[Text] = []
    for decision in status.get("decisions") or []:
        age = f"{span(decision.get('ago_s', 0)).split(' min')[0]}{' min' if decision.get('ago_s', 0) >= 60 else ''} ago"
        label = "" if lines else "decisions"
        lines += _wrapped(label, f"{age:<10} {decision.get('text', '')}", "", width, hang=11)
    return lines


def _help(width: int, glyphs: Glyphs) -> list[Text]:
    return [Text(), *(_fit(_labelled(key, 15).append(what), width, glyphs) for key, what in HELP)]


def _footer(view: View, width: int, glyphs: Glyphs) -> Text:
    if view.message:
        return _fit(Text(printable(view.message), "bold"), width, glyphs)
    if view.state == "ended" and view.name:
        return _fit(
            Text("it has ended; the next loader that starts will be shown   q quit" + ("   tab next loader" if view.count > 1 else "")), width, glyphs
        )
    keys = [("+ -", "workers"), ("a", "auto"), *([("tab", "next loader")] if view.count > 1 else []), ("?", "help"), ("q", "quit")]
    line = Text()
    for key, what in keys:
        line.append(key, "bold").append(f" {what}   ", "dim")
    return _fit(line, width, glyphs)


# Pieces.


def _labelled(label: str, width: int = _LABEL) -> Text:
    return Text().append(f"{label:<{width}}", "dim")


def _wrapped(label: str, text: str, style: str, width: int, hang: int = 0) -> list[Text]:
    """Return a label and a text beside it, on as many lines as it takes."""
    room = max(8, width - _LABEL - hang)
    head, rest = printable(text)[:hang], printable(text)[hang:]
    lines = textwrap.wrap(rest, room) or [""]
    out = []
    for number, line in enumerate(lines):
        shown = _labelled("" if number else label).append(" " * hang if number else head, "dim").append(line, style)
        out.append(_fit(shown, width, FINE))
    return out


def _bar(share: float, width: int, style: str, glyphs: Glyphs) -> Text:
    filled = bar(share, width)
    return Text().append(glyphs.full * filled, style).append(glyphs.empty * (width - filled), "dim")


def _colour(waiting: float) -> str:
    return "red" if waiting >= _MUCH_WAITING else "yellow" if waiting >= _SOME_WAITING else "green"


def _fit(line: Text, width: int, glyphs: Glyphs) -> Text:
    """Cut a line to `width` columns, with its styles."""
    if cell_len(line.plain) <= width:
        return line
    kept = line[: len(cut(line.plain, width, glyphs)) - len(glyphs.ellipsis)]
    return kept.append(glyphs.ellipsis)
