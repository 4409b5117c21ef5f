"""`loader top` in a real terminal: what it shows, what its keys do, and that the terminal is left as it was found."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from loader import Loader, NpyFiles
from tests.batches import take
from tests.cli.test_inspect import loader as command
from tests.conftest import script_environment
from tests.processes import PATIENCE_S, supervisor_of, wait_until, workers_of

pytestmark = pytest.mark.usefixtures("own_folder")

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_OTHER_SCREEN, _OWN_SCREEN = "\x1b[?1049h", "\x1b[?1049l"
_SHOW_CURSOR = "\x1b[?25h"


@pytest.fixture
def train(tmp_path: Path) -> Iterator[Loader]:
    for number in range(40):
        np.save(tmp_path / f"{number:03}.npy", np.zeros(10))
    with Loader(NpyFiles(str(tmp_path)), 8, workers=2, max_workers=4, name="train") as loader:
        take(loader)
        yield loader


class Top:
    """`loader top` in a pseudo-terminal."""

    def __init__(self, *words: object, rows: int = 24, columns: int = 80, **env: str) -> None:
        self.fd, self.terminal = pty.openpty()
        self.resize(rows, columns)
        self.modes = termios.tcgetattr(self.terminal)
        self.raw = ""
        environment = script_environment({"TERM": "xterm-256color", **env})
        for name in ("COLUMNS", "LINES", *([] if "NO_COLOR" in env else ["NO_COLOR"])):
            environment.pop(name, None)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.cli.in_terminal", "loader", "top", *map(str, words)],
            **dict.fromkeys(("stdin", "stdout", "stderr"), self.terminal),
            env=environment,
            start_new_session=True,
        )

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def type(self, keys: str) -> None:
        os.write(self.fd, keys.encode())

    def read(self) -> None:
        while select.select([self.fd], [], [], 0)[0]:
            self.raw += os.read(self.fd, 65536).decode(errors="replace")

    def wait_for(self, words: str, *, since: int = 0) -> str:
        """Return what was shown from `since` on, without colours, as soon as `words` are in it."""
        deadline = time.monotonic() + PATIENCE_S
        while words not in (shown := self.text[since:]):
            assert time.monotonic() < deadline, f"{words!r} did not come:\n{shown[-3000:]}"
            select.select([self.fd], [], [], 0.1)
            self.read()
        return shown

    @property
    def text(self) -> str:
        return _ESCAPES.sub("", self.raw)

    def wait_for_the_end(self) -> int:
        wait_until(lambda: self.read() or self.process.poll() is not None, "it ends")
        self.read()
        return self.process.returncode

    def left_as_found(self) -> bool:
        whole = self.raw.count(_OTHER_SCREEN) == self.raw.count(_OWN_SCREEN) and self.raw.rfind(_SHOW_CURSOR) > self.raw.rfind("\x1b[?25l")
        return whole and termios.tcgetattr(self.terminal) == self.modes

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()
        os.close(self.fd)
        os.close(self.terminal)


@contextlib.contextmanager
def top(*words: object, **given: object) -> Iterator[Top]:
    running = Top(*words, **given)  # type: ignore[arg-type]
    try:
        yield running
    finally:
        running.close()


def test_without_a_terminal_it_says_what_to_use_instead() -> None:
    result = command("top")
    assert (result.returncode, result.stdout) == (1, "")
    assert "loader status --json" in result.stderr


def test_it_shows_the_loader_and_q_leaves(train: Loader) -> None:
    with top("train") as shown:
        whole = shown.wait_for("q quit")
        for words in ("train", f"supervisor {supervisor_of(train)}", "batch 0 of 5", "trainer waits", "workers wait", "at most 4", "verdict"):
            assert words in whole
        assert all(str(pid) in whole for pid in workers_of(train))
        shown.type("q")
        assert shown.wait_for_the_end() == 0
        assert shown.left_as_found()


def test_it_gives_way_to_training(train: Loader) -> None:
    with top("train") as shown:
        shown.wait_for("q quit")
        assert psutil.Process(shown.process.pid).nice() > psutil.Process(train.pid).nice()


def test_plus_and_minus_change_the_workers_and_a_gives_them_to_auto(train: Loader) -> None:
    with top() as shown:
        shown.wait_for("q quit")
        shown.type("++")
        wait_until(lambda: len(workers_of(train)) == 4, "4 workers run")
        shown.wait_for("→ 4")
        shown.type("+")
        shown.wait_for("4 is the maximum")
        shown.type("-")
        wait_until(lambda: len(workers_of(train)) == 3, "3 workers run")
        shown.type("a")
        shown.wait_for("number chosen by auto")
        shown.wait_for("workers set to auto by an operator")


def test_tab_and_help(train: Loader, tmp_path: Path) -> None:
    with Loader(NpyFiles(str(tmp_path)), 4, workers=1, name="other") as other, top("train") as shown:
        take(other)
        shown.wait_for("2 of 2")
        shown.type("\x1b[C")
        shown.wait_for("1 of 2")
        shown.wait_for("batch 0 of 10")
        shown.type("?")
        shown.wait_for("one worker more, one fewer")
        shown.type("?")
        shown.wait_for("q quit", since=len(shown.text))


def test_it_follows_the_size_of_the_terminal(train: Loader) -> None:
    with top("train", rows=50, columns=150) as shown:
        shown.wait_for("q quit")
        for rows, columns in ((5, 20), (1, 1), (24, 80)):
            shown.resize(rows, columns)
            time.sleep(0.1)
        shown.wait_for("? help   q quit", since=len(shown.text))
        assert shown.process.poll() is None
        shown.type("q")
        assert shown.wait_for_the_end() == 0


def test_a_loader_that_hangs_does_not_hang_the_keys(train: Loader) -> None:
    with top("train") as shown:
        shown.wait_for("q quit")
        os.kill(supervisor_of(train), signal.SIGSTOP)
        try:
            shown.wait_for("does not answer for")
            shown.type("+")
            shown.wait_for("can't take commands now")
            shown.type("q")
            assert shown.wait_for_the_end() == 0
        finally:
            os.kill(supervisor_of(train), signal.SIGCONT)


def test_the_end_of_a_loader_is_shown_and_the_next_one_takes_its_place(train: Loader, tmp_path: Path) -> None:
    with top("train") as shown:
        shown.wait_for("q quit")
        train.close()
        shown.wait_for(" ended ")
        with Loader(NpyFiles(str(tmp_path)), 4, workers=1, name="next") as other:
            take(other)
            shown.wait_for("batch 0 of 10")


def test_it_waits_where_there_is_none() -> None:
    with top() as shown:
        shown.wait_for("no loader of yours is running")
        shown.type("q")
        assert shown.wait_for_the_end() == 0
    with top("train") as shown:
        shown.wait_for("no loader is called 'train'")
        assert shown.wait_for_the_end() == 1


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 0), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_signals_end_it_and_the_terminal_is_as_before(train: Loader, number: signal.Signals, status: int) -> None:
    with top("train") as shown:
        shown.wait_for("q quit")
        shown.type("\x03") if number == signal.SIGINT else shown.process.send_signal(number)
        assert shown.wait_for_the_end() == status
        assert shown.left_as_found()
        assert "Traceback" not in shown.text


def test_ctrl_z_gives_the_terminal_back_until_it_goes_on(train: Loader) -> None:
    with top("train") as shown:
        shown.wait_for("q quit")
        shown.process.send_signal(signal.SIGTSTP)
        wait_until(lambda: Path(f"/proc/{shown.process.pid}/stat").read_text().split()[2] == "T", "it is stopped")
        shown.read()
        assert shown.left_as_found()
        before = len(shown.text)
        shown.process.send_signal(signal.SIGCONT)
        shown.wait_for("q quit", since=before)
        shown.type("q")
        assert shown.wait_for_the_end() == 0
        assert shown.left_as_found()


@pytest.mark.cold  # a fork has no sitecustomize
def test_a_mistake_of_its_own_leaves_the_terminal_in_order(train: Loader, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import loader.watch.top.screen as s\ndef broken(*_): raise RuntimeError('broken')\ns._curves = broken\n"
    )
    with top("train", PYTHONPATH=f"{tmp_path}:{Path(__file__).parents[2]}") as shown:
        assert shown.wait_for_the_end() == 1
        assert shown.left_as_found()
        assert "RuntimeError: broken" in shown.text


def test_without_colour_there_is_none(train: Loader) -> None:
    with top("train", NO_COLOR="1") as shown:
        shown.wait_for("q quit")
        colours = [code for codes in re.findall(r"\x1b\[([0-9;]*)m", shown.raw) for code in codes.split(";") if code]
        assert {int(code) for code in colours} <= {0, 1, 2, 7}


def test_a_dumb_terminal_gets_pictures_one_below_the_other(train: Loader) -> None:
    with top("train", "--interval", "0.2", TERM="dumb") as shown:
        shown.wait_for("q quit", since=len(shown.wait_for("q quit")))
        assert "\x1b" not in shown.raw
        shown.type("q")
        assert shown.wait_for_the_end() == 0
        assert termios.tcgetattr(shown.terminal) == shown.modes
