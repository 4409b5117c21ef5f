"""How a supervisor comes to life: a fresh interpreter, one unpickled pipeline, one sample, an arena, and then the workers.

    read the pipeline → run the first sample in a child → size the arena, compare with the memory there is → allocate → fork the workers

What goes wrong on the way is sent to the trainer as `Fatal` and raised there by the first use of the loader.
"""

from __future__ import annotations

import faulthandler
import importlib
import logging
import os
import signal
import sys
import time
import traceback
from dataclasses import dataclass
from typing import Any

from loader.config import Config, available_cores
from loader.data.layout import SlotLayout
from loader.data.npy.file_io import is_descriptor_limit
from loader.data.order import Order
from loader.data.pipeline.pipeline import Pipeline
from loader.data.plan import EpochPlan
from loader.errors import LoaderError, PipelineError, ProtocolError
from loader.ipc import last_words, memfd
from loader.ipc.arena import Arena, ArenaLayout
from loader.ipc.bad_sample_log import BadSampleLog
from loader.ipc.board import Board, Phase, SupervisorCell
from loader.ipc.channels import Outlet
from loader.ipc.line_file import LIMIT_BYTES, LineFile, print_lines
from loader.ipc.logs import LogWriter, report_to
from loader.ipc.payload import payload
from loader.ipc.quarantine import ErrorBudget
from loader.ipc.records import Look
from loader.produce.worker import WorkerContext
from loader.supervise.bad_samples import BadSampleTracker
from loader.supervise.first_sample import ProbeResult, probe, refuse_tensorflow
from loader.supervise.loop import Supervisor
from loader.supervise.memory import budget
from loader.supervise.memory.control import MemoryControl
from loader.supervise.pool import prepare_to_fork
from loader.supervise.sample_names import Names
from loader.supervise.schedule import sizing
from loader.supervise.schedule.blocks import Blocks
from loader.supervise.schedule.schedule import Schedule
from loader.supervise.threads import Threads
from loader.supervise.tuning.tuning import Tuning
from loader.supervise.user_code_child import Asking

_TRAINER_CHECK_S = 0.2

_log = logging.getLogger("loader.supervisor")


@dataclass(frozen=True)
class BootParameters:
    """Descriptors, numbers and levels that the trainer passed on; the supervisor owns its copies.

    Attributes:
        trainer: pid of the trainer.
        payload, board, ledger, probed, arena: shared memory; the arena's is empty yet.
        inbox_read, inbox_write: ends of the inbox.
        ready: writing end of the ready pipe.
        stdout, stderr: what is printed goes there; the standard streams are copies.
        logs: log records go there.
        levels: of the trainer's loggers, by name, when it started this process.
        max_workers: rows for workers on the board.
        workers: how many to begin with.
        auto: whether their number is found out.
        limit: of memory, in bytes, as it was set for the supervisor before this one; 0 if it was not.
        epoch, batch: to begin with; not 0 where the supervisor follows one that died.
    """

    trainer: int
    payload: int
    board: int
    ledger: int
    probed: int
    arena: int
    inbox_read: int
    inbox_write: int
    ready: int
    stdout: int
    stderr: int
    logs: int
    levels: dict[str, int]
    max_workers: int
    workers: int
    auto: int
    limit: int
    epoch: int
    batch: int

    def keep_from_programs(self) -> None:
        """Keep all descriptors from programs that code of the user's starts; the trainer could hand them on only by leaving them open for those."""
        for fd in (*self._private, self.stdout, self.stderr, self.logs):
            os.set_inheritable(fd, False)

    def close_private(self) -> None:
        """Close what is the supervisor's alone. Runs in: a fork of it that makes no batches."""
        for fd in self._private:
            os.close(fd)

    @property
    def _private(self) -> tuple[int, ...]:
        return self.payload, self.board, self.ledger, self.probed, self.arena, self.inbox_read, self.inbox_write, self.ready


def main(given: dict[str, Any]) -> None:
    """Be the supervisor, from the first line to the last. Never returns.

    Args:
        given: the fields of `BootParameters`.
    """
    _set_signals()
    print_lines()
    inherited = BootParameters(**given)
    inherited.keep_from_programs()
    faulthandler.enable(file=inherited.stderr)  # what crashes in C code while it is unpickled says where; workers have a place of their own
    logs = LogWriter(inherited.logs)
    report_to(logs, inherited.levels)
    board = Board(inherited.board, inherited.max_workers)
    trainer = _watch_trainer_while_booting(inherited.trainer, board)
    status = 1
    try:
        _boot(inherited, board, trainer, logs).run()
        _log.debug("the supervisor ends")
        status = 0
    except ProtocolError:  # of this supervisor, not of the pipeline: the next one begins with what the trainer has, and may get further
        traceback.print_exc()
    except LoaderError as error:
        board.supervisor.write_text(error.to_record())
        _announce(board, Outlet(inherited.ready), Phase.FAILED)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _set_signals() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # a trainer that ignores it hands that on, and then no child can be waited for
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # a ticket for a worker that has just died is no reason to die
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM, last_words.ASK})  # a trainer hands on what it has blocked, too


def _watch_trainer_while_booting(trainer: int, board: Board) -> int:
    """Show signs of life, and exit when the trainer dies, while the user's modules are being imported; from then on the loop does both.

    Returns:
        The trainer's pidfd.
    """

    def check(*_: object) -> None:
        board.supervisor[SupervisorCell.HEARTBEAT_NS_GAUGE] = time.monotonic_ns()
        if os.getppid() != trainer:
            os._exit(0)

    signal.signal(signal.SIGALRM, check)
    signal.setitimer(signal.ITIMER_REAL, _TRAINER_CHECK_S, _TRAINER_CHECK_S)
    try:
        pidfd = os.pidfd_open(trainer)
    except ProcessLookupError:
        os._exit(0)
    check()  # it may have died, and its number have been given away, before that
    return pidfd


def _boot(inherited: BootParameters, board: Board, trainer: int, logs: LogWriter) -> Supervisor:
    pipeline, config = _unpickle(inherited.payload)
    report_to(logs, inherited.levels)
    refuse_tensorflow(pipeline)
    importlib.import_module("numpy.random")  # lazy: 20 ms and 4.5 MB in every worker otherwise (docs/measurements.md)
    prepare_to_fork()
    threads = Threads()
    asking = Asking(trainer, inherited.close_private, threads.look)
    probed = probe(pipeline, asking, threads, logs, config.sample_timeout_s, inherited.probed)
    pipeline.compile(probed.found)
    rank, world = config.shard
    plan = EpochPlan(len(pipeline.source), config.batch_size, config.drop_last, rank, world)
    payload_bytes = os.fstat(inherited.payload).st_size
    layout, limit = _lay_out(config, plan, pipeline, probed, payload_bytes, inherited.limit)
    board.supervisor[SupervisorCell.ARENA_BYTES_GAUGE] = layout.nbytes
    board.supervisor[SupervisorCell.PAYLOAD_BYTES_GAUGE] = payload_bytes
    memfd.allocate(inherited.arena, layout.nbytes)
    layout.write(inherited.arena)
    arena = Arena(inherited.arena, layout)
    ready = Outlet(inherited.ready)
    _announce(board, ready, Phase.RUNNING)
    substitute = config.on_error == "substitute"
    production = WorkerContext(pipeline, Order(plan.samples, config.seed, config.shuffle), plan, arena, logs, substitute)
    names = Names(pipeline, asking)
    signal.setitimer(signal.ITIMER_REAL, 0)
    _log.debug("the supervisor is ready: %d workers, %d slots, memory limit %s", inherited.workers, layout.slots, budget.mib(limit))
    prepare_to_fork()
    return Supervisor(
        schedule=_schedule(inherited, plan, layout, probed.row_ns),
        production=production,
        board=board,
        trainer=trainer,
        inbox=(inherited.inbox_read, inherited.inbox_write),
        ready=ready,
        outputs=[LineFile(fd, LIMIT_BYTES) for fd in (inherited.stdout, inherited.stderr, inherited.logs)],
        workers=inherited.workers,
        sample_timeout_s=config.sample_timeout_s,
        tuning=Tuning(board, available_cores(), active=bool(inherited.auto)),
        memory=MemoryControl(board.supervisor, limit, layout.nbytes + payload_bytes, is_default=not inherited.limit and config.memory_limit is None),
        findings=BadSampleTracker(
            production=production,
            board=board,
            known=ErrorBudget(plan.samples, config.max_errors, config.quarantine),
            ledger=BadSampleLog(inherited.ledger),
            names=names,
            threads=threads,
            timeout_s=config.sample_timeout_s,
        ),
        names=names,
        threads=threads,
    )


def _unpickle(fd: int) -> tuple[Pipeline, Config]:
    on_alarm = signal.getsignal(signal.SIGALRM)
    try:
        pipeline, config = payload.load(fd)
    except PipelineError:
        raise
    except (Exception, SystemExit) as error:
        trace = traceback.format_exc()
        raise PipelineError(
            f"the pipeline can't start in the workers: {type(error).__name__}: {error}. Likely cause: {_likely_cause(error)}\n\n{trace}"
        ) from error
    _set_signals()  # once more: a module of the user's may have set them when it was imported
    signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, _TRAINER_CHECK_S, _TRAINER_CHECK_S)
    if "cv2" in sys.modules:
        sys.modules["cv2"].setNumThreads(0)  # its threads do not survive a fork
    return pipeline, config


def _likely_cause(error: BaseException) -> str:
    if isinstance(error, AttributeError) and "__main__" in str(error):
        return "a library has wrapped a function or class of the script, and looks it up by its name. What to do: move it into a separate module"
    if is_descriptor_limit(error):
        return "the source or a transform holds more open or mapped files than a process may have (ulimit -n)"
    return "a module that only the script can import, or that fails when it is imported again"


def _lay_out(config: Config, plan: EpochPlan, pipeline: Pipeline, probed: ProbeResult, payload_bytes: int, changed: int) -> tuple[ArenaLayout, int]:
    """Return the arena's layout and the memory limit that it keeps to: the one that was `changed` while running, or was given, or is derived."""
    workers, size = config.worker_count, plan.batch_size
    capacity = sizing.slot_capacity(pipeline.spec.nbytes * size, plan.batches)
    wanted = config.slots or _default_slots(config, round(probed.row_ns), pipeline.spec.nbytes * size * capacity)
    least = _need(_arena(config, plan, pipeline, config.slots or 2, 1), payload_bytes, workers)
    limit = changed or config.memory_limit_bytes or budget.default_limit(least)
    layout = _arena(config, plan, pipeline, wanted, capacity)
    if capacity > 1 and budget.fitting_slots(_need(layout, payload_bytes, workers), limit) < wanted:
        layout = _arena(config, plan, pipeline, wanted, 1)
    if config.slots is None:
        layout = _arena(config, plan, pipeline, budget.fitting_slots(_need(layout, payload_bytes, workers), limit), layout.slot.capacity)
    need = _need(layout, payload_bytes, workers)
    budget.check(need, config.memory_limit_bytes, size)
    return layout, max(limit, need.total)


def _schedule(inherited: BootParameters, plan: EpochPlan, layout: ArenaLayout, row_ns: float) -> Schedule:
    blocks = Blocks(plan, layout.block_rows, layout.blocks) if layout.blocks else None
    return Schedule(plan, layout.slots, layout.slot.capacity, blocks, row_ns, inherited.epoch, inherited.batch)


def _default_slots(config: Config, row_ns: int, slot_bytes: int) -> int:
    if config.workers == "auto":
        return sizing.auto_slots(config.batch_size, row_ns, config.worker_count, config.worker_ceiling, slot_bytes)
    return sizing.default_slots(config.batch_size, row_ns, config.worker_count)


def _arena(config: Config, plan: EpochPlan, pipeline: Pipeline, slots: int, capacity: int) -> ArenaLayout:
    rows = sizing.block_rows(plan.batch_size, plan.rows)
    places = sizing.block_places(slots, capacity, plan.batch_size, rows) if config.shuffle else 0
    return ArenaLayout(SlotLayout(pipeline.spec, plan.batch_size, capacity), slots, rows, places)


def _need(layout: ArenaLayout, payload_bytes: int, workers: int) -> budget.Need:
    slots_bytes = layout.slots * layout.slot.nbytes
    return budget.Need(layout.slots, layout.slot.nbytes, layout.nbytes - slots_bytes, payload_bytes, workers)


def _announce(board: Board, ready: Outlet, phase: Phase) -> None:
    board.supervisor[SupervisorCell.PHASE_GAUGE] = phase
    ready.send(Look().pack())
