"""The processes that read all files for `loader inspect --verify`, and what happens when one of them dies."""

from __future__ import annotations

import json
import os
import selectors
import socket
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from loader.data.quarantine import BadEntry, utc_now
from loader.errors import LoaderError
from loader.ipc import deaths, memfd, payload
from loader.watch.verify_checks import Check
from loader.watch.verify_worker import Cell

_POLL_S = 0.1
_LARGEST_RANGE = 256
_DEATHS = 3  # at one file, the last two with nothing else in hand: then it was not a kill from outside


@dataclass
class Found:
    """What is known so far: bad files, and files with NaN or infinity, by index."""

    bad: dict[int, BadEntry] = field(default_factory=dict)
    floats: dict[int, tuple[int, int]] = field(default_factory=dict)
    files: int = 0
    bytes: int = 0


@dataclass
class _Hand:
    """A worker: its process, our end of its socket, the range that it holds, and when it last got on."""

    number: int
    process: subprocess.Popen[bytes]
    link: socket.socket
    held: tuple[int, int] | None = None
    rest: bytes = b""
    seen: tuple[int, int] = (-1, -1)
    since: float = field(default_factory=time.monotonic)
    stalled: bool = False  # and killed for it


class Verifier:
    """Checks all files, or all samples, in processes of its own; `run` once, then `close`."""

    def __init__(self, check: Check, jobs: int, stall_s: float) -> None:
        self.found = Found()
        self._check = check
        self._jobs = min(jobs, len(check))
        self._stall_s = stall_s
        self._payload = payload.dump(check)
        self._board = memfd.create("verify", self._jobs * len(Cell) * 8)
        self._cells = memfd.attach(self._board).view("int64").reshape(-1, len(Cell))
        step = max(1, min(_LARGEST_RANGE, len(check) // (8 * self._jobs)))
        self._ranges = deque((start, min(start + step, len(check))) for start in range(0, len(check), step))
        self._deaths: Counter[int] = Counter()
        self._accused = 0
        self._hands: dict[int, _Hand] = {}
        self._selector = selectors.DefaultSelector()

    def run(self, stopped: Callable[[], bool], show: Callable[[Found], None]) -> None:
        """Return when all files were read, or soon after `stopped()` is true. `show` is called about ten times a second."""
        for number in range(self._jobs):
            self._start(number)
        while self._hands and not stopped():
            for key, _ in self._selector.select(_POLL_S):
                self._hear(key.data)
            self._kill_stalled()
            self.count()
            show(self.found)

    def count(self) -> None:
        """Bring the numbers of files and bytes up to date."""
        self.found.files = int(self._cells[:, Cell.FILES].sum()) + self._accused
        self.found.bytes = int(self._cells[:, Cell.BYTES].sum())

    def close(self) -> None:
        """Kill what still runs, and give everything back."""
        for hand in list(self._hands.values()):
            hand.process.kill()
            self._bury(hand)
        self._selector.close()
        os.close(self._payload)
        os.close(self._board)

    def _start(self, number: int) -> None:
        if not self._ranges:
            return
        ours, theirs = socket.socketpair()
        with theirs:
            given = [theirs.fileno(), self._payload, self._board]
            command = [sys.executable, "-m", "loader.watch.verify_worker", str(os.getpid()), *map(str, given), str(number)]
            search = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
            process = subprocess.Popen(command, pass_fds=given, stdin=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": search})
        hand = self._hands[number] = _Hand(number, process, ours)
        self._cells[number, Cell.INDEX] = -1
        self._selector.register(ours, selectors.EVENT_READ, hand)
        self._deal(hand)

    def _deal(self, hand: _Hand) -> None:
        hand.held = self._ranges.popleft() if self._ranges else None
        if hand.held is None:
            hand.link.shutdown(socket.SHUT_WR)  # it ends, and its end of the socket with it
            return
        try:
            hand.link.sendall(f"{hand.held[0]} {hand.held[1]}\n".encode(), socket.MSG_NOSIGNAL)
        except OSError:  # it has died; that is seen when its socket is read
            return

    def _hear(self, hand: _Hand) -> None:
        try:
            raw = hand.link.recv(1 << 16)
        except ConnectionResetError:
            raw = b""
        if not raw:
            self._after_death(hand)
            return
        *lines, hand.rest = (hand.rest + raw).split(b"\n")
        for message in map(json.loads, lines):
            if "done" in message:
                self._deal(hand)
            elif "floats" in message:
                index, nan, infinite = message["floats"]
                self.found.floats[index] = (nan, infinite)
            else:
                self._accuse(*message["bad"])

    def _after_death(self, hand: _Hand) -> None:
        """Hand on what a dead worker held; accuse the file that it died of once too often."""
        status = self._bury(hand)
        if hand.held is not None:
            stop = hand.held[1]
            at = int(self._cells[hand.number, Cell.INDEX])
            index = first_left(hand.held, at)
            if at < 0:
                self._deaths[-1] += 1
                if self._deaths[-1] >= _DEATHS:
                    raise LoaderError(f"the processes that read end before they begin; the last one {deaths.in_words(status)}")
            else:
                self._deaths[index] += 1
            if index + 1 < stop:
                self._ranges.appendleft((index + 1, stop))
            if self._deaths[index] < _DEATHS:
                self._ranges.appendleft((index, index + 1))
            else:
                how = f"got no further for {self._stall_s:g} s" if hand.stalled else f"died, {deaths.in_words(status)}"
                self._accused += 1
                self._accuse(index, utc_now(), f"the process that read it {how}, {_DEATHS} times")
        self._start(hand.number)

    def _kill_stalled(self) -> None:
        """Kill workers that have read nothing for too long: a network file system may hang for ever."""
        now = time.monotonic()
        for hand in self._hands.values():
            seen = (int(self._cells[hand.number, Cell.FILES]), int(self._cells[hand.number, Cell.BYTES]))
            if seen != hand.seen:
                hand.seen, hand.since = seen, now
            elif now - hand.since > self._stall_s:
                hand.stalled = True
                hand.process.kill()

    def _bury(self, hand: _Hand) -> int:
        del self._hands[hand.number]
        self._selector.unregister(hand.link)
        hand.link.close()
        return hand.process.wait()

    def _accuse(self, index: int, when: str, reason: str) -> None:
        self.found.bad[index] = BadEntry(time=when, path=self._check.name_of(index), index=index, reason=reason, traceback="")


def first_left(held: tuple[int, int], at: int) -> int:
    """Return the first item of a range that its reader has not finished.

    Args:
        held: first item, and the one behind the last.
        at: item that the reader was last seen at; one outside the range is of the range before, and this one was not begun.
    """
    start, stop = held
    return at if start <= at < stop else start
