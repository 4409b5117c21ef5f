"""How the tests of `loader tune` and `loader bench` run them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.conftest import script_environment
from tests.processes import wait_until

SCRIPT = Path(__file__).with_name("measured_script.py")
COMMAND = [sys.executable, "-m", "loader"]


def run(command: str, function: str, *arguments: object, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command on a function of `SCRIPT`, in a process of its own."""
    words = [*COMMAND, command, f"{SCRIPT}:{function}", *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, timeout=100, cwd=folder, env=script_environment(environment))


def interrupt(command: str, function: str, *arguments: object, folder: Path, when: Callable[[int], bool]) -> tuple[int, str, str]:
    """Run a command likewise, and press Ctrl-C when `when` is true of the number of loaders that it has started so far; return status, out, err."""
    words = [*COMMAND, command, f"{SCRIPT}:{function}", *map(str, arguments)]
    with (folder / "out").open("w") as out, (folder / "err").open("w") as err:
        process = subprocess.Popen(words, cwd=folder, env=script_environment(None), stdout=out, stderr=err, start_new_session=True)
    seen: set[int] = set()

    def due() -> bool:  # each loader has a supervisor of its own
        seen.update(child.pid for child in psutil.Process(process.pid).children())
        return when(len(seen)) or process.poll() is not None

    wait_until(due, "it is time for Ctrl-C", 60)
    os.killpg(process.pid, signal.SIGINT)
    return process.wait(30), (folder / "out").read_text(), (folder / "err").read_text()


def run_here(*arguments: str) -> int:
    """Run the command line in this process; return its exit status. Only for what ends before anything is measured."""
    from loader.watch.cli import main

    path, modules = list(sys.path), set(sys.modules)
    try:
        main(arguments, prog_name="loader")
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        sys.path[:] = path
        for name in {"measured_script", "spoilt"} & (set(sys.modules) - modules):
            del sys.modules[name]
    raise AssertionError("it did not exit")
