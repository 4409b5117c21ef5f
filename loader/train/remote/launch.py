"""How the supervisor is started: a fresh interpreter that gets descriptors and nothing else. It never runs the user's script."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from loader.ipc import logs, memfd

_BOOT = """
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
    "CUDA_VISIBLE_DEVICES": "",
    "JAX_PLATFORMS": "cpu",
}


def start_supervisor(descriptors: dict[str, int], numbers: dict[str, int]) -> subprocess.Popen[bytes]:
    """Start the process that runs `loader.supervise.boot`. The caller owns it and keeps its own copies of the descriptors.

    Args:
        descriptors: those that `loader.supervise.boot.BootParameters` names; `stdout` and `stderr` become its standard streams as well.
        numbers: the rest of it, but for the trainer's pid and the levels of its loggers.
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
    """Return sys.path for the supervisor. "" means the current folder, and nothing where that has been deleted."""
    try:
        here = [os.getcwd()]
    except FileNotFoundError:
        here = []
    return [place for entry in sys.path if isinstance(entry, str) for place in ([entry] if entry else here)]
