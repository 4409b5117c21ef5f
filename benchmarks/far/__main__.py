"""`make bench-far`: objects of a store, with latency and faults, against a bare loop of the same requests and against PyTorch with boto3.

Question: how much of what the network allows does the loader get, and does it keep its promises about faults and the cache? Method: a server of the
tests (`tests/servers/front.py`) serves a folder on this machine, and takes its share of the cores. Every figure comes from a fresh process; batches
are compared with those of the files before speeds. A round measures the other one, the loader, and the other one again; the ratio is that of the
loader to the mean of the two.

    small     objects of 12 KB, no latency, against obstore in two processes
    medium    objects of 115 KB, 50 ms latency, against PyTorch's DataLoader with 16 workers and boto3
    ranges    rows of 150 KB of one object of 2 GB, 50 ms latency, against a bare loop with 256 requests on their way
    faults    `medium`, 5 % of whose requests fail, are cut short or hang, against the same without
    cache     `small` with a cache of half the data; two runs that fill one cache at the same time
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.far import work
from benchmarks.terminal import line, note
from tests.servers.faults import Faults
from tests.servers.fronts import Front

_LATENCY = Faults(latency_s=0.05)
_FAULTY = Faults(latency_s=0.05, seed=7, only="GET", unavailable=0.01, server_error=0.01, reset=0.01, short=0.01, hang=0.01)
_PEER_WORKERS = 16
_LIMIT_S = 300

Measured = dict[str, Any]


def main() -> None:
    """Run what was asked for."""
    arguments = _parser().parse_args()
    if arguments.single:
        print(json.dumps(_single(json.loads(arguments.single), arguments.data)))
        return
    if unknown := set(arguments.names) - set(_ROWS):
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; there are: {', '.join(_ROWS)}")
    machine = f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}"
    print(f"{machine}; 2 workers, {arguments.rounds} rounds of {arguments.seconds:g} s", flush=True)
    found = {}
    for name in arguments.names or list(_ROWS):
        for kind in _KINDS_OF[name]:
            work.write(work.KINDS[kind], arguments.data, note)
        server = Front(arguments.data)
        try:
            found[name] = _ROWS[name](server, arguments)
        finally:
            server.close()
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": machine, "results": found}, indent=1) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.far", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"what to measure; all by default: {', '.join(_ROWS)}")
    parser.add_argument("--rounds", type=int, default=5, help="how often; the median counts (default: 5)")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of one measurement (default: 4)")
    parser.add_argument("--data", type=Path, default=Path(tempfile.gettempdir()) / "loader-bench" / "far", help="folder of the data, kept (2.4 GB)")
    parser.add_argument("--peer", type=Path, default=Path(".venv-peers/bin/python"), help="a Python that has PyTorch and boto3")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--single", help=argparse.SUPPRESS)
    return parser


def _single(what: Measured, data: Path) -> Measured:
    kind = work.KINDS[what["of"]]
    match what["kind"]:
        case "bare":
            return work.bare(kind, what["endpoint"], what["seconds"])
        case "ours":
            return work.ours(work.far(kind, what["endpoint"]), 2, what["seconds"])
        case "near":
            return work.ours(work.near(kind, data), 0, 0.1)
        case "near_epoch":
            return work.checksum(work.near(kind, data), 0, what["seed"])
        case "epoch":
            return work.checksum(work.far(kind, what["endpoint"], **what["options"]), 2, what["seed"])
        case _:
            raise ValueError(what["kind"])


def _start(arguments: argparse.Namespace, **what: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.far", "--data", str(arguments.data), "--single", json.dumps(what)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _end(process: subprocess.Popen[str]) -> Measured:
    printed, _ = process.communicate(timeout=_LIMIT_S)
    if process.returncode:
        sys.exit(f"{process.args} failed")
    found: Measured = json.loads(printed.splitlines()[-1])
    return found


def _fresh(arguments: argparse.Namespace, **what: Any) -> Measured:
    return _end(_start(arguments, **what))


# Each of these prints a line of the table.


def _against_bare(server: Front, arguments: argparse.Namespace, name: str, of: str, faults: Faults) -> Measured:
    server.set_faults(faults)
    common = {"of": of, "endpoint": server.endpoint, "seconds": arguments.seconds}
    expected = _fresh(arguments, kind="near", **common)["checksum"]
    rounds = []
    for number in range(arguments.rounds):
        note(f"{name}: round {number + 1} of {arguments.rounds}")
        before, ours, after = (_fresh(arguments, kind=kind, **common) for kind in ("bare", "ours", "bare"))
        if ours["checksum"] != expected:
            sys.exit(f"{name}: the batches differ from those of the files")
        rounds.append((ours["samples_per_s"], (before["samples_per_s"] + after["samples_per_s"]) / 2))
    return _ratio_line(name, rounds, "bare loop", "wanted ≥ 85%")


def _small(server: Front, arguments: argparse.Namespace) -> Measured:
    return _against_bare(server, arguments, "small", "small", Faults())


def _ranges(server: Front, arguments: argparse.Namespace) -> Measured:
    return _against_bare(server, arguments, "ranges", "big", _LATENCY)


def _medium(server: Front, arguments: argparse.Namespace) -> Measured:
    common = {"of": "medium", "endpoint": server.endpoint, "seconds": arguments.seconds}
    expected = _fresh(arguments, kind="near", **common)["checksum"]
    server.set_faults(_LATENCY)
    kind = work.KINDS["medium"]
    asked = {"folder": kind.name, "samples": kind.samples, "batch_size": work.BATCH_SIZE, "workers": _PEER_WORKERS}
    command = [str(arguments.peer), str(Path(__file__).with_name("peer.py")), json.dumps({**asked, **common})]
    has_peer = arguments.peer.exists() and not subprocess.run([arguments.peer, "-c", "import torch, boto3"], capture_output=True).returncode
    rounds, alone = [], []
    for number in range(arguments.rounds):
        note(f"medium: round {number + 1} of {arguments.rounds}")
        peers = [json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)["samples_per_s"]] if has_peer else []
        ours = _fresh(arguments, kind="ours", **common)
        if ours["checksum"] != expected:
            sys.exit("medium: the batches differ from those of the files")
        alone.append(ours["samples_per_s"])
        rounds += [(ours["samples_per_s"], peer) for peer in peers]
    if has_peer:
        return _ratio_line("medium", rounds, f"PyTorch, {_PEER_WORKERS} workers, boto3", "wanted ≥ 300%")
    line("medium", f"{statistics.median(alone):>9,.0f} samples/s   PyTorch and boto3 are not installed in {arguments.peer}: not compared")
    return {"samples_per_s": alone}


def _faults(server: Front, arguments: argparse.Namespace) -> Measured:
    common = {"of": "medium", "endpoint": server.endpoint, "seconds": arguments.seconds}
    expected = _fresh(arguments, kind="near_epoch", seed=0, **common)["checksum"]
    server.set_faults(_FAULTY)
    server.forget()
    epoch = _fresh(arguments, kind="epoch", seed=0, options={}, **common)
    if epoch["checksum"] != expected or epoch["errors"]:
        sys.exit(f"faults: {epoch['errors']} samples are accused, or batches differ from those of the files")
    counts = server.counts()
    rounds = []
    for number in range(arguments.rounds):
        note(f"faults: round {number + 1} of {arguments.rounds}")
        rates = []
        for faults in (_LATENCY, _FAULTY, _LATENCY):
            server.set_faults(faults)
            server.forget()
            ours = _fresh(arguments, kind="ours", **common)
            if not ours["same_workers"]:
                sys.exit("faults: a worker was replaced")
            rates.append(ours["samples_per_s"])
        rounds.append((rates[1], (rates[0] + rates[2]) / 2))
    found = _ratio_line("faults", rounds, "without faults", f"wanted ≥ 85%   {counts.failed / counts.requests:.1%} of the requests failed")
    return found | {"failed": counts.failed, "requests": counts.requests}


def _cache(server: Front, arguments: argparse.Namespace) -> Measured:
    kind = work.KINDS["small"]
    folder = arguments.data / "cache"
    common: Measured = {"of": "small", "endpoint": server.endpoint, "kind": "epoch"}
    expected = [_fresh(arguments, **{**common, "kind": "near_epoch", "seed": seed})["checksum"] for seed in (1, 2)]
    shutil.rmtree(folder, ignore_errors=True)
    half = {"cache": str(folder), "cache_bytes": kind.samples // 2 * (kind.nbytes + 200)}
    first = _fresh(arguments, **common, options=half, seed=1)
    server.forget()
    second = _fresh(arguments, **common, options=half, seed=2)
    hits = 1 - sum(f"/{kind.name}/" in asked and "GET" in asked and "bytes=" not in asked for asked in server.counts().asked) / kind.samples
    line("cache", f"{hits:>9.1%} of the objects come from a cache of half the data   wanted 50 ± 2%")
    requests = {}
    for seeds in ((1, 2), (1, 1)):
        shutil.rmtree(folder, ignore_errors=True)
        server.forget()
        runs = [_start(arguments, **common, options={"cache": str(folder)}, seed=seed) for seed in seeds]
        found = [_end(run) for run in runs]
        if [each["checksum"] for each in found] != [expected[seed - 1] for seed in seeds]:
            sys.exit("cache: the batches differ from those of the files")
        counted = {asked: count for asked, count in server.counts().asked.items() if "GET" in asked and "bytes=" not in asked}
        orders = "two orders" if seeds[0] != seeds[1] else "the same order"
        requests[orders] = sum(counted.values()) / kind.samples
        line("cache", f"{requests[orders]:>9.1%} of the objects are fetched by two runs that fill one cache in {orders}   wanted 100 ± 2%")
    shutil.rmtree(folder, ignore_errors=True)
    if [first["checksum"], second["checksum"]] != expected:
        sys.exit("cache: the batches differ from those of the files")
    return {"hits": hits, "requests": requests}


_ROWS: dict[str, Callable[[Front, argparse.Namespace], Measured]] = {
    "small": _small,
    "medium": _medium,
    "ranges": _ranges,
    "faults": _faults,
    "cache": _cache,
}
_KINDS_OF = {"small": ["small"], "medium": ["medium"], "ranges": ["big"], "faults": ["medium"], "cache": ["small"]}


def _ratio_line(name: str, rounds: list[tuple[float, float]], other: str, wanted: str) -> Measured:
    ratios = [mine / theirs for mine, theirs in rounds]
    mine, theirs = (statistics.median(values) for values in zip(*rounds, strict=True))
    share = f"{statistics.median(ratios):6.1%} ({min(ratios):.1%} to {max(ratios):.1%})"
    line(name, f"{mine:>9,.0f} samples/s   {other} {theirs:>9,.0f}   {share}   {wanted}")
    return {"samples_per_s": mine, "other_samples_per_s": theirs, "ratios": ratios}


if __name__ == "__main__":
    main()
