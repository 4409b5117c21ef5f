"""Scripts that train, each at another moment of a loader's life, to be killed or interrupted there."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from tests.conftest import script_environment
from tests.processes import alive, family, wait_until

START = """
import os, sys, time
import numpy as np
from loader import Loader, NpyArrays
source = NpyArrays(np.arange(2000).reshape(1000, 2))
os.mkdir("silence")
def say(what):
    os.rename("silence", "said")  # nothing is open here: Python loses a Ctrl-C that hits while it closes a file
"""
ITERATING = """
loader = Loader(source, 4, workers=2, shuffle=True)
for number, batch in enumerate(loader.batches()):
    time.sleep(0.001)
    if number == 20:
        say("ready")
"""
IMPORTING = """
sys.path.insert(0, os.getcwd())
open("slow_elsewhere.py", "w").write('''
import sys, time
if "loader.supervise.boot" in sys.modules:
    open(FILE, "w").write("ready")
    while True:
        time.sleep(100)
def step(sample, rng):
    return sample
'''.replace("FILE", repr(os.path.abspath("said"))))
import slow_elsewhere
loader = Loader(source, 4, workers=2, transforms=[slow_elsewhere.step])
next(iter(loader))
"""
AT_ONCE = """
say("ready")
loader = Loader(source, 4, workers=2)
for batch in loader.batches():
    time.sleep(0.0005)
"""

# An exception that comes while another one is handled, or because of it, is shown below that one, as is Ctrl-C in an `except` of Python's own.
CHAINED = re.compile(
    r"^(During handling of the above exception, another exception occurred|The above exception was the direct cause of the following exception):$",
    re.MULTILINE,
)
# So Python tells that it lost a Ctrl-C, which came in what can raise nothing: a finalizer, or what an import does at the end of a weak reference.
LOST = re.compile(r"^Exception ignored .*\n(?:.*\n)*?KeyboardInterrupt.*\n", re.MULTILINE)


def assert_only_control_c(said: str) -> None:
    """Assert that what all processes of a script said is one traceback, of one of them, which ends with KeyboardInterrupt."""
    kept = LOST.sub("", said)
    assert kept.count("Traceback (most recent call last):") - len(CHAINED.findall(kept)) == 1, said
    assert kept.rstrip().endswith("KeyboardInterrupt"), said


class Script:
    """A script that runs, in a session and process group of its own."""

    def __init__(self, text: str, folder: Path) -> None:
        folder.mkdir()
        (folder / "script.py").write_text(START + text)
        self.folder = folder
        with (folder / "err").open("wb") as err, (folder / "out").open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "script.py"], cwd=folder, env=script_environment(None), stdout=out, stderr=err, start_new_session=True
            )

    def wait_until_ready(self) -> list[int]:
        """Wait until the script says that it is; return the pids of all that run below it."""
        wait_until(lambda: (self.folder / "said").exists() or self.process.poll() is not None, "the script is ready")
        assert self.process.poll() is None, self.stderr
        return family(self.process.pid)

    def wait_until_gone(self) -> None:
        """Wait until the script has ended, and with it all that it had started in its session."""
        wait_until(lambda: self.process.poll() is not None, f"the script ends, which says {self.stderr!r}")
        wait_until(lambda: not session(self.process.pid), "nobody is left in its session")

    def stop(self) -> None:
        """Press Ctrl-C, as a terminal sends it, and again where Python has lost it; assert that all end, and one shows a traceback."""
        presses = 0

        def ended() -> bool:
            nonlocal presses
            if self.process.poll() is None and len(LOST.findall(self.stderr)) == presses:
                os.killpg(self.process.pid, signal.SIGINT)
                presses += 1
            return self.process.poll() is not None

        wait_until(ended, "Ctrl-C ends the script")
        self.wait_until_gone()
        assert self.process.returncode == -signal.SIGINT, self.stderr
        assert_only_control_c(self.stderr)

    @property
    def stderr(self) -> str:
        return (self.folder / "err").read_text()


def session(leader: int) -> list[int]:
    """Return who runs in the session of a process, also if it is dead."""
    found = []
    for pid in psutil.pids():
        try:
            if os.getsid(pid) == leader and alive(pid):
                found.append(pid)
        except ProcessLookupError:
            continue
    return found
