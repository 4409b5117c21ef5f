"""The first sample, run in a child of its own: the user's code may crash, hang or exit, and the supervisor must not."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from loader.data import forks
from loader.data.pipeline import Pipeline
from loader.data.source import BadSample
from loader.data.spec import SampleSpec
from loader.errors import ConfigError, PipelineError, SampleTimeout, from_record
from loader.ipc import baggage
from loader.ipc.channels import open_pipe, wait_readable
from loader.ipc.output import flush_stdout
from loader.produce.worker import die_with
from loader.supervise.pool import death_in_words
from loader.supervise.suspects import DEATHS_TO_ACCUSE

_log = logging.getLogger("loader.supervisor")

_FAST_NS = 5_000_000
_REPEATED_ROWS = 8

# Finding out what a sample looks like runs it at most twice, timing a slow one once more.
_RUNS_IN_A_STEP = 2

# Sent from outside, as a rule, such as by the kernel when memory runs out; code that crashes dies of others.
_FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM)

_DYING_S = 1.0

# Exit status of the child.
_NO_WAY_TO_ANSWER = 74

# An answer without it is one that death cut off.
_END = b"}\n"


@dataclass(frozen=True)
class Probed:
    """What the first sample told.

    Attributes:
        specs: for `Pipeline.compile`.
        row_ns: time that a warm row takes, roughly.
    """

    specs: Sequence[SampleSpec]
    row_ns: float


def probe(pipeline: Pipeline, trainer: int, timeout_s: float, kept: int) -> Probed:
    """Run the first sample in a child and return what it told; or what it told to the supervisor before this one.

    It may have become a bad sample meanwhile, which is no reason why a supervisor could not follow another.

    Runs in: the supervisor, while it boots.
    Blocks: until the child answers or dies, the trainer (a pidfd) dies, or the sample has had `timeout_s` each time that it was run. A child that
    was killed is replaced as often as a worker would be.

    Args:
        pipeline: not compiled yet.
        trainer: see above.
        timeout_s: see above.
        kept: memory of the trainer's, for what the sample told.

    Raises:
        LoaderError: the sample's own error.
        PipelineError: the child died.
        SampleTimeout: no answer in time.
    """
    answer = os.pread(kept, os.fstat(kept).st_size, 0)
    if not answer.endswith(_END):
        answer = _answer(pipeline, trainer, timeout_s)
    told = json.loads(answer)
    if "error" in told:
        raise from_record(told)
    os.pwrite(kept, answer, 0)
    return Probed([SampleSpec.from_json(spec) for spec in told["specs"]], told["row_ns"])


def _answer(pipeline: Pipeline, trainer: int, timeout_s: float) -> bytes:
    deaths = 0
    while True:
        answer, status = _ask_child(pipeline, trainer, timeout_s)
        if answer is None:
            reason = f"the first sample took more than {timeout_s} s (sample_timeout_s)"
            raise SampleTimeout(index=0, name=pipeline.name_of(0), reason=reason)
        if answer.endswith(_END):
            return answer
        deaths += 1
        name, how = pipeline.name_of(0) or "sample 0", death_in_words(status)
        if deaths == DEATHS_TO_ACCUSE or not os.WIFSIGNALED(status) or os.WTERMSIG(status) not in _FROM_OUTSIDE:
            raise PipelineError(f"the process that tried the first sample ({name}) died, {how}; likely cause: the source or a transform")
        _log.warning("the process that tried the first sample (%s) died, %s; another one tries it again", name, how)


def _ask_child(pipeline: Pipeline, trainer: int, timeout_s: float) -> tuple[bytes | None, int]:
    """Return what a child wrote, or None if it was silent for too long, and its wait status."""
    supervisor = os.getpid()
    read, write = open_pipe()
    pid = os.fork()
    if pid == 0:
        _be_child(pipeline, write, supervisor)
    os.close(write)
    try:
        answer = _receive(read, trainer, _RUNS_IN_A_STEP * timeout_s)
        lives = answer is not None and not _is_dying(pid)
    finally:
        os.close(read)
        os.kill(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
    if answer is not None and not answer.endswith(_END) and (lives or status == _NO_WAY_TO_ANSWER << 8):
        which = pipeline.name_of(0) or "sample 0"
        reason = "the source or a transform has closed descriptors that are not its own, such as by os.closerange"
        raise PipelineError(f"the process that tried the first sample ({which}) can't answer: {reason}")
    return answer, status


def _is_dying(pid: int) -> bool:
    """Return whether a child whose answer has ended is dead, or is so within a moment: its descriptors are closed before it can be waited for."""
    deadline = time.monotonic() + _DYING_S
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.001)
    return True


def refuse_tensorflow(pipeline: Pipeline) -> None:
    """Raise PipelineError if TensorFlow has run something in this process: then it has threads, and they do not survive the fork of a worker.

    Importing it starts none, so that helpers of Keras that use NumPy alone pass.
    """
    if "tensorflow" in sys.modules and len(os.listdir("/proc/self/task")) > 1:
        users = baggage.users_of_frameworks(pipeline.parts()) or ["the source or a transform"]
        raise PipelineError(f"{' and '.join(users)} runs TensorFlow operations, which can't run in the workers; {baggage.INSTEAD}")


def _receive(read: int, trainer: int, silence_s: float) -> bytes | None:
    """Return what the child wrote, to the end of its answer or of itself, or None if it wrote nothing for `silence_s`."""
    pieces: list[bytes] = []
    deadline = time.monotonic() + silence_s
    while (left := deadline - time.monotonic()) > 0:
        readable = wait_readable([read, trainer], left)
        if trainer in readable:
            os._exit(0)
        if read in readable:
            piece = os.read(read, 65536)
            if not piece:
                return b"".join(pieces)
            pieces.append(piece)
            if piece.endswith(_END):  # the end of the pipe may be long in coming, where the user's code has started a process that holds it
                return b"".join(pieces)
            deadline = time.monotonic() + silence_s
    return None


def _be_child(pipeline: Pipeline, write: int, supervisor: int) -> None:
    status = 1
    try:
        signal.setitimer(signal.ITIMER_REAL, 0)
        die_with(supervisor)
        forks.count()
        answer = json.dumps(_try(pipeline, write)).encode() + b"\n"
        forks.end_if_deeper(0)
        flush_stdout()
        while answer:
            answer = answer[os.write(write, answer) :]
        status = 0
    except OSError:
        status = _NO_WAY_TO_ANSWER
    except BaseException:  # of no sample: its traceback is all that will be known of it
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(status)


def _try(pipeline: Pipeline, write: int) -> dict[str, Any]:
    try:
        specs = pipeline.probe()
        refuse_tensorflow(pipeline)
        pipeline.compile(specs)
        os.write(write, b"\n")  # a sign of life, which JSON does not mind
        row_ns = _time_row(pipeline)
    except BadSample as bad:
        return pipeline.error(bad, 0).to_record()
    except (ConfigError, PipelineError) as error:
        return error.to_record()
    return {"specs": [spec.to_json() for spec in specs], "row_ns": row_ns}


def _time_row(pipeline: Pipeline) -> float:
    """Return the time of one row. A fast one is timed again, warm and several at a time."""
    first = _time(pipeline, 1)
    return first if first > _FAST_NS else min(_time(pipeline, 1), _time(pipeline, _REPEATED_ROWS) / _REPEATED_ROWS)


def _time(pipeline: Pipeline, rows: int) -> float:
    out = [np.empty((rows, *leaf.shape), leaf.dtype) for leaf in pipeline.spec.leaves]
    started = time.perf_counter_ns()
    pipeline.fill(np.zeros(rows, np.int64), 0, out, np.zeros(1, np.int64).data)
    return float(time.perf_counter_ns() - started)
