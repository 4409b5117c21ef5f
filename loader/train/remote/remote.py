"""Batches from the worker pool: the trainer's end of the supervisor.

Everything that must survive a supervisor is made and kept here: the pickled pipeline, what the first sample showed, the board, the log of bad
samples, what its processes print. When a supervisor dies, another one takes its place and continues with the next batch
(`loader.train.remote.supervisor` is one of them).
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

from loader.config import Config
from loader.data.pipeline.pipeline import Pipeline
from loader.errors import LoaderClosed, PipelineError, SupervisorDied
from loader.ipc import memfd
from loader.ipc.arena import ArenaLayout
from loader.ipc.bad_sample_log import BadSampleLog
from loader.ipc.board import Board, SupervisorCell, TrainerCell
from loader.ipc.loader_identity import introduce
from loader.ipc.records import Leave
from loader.train.checks import checked_workers
from loader.train.notices import warn_of_replacement
from loader.train.producer import Cursor
from loader.train.remote.interrupts import interrupts_later
from loader.train.remote.launch import pack_pipeline
from loader.train.remote.relay import Relay
from loader.train.remote.restarts import MOST_RESTARTS, WINDOW_S, RequestedSettings, RestartLimit
from loader.train.remote.slot_reader import SlotReader
from loader.train.remote.supervisor import SupervisorProcess

_SILENCE_S = 60.0


class Remote(SlotReader):
    """A supervisor that runs, or the next one, and the batches that come from it, in order.

    Owns the supervisor and all descriptors; `close` ends them, once.

    Args:
        pipeline: to send.
        config: settings.
        silence_s: a supervisor without a sign of life for so long is replaced.
        told: what other scripts that attach are told; JSON-able.
    """

    _supervisor: SupervisorProcess

    def __init__(self, pipeline: Pipeline, config: Config, silence_s: float = _SILENCE_S, told: Mapping[str, Any] | None = None) -> None:
        super().__init__(config.on_error == "substitute", config.quarantine)
        self._owner = os.getpid()
        self._silence_s = silence_s
        self._max_workers = config.worker_ceiling
        self._rows = {"max_workers": self._max_workers, "remote_workers": config.most_remote}
        self.cursor = Cursor()
        self._shared = config.shared
        self._keeps = False  # only for others
        self._met: SupervisorProcess | None = None  # the supervisor whose arena is known
        self._restarts = RestartLimit()
        self._last_words = ""
        self._kept = {  # descriptors that the next supervisor gets as well
            "payload": memfd.create("pipeline"),
            "board": Board.create(self._max_workers + config.most_remote),
            "ledger": BadSampleLog.create(),
            "probed": memfd.create("probed"),
        }
        self.board = Board(self._kept["board"], self._max_workers, config.most_remote)
        self.board.supervisor[SupervisorCell.LIMIT_BYTES_GAUGE] = config.memory_limit_bytes or 0  # there is no supervisor yet
        self.cells = self.board.trainer
        introduce(self.cells, config.name)
        self._requested = RequestedSettings(config, self.board.supervisor)
        self.board.stages.write_text(pipeline.stage_names())
        self._relay = Relay(self.cells)
        self._look = self._relay.look
        self._supervisor = self._new_supervisor()
        try:
            with interrupts_later():
                self._start()
            self.board.told.write_text(dict(told or {}))
            pack_pipeline(pipeline, config, self._kept["payload"])  # meanwhile, the supervisor imports what it needs
            self._supervisor.announce_pipeline()
        except BaseException:
            self.close()
            raise

    def _new_supervisor(self) -> SupervisorProcess:
        lent = self.cells.cell(TrainerCell.LENT_GAUGE)
        lent[0] = 0
        return SupervisorProcess(self.board.supervisor, self._interrupt, lent, self._shared)

    def _start(self) -> None:
        self._supervisor.start(
            {**self._kept, **self._relay.descriptors},
            {**self._rows, **self._requested.numbers(), "epoch": self.cursor.epoch, "batch": self.cursor.batch},
        )

    def check_owner(self) -> None:
        """Raise LoaderClosed in a fork of the process that made this: slots and supervisor are the other's."""
        if os.getpid() != self._owner:
            raise LoaderClosed(f"this loader belongs to another process (pid {self._owner}), and this one is a fork of it; make a new Loader here")

    @property
    def pid(self) -> int:
        """Process id of the supervisor."""
        return self._supervisor.pid

    def relay(self) -> None:
        """Print what the other processes have printed. `take` does so as well, a few times per second."""
        self._relay.pass_on()

    def keep_for_others(self) -> None:
        """Read nothing from now on, so that no slot is filled for this process. The supervisors that follow are told so, too."""
        self._keeps = True
        self._supervisor.outbox.send(Leave().pack())

    def watch(self) -> None:
        """Wait for half a second, or until something happens; relay what is printed, and replace a supervisor that has died."""
        self._receive()

    def resize(self, workers: int) -> None:
        """Run `workers` workers from now on."""
        self._supervisor.outbox.send(self._requested.resized(checked_workers(workers, self._max_workers)).pack())

    def close(self) -> None:
        """End the supervisor and with it the workers; close what is ours. Arrays that were handed out stay valid."""
        if self._closed or os.getpid() != self._owner:
            return
        self._closed = True
        self._forget_slot()
        if not self._supervisor.ended:
            self._supervisor.ask_to_end()
        try:
            self._supervisor.end()
        finally:
            for fd in self._kept.values():
                os.close(fd)
            self._relay.close()

    # The supervisor's life.

    def _receive(self) -> None:
        """Wait until the supervisor has sent something, at most half a second, and read it. One that has died is replaced."""
        supervisor = self._supervisor
        if supervisor.ended:  # and could not be replaced then
            self._replace()
            return
        arrived = self._wait()
        self._relay.look(idle=not arrived)
        if arrived:
            if not supervisor.read():
                self._replace()
            elif supervisor is not self._met and supervisor.arena is not None:
                self._meet(supervisor, supervisor.arena.layout)
        elif reason := supervisor.given_up(self._silence_s):
            supervisor.kill()
            self._replace(reason)

    def _meet(self, supervisor: SupervisorProcess, layout: ArenaLayout) -> None:
        specs = [each.spec for each in layout.layouts]
        if self._specs and self._specs != specs:
            supervisor.kill()
            supervisor.end()
            was, now = self._specs[-1], specs[-1]
            raise PipelineError(f"a sample was {was} when the loader started, and is {now} now that its supervisor was replaced")
        self._met = supervisor
        self._learn(layout)

    def _replace(self, reason: str = "") -> None:
        """Replace a supervisor that has died by another one, which continues with the batch that is due.

        Raises:
            PipelineError: it exited or crashed while it booted, as the next one would.
            SupervisorDied: that has happened too often, or no process can be started.
        """
        with interrupts_later():
            died = self._bury(reason)
            if self._supervisor.failed_to_boot:
                likely = "a module that the source or a transform imports, or an object that crashes when it is unpickled"
                raise PipelineError(f"the pipeline can't start in the workers: {died}. Likely cause: {likely}.{self._last_words}")
            allowed = self._restarts.allow(time.monotonic())
            if allowed:
                self._restart(died)
        if not allowed:
            raise SupervisorDied(f"{died}. It was not replaced: {MOST_RESTARTS} others have died within {WINDOW_S:.0f} s.{self._last_words}")
        warn_of_replacement(died, self.cursor.epoch, self.cursor.batch)

    def _bury(self, reason: str) -> str:
        supervisor = self._supervisor
        if not supervisor.ended:
            supervisor.end(reason)
            self._relay.pass_on(ended=True)
            words = self._relay.last_words()
            self._last_words = f" The last output of it and its workers:\n{words}" if words else " It and its workers printed nothing."
        which = f" (pid {supervisor.pid})" if supervisor.pid else ""
        return f"the supervisor{which} died: {supervisor.death}"

    def _restart(self, died: str) -> None:
        self._requested.remember()
        self.board.bury()
        try:
            self._supervisor = self._new_supervisor()
            self._start()
            self._supervisor.announce_pipeline()
            if self._keeps:
                self.keep_for_others()
        except OSError as error:
            self._supervisor.end("it could not be started")
            raise SupervisorDied(f"{died}, and no other one can be started: {error}") from error
        self.cells.add(TrainerCell.SUPERVISOR_RESTARTS, 1)
