"""`make bench-ray`: workers on other machines, with a real Ray cluster of two nodes on this one.

Question: is a worker elsewhere as good as one here, how many bytes come from it, and what do a lost and a slow node cost? Method: rows that sleep
stand for machines that are far away, since all processes share the cores of this one. Every figure comes from a fresh process; batches are compared
with those of `workers=0` before speeds.

    sleep     16 actors and one local worker with rows of 20 ms, against 17 local workers
    blocks    rows of 8 MB that exist already, from two actors, against as many bare sockets: the same rows, into shared memory of the same size
    removed   a node of two is ended by SIGKILL, all its processes at once: how much longer a batch takes at most, in times of what an actor takes for
              a ticket. Half of the workers take twice as long, anyway; so it is compared with what is usual before, and with what is usual later.
              To end processes takes cores, which would be those of the lost machine; so they get only what others leave
    raylet    the same if only Ray's own process there is ended: the actors follow when they find out
    silent    the same if the node only says nothing more
    slow      a node of two becomes 20 times slower: with late tickets done by others, and without; against the other node alone
    data      Ray Data's iter_batches with the same rows, on the same cluster
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.fresh import Benchmark, Measure, Measured, ratio_line, rounds_of
from benchmarks.ray import work
from benchmarks.terminal import line, note
from tests.ray.clusters import RayCluster

_ACTORS = 16
_SENDERS = 2
_WAIT_S = 0.02


def main() -> None:
    """Run what was asked for."""
    _BENCHMARK.main(work.single, _measuring)


@contextlib.contextmanager
def _measuring(arguments: argparse.Namespace) -> Iterator[Measure]:
    with RayCluster() as cluster:

        def measure(name: str) -> Measured:
            for node in {"a", "b"} - cluster.nodes:
                note(f"{name}: node {node}")
                cluster.add(node, cpus=_ACTORS // 2)
            return _ROWS[name](cluster, arguments)

        yield measure


def _compared(name: str, common: Measured, **what: Any) -> Measured:
    """Measure, after comparing the first batches with those of `workers=0`."""
    expected = _BENCHMARK.fresh(**{**common, "kind": "digest", "workers": 0, "remote": 0})["digest"]
    found = _BENCHMARK.fresh(**{**common, **what})
    if found["digest"] != expected:
        sys.exit(f"{name}: the batches differ from those of workers=0")
    return found


def _sleep(cluster: RayCluster, arguments: argparse.Namespace) -> Measured:
    common = {"address": cluster.address, "seconds": arguments.seconds, "source": {"wait_s": _WAIT_S}, "kind": "rate"}
    rounds = []
    for _ in rounds_of("sleep", arguments):
        before, ours, after = (
            _compared("sleep", common, workers=workers, remote=remote)["samples_per_s"] for workers, remote in ((17, 0), (1, _ACTORS), (17, 0))
        )
        rounds.append((ours, (before + after) / 2))
    return ratio_line("sleep", rounds, "samples/s", "17 local workers", "1 local worker and 16 actors   wanted ≥ 90%")


def _blocks(cluster: RayCluster, arguments: argparse.Namespace) -> Measured:
    common = {"address": cluster.address, "seconds": arguments.seconds, "source": {"blocks": True}, "kind": "rate"}
    settings = {"batch_size": 1, "slots": work.BLOCKS}
    bare = {"kind": "sockets", "senders": _SENDERS, "seconds": arguments.seconds}
    rounds = []
    for _ in rounds_of("blocks", arguments):
        before = _BENCHMARK.fresh(**bare)["bytes_per_s"]
        ours = _compared("blocks", {**common, **settings}, workers=1, remote=_SENDERS)["remote_bytes_per_s"]
        after = _BENCHMARK.fresh(**bare)["bytes_per_s"]
        rounds.append((ours / 1e6, (before + after) / 2e6))
    return ratio_line("blocks", rounds, "MB/s", f"{_SENDERS} sockets", f"{_SENDERS} actors   wanted ≥ 60%")


def _removed(cluster: RayCluster, arguments: argparse.Namespace) -> Measured:
    return _lost("removed", lambda: cluster.remove("b"), cluster, arguments)


def _raylet(cluster: RayCluster, arguments: argparse.Namespace) -> Measured:
    return _lost("raylet", lambda: cluster.end_raylet("b"), cluster, arguments)


def _silent(cluster: RayCluster, arguments: argparse.Namespace) -> Measured:
    return _lost("silent", lambda: cluster.pause("b"), cluster, arguments)


def _lost(name: str, lose: Callable[[], float | None], cluster: RayCluster, arguments: argparse.Namespace) -> Measured:
    """Lose the node `b` while another process measures, which is told of it by nobody."""
    common = {"address": cluster.address, "seconds": arguments.seconds, "source": {"wait_s": _WAIT_S}, "kind": "gaps"}
    expected = _BENCHMARK.fresh(**{**common, "kind": "digest", "workers": 0, "remote": 0})["digest"]
    rounds = []
    for number in rounds_of(name, arguments):
        if number:
            cluster.add("b", cpus=_ACTORS // 2)
        running = _BENCHMARK.start(**common, workers=1, remote=_ACTORS)
        _until_ready(running)
        ended_s = lose()
        found = _BENCHMARK.end(running) | {"ended_s": ended_s}
        if "b" in cluster.nodes:  # it is there, and says nothing
            cluster.remove("b")
        if found["digest"] != expected:
            sys.exit(f"{name}: the batches differ from those of workers=0")
        rounds.append(found)
    for found in rounds:
        longest, at, before, most_before, after, most_after, ticket = (
            1e3 * found[f"{what}_s"] for what in ("longest", "longest_at", "before", "before_longest", "after", "after_longest", "ticket")
        )
        line(
            name,
            f"{longest:>9,.0f} ms for a batch at most, {at:,.0f} ms after it; before {before:,.0f} (at most {most_before:,.0f}), later {after:,.0f} "
            f"(at most {most_after:,.0f}); a ticket {ticket:,.0f} ms: {(longest - after) / ticket:.1f} × longer than later, "
            f"{(longest - before) / ticket:.1f} × than before   wanted ≤ 2 ×"
            + ("" if found["ended_s"] is None else f"; until its processes had ended: {1e3 * found['ended_s']:,.0f} ms"),
        )
    return {"rounds": rounds}


def _until_ready(child: subprocess.Popen[str]) -> None:
    """Wait for a child to say so. Before that, it may print what Ray has to tell of a node that was lost earlier."""
    assert child.stdout is not None
    while (printed := child.stdout.readline()) != "ready\n":
        if not printed:
            sys.exit(f"{child.args} failed")


def _slow(cluster: RayCluster, arguments: argparse.Namespace) -> Measured:
    with tempfile.TemporaryDirectory() as folder:
        flag = Path(folder, "slow")
        common = {"address": cluster.address, "seconds": arguments.seconds, "kind": "rate", "workers": 1}
        source = {"wait_s": _WAIT_S}
        found = {"one node": _compared("slow", {**common, "source": source}, remote=_ACTORS // 2)["samples_per_s"]}
        for hedging in (True, False):
            slow = {"source": {**source, "slow": str(flag), "hedging": hedging}, "settle_s": 4.0, "remote": _ACTORS}
            running = _BENCHMARK.start(**common, **slow)
            _until_ready(running)
            flag.touch()
            found["with" if hedging else "without"] = _BENCHMARK.end(running)["samples_per_s"]
            flag.unlink()
    with_, without, one = found["with"], found["without"], found["one node"]
    line("slow", f"{with_:>9,.0f} samples/s   without {without:,.0f}, without the node {one:,.0f}   {with_ / one:.1%}   wanted ≥ 90%")
    return found


def _data(cluster: RayCluster, arguments: argparse.Namespace) -> Measured:
    common = {"address": cluster.address, "seconds": arguments.seconds, "source": {"wait_s": _WAIT_S}, "kind": "rate"}
    rounds = []
    for _ in rounds_of("data", arguments):
        ours = _compared("data", common, workers=1, remote=_ACTORS)["samples_per_s"]
        theirs = _BENCHMARK.fresh(**{**common, "kind": "ray_data"})["samples_per_s"]
        rounds.append((ours, theirs))
    return ratio_line("data", rounds, "samples/s", "Ray Data", "16 actors, against 16 tasks   wanted > 100%")


_ROWS: dict[str, Callable[[RayCluster, argparse.Namespace], Measured]] = {
    "sleep": _sleep,
    "blocks": _blocks,
    "slow": _slow,
    "data": _data,
    "removed": _removed,
    "raylet": _raylet,
    "silent": _silent,
}


_BENCHMARK = Benchmark("benchmarks.ray", __doc__, list(_ROWS), rounds=3, seconds=6.0)


if __name__ == "__main__":
    main()
