"""How the supervisor is started: a fresh interpreter that gets descriptors and nothing else. It never runs the user's script.

One of the descriptors is that of the pipeline, which is pickled once, compared with the available memory, and checked for what is better not copied.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from functools import partial

from loader.config import Config
from loader.data.pipeline.pipeline import Pipeline
from loader.ipc import logs, memfd

_BOOT = """
import gc
gc.disable()  # until workers are forked: what is imported stays, and collections would take a tenth of the time
import sys
if sys.path[:1] == [""]:
    del sys.path[0]  # -c puts the current folder first, and a json.py there would be taken for Python's
import json
with open(int(sys.argv[1])) as inheritance:
    given = json.load(inheritance)
sys.path[:] = given.pop("path")
from loader.supervise.boot import main
main(given)
"""

# Thread pools of numpy's libraries would make the supervisor a multi-threaded process, which must not fork; and no worker needs a GPU.
_ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",  # of pyarrow, which TensorFlow imports by way of pandas
    "CUDA_VISIBLE_DEVICES": "",
    "JAX_PLATFORMS": "cpu",
}


# This little fits anywhere, and need not be measured.
_SMALL_BYTES = 16 * 2**20


def pack_pipeline(pipeline: Pipeline, config: Config, fd: int) -> None:
    """Write `(pipeline, config)` to shared memory, which is empty.

    Raises:
        MemoryLimitError: arrays of the script that would be copied do not fit.
        PipelineError: something in it can't travel.
    """
    from loader.ipc.payload import captured_objects, payload  # and cloudpickle: while the supervisor starts

    payload.dump((pipeline, config), partial(_admit, config.memory_limit_bytes), fd)
    for remark in captured_objects.remarks(pipeline.parts(), os.fstat(fd).st_size):
        warnings.warn(remark, RuntimeWarning, stacklevel=5)  # the caller of Loader(...)


def _admit(limit: int | None, nbytes: int) -> None:
    if nbytes > _SMALL_BYTES:
        from loader.supervise.memory import budget

        budget.admit_arrays(nbytes, limit)


def start_supervisor(descriptors: dict[str, int], numbers: dict[str, int]) -> subprocess.Popen[bytes]:
    """Start the process that runs `loader.supervise.boot`. The caller owns it and keeps its own copies of the descriptors.

    Args:
        descriptors: those that `loader.supervise.boot.BootParameters` names; `stdout` and `stderr` become its standard streams as well.
        numbers: its other fields, except the trainer's pid and the levels of its loggers.
    """
    given = {"path": _search_path(), "trainer": os.getpid(), "levels": logs.levels(), **numbers, **descriptors}
    inheritance = memfd.create("inheritance")
    try:
        os.pwrite(inheritance, json.dumps(given).encode(), 0)
        return subprocess.Popen(
            [sys.executable, *["-O"] * sys.flags.optimize, "-c", _BOOT, str(inheritance)],
            pass_fds=[inheritance, *descriptors.values()],
            stdin=subprocess.DEVNULL,
            stdout=descriptors["stdout"],
            stderr=descriptors["stderr"],
            env=os.environ | _ENVIRONMENT,
        )
    finally:
        os.close(inheritance)


def _search_path() -> list[str]:
    """Return sys.path for the supervisor. "" means the current folder, or nothing if that has been deleted."""
    try:
        here = [os.getcwd()]
    except FileNotFoundError:
        here = []
    return [place for entry in sys.path if isinstance(entry, str) for place in ([entry] if entry else here)]
