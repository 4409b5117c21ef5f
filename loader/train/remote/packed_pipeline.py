"""What a Loader sends to its supervisor: pickled once, compared with the memory there is, and remarked on."""

from __future__ import annotations

import os
import warnings
from functools import partial

from loader.config import Config
from loader.data.pipeline.pipeline import Pipeline
from loader.ipc.payload import captured_objects, payload

# So little fits anywhere; measuring would import psutil.
_SMALL_BYTES = 16 * 2**20


def send(pipeline: Pipeline, config: Config) -> int:
    """Return the descriptor of shared memory that holds `(pipeline, config)`; the caller owns it.

    Raises:
        MemoryLimitError: arrays of the script that would be copied do not fit.
        PipelineError: something in it can't travel.
    """
    fd = payload.dump((pipeline, config), partial(_admit, config.memory_limit_bytes))
    try:
        for remark in captured_objects.remarks(pipeline.parts(), os.fstat(fd).st_size):
            warnings.warn(remark, RuntimeWarning, stacklevel=4)  # the caller of Loader(...)
    except Warning:  # who makes errors of warnings gets no loader
        os.close(fd)
        raise
    return fd


def _admit(limit: int | None, nbytes: int) -> None:
    if nbytes > _SMALL_BYTES:
        from loader.supervise.memory import budget

        budget.admit_arrays(nbytes, limit)
