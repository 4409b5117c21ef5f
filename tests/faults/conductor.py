"""Makes a fault of `tests.faults.table` happen to a trainer in a process of its own, exactly at its moment, and looks at what is left afterwards.

How the moments are met: where code of the user's runs in a worker, that code waits (`tests.faults.stage`). Where none runs, the board tells
(every slot full; a new worker idle), or the supervisor is stopped: its inbox is filled with releases that mean nothing, and the worker that then
reports hangs in its write, with its last row written.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from loader import Loader
from loader.ipc.board import Board, SupervisorCell, WorkerCell, WorkerState
from loader.ipc.records import Released
from tests.conftest import kill_with_stacks, script_environment
from tests.faults import stage
from tests.faults.table import Cell, How
from tests.faults.trainer import digest, fatal_sample, settings, steps, times
from tests.processes import alive, wait_until
from tests.scripts import assert_only_control_c, session

# Moments that nobody can see from outside: the trainer is in `next` or in `close` so long after it said that it would be.
SETTLE_S = 0.1
# A file comes back after the second of the pauses between tries (0.05, 0.2, 0.8, 3.2 s).
AWAY_S = 0.3
DEADLINE_S = 60.0
NO_SUCH_DELIVERY = 2**63
RANKS = 2


@functools.cache
def quiet(many_times: int, shard: tuple[int, int] = (0, 1)) -> tuple[list[list[str]], list[list[list[int]]]]:
    """Return digests of all batches, and the samples in them, by epoch, of a run without processes."""
    how = next(how for how in _hows() if times(how) == many_times)
    with tempfile.TemporaryDirectory() as folder:
        stage.write_data(Path(folder))
        digests, samples = [], []
        without = {"workers": 0, "max_workers": None, "slots": None, "shard": shard}
        with Loader(stage.data(Path(folder), False), **{**settings(how), **without}, transforms=steps(None, how, 0)) as loader:
            for _ in range(stage.EPOCHS):
                batches = list(loader)
                digests.append([digest(batch) for batch in batches])
                samples.append([batch[1].tolist() for batch in batches])
        return digests, samples


@functools.cache
def substituted(bad: int) -> list[list[str]]:
    """Return digests of all batches, by epoch, of a run without processes in which sample `bad` can't be used and another one takes its place."""

    def refuse(sample: Any, rng: Any) -> Any:
        if sample[1] == bad:
            raise ValueError(bad)
        return sample

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        stage.write_data(Path(folder))
        how = next(how for how in _hows() if how.options.get("on_error") == "substitute")
        without = {"workers": 0, "max_workers": None, "slots": None}
        with Loader(stage.data(Path(folder), False), **{**settings(how), **without}, transforms=[*steps(None, how, 0), refuse]) as loader:
            return [[digest(batch) for batch in loader] for _ in range(stage.EPOCHS)]


def _hows() -> tuple[How, ...]:
    from tests.faults.table import HOWS

    return HOWS


@dataclass
class Facts:
    """What the trainer told of its loader.

    Attributes:
        supervisor: process id.
        board: the loader's counters.
        inbox: writing end of the inbox.
    """

    supervisor: int
    board: Board
    inbox: int


class Conductor:
    """One cell of the table, played once.

    Args:
        cell: what happens when.
        folder: empty; its path must be short, since sockets may be put below it.
    """

    def __init__(self, cell: Cell, folder: Path) -> None:
        self.cell = cell
        self.when, self.how = cell.when, cell.how
        self.folder = folder
        self.stopped = False
        self.reader: subprocess.Popen[bytes] | None = None
        stage.write_data(folder / "data")
        (folder / "order").write_text(json.dumps(self._quiet(1)[1]))
        for name in ("tmp", "run"):
            (folder / name).mkdir()
        program = [sys.executable, "-m", "tests.faults.trainer", str(folder), self.when.key, self.how.key]
        self.process = self._start([*self._machine(), *program], "err", 0)
        if self.how.shared:
            self.reader = self._start([sys.executable, "-m", "tests.faults.reader", str(folder), self.how.key], "reader-err", 1)

    def _quiet(self, rank: int) -> tuple[list[list[str]], list[list[list[int]]]]:
        """Return what a rank of a quiet run gets; every script gets the same where there are none."""
        return quiet(times(self.how), (rank, RANKS) if self.how.ranks else (0, 1))

    def _start(self, command: list[str], says: str, rank: int) -> subprocess.Popen[bytes]:
        launcher = {"LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(RANKS)} if self.how.ranks else {}
        environment = script_environment({"TMPDIR": str(self.folder / "tmp"), "XDG_RUNTIME_DIR": str(self.folder / "run"), **launcher})
        with (self.folder / says).open("wb") as err, (self.folder / "out").open("wb") as out:
            return subprocess.Popen(
                command, cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True
            )

    def _machine(self) -> list[str]:
        if self.how.by != "machine":
            return []
        options = "size=64m" if self.how.key == "small shm" else "ro"
        return ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs -o {options} none /dev/shm && exec "$0" "$@"']

    # The play.

    def play(self) -> None:
        """Bring the moment about, strike, and wait for the end."""
        try:
            self._wait_for("acted")
            if self.reader is not None:
                self._wait_for("reading" if self.how.ranks else "attached")  # the worker that waits may hold what it is to read first
            with self._facts() as facts:
                victim = self._moment(facts)
                self._strike(facts, victim)
                self._let_go(facts)
                if self.how.by == "file":
                    self._repair(victim)
            self._let_reader_go()
            wait_until(lambda: self.process.poll() is not None, f"the trainer ends, which says {self.stderr!r}", DEADLINE_S)
            wait_until(lambda: set(session(self.process.pid)) <= self._others(), "nobody is left in its session")
        finally:
            for process in (self.process, self.reader):
                if process is not None and process.poll() is None:
                    kill_with_stacks(process)
            for pid in self._others():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _moment(self, facts: Facts) -> int:
        """Wait for the moment; return the worker that is at it, or at work then."""
        if self.when.key in ("full", "idle"):
            return self._idle_worker(facts)
        self._wait_for("at-*")
        victim = int(next(self.folder.glob("at-*")).name.removeprefix("at-"))
        if self.when.key == "reports":
            self._stop_supervisor(facts)
            self._fill_inbox(facts)
            self._mark("go")
            wait_until(lambda: self._reports(facts, victim), "the worker has written its last row")
        elif self.when.key == "close":
            self._stop_supervisor(facts)
            self._mark("proceed")
        if self.when.key != "boots":
            time.sleep(SETTLE_S)
        return victim

    def _idle_worker(self, facts: Facts) -> int:
        cells = facts.board.supervisor
        free, filling = SupervisorCell.SLOTS_FREE_GAUGE, SupervisorCell.SLOTS_FILLING_GAUGE
        wait_until(lambda: self._idle(facts) and not cells[free] and not cells[filling], "every slot is full")
        if self.when.key == "full":
            return self._idle(facts)[0]
        before = self._idle(facts)
        os.kill(before[0], signal.SIGKILL)
        wait_until(lambda: set(self._idle(facts)) - set(before), "the worker is replaced")
        return next(iter(set(self._idle(facts)) - set(before)))

    def _idle(self, facts: Facts) -> list[int]:
        return [cells[WorkerCell.PID_GAUGE] for cells in facts.board.workers if cells[WorkerCell.STATE_GAUGE] == WorkerState.IDLE]

    def _reports(self, facts: Facts, pid: int) -> bool:
        cells = next(cells for cells in facts.board.workers if cells[WorkerCell.PID_GAUGE] == pid)
        return cells[WorkerCell.STATE_GAUGE] == WorkerState.BUSY and cells[WorkerCell.TICKET_GAUGE] == 0

    def _stop_supervisor(self, facts: Facts) -> None:
        os.kill(facts.supervisor, signal.SIGSTOP)
        self.stopped = True
        wait_until(lambda: psutil.Process(facts.supervisor).status() == psutil.STATUS_STOPPED, "the supervisor is stopped")

    def _fill_inbox(self, facts: Facts) -> None:
        nothing = Released(0, NO_SUCH_DELIVERY).pack()
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(facts.inbox, nothing)

    def _strike(self, facts: Facts, victim: int) -> None:
        by, number = self.how.by, self.how.signal
        if by == "reader":
            if self.reader is not None and number:
                self.reader.send_signal(number)
            return
        if by == "signal":
            os.kill(victim, number)
        elif by == "file":
            self._damage()
        elif by == "supervisor":
            with contextlib.suppress(ProcessLookupError):  # `close()` has killed the one that it found stopped
                os.kill(facts.supervisor, number)
            self.stopped &= number != signal.SIGSTOP  # by us, and to be continued
        elif number == signal.SIGKILL:
            self.process.kill()
        elif number == signal.SIGINT:
            os.killpg(self.process.pid, number)

    def _let_go(self, facts: Facts) -> None:
        if self.stopped:
            with contextlib.suppress(ProcessLookupError):  # it was killed
                os.kill(facts.supervisor, signal.SIGCONT)
        for name in ("go", "proceed"):
            self._mark(name)

    def _let_reader_go(self) -> None:
        """Have the other script take what is left, when the trainer has taken all that it wants."""
        if self.reader is None:
            return
        if self.how.by == "reader" and not self.how.kills_reader:
            self._wait_for("taken")
            self.reader.send_signal(signal.SIGCONT)
            self._mark("continue")
        wait_until(lambda: self.reader is None or self.reader.poll() is not None, "the other script ends", DEADLINE_S)

    # Files.

    @property
    def _file(self) -> Path:
        sample = fatal_sample(self.when, self.how, quiet(1)[1])
        return self.folder / "data" / ("x.npy" if self.how.key == "SIGBUS" else f"files/{sample:03d}.npy")

    def _damage(self) -> None:
        path, key = self._file, self.how.key
        self.content = path.read_bytes()
        if key == "SIGBUS":
            os.truncate(path, 0)
        elif key == "EACCES":
            path.chmod(0)
        else:
            path.unlink()
            if key == "FIFO":
                os.mkfifo(path)
            if key == "EIO":
                path.symlink_to("/proc/self/mem")  # nothing is mapped at its beginning, and the kernel says EIO

    def _repair(self, victim: int) -> None:
        if self.how.key == "SIGBUS":
            wait_until(lambda: not alive(victim), "the worker died")
            with self._file.open("r+b", buffering=0) as file:
                file.write(self.content)  # in one call: the file never shows zeros
        elif self.how.key == "EIO":
            time.sleep(AWAY_S)
            whole = self.folder / "whole"
            whole.write_bytes(self.content)
            whole.rename(self._file)

    # What is said.

    def _mark(self, name: str) -> None:
        with contextlib.suppress(FileExistsError):
            (self.folder / name).mkdir()

    def _wait_for(self, name: str) -> None:
        wait_until(lambda: any(self.folder.glob(name)) or self.process.poll() is not None, f"{name}; the trainer says {self.stderr!r}")
        assert self.process.poll() is None, self.stderr

    @contextlib.contextmanager
    def _facts(self) -> Iterator[Facts]:
        told = json.loads((self.folder / "facts").read_text())
        place = f"/proc/{self.process.pid}/fd"
        board, inbox = os.open(f"{place}/{told['board']}", os.O_RDWR), os.open(f"{place}/{told['inbox']}", os.O_WRONLY | os.O_NONBLOCK)
        try:
            yield Facts(told["supervisor"], Board(board, told["workers"]), inbox)
        finally:
            os.close(board)
            os.close(inbox)

    @property
    def stderr(self) -> str:
        """What all processes wrote."""
        return (self.folder / "err").read_text()

    def _others(self) -> set[int]:
        """Processes that may stay: the forked child that is meant to."""
        return {self.result["other"]} if (self.folder / "result").exists() and self.result["other"] else set()

    @property
    def result(self) -> dict[str, Any]:
        """What the trainer told at its end."""
        told: dict[str, Any] = json.loads((self.folder / "result").read_text())
        return told

    # What must hold.

    def judge(self) -> None:
        """Assert that the outcome is the one in the table."""
        assert not list((self.folder / "tmp").rglob("*"))
        sockets = [path for path in (self.folder / "run").rglob("*") if not path.is_dir()]  # their folder stays
        assert not sockets or (self.how.by == "supervisor" and self.when.key == "close"), sockets  # the next supervisor removes it
        outcome = self.cell.outcome
        assert outcome is not None
        if outcome.word in ("ends", "goes on"):
            assert self.process.returncode == -signal.SIGKILL
            assert self.stderr == ""
        elif outcome.word == "stops":
            assert self.process.returncode == -signal.SIGINT, self.stderr
            assert_only_control_c(self.stderr)
        else:
            assert self.process.returncode == 0, self.stderr
            assert self.stderr.count("RuntimeWarning: ") == bool(outcome.warns), self.stderr
            assert outcome.warns in self.stderr, self.stderr
            self._judge_batches()
        if self.reader is not None and not self.how.kills_reader:
            self._judge_reader()

    def _judge_reader(self) -> None:
        said = (self.folder / "reader-err").read_text()
        assert said == "" or (self.how.ranks and "so this process makes its batches" in said), said  # until there is another supervisor
        read, (expected, _) = json.loads((self.folder / "read").read_text()), self._quiet(1)
        assert not read["left"], read["left"]
        assert (read["error"], read["batches"]) == (None, expected)

    def _judge_batches(self) -> None:
        result, outcome = self.result, self.cell.outcome
        assert outcome is not None
        assert not result["changed"], "batches that were held have changed"
        assert not result["left"], result["left"]
        expected, _ = self._quiet(0)
        if outcome.word == "stand-in":
            bad = substituted(fatal_sample(self.when, self.how, quiet(1)[1]))
            whole = 1 if self.when.key == "epoch" else 0  # the sample is armed when the first epoch has used it
            expected = [*expected[:whole], *bad[whole:]]
        found: list[list[str]] = [[] for _ in expected]
        for epoch, number, value in result["batches"]:
            assert number == len(found[epoch])
            found[epoch].append(value)
        failed = {epoch: (number, name, text) for epoch, number, name, text in result["errors"]}
        for epoch, digests in enumerate(found):
            end = failed[epoch][0] if epoch in failed else len(expected[epoch])
            if self.when.key == "close":
                end = 2 if epoch == 0 else 0
            assert digests == expected[epoch][:end], f"epoch {epoch}"
        if outcome.error is None:
            assert not failed, failed
            return
        first = next(iter(sorted(failed)), None)
        assert first == (1 if self.when.key == "epoch" else 0), f"{failed}, {self.stderr}"
        last = stage.EPOCHS if outcome.lasting else first + 1
        assert sorted(failed) == list(itertools.takewhile(lambda epoch: epoch < last, range(first, stage.EPOCHS))), failed
        assert {name for _, name, _ in failed.values()} == {outcome.error}, failed
        assert outcome.says in failed[first][2], failed
