"""How a supervisor comes to life: a fresh interpreter, one unpickled pipeline, one sample, an arena, and then the workers.

    read the pipeline → run the first sample in a child → size the arena, compare with the memory there is → fork the workers → allocate

If something goes wrong on the way, the error is put on the board and raised in the trainer at the first use of the loader.
"""

from __future__ import annotations

import faulthandler
import gc
import importlib
import logging
import os
import sys
import traceback
from dataclasses import dataclass
from typing import Any

from loader.config import Config, mib
from loader.data.npy.file_io import is_descriptor_limit
from loader.data.pipeline.pipeline import Pipeline
from loader.data.pipeline.told_specs import FirstSample
from loader.data.plans.choice import pool_plan_of
from loader.data.plans.epoch_plan import EpochPlan
from loader.errors import LoaderError, PipelineError, ProtocolError
from loader.ipc.arena import Arena, ArenaLayout
from loader.ipc.attachment import identity
from loader.ipc.bad_sample_log import BadSampleLog
from loader.ipc.board import Board, Phase, SupervisorCell
from loader.ipc.channels import Outlet
from loader.ipc.line_file import LIMIT_BYTES, LineFile, print_lines
from loader.ipc.logs import LogWriter, report_to
from loader.ipc.payload import arrival
from loader.ipc.quarantine import ErrorBudget
from loader.ipc.records import INBOX_BYTES, Look, Packed, unpack_inbox
from loader.machine import available_cores
from loader.produce.remote.context import RemoteContext
from loader.produce.worker import WorkerContext
from loader.supervise.arena_size import SharedBytes, lay_out, make_pages, shared_bytes
from loader.supervise.bad_samples import BadSampleTracker
from loader.supervise.first_sample import probe, refuse_tensorflow
from loader.supervise.loop import Supervisor
from loader.supervise.memory.control import MemoryControl
from loader.supervise.pool import prepare_to_fork
from loader.supervise.sample_names import SampleNames
from loader.supervise.schedule.blocks import Blocks
from loader.supervise.schedule.schedule import Schedule
from loader.supervise.sharing.shared_pool import SharedPool
from loader.supervise.threads_at_fork import ThreadsAtFork
from loader.supervise.trainer_watch import TrainerWatch, outlive_terminal, set_signals
from loader.supervise.tuning.crew import Crew
from loader.supervise.tuning.tuning import Tuning
from loader.supervise.user_code_child import UserCodeChild

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
        max_workers: rows for workers of this machine on the board.
        remote_workers: rows for those on other machines.
        workers: how many of this machine to begin with.
        auto: whether their number is found out.
        remote: how many on other machines to begin with.
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
    remote_workers: int
    workers: int
    auto: int
    remote: int
    limit: int
    epoch: int
    batch: int

    def keep_from_programs(self) -> None:
        """Keep all descriptors from programs that user code starts; the trainer could only pass them on by making them inheritable."""
        for fd in (*self._private, self.stdout, self.stderr, self.logs):
            os.set_inheritable(fd, False)

    def close_private(self) -> None:
        """Close what belongs to the supervisor alone. Runs in: a fork of it that makes no batches."""
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
    set_signals()
    print_lines()
    inherited = BootParameters(**given)
    inherited.keep_from_programs()
    faulthandler.enable(file=inherited.stderr)  # a crash in C code during unpickling shows its stack; workers have a place of their own
    logs = LogWriter(LineFile(inherited.logs))
    report_to(logs, inherited.levels)
    board = Board(inherited.board, inherited.max_workers, inherited.remote_workers)
    trainer = TrainerWatch(inherited.trainer, board)
    status = 1
    try:
        _wait_for_pipeline(inherited.inbox_read)
        _boot(inherited, board, trainer, logs).run()
        _log.debug("the supervisor ends")
        status = 0
    except ProtocolError:  # a fault of this supervisor, not of the pipeline: the next one starts from what the trainer has, and may get further
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


def _boot(inherited: BootParameters, board: Board, trainer: TrainerWatch, logs: LogWriter) -> Supervisor:
    pipeline, config = _unpickle(inherited.payload, trainer)
    if config.shared:
        outlive_terminal()
    report_to(logs, inherited.levels)
    refuse_tensorflow(pipeline)
    importlib.import_module("numpy.random")  # lazy: 20 ms and 4.5 MB in every worker otherwise (docs/measurements.md)
    prepare_to_fork()
    threads = ThreadsAtFork()
    child = UserCodeChild(trainer.pidfd, inherited.close_private, threads.look)
    plan = pool_plan_of(pipeline.source, config)  # as the trainer made it: of a source that has learned nothing yet
    probed = probe(pipeline, config, child, threads, logs, inherited.probed)
    pipeline.compile(probed.found)
    payload_bytes = os.fstat(inherited.payload).st_size
    shared = SharedBytes.of(pipeline.source, payload_bytes)
    layout, limit = lay_out(config, plan, pipeline.specs, probed.row_ns, shared, inherited.limit, pipeline.source.rows_at_once)
    board.supervisor[SupervisorCell.ARENA_BYTES_GAUGE] = layout.nbytes
    board.supervisor[SupervisorCell.PAYLOAD_BYTES_GAUGE] = payload_bytes
    os.ftruncate(inherited.arena, layout.nbytes)
    layout.write(inherited.arena)
    ready = Outlet(inherited.ready)
    _announce(board, ready, Phase.RUNNING)
    context = WorkerContext(pipeline, plan, Arena(inherited.arena, layout), logs, config.on_error == "substitute")
    names = SampleNames(pipeline, child)
    trainer.end()
    _log.debug("the supervisor is ready: %d workers, %d slots, memory limit %s", inherited.workers, layout.slots, mib(limit))
    prepare_to_fork()
    gc.enable()
    return Supervisor(
        schedule=_schedule(inherited, plan, layout, probed.row_ns, pipeline, config),
        context=context,
        board=board,
        trainer=trainer.pidfd,
        inbox=(inherited.inbox_read, inherited.inbox_write),
        ready=ready,
        pages=make_pages(inherited.arena, layout),
        outputs=[LineFile(fd, LIMIT_BYTES) for fd in (inherited.stdout, inherited.stderr, inherited.logs)],
        crew=Crew(inherited.workers, inherited.remote),
        sample_timeout_s=config.sample_timeout_s,
        tuning=Tuning(board, available_cores(), active=bool(inherited.auto), fewest_remote=config.remote.min if config.remote else 0),
        memory=_memory_control(board, limit, shared_bytes(config, layout, shared), inherited, config),
        bad_samples=_bad_samples(inherited, config, context, board, names, threads),
        names=names,
        threads=threads,
        shared=_shared_pool(inherited, config, plan, layout),
        remote=_remote_context(inherited, config, probed.found),
    )


def _bad_samples(
    inherited: BootParameters, config: Config, context: WorkerContext, board: Board, names: SampleNames, threads: ThreadsAtFork
) -> BadSampleTracker:
    return BadSampleTracker(
        context=context,
        board=board,
        known=ErrorBudget(context.plan.samples, config.max_errors, config.quarantine),
        ledger=BadSampleLog(inherited.ledger),
        names=names,
        threads=threads,
        timeout_s=config.sample_timeout_s,
    )


def _shared_pool(inherited: BootParameters, config: Config, plan: EpochPlan, layout: ArenaLayout) -> SharedPool:
    return SharedPool(
        name=config.name if config.shared else None,
        arena=inherited.arena,
        arena_bytes=layout.nbytes,
        board=inherited.board,
        identity=identity(inherited.board),
        batches=plan.batches,
        rank=plan.rank,
        world=plan.world,
        lag=config.lag,
    )


def _remote_context(inherited: BootParameters, config: Config, found: FirstSample) -> RemoteContext | None:
    if config.remote is None:
        return None
    return RemoteContext(config.remote, inherited.payload, found.to_json(), inherited.levels, config.sample_timeout_s)


def _wait_for_pipeline(inbox: int) -> None:
    """Block until the trainer has packed the pipeline, which it does while this process imports; if it dies before, `TrainerWatch` ends this one."""
    if unpack_inbox(os.read(inbox, INBOX_BYTES)) != [Packed()]:
        os._exit(0)  # it can't be packed, and the loader is closed


def _unpickle(fd: int, trainer: TrainerWatch) -> tuple[Pipeline, Config]:
    try:
        with trainer.from_thread():
            pipeline, config = arrival.load(fd)
    except PipelineError:
        raise
    except (Exception, SystemExit) as error:
        trace = traceback.format_exc()
        raise PipelineError(
            f"the pipeline can't start in the workers: {type(error).__name__}: {error}. Likely cause: {_likely_cause(error)}\n\n{trace}"
        ) from error
    return pipeline, config


def _likely_cause(error: BaseException) -> str:
    if isinstance(error, AttributeError) and "__main__" in str(error):
        return "a library has wrapped a function or class of the script, and looks it up by its name. What to do: move it into a separate module"
    if is_descriptor_limit(error):
        return "the source or a transform holds more open or mapped files than a process may have (ulimit -n)"
    return "a module that only the script can import, or that fails when it is imported again"


def _memory_control(board: Board, limit: int, shared_bytes: int, inherited: BootParameters, config: Config) -> MemoryControl:
    return MemoryControl(board.supervisor, limit, shared_bytes, is_default=not inherited.limit and config.memory_limit is None)


def _schedule(inherited: BootParameters, plan: EpochPlan, layout: ArenaLayout, row_ns: float, pipeline: Pipeline, config: Config) -> Schedule:
    blocks, capacity = Blocks(plan, layout.block_rows, layout.blocks) if layout.blocks else None, layout.layouts[0].capacity
    return Schedule(
        plan,
        layout.slots,
        capacity,
        blocks,
        row_ns,
        available_cores(),
        inherited.epoch,
        inherited.batch,
        batch_work=bool(pipeline.batch_transforms),
        shared=config.shared,
        far_rows=pipeline.source.rows_at_once,
        sharing=config.sharing,
        local=inherited.max_workers if config.remote else None,
        row_bytes=max(spec.nbytes for spec in pipeline.specs),
    )


def _announce(board: Board, ready: Outlet, phase: Phase) -> None:
    board.supervisor[SupervisorCell.PHASE_GAUGE] = phase
    ready.send(Look().pack())
