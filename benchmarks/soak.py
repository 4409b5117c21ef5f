"""Does a loader stay right for hours while its processes are killed? `python -m benchmarks.soak --minutes 30 --seed 1`, or `make soak`.

A training-like loop takes batches at full speed. Meanwhile `benchmarks.harm` kills and stops workers, kills the supervisor, changes the number of
workers and makes files fail for a while. Every batch is compared, bit for bit, with that of a loader without processes, which reads an untouched
copy of the files in step. With `--readers 4`, the loader is shared, and as many other processes read it, too (`benchmarks.soak_readers`). They
compare in the same way, and are stopped and killed as well.

Exits with 1 if a batch differs, an error is raised, memory or descriptors grow, or anything is left behind.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import json
import os
import random
import re
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks.harm import Harm, Harms
from benchmarks.held import held
from benchmarks.soak_data import loader_of, write_files
from benchmarks.soak_readers import Crowd
from loader import Loader, LoaderError

SLOTS = 8
WORKERS, MOST_WORKERS = 3, 5
TIMEOUT_S = 1.5
# A harm shows, if at all, in a wait that ends so soon after it, or in the one that it falls into.
AFTERMATH_S = 0.3
GROWTH_BYTES = 24 * 2**20
KILLS = {"SIGKILL", "SIGSEGV", "SIGTERM", "stopped for good", "supervisor"}


def main(arguments: list[str] | None = None) -> int:
    """Run a soak; return the exit status."""
    options = _parser().parse_args(arguments)
    faulthandler.enable()  # a soak that dies itself has to say where
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        soak = Soak(Path(folder), options)
        report = soak.run()
    wrong = report["wrong"]
    _print(report)
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    return 1 if wrong else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long (default: 30)")
    parser.add_argument("--seed", type=int, default=1, help="of the harm and of the data's order (default: 1)")
    parser.add_argument("--workers", type=int, default=WORKERS, help=f"to begin and to end with (default: {WORKERS})")
    parser.add_argument("--supervisor-kills", action=argparse.BooleanOptionalAction, default=True, help="kill the supervisor, too, twice a minute")
    parser.add_argument("--readers", type=int, default=0, help="other processes that read the loader, which is then shared (default: 0)")
    parser.add_argument("--lag", choices=("split", "wait"), default="split", help="what happens with slow readers (default: split)")
    parser.add_argument("--json", type=Path, help="write the figures there")
    return parser


@dataclass
class Holdings:
    """What the loader uses at a moment: anonymous memory of supervisor and workers, and of the trainer; descriptors of trainer and supervisor."""

    pool_bytes: int
    trainer_bytes: int
    arena_bytes: int
    trainer_descriptors: int
    supervisor_descriptors: int
    processes: int


@dataclass
class StallDetector:
    """The longest wait for a batch after each harm, by kind, in seconds."""

    by_kind: dict[str, list[float]] = field(default_factory=dict)
    _open: list[tuple[Harm, float]] = field(default_factory=list)
    _seen: int = 0

    def waited(self, wait_s: float, now: float, happened: list[Harm]) -> None:
        """Note a wait that ended just now."""
        for harm in happened[self._seen :]:
            self._open.append((harm, 0.0))
            self._seen += 1
        still = []
        for harm, longest in self._open:
            longest = max(longest, wait_s)
            if now - wait_s > harm.at + AFTERMATH_S:
                self.by_kind.setdefault(harm.kind, []).append(longest)
            else:
                still.append((harm, longest))
        self._open = still


class Soak:
    """One soak.

    Args:
        folder: empty; for the files.
        options: from the command line.
    """

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self.folder = folder
        self.options = options
        self.chance = random.Random(options.seed)
        self.batches = self.differences = self.epochs = 0
        self.remarks: list[str] = []
        self.stalls = StallDetector()
        self.harms: Harms | None = None
        self.readers = self.read = 0
        self._next_line = 0.0

    def run(self) -> dict[str, Any]:
        """Run it and return the report."""
        write_files(self.folder)
        before = held()
        start, end, happened = self._train()
        gc.collect()
        left = [f"{count} × {what}" for what, count in (held() - before).items()] + [f"process {child.pid}" for child in _children_after_close()]
        kinds = Counter(harm.kind for harm in happened)
        stalls = {kind: {"median_s": statistics.median(waits), "largest_s": max(waits)} for kind, waits in self.stalls.by_kind.items()}
        wrong = [*self.remarks, *_growth(start, end), *(f"left behind: {what}" for what in left)]
        if self.differences:
            wrong.append(f"{self.differences} batches differ")
        return {
            "minutes": self.options.minutes,
            "seed": self.options.seed,
            "kills": sum(count for kind, count in kinds.items() if kind in KILLS),
            "harms": dict(kinds.most_common()),
            "batches": self.batches,
            "epochs": self.epochs,
            "readers": self.readers,
            "read": self.read,
            "differences": self.differences,
            "stalls": stalls,
            "start": asdict(start),
            "end": asdict(end),
            "left": left,
            "wrong": wrong,
        }

    @property
    def _pool(self) -> dict[str, Any]:
        pool = {"max_workers": MOST_WORKERS, "slots": self._slots, "sample_timeout_s": TIMEOUT_S, "io_retries": 5}
        return pool | ({"name": self._name, "shared": True, "lag": self.options.lag} if self.options.readers else {})

    @property
    def _slots(self) -> int:
        return SLOTS + 3 * self.options.readers

    @property
    def _name(self) -> str:
        return f"soak-{os.getpid()}"

    def _train(self) -> tuple[Holdings, Holdings, list[Harm]]:
        seconds = self.options.minutes * 60
        files, untouched, seed = self.folder / "files", self.folder / "untouched", self.options.seed
        with loader_of(files, seed, self.options.workers, **self._pool) as loader, loader_of(untouched, seed, 0) as quiet:
            self._take(loader, quiet, min(3.0, seconds / 5))
            start = _holdings(loader)
            supervisor_kills = self.options.supervisor_kills
            self.harms = Harms(files, self.chance, lambda: self.batches, self._slots + 2, MOST_WORKERS, supervisor_kills, lambda: loader.pid)
            command = [sys.executable, "-m", "benchmarks.soak_readers", self._name, str(untouched), str(seed)]
            crowd = Crowd(self.folder, command, self.options.readers, random.Random(seed))
            if self.options.readers:
                self.harms.add(crowd.harms(self.harms.done))
            thread = threading.Thread(target=self.harms.run, name="harm")
            thread.start()
            try:
                self._take(loader, quiet, seconds)
            finally:
                self.harms.done.set()
                thread.join()
            self.harms.size = self.options.workers
            self._take(loader, quiet, min(3.0, seconds / 5) + TIMEOUT_S * 2)
            self.remarks += crowd.end()
            self.readers, self.read, different = crowd.counts()
            self.differences += different
            self._take(loader, quiet, 0.1)
            happened, self.harms = self.harms.happened, None  # which knows the loader, and would keep it
            return start, _holdings(loader), happened

    def _take(self, loader: Loader, quiet: Loader, seconds: float) -> None:
        """Take and compare batches for so long, and to the end of the epoch."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            expected = iter(quiet)
            try:
                self._take_epoch(loader, expected)
            except LoaderError as error:
                self.remarks.append(f"epoch {self.epochs}: {type(error).__name__}: {error}")
                if type(error).__name__ == "SupervisorDied":
                    return
            finally:
                next(expected, None)  # begun, so that closing it leaves this epoch
                expected.close()  # type: ignore[attr-defined]
            self.epochs += 1

    def _take_epoch(self, loader: Loader, expected: Any) -> None:
        iterator = iter(loader)
        while True:
            if self.harms is not None and self.harms.size is not None:
                size, self.harms.size = self.harms.size, None
                loader.resize(size)
            started = time.monotonic()
            batch = next(iterator, None)
            now = time.monotonic()
            if batch is None:
                break
            if self.harms is not None:
                self.stalls.waited(now - started, now, self.harms.happened)
            self._compare(batch, next(expected))
            self._show(now)

    def _compare(self, batch: Any, expected: Any) -> None:
        self.batches += 1
        if [part.tobytes() for part in batch] != [part.tobytes() for part in expected]:
            self.differences += 1

    def _show(self, now: float) -> None:
        """Show how far it is: once a second on a terminal, once a minute elsewhere."""
        if now < self._next_line or self.harms is None:
            return
        terminal = sys.stderr.isatty()
        self._next_line = now + (1 if terminal else 60)
        kinds = Counter(harm.kind for harm in self.harms.happened)
        kills = sum(count for kind, count in kinds.items() if kind in KILLS)
        line = f"{kills:,} kills, {len(self.harms.happened) - kills:,} other harms, {self.batches:,} batches, {self.differences} differ"
        print(f"\r\033[K{line}" if terminal else line, end="" if terminal else "\n", file=sys.stderr, flush=True)


def _holdings(loader: Loader) -> Holdings:
    supervisor = psutil.Process(loader.pid)
    pool = [supervisor, *supervisor.children()]
    return Holdings(
        pool_bytes=sum(_anonymous_bytes(process.pid) for process in pool),
        trainer_bytes=_anonymous_bytes(os.getpid()),
        arena_bytes=loader.stats().memory.arena_bytes,
        trainer_descriptors=len(os.listdir("/proc/self/fd")),
        supervisor_descriptors=supervisor.num_fds(),
        processes=len(pool),
    )


def _anonymous_bytes(pid: int) -> int:
    found = re.search(r"^Pss_Anon:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def _growth(start: Holdings, end: Holdings) -> list[str]:
    """Return what has grown more than it may."""
    grown = []
    for name, before in asdict(start).items():
        after = asdict(end)[name]
        if after > before + (GROWTH_BYTES if name.endswith("bytes") else 0):
            grown.append(f"{name} grew from {before:,} to {after:,}")
    return grown


def _children_after_close() -> list[psutil.Process]:
    """Return the processes below this one that are still there after three seconds."""
    return psutil.wait_procs(psutil.Process().children(recursive=True), timeout=3)[1]


def _print(report: dict[str, Any]) -> None:
    if sys.stderr.isatty():
        print(file=sys.stderr)
    print(f"{report['kills']:,} kills survived in {report['minutes']:g} minutes, seed {report['seed']}:")
    for kind, count in report["harms"].items():
        stall = report["stalls"].get(kind)
        waits = f"longest wait after it: median {stall['median_s'] * 1e3:.1f} ms, largest {stall['largest_s'] * 1e3:.0f} ms" if stall else ""
        print(f"  {kind:<26}{count:>7,}  {waits}")
    print(f"{report['batches']:,} batches of {report['epochs']:,} epochs compared bit for bit, {report['differences']} differ")
    if report["readers"]:
        print(f"{report['read']:,} batches of {report['readers']:,} other readers compared likewise")
    for name, before in report["start"].items():
        after = report["end"][name]
        print(f"  {name:<26}" + (f"{before / 2**20:.1f} → {after / 2**20:.1f} MiB" if name.endswith("bytes") else f"{before} → {after}"))
    print("left behind: " + (", ".join(report["left"]) or "nothing"))
    for what in report["wrong"]:
        print(f"WRONG: {what}")


if __name__ == "__main__":
    sys.exit(main())
