"""Two ranks of a data-parallel job on one machine: on one pool (`shard="local"`) against a loader for each (`shard=(rank, 2)`).

Question: what does sharing save, and does it cost speed? Method: two processes take batches as fast as they come, without a model. The scripts differ
in `shard` only, so each of two loaders has as many workers as the pool. Two loaders are measured before and after the pool. The batches are compared
first. Memory is what all processes hold (Σ `Pss_Anon` and `Pss_Shmem`, so no mapped files) beyond what the two scripts held before they made their
loaders.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import psutil

from benchmarks.clocks import cpu_time_ns
from benchmarks.workloads import WORKLOADS

CASES = ("img224", "vol32", "mnist")
RANKS = 2
_CHECKED_BATCHES = 4
_WARM_BATCHES = 60


def measure(name: str, data: Path, workers: int, seconds: float) -> dict[str, Any]:
    """Return how fast the pool is, what memory and CPU time it takes, as multiples of what two loaders do, and their figures."""
    before, pool, after = (_run(mode, name, data, workers, seconds) for mode in ("shards", "pool", "shards"))
    if before["checksums"] != pool["checksums"]:
        sys.exit(f"{name}: the batches differ")

    def ratio(key: str) -> float:
        return float(pool[key] / ((before[key] + after[key]) / 2))

    megabytes = (before["megabytes"] + after["megabytes"]) / 2
    return {
        "speed": ratio("samples_per_s"),
        "memory": ratio("megabytes"),
        "cpu": ratio("cpu_us"),
        "samples_per_s": pool["samples_per_s"],
        "megabytes": pool["megabytes"],
        "shards_megabytes": megabytes,
    }


class _Rank:
    """A process that is one rank, and does what it is told, line by line."""

    def __init__(self, rank: int, mode: str, name: str, data: Path, workers: int, seconds: float) -> None:
        asked = {"mode": mode, "rank": rank, "name": name, "data": str(data), "workers": workers, "seconds": seconds}
        said = {"LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(RANKS), "MASTER_PORT": str(os.getpid())}
        command = [sys.executable, "-m", "benchmarks.ranks", json.dumps(asked)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **said})

    def go(self) -> None:
        """Let it go on."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        """Return what it says next."""
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def pids(self) -> list[int]:
        """Return its pid, and those of the processes that it has started."""
        return [self._process.pid, *(child.pid for child in psutil.Process(self._process.pid).children(recursive=True))]

    def end(self) -> None:
        """Wait until it has ended."""
        self._process.communicate()


def _run(mode: str, name: str, data: Path, workers: int, seconds: float) -> dict[str, Any]:
    ranks = [_Rank(rank, mode, name, data, workers, seconds) for rank in range(RANKS)]

    def step() -> list[Any]:
        for rank in ranks:
            rank.go()
        return [rank.answer() for rank in ranks]

    def everybody() -> list[int]:
        return [pid for rank in ranks for pid in rank.pids()]

    try:
        for rank in ranks:
            rank.answer()
        scripts = sum(map(_pss_bytes, everybody()))
        checksums = step()
        pids = everybody()
        cpu = sum(map(cpu_time_ns, pids))
        taken = step()
        cpu = sum(map(cpu_time_ns, pids)) - cpu
        held = sum(map(_pss_bytes, pids)) - scripts
    finally:
        for rank in ranks:
            rank.end()
    samples = sum(samples for samples, _ in taken)
    rate = sum(samples / elapsed for samples, elapsed in taken)
    return {"checksums": checksums, "samples_per_s": rate, "megabytes": held / 1e6, "cpu_us": cpu / 1e3 / samples}


def _pss_bytes(pid: int) -> int:
    """Return what a process holds; 0 if it has ended, as the one does that makes large pages."""
    try:
        said = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return 1024 * sum(map(int, re.findall(r"^Pss_(?:Anon|Shmem):\s+(\d+) kB", said, re.MULTILINE)))


def _be_a_rank(mode: str, rank: int, name: str, data: str, workers: int, seconds: float) -> None:
    workload = WORKLOADS[name]
    shard: Any = "local" if mode == "pool" else (rank, RANKS)
    _say(None)
    with workload.loader(Path(data), workers, shard=shard, name=f"bench-{os.environ['MASTER_PORT']}") as loader:
        batches, checksum = loader.batches(), 0
        for number in range(_WARM_BATCHES):
            (x,) = next(batches)
            checksum = zlib.crc32(x, checksum) if number < _CHECKED_BATCHES else checksum
        _say(checksum)
        started, samples = time.perf_counter(), 0
        while (elapsed := time.perf_counter() - started) < seconds:
            (x,) = next(batches)
            samples += len(x)
        _say([samples, elapsed])


def _say(what: Any) -> None:
    print(json.dumps(what), flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    _be_a_rank(**json.loads(sys.argv[1]))
