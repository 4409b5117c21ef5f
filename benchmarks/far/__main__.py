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
import contextlib
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.far import work
from benchmarks.fresh import Benchmark, Measure, Measured, ratio_line, rounds_of
from benchmarks.terminal import line, note
from tests.servers.faults import Faults
from tests.servers.fronts import Front

_LATENCY = Faults(latency_s=0.05)
_FAULTY = Faults(latency_s=0.05, seed=7, only="GET", unavailable=0.01, server_error=0.01, reset=0.01, short=0.01, hang=0.01)
_PEER_WORKERS = 16


def main() -> None:
    """Run what was asked for."""
    data, peer = Path(tempfile.gettempdir()) / "loader-bench" / "far", Path(".venv-peers/bin/python")
    _BENCHMARK.parser.add_argument("--data", type=Path, default=data, help="folder of the data, kept (2.4 GB)")
    _BENCHMARK.parser.add_argument("--peer", type=Path, default=peer, help="a Python that has PyTorch and boto3")
    _BENCHMARK.main(_single, _measuring)


@contextlib.contextmanager
def _measuring(arguments: argparse.Namespace) -> Iterator[Measure]:
    def measure(name: str) -> Measured:
        for kind in _KINDS_OF[name]:
            work.write(work.KINDS[kind], arguments.data, note)
        server = Front(arguments.data)
        try:
            return _ROWS[name](server, arguments)
        finally:
            server.close()

    yield measure


def _single(what: Measured) -> Measured:
    kind, data = work.KINDS[what["of"]], Path(what["data"])
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


def _common(of: str, server: Front, arguments: argparse.Namespace, **more: Any) -> Measured:
    return {"of": of, "endpoint": server.endpoint, "data": str(arguments.data), "seconds": arguments.seconds, **more}


# Each of these prints a line of the table.


def _against_bare(server: Front, arguments: argparse.Namespace, name: str, of: str, faults: Faults) -> Measured:
    server.set_faults(faults)
    common = _common(of, server, arguments)
    expected = _BENCHMARK.fresh(kind="near", **common)["checksum"]
    rounds = []
    for _ in rounds_of(name, arguments):
        before, ours, after = (_BENCHMARK.fresh(kind=kind, **common) for kind in ("bare", "ours", "bare"))
        if ours["checksum"] != expected:
            sys.exit(f"{name}: the batches differ from those of the files")
        rounds.append((ours["samples_per_s"], (before["samples_per_s"] + after["samples_per_s"]) / 2))
    return ratio_line(name, rounds, "samples/s", "bare loop", "wanted ≥ 85%")


def _small(server: Front, arguments: argparse.Namespace) -> Measured:
    return _against_bare(server, arguments, "small", "small", Faults())


def _ranges(server: Front, arguments: argparse.Namespace) -> Measured:
    return _against_bare(server, arguments, "ranges", "big", _LATENCY)


def _medium(server: Front, arguments: argparse.Namespace) -> Measured:
    common = _common("medium", server, arguments)
    expected = _BENCHMARK.fresh(kind="near", **common)["checksum"]
    server.set_faults(_LATENCY)
    kind = work.KINDS["medium"]
    asked = {"folder": kind.name, "samples": kind.samples, "batch_size": work.BATCH_SIZE, "workers": _PEER_WORKERS}
    command = [str(arguments.peer), str(Path(__file__).with_name("peer.py")), json.dumps({**asked, **common})]
    has_peer = arguments.peer.exists() and not subprocess.run([arguments.peer, "-c", "import torch, boto3"], capture_output=True).returncode
    rounds, alone = [], []
    for _ in rounds_of("medium", arguments):
        peers = [json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)["samples_per_s"]] if has_peer else []
        ours = _BENCHMARK.fresh(kind="ours", **common)
        if ours["checksum"] != expected:
            sys.exit("medium: the batches differ from those of the files")
        alone.append(ours["samples_per_s"])
        rounds += [(ours["samples_per_s"], peer) for peer in peers]
    if has_peer:
        return ratio_line("medium", rounds, "samples/s", f"PyTorch, {_PEER_WORKERS} workers, boto3", "wanted ≥ 300%")
    line("medium", f"{statistics.median(alone):>9,.0f} samples/s   PyTorch and boto3 are not installed in {arguments.peer}: not compared")
    return {"samples_per_s": alone}


def _faults(server: Front, arguments: argparse.Namespace) -> Measured:
    common = _common("medium", server, arguments)
    expected = _BENCHMARK.fresh(kind="near_epoch", seed=0, **common)["checksum"]
    server.set_faults(_FAULTY)
    server.forget()
    epoch = _BENCHMARK.fresh(kind="epoch", seed=0, options={}, **common)
    if epoch["checksum"] != expected or epoch["errors"]:
        sys.exit(f"faults: {epoch['errors']} samples are accused, or batches differ from those of the files")
    counts = server.counts()
    rounds = []
    for _ in rounds_of("faults", arguments):
        rates = []
        for faults in (_LATENCY, _FAULTY, _LATENCY):
            server.set_faults(faults)
            server.forget()
            ours = _BENCHMARK.fresh(kind="ours", **common)
            if not ours["same_workers"]:
                sys.exit("faults: a worker was replaced")
            rates.append(ours["samples_per_s"])
        rounds.append((rates[1], (rates[0] + rates[2]) / 2))
    failed = f"{counts.failed / counts.requests:.1%} of the requests failed"
    found = ratio_line("faults", rounds, "samples/s", "without faults", f"wanted ≥ 85%   {failed}")
    return found | {"failed": counts.failed, "requests": counts.requests}


def _cache(server: Front, arguments: argparse.Namespace) -> Measured:
    kind = work.KINDS["small"]
    folder = arguments.data / "cache"
    common = _common("small", server, arguments, kind="epoch")
    expected = [_BENCHMARK.fresh(**{**common, "kind": "near_epoch", "seed": seed})["checksum"] for seed in (1, 2)]
    shutil.rmtree(folder, ignore_errors=True)
    half = {"cache": str(folder), "cache_bytes": kind.samples // 2 * (kind.nbytes + 200)}
    first = _BENCHMARK.fresh(**common, options=half, seed=1)
    server.forget()
    second = _BENCHMARK.fresh(**common, options=half, seed=2)
    hits = 1 - sum(f"/{kind.name}/" in asked and "GET" in asked and "bytes=" not in asked for asked in server.counts().asked) / kind.samples
    line("cache", f"{hits:>9.1%} of the objects come from a cache of half the data   wanted 50 ± 2%")
    requests = {}
    for seeds in ((1, 2), (1, 1)):
        shutil.rmtree(folder, ignore_errors=True)
        server.forget()
        runs = [_BENCHMARK.start(**common, options={"cache": str(folder)}, seed=seed) for seed in seeds]
        found = [_BENCHMARK.end(run) for run in runs]
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


_BENCHMARK = Benchmark("benchmarks.far", __doc__, list(_ROWS), rounds=5, seconds=4.0)


if __name__ == "__main__":
    main()
