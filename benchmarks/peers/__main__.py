"""`make bench-peers`: the same work by this loader and by others, each as its own documentation would have it.

Every figure comes from a fresh process. The outputs are compared first: those of `.npy` files bit for bit, pictures by the means of their samples.
Then each peer is measured with each of its numbers of workers or threads; the fastest is measured again in each further round, by turns with the
others, and the medians count.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.peers import measure, report
from benchmarks.peers.dali import Dali
from benchmarks.peers.grain_loader import Grain
from benchmarks.peers.ours import Ours
from benchmarks.peers.peer import Peer
from benchmarks.peers.spdl_loader import Spdl
from benchmarks.peers.tf_data import TfData
from benchmarks.peers.torch_loader import TorchDataLoader
from benchmarks.pictures import PICTURES
from benchmarks.workloads import WORKLOADS, Workload

PEERS: dict[str, Peer] = {"loader": Ours(), "torch": TorchDataLoader(), "grain": Grain(), "tf.data": TfData(), "dali": Dali(), "spdl": Spdl()}
TASKS: dict[str, Workload] = {name: {**WORKLOADS, **PICTURES}[name] for name in ("vol32", "img64", "img224", "mnist", "jpeg")}
_MOST_DIFFERENCE = 3.0  # of 255: decoders and ways of making a picture smaller differ
_LIMIT_S = 240
_KILLED_TASK = "vol32"


def main() -> None:
    """Run what was asked for."""
    arguments = _parser().parse_args()
    if arguments.single:
        what = json.loads(arguments.single)
        print(json.dumps(measure.run(what, PEERS[what["peer"]], TASKS[what["task"]], arguments.data)), flush=True)
        measure.leave()
    unknown = [name for name in [*arguments.tasks, *arguments.peers] if name not in TASKS and name not in PEERS]
    if unknown:
        sys.exit(f"unknown: {', '.join(unknown)}; tasks: {', '.join(TASKS)}; peers: {', '.join(PEERS)}")
    found: dict[str, Any] = {"machine": _machine(), "versions": {}, "tasks": {}, "killed": {}, "same_bits": {}}
    print(found["machine"], flush=True)
    for name in arguments.tasks:
        found["tasks"][name] = _task(name, arguments, found["versions"])
    if _KILLED_TASK in arguments.tasks:
        _hardness(arguments, found)
    print(report.as_text(found, PEERS))
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")
    if arguments.png:
        report.draw(found, PEERS, arguments.png)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", default=list(TASKS), help=f"what to do; all by default: {', '.join(TASKS)}")
    parser.add_argument("--peers", nargs="+", default=list(PEERS), help=f"who does it; all by default: {', '.join(PEERS)}")
    parser.add_argument("--rounds", type=int, default=3, help="how often the fastest of each peer is measured; the median counts (default: 3)")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of one measurement (default: 2)")
    parser.add_argument("--data", type=Path, default=Path(tempfile.gettempdir()) / "loader-bench", help="folder of the data, kept")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--png", type=Path, help="draw them there")
    parser.add_argument("--single", help=argparse.SUPPRESS)
    return parser


def _machine() -> str:
    cores = len(os.sched_getaffinity(0))
    return f"{platform.machine()}, {cores} cores, Linux {platform.release().split('-')[0]}, Python {platform.python_version()}, warm page cache"


def _task(name: str, arguments: argparse.Namespace, versions: dict[str, str]) -> dict[str, Any]:
    task = TASKS[name]
    task.write(arguments.data, _note)
    task.warm(arguments.data)
    best: dict[str, dict[str, Any]] = {}
    expected = _fresh(arguments, peer="loader", task=name, kind="batches", count=2)
    for peer in arguments.peers:
        _note(f"{name}: {peer}")
        got = _fresh(arguments, peer=peer, task=name, kind="batches", count=max(1, PEERS[peer].counts[0]))
        if why := _why_not(got):
            best[peer] = {"unsupported": why}
            continue
        versions[peer] = got["version"]
        _compare(name, peer, got, expected)
        tried = {count: _fresh(arguments, peer=peer, task=name, kind="speed", count=count, seconds=arguments.seconds) for count in PEERS[peer].counts}
        speeds = {count: one["samples_per_s"] for count, one in tried.items() if not _why_not(one)}
        if not speeds:
            best[peer] = {"unsupported": _why_not(next(iter(tried.values())))}
            continue
        fastest = max(speeds, key=lambda count: speeds[count])
        best[peer] = {"count": fastest, "speeds": speeds, "rounds": [tried[fastest]]}
    for number in range(1, arguments.rounds):
        for peer, one in best.items():
            if "rounds" in one:
                _note(f"{name}: {peer}, round {number + 1} of {arguments.rounds}")
                again = _fresh(arguments, peer=peer, task=name, kind="speed", count=one["count"], seconds=arguments.seconds)
                if not _why_not(again):
                    one["rounds"].append(again)
    for peer, one in best.items():
        if "rounds" in one:
            one |= {key: statistics.median(each[key] for each in one["rounds"]) for key in one["rounds"][0]}
            spread = sorted(each["samples_per_s"] for each in one["rounds"])
            said = f"{one['samples_per_s']:>11,.0f} samples/s ({spread[0]:,.0f} to {spread[-1]:,.0f})   {one['cpu_s_per_gb']:7.2f} CPU s/GB"
            _line(name, f"{PEERS[peer].title:<20}{said}   {one['megabytes']:7,.0f} MB   first batch {one['first_batch_s']:5.2f} s   {one['count']}")
        else:
            _line(name, f"{PEERS[peer].title:<20}not measured: {one['unsupported']}")
    return best


def _compare(name: str, peer: str, got: dict[str, Any], expected: dict[str, Any]) -> None:
    if (got["dtype"], got["shape"]) != (expected["dtype"], expected["shape"]):
        sys.exit(f"{name}: {peer} delivers {got['dtype']} {got['shape']}, not {expected['dtype']} {expected['shape']}")
    difference = max(abs(one - other) for one, other in zip(got["means"], expected["means"], strict=True))
    exact = name not in PICTURES and not TASKS[name].rescale
    if (exact and got["checksum"] != expected["checksum"]) or difference > (_MOST_DIFFERENCE if name in PICTURES else 1e-6):
        sys.exit(f"{name}: the batches of {peer} differ from the loader's")


def _hardness(arguments: argparse.Namespace, found: dict[str, Any]) -> None:
    """Kill a worker of each peer, and compare its batches for two numbers of workers."""
    for peer in arguments.peers:
        few, many = [count for count in PEERS[peer].counts if count in (1, 2)]
        _note(f"killing a worker of {peer}")
        found["killed"][peer] = _fresh(arguments, peer=peer, task=_KILLED_TASK, kind="killed", count=2)
        orders = [_fresh(arguments, peer=peer, task=_KILLED_TASK, kind="order", count=count) for count in (few, many)]
        found["same_bits"][peer] = None if any(map(_why_not, orders)) else orders[0] == orders[1]


def _why_not(got: dict[str, Any]) -> str:
    reason: str = got.get("unsupported", "")
    return reason


def _fresh(arguments: argparse.Namespace, **what: Any) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.peers", "--data", str(arguments.data), "--single", json.dumps(what)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        out, err = process.communicate(timeout=_LIMIT_S)
    except subprocess.TimeoutExpired:
        return {"unsupported": f"still running after {_LIMIT_S} s"}
    finally:
        _end_session(process.pid)
    if process.returncode or not out:
        return {"unsupported": (err.strip().splitlines() or ["no output"])[-1][:150]}
    result: dict[str, Any] = json.loads(out.splitlines()[-1])
    return result


def _end_session(pid: int) -> None:
    """End what a peer has left behind."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _note(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def _line(name: str, text: str) -> None:
    _note("")
    print(f"{name:<8}{text}", flush=True)


if __name__ == "__main__":
    main()
