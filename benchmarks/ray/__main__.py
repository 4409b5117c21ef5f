"""`make bench-ray`: workers on other machines, with a real Ray cluster of two nodes on this one.

Question: is a worker elsewhere as good as one here, how many bytes come from it, and what do a lost and a slow node cost? Method: rows that sleep
stand for machines that are far away, since all processes share the cores of this one. Every figure comes from a fresh process; batches are compared
with those of `workers=0` before speeds.

    sleep     16 actors with rows of 20 ms, against 16 local workers
    blocks    rows that cost nothing, in tickets of 8 MB, against a socket between two processes
    removed   a node of two is ended by SIGKILL: the longest wait for a batch, in times of a remote ticket
    slow      a node of two becomes 20 times slower: with late tickets done by others, and without; against the other node alone
    data      Ray Data's iter_batches with the same rows, on the same cluster
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.ray import work
from benchmarks.terminal import line, note
from tests.ray.clusters import RayCluster

_ACTORS = 16
_WAIT_S = 0.02
_LIMIT_S = 900

Measured = dict[str, Any]


def main() -> None:
    """Run what was asked for."""
    arguments = _parser().parse_args()
    if arguments.single:
        work.main(json.loads(arguments.single))
        return
    if unknown := set(arguments.names) - set(_ROWS):
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; there are: {', '.join(_ROWS)}")
    machine = f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}"
    print(f"{machine}; {arguments.rounds} rounds of {arguments.seconds:g} s", flush=True)
    found = {}
    with RayCluster() as cluster:
        for name in arguments.names or list(_ROWS):
            for node in {"a", "b"} - cluster.nodes:
                note(f"{name}: node {node}")
                cluster.add(node, cpus=_ACTORS // 2)
            found[name] = _ROWS[name](cluster, arguments)
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": machine, "results": found}, indent=1) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ray", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"what to measure; all by default: {', '.join(_ROWS)}")
    parser.add_argument("--rounds", type=int, default=3, help="how often; the median counts (default: 3)")
    parser.add_argument("--seconds", type=float, default=6.0, help="length of one measurement (default: 6)")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--single", help=argparse.SUPPRESS)
    return parser


def _start(**what: Any) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-m", "benchmarks.ray", "--single", json.dumps(what)], stdout=subprocess.PIPE, text=True)


def _end(process: subprocess.Popen[str]) -> Measured:
    printed, _ = process.communicate(timeout=_LIMIT_S)
    if process.returncode:
        sys.exit(f"{process.args} failed")
    found: Measured = json.loads(printed.splitlines()[-1])
    return found


def _fresh(**what: Any) -> Measured:
    return _end(_start(**what))


def _compared(name: str, common: Measured, **what: Any) -> Measured:
    """Measure, after comparing the first batches with those of `workers=0`."""
    expected = _fresh(**{**common, "kind": "digest", "workers": 0, "remote": 0})["digest"]
    found = _fresh(**{**common, **what})
    if found["digest"] != expected:
        sys.exit(f"{name}: the batches differ from those of workers=0")
    return found


def _sleep(cluster: RayCluster, arguments: argparse.Namespace) -> Measured:
    common = {"address": cluster.address, "seconds": arguments.seconds, "source": {"wait_s": _WAIT_S}, "kind": "rate"}
    rounds = []
    for number in range(arguments.rounds):
        note(f"sleep: round {number + 1} of {arguments.rounds}")
        before, ours, after = (
            _compared("sleep", common, workers=workers, remote=remote)["samples_per_s"] for workers, remote in ((17, 0), (1, _ACTORS), (17, 0))
        )
        rounds.append((ours, (before + after) / 2))
    return _ratio_line("sleep", rounds, "17 local workers", "1 local worker and 16 actors   wanted ≥ 90%")


def _blocks(cluster: RayCluster, arguments: argparse.Namespace) -> Measured:
    rows = 8
    source = {"wait_s": 0.0, "row_bytes": work.BLOCK_BYTES // rows}
    common = {"address": cluster.address, "seconds": arguments.seconds, "source": source, "kind": "rate", "batch_size": rows}
    rounds = []
    for number in range(arguments.rounds):
        note(f"blocks: round {number + 1} of {arguments.rounds}")
        before = _fresh(kind="tcp", seconds=arguments.seconds)["bytes_per_s"]
        ours = _compared("blocks", common, workers=1, remote=2)["remote_bytes_per_s"]
        after = _fresh(kind="tcp", seconds=arguments.seconds)["bytes_per_s"]
        rounds.append((ours / 1e6, (before + after) / 2e6))
    return _ratio_line("blocks", rounds, "a socket", "MB/s of 2 actors, beside 1 local worker   wanted ≥ 60%")


def _removed(cluster: RayCluster, arguments: argparse.Namespace) -> Measured:
    common = {"address": cluster.address, "seconds": arguments.seconds, "source": {"wait_s": _WAIT_S}, "kind": "gaps"}
    expected = _fresh(**{**common, "kind": "digest", "workers": 0, "remote": 0})["digest"]
    running = _start(**common, workers=1, remote=_ACTORS)
    assert running.stdout is not None
    running.stdout.readline()
    cluster.remove("b")
    found = _end(running)
    if found["digest"] != expected:
        sys.exit("removed: the batches differ from those of workers=0")
    stall_s = found["longest_s"] - found["usual_s"]
    line(
        "removed",
        f"{1e3 * stall_s:>9,.0f} ms longer than usual at most ({1e3 * found['usual_longest_s']:,.0f} before); a remote ticket "
        f"{1e3 * found['ticket_s']:,.0f} ms: {stall_s / found['ticket_s']:.1f} ×   wanted ≤ 2 ×",
    )
    return found


def _slow(cluster: RayCluster, arguments: argparse.Namespace) -> Measured:
    with tempfile.TemporaryDirectory() as folder:
        flag = Path(folder, "slow")
        common = {"address": cluster.address, "seconds": arguments.seconds, "kind": "rate", "workers": 1}
        source = {"wait_s": _WAIT_S}
        found = {"one node": _compared("slow", {**common, "source": source}, remote=_ACTORS // 2)["samples_per_s"]}
        for hedging in (True, False):
            slow = {"source": {**source, "slow": str(flag), "hedging": hedging}, "settle_s": 4.0, "remote": _ACTORS}
            running = _start(**common, **slow)
            assert running.stdout is not None
            running.stdout.readline()
            flag.touch()
            found["with" if hedging else "without"] = _end(running)["samples_per_s"]
            flag.unlink()
    with_, without, one = found["with"], found["without"], found["one node"]
    line("slow", f"{with_:>9,.0f} samples/s   without {without:,.0f}, without the node {one:,.0f}   {with_ / one:.1%}   wanted ≥ 90%")
    return found


def _data(cluster: RayCluster, arguments: argparse.Namespace) -> Measured:
    common = {"address": cluster.address, "seconds": arguments.seconds, "source": {"wait_s": _WAIT_S}, "kind": "rate"}
    rounds = []
    for number in range(arguments.rounds):
        note(f"data: round {number + 1} of {arguments.rounds}")
        ours = _compared("data", common, workers=1, remote=_ACTORS)["samples_per_s"]
        theirs = _fresh(**{**common, "kind": "ray_data"})["samples_per_s"]
        rounds.append((ours, theirs))
    return _ratio_line("data", rounds, "Ray Data", "16 actors, against 16 tasks   wanted > 100%")


_ROWS: dict[str, Callable[[RayCluster, argparse.Namespace], Measured]] = {
    "sleep": _sleep,
    "blocks": _blocks,
    "slow": _slow,
    "data": _data,
    "removed": _removed,
}


def _ratio_line(name: str, rounds: list[tuple[float, float]], other: str, wanted: str) -> Measured:
    ratios = [mine / theirs for mine, theirs in rounds]
    mine, theirs = (statistics.median(values) for values in zip(*rounds, strict=True))
    share = f"{statistics.median(ratios):6.1%} ({min(ratios):.1%} to {max(ratios):.1%})"
    line(name, f"{mine:>9,.0f}   {other} {theirs:>9,.0f}   {share}   {wanted}")
    return {"measured": mine, "other": theirs, "ratios": ratios}


if __name__ == "__main__":
    main()
