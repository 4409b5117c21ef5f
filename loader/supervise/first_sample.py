"""The first sample, run in a child of its own: the user's code may crash, hang or exit, and the supervisor must not."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from loader.config import Config
from loader.data.pipeline.first_good import first_good, must_be_good
from loader.data.pipeline.pipeline import Pipeline
from loader.data.pipeline.told_specs import FirstSample
from loader.data.rows import BadSample, Indices
from loader.data.sources.source import is_in_order
from loader.errors import ConfigError, PipelineError, SampleTimeout, from_record
from loader.ipc.logs import LogWriter
from loader.supervise.pool import death_in_words
from loader.supervise.schedule.suspects import DEATHS_TO_ACCUSE
from loader.supervise.threads_at_fork import ThreadsAtFork
from loader.supervise.user_code_child import END, Question, Tell, UserCodeChild

_log = logging.getLogger("loader.supervisor")

_FAST_NS = 5_000_000
_SLOW_NS = 200_000_000
_REPEATED_ROWS = 8

# Finding out what a sample looks like runs it at most twice, timing a slow one once more.
_RUNS_IN_A_STEP = 2

# Usually sent from outside, for example by the kernel when memory runs out; code that crashes dies of other signals.
_FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM)


@dataclass(frozen=True)
class ProbeResult:
    """What the first sample showed.

    Attributes:
        found: for `Pipeline.compile`.
        row_ns: time that a warm row takes, roughly.
    """

    found: FirstSample
    row_ns: float


def probe(pipeline: Pipeline, config: Config, child: UserCodeChild, threads: ThreadsAtFork, logs: LogWriter, kept: int) -> ProbeResult:
    """Run the first sample in a child and return what it showed; or what it showed to the supervisor before this one.

    It may have become a bad sample meanwhile, which is no reason why a supervisor could not follow another. If bad samples are substituted, a good
    one is looked for.

    Runs in: the supervisor, while it boots.
    Blocks: until the child answers or dies, the trainer dies, or a sample has had `sample_timeout_s` each time that it was run. A child that was
    killed is replaced as often as a worker would be.

    Args:
        pipeline: not compiled yet.
        config: settings.
        child: how the child is asked.
        threads: of this process, which may be why the sample hangs.
        logs: what the child writes its log to.
        kept: memory of the trainer's, for what the sample told.

    Raises:
        LoaderError: the sample's own error.
        PipelineError: the child died.
        SampleTimeout: no answer in time.
    """
    known = os.pread(kept, os.fstat(kept).st_size, 0)
    substitute = config.on_error == "substitute"
    told = (
        json.loads(known)
        if known.endswith(END)
        else _ask(lambda tell: _answer(pipeline, substitute, logs, tell), child, threads, config.sample_timeout_s)
    )
    if "error" in told:
        raise from_record(told)
    found = FirstSample.from_json(told)
    if not known.endswith(END):
        os.pwrite(kept, json.dumps(told).encode() + b"\n", 0)
        if (draws := pipeline.draws_in_words(found.draws)) is not None:  # once per loader: the next supervisor reads what is kept
            _log.warning("%s", draws)
    return ProbeResult(found, told["row_ns"])


def _ask(question: Question, child: UserCodeChild, threads: ThreadsAtFork, timeout_s: float) -> dict[str, Any]:
    deaths = 0
    while True:
        answer = child.ask(question, _RUNS_IN_A_STEP * timeout_s)
        *lines, _ = answer.text.split(b"\n")
        if answer.complete:
            return dict(json.loads(lines[-1]))
        index, known = json.loads(next(filter(None, reversed(lines)), b"[0, null]"))
        if answer.silent:
            reason = f"the first sample took more than {timeout_s} s (sample_timeout_s){threads.remark()}"
            raise SampleTimeout(index=index, name=known, reason=reason, remote_traceback=answer.stack)
        which, how = known or f"sample {index}", death_in_words(answer.status)
        if answer.mute:
            reason = "the source or a transform has closed descriptors that are not its own, for example by os.closerange"
            raise PipelineError(f"the process that tried the first sample ({which}) can't answer: {reason}")
        deaths += 1
        if deaths == DEATHS_TO_ACCUSE or not os.WIFSIGNALED(answer.status) or os.WTERMSIG(answer.status) not in _FROM_OUTSIDE:
            stack = f"\n\n{answer.stack}" if answer.stack else ""
            raise PipelineError(f"the process that tried the first sample ({which}) died, {how}; likely cause: the source or a transform{stack}")
        _log.warning("the process that tried the first sample (%s) died, %s; another one tries it again", which, how)


def refuse_tensorflow(pipeline: Pipeline) -> None:
    """Raise PipelineError if TensorFlow has run something in this process: then it has threads, and they do not survive the fork of a worker.

    Importing it starts none, so that helpers of Keras that use NumPy alone pass.
    """
    if "tensorflow" in sys.modules and len(os.listdir("/proc/self/task")) > 1:
        from loader.ipc.payload import captured_objects

        users = captured_objects.users_of_frameworks(pipeline.parts()) or ["the source or a transform"]
        raise PipelineError(f"{' and '.join(users)} runs TensorFlow operations, which can't run in the workers; {captured_objects.INSTEAD}")


def _answer(pipeline: Pipeline, substitute: bool, logs: LogWriter, tell: Tell) -> None:
    """Write number and name of each sample that is tried, a sign of life, and the result, each as a line. Runs in: the child."""

    def trying(index: int) -> None:
        logs.enter("first sample", lambda: {"sample": index, "path": pipeline.name_of(index)})
        tell(json.dumps([index, pipeline.name_of(index)]).encode() + b"\n")

    tell(json.dumps(_try(pipeline, substitute, trying, lambda: tell(b"\n"))).encode() + b"\n")


def _try(pipeline: Pipeline, substitute: bool, trying: Callable[[int], None], live: Callable[[], None]) -> dict[str, Any]:
    try:
        found = first_good(pipeline, substitute, trying)
        refuse_tensorflow(pipeline)
        pipeline.compile(found)
        live()
        row_ns = _time_row(pipeline)
    except BadSample as bad:
        return pipeline.error(bad, 0, must_be_good(pipeline, substitute)).to_record()
    except (ConfigError, PipelineError) as error:
        return error.to_record()
    return {**found.to_json(), "row_ns": row_ns}


def _time_row(pipeline: Pipeline) -> float:
    """Return the time of one row. It is timed again unless it is slow, since it may have waited for a core; a fast one also several at a time.

    Of a generator it is the time of the samples after the first one: for that one again it would begin anew, and what it does then takes long.
    """
    indices = np.full(2 + _REPEATED_ROWS, pipeline.source._example, np.int64)
    goes_on = is_in_order(pipeline.source) and len(pipeline.source) > len(indices)
    if goes_on:
        indices += np.arange(1, 1 + len(indices))
    try:
        row_ns = _time(pipeline, indices[:1])
        if row_ns <= _SLOW_NS:
            row_ns = min(row_ns, _time(pipeline, indices[1:2]))
        return row_ns if row_ns > _FAST_NS else min(row_ns, _time(pipeline, indices[2:]) / _REPEATED_ROWS)
    except BadSample:
        if not goes_on:
            raise
        return float(_FAST_NS)  # a sample that is not the first is told with its batch


def _time(pipeline: Pipeline, indices: Indices) -> float:
    out = [np.empty((len(indices), *leaf.shape), leaf.dtype) for leaf in pipeline.spec.leaves]
    started = time.perf_counter_ns()
    pipeline.fill(indices, 0, out, np.zeros(1, np.int64).data)
    return float(time.perf_counter_ns() - started)
