"""Supervisors, processes that look at far data, scripts and commands, as forks of an interpreter that has done their imports.

Tests start more than a thousand of them, and the supervisors of scripts and commands are forks as well. Those of tests that are marked `cold` start
as users' do, and so do all where LOADER_TEST_COLD is set; also a program with options of Python, or with another environment for Python itself.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from loader.data.remote.scouting import scout
from loader.train.remote import launch
from tests.conftest import ROOT
from tests.warm_popen import Forks, for_supervisors, popen

# Number of the system call, for `warm_interpreter.py`.
SYS_CLONE = {"x86_64": 56, "aarch64": 220}

# What supervisors import, and what tests share: sources and transforms of a test travel by their names, in its module.
_ANY = ("cloudpickle", "loader.data.remote.scouting.child", "loader.supervise.boot")
SUPERVISORS = (*_ANY, "tests.batches", "tests.conftest", "tests.processes")
_PROGRAMS = (*_ANY, "warm_popen", "loader.train.loader", "loader.watch.cli")


class WarmInterpreter:
    """A process that runs `warm_interpreter.py`; the process that made this owns it."""

    def __init__(self, *modules: str, search: str | None = None) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        program = str(Path(__file__).with_name("warm_interpreter.py"))
        command = [sys.executable, program, str(theirs.fileno()), str(SYS_CLONE[os.uname().machine]), *modules]
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", **({"PYTHONPATH": search} if search else {})}
        self._process = subprocess.Popen(command, env=environment, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        theirs.close()
        self.forks = Forks(ours)

    def close(self) -> None:
        self.forks.close()
        self._process.wait()


def warm_starts_are_wanted() -> bool:
    return os.uname().machine in SYS_CLONE and "LOADER_TEST_COLD" not in os.environ


class WarmInterpreters(NamedTuple):
    supervisors: WarmInterpreter
    programs: WarmInterpreter


@pytest.fixture(scope="session")
def warm_interpreters() -> Iterator[WarmInterpreters | None]:
    """Those of this process; None where everything has to start from nothing."""
    if not warm_starts_are_wanted():
        yield None
        return
    both = WarmInterpreters(WarmInterpreter(*SUPERVISORS, search=str(ROOT)), WarmInterpreter(*_PROGRAMS))
    yield both
    for each in both:
        each.close()


@pytest.fixture(autouse=True)
def warm_starts(request: pytest.FixtureRequest, warm_interpreters: WarmInterpreters | None) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:  # not the one of the test, which may undo all that it has done
        if warm_interpreters is not None and not request.node.get_closest_marker("cold"):
            for starts in (launch, scout):
                patch.setattr(starts, "subprocess", for_supervisors(warm_interpreters.supervisors.forks))
            patch.setattr(subprocess, "Popen", popen(warm_interpreters.programs.forks, starts=True))
        yield
