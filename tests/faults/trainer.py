"""The trainer to which a fault of `tests.faults.table` happens: `python -m tests.faults.trainer FOLDER WHEN HOW`, and FOLDER says how it went.

facts    JSON, once the loader is made: what the conductor needs to know of it
acted    the trainer has come to the moment and has done its part
proceed  the conductor lets it go on, where the trainer has to stay away from the loader
taken    it has taken all batches, and waits for another script or rank that reads the loader (`tests.faults.reader`)
result   JSON, at the end: digests of the batches, errors, and what was left behind
"""

from __future__ import annotations

import ctypes
import gc
import hashlib
import json
import os
import resource
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.held import held
from loader import Loader, LoaderError
from loader import transforms as T
from tests.faults.stage import BATCHES, EPOCHS, SAMPLES, SETTINGS, Gate, Stage, Step, data
from tests.faults.table import HOWS, WHENS, How, When

SLOTS = 6
# Forty slots of 2 MiB do not fit into 64 MB.
MANY_SLOTS, MANY_TIMES = 40, 128
EARLY = 5

PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 24, 1, 2


def settings(how: How) -> dict[str, Any]:
    """Return the settings of the loader to which a fault happens."""
    return {
        **SETTINGS,
        "workers": 2,
        "max_workers": 4,
        "slots": MANY_SLOTS if how.by == "machine" else SLOTS,
        "sample_timeout_s": how.timeout_s,
        "io_retries": 4 if how.outcome.error is None else 1,
        **how.options,
    }


def times(how: How) -> int:
    """Return by how much the samples are enlarged."""
    return MANY_TIMES if how.by == "machine" else 1


def steps(gate: Gate | None, how: How, pause_s: float = 0.0005) -> list[Any]:
    """Return the transforms: a built-in one first, so that rows are read by the source's `read`."""
    return [T.Rescale(0.5), Step(gate, pause_s, times(how))]


def digest(batch: Any) -> str:
    """Return a fingerprint of a batch."""
    return hashlib.blake2b(b"".join(part.tobytes() for part in batch), digest_size=8).hexdigest()


def fatal_sample(when: When, how: How, order: list[list[list[int]]]) -> int:
    """Return the sample at which a worker waits.

    Args:
        when: the moment.
        how: the fault.
        order: samples by epoch, batch and row; those of the other rank where there is one.
    """
    if when.key == "boots":
        return 0
    if how.ranks:
        return order[1][2][4]  # no slot is begun for that batch when the other rank has its second one
    if when.key != "epoch":
        return order[0][3][4]
    early = {sample for batch in order[0][:EARLY] for sample in batch}
    return next(sample for sample in order[1][0] if sample in early)  # has been made before the trainer arms it


@dataclass
class Trainer:
    """One run of the loader.

    Attributes:
        folder: of the names.
        when, how: the cell.
        sample: at which a worker waits.
        batches: epoch, number and digest of those that were delivered.
        errors: epoch, number of the batch, class and text.
        other: pid of a forked child that stays.
    """

    folder: Path
    when: When
    how: How
    sample: int
    batches: list[tuple[int, int, str]] = field(default_factory=list)
    errors: list[tuple[int, int, str, str]] = field(default_factory=list)
    other: int = 0
    kept: list[Any] = field(default_factory=list)
    changed: bool = False

    def run(self) -> None:
        """Take all batches of all epochs, and meet the fault on the way."""
        gate = Gate(self.folder, self.how.key if self.how.by == "code" else "", self.how.every)
        source = Stage(data(self.folder / "data", self.how.key == "SIGBUS"), gate)
        if ((self.when.code and self.when.key != "epoch") or self.when.key == "reports") and not self.how.ranks:
            self.arm(gate)
        with Loader(source, **settings(self.how), transforms=steps(gate, self.how)) as loader:
            self.tell(loader)
            if self.when.after is None:
                self.meet(loader)
            for epoch in range(EPOCHS):
                if not self.take_epoch(loader, gate, epoch):
                    return
            if self.how.shared and not self.how.kills_reader:
                (self.folder / "taken").mkdir()
                self.wait_for("finished")

    def take_epoch(self, loader: Loader, gate: Gate, epoch: int) -> bool:
        """Take the batches of an epoch. Returns whether to go on."""
        number = -1
        try:
            for number, batch in enumerate(loader):
                self.batches.append((epoch, number, digest(batch)))
                if self.when.key == "leases" and epoch == 0 and number < 2:
                    self.kept.append(batch)
                if self.when.key == "epoch" and (epoch, number) == (0, EARLY):
                    self.arm(gate)
                if self.how.ranks and (epoch, number) == (0, 0):
                    self.wait_for("reading")  # a worker that waits might have rows of that batch in its next ticket
                    self.arm(gate)
                if (epoch, number) == self.when.after:
                    del batch
                    self.meet(loader)
                    if self.when.key == "close":
                        return False
        except LoaderError as error:
            self.errors.append((epoch, number + 1, type(error).__name__, str(error)))
        self.changed |= [digest(batch) for batch in self.kept] != [found for *_, found in self.batches[: len(self.kept)]]
        self.kept.clear()
        return True

    def wait_for(self, name: str) -> None:
        """Wait for what another process is to say."""
        while not (self.folder / name).exists():  # opens nothing: Python loses a Ctrl-C that hits while it closes a file
            time.sleep(0.005)

    def arm(self, gate: Gate) -> None:
        """Have a worker wait for the fault."""
        gate.arm("read" if self.how.place == "read" or self.when.key == "reads" else "transform", self.sample)

    def meet(self, loader: Loader) -> None:
        """Wait until the moment has come and do the trainer's part in it."""
        if self.when.code or self.when.key == "reports":
            while not any(self.folder.glob("at-*")):
                time.sleep(0.005)
        if self.when.key == "resize":
            loader.resize(4)
            loader.resize(1)
        if self.how.key.startswith("fork"):
            self.fork()
        if self.how.key == "no descriptor":
            self.use_up_descriptors()
        (self.folder / "acted").mkdir()
        if self.when.waits or self.how.ranks:
            self.wait_for("proceed")

    def fork(self) -> None:
        """Fork a child that ends at once as Python ends, or stays."""
        self.other = os.fork()
        if self.other == 0:
            if self.how.key == "fork stays":
                time.sleep(600)
            sys.exit(0)
        if self.how.key == "fork ends":
            os.waitpid(self.other, 0)
            self.other = 0

    def use_up_descriptors(self) -> None:
        """Leave no descriptor but two, which Python itself needs for looking and telling, and those only while it does."""
        opened = []
        try:
            while True:
                opened.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            os.close(opened.pop())
            os.close(opened.pop())

    def tell(self, loader: Loader) -> None:
        """Write the facts."""
        remote: Any = loader._producer
        facts = {"supervisor": remote.pid, "board": remote._kept["board"], "inbox": remote._supervisor.outbox.fd, "workers": 4}
        (self.folder / "facts.new").write_text(json.dumps(facts))
        (self.folder / "facts.new").rename(self.folder / "facts")


def obey_file_modes() -> None:
    """Have the programs that this process starts be refused what a file's mode refuses, also where it runs as root. See capabilities(7)."""
    prctl = ctypes.CDLL(None).prctl
    for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
        prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)  # refused to others than root, who do not have it


def main() -> None:
    """Run the cell named on the command line."""
    folder, when, how = Path(sys.argv[1]), *map(str, sys.argv[2:4])
    order = json.loads((folder / "order").read_text())
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    if how == "EACCES":
        obey_file_modes()
    if how == "no descriptor":
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    if how == "SIGPIPE":
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    moment = next(moment for moment in WHENS if moment.key == when)
    fault = next(fault for fault in HOWS if fault.key == how)
    trainer = Trainer(folder, moment, fault, fatal_sample(moment, fault, order))
    before = held()
    trainer.run()
    gc.collect()
    left = held() - before
    del left["/dev/null"]  # of the fault
    result = {"batches": trainer.batches, "errors": trainer.errors, "other": trainer.other, "changed": trainer.changed, "left": left}
    (folder / "result").write_text(json.dumps(result))


if __name__ == "__main__":
    assert BATCHES * SETTINGS["batch_size"] == SAMPLES
    main()
