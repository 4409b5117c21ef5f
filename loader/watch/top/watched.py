"""The loaders that `loader top` knows, the one that it shows, and what keys do. Answers and keys in, views and requests out: no terminal, no clock.

A loader that has ended stays on the screen. Its place is taken by its own next supervisor, or by the next loader that starts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

HELP = (
    ("+  -", "one worker more, one fewer; this ends auto"),
    ("a", "auto: the loader finds the number of workers"),
    ("tab  arrows", "another loader"),
    ("?", "this page, and back"),
    ("q", "quit; training continues"),
    ("", ""),
    ("samples/s", "samples that training took; the curves show the last minute"),
    ("trainer waits", "share of the time that training waited for data"),
    ("workers wait", "share of the time that workers had nothing to do"),
    ("slots", "shared memory for batches: ready, lent to training, filling, free"),
    ("memory", "shared and private memory of the loader, and its limit"),
    ("readers", "scripts that read a shared loader, and with whom they share their batches"),
    (
        "remote",
        "machines with workers of this loader: TICKET is the time from sending one to having its rows, HEDGED were late and given to others, too",
    ),
    ("workers", "died counts the ones that were replaced after a death"),
    ("decisions", "what auto, the memory limit, the script and operators changed, and why"),
)


@dataclass(frozen=True)
class View:
    """What is to be shown.

    Attributes:
        name: of the loader; empty where there is none.
        status: its last answer; None where it has given none.
        state: "live", "silent" (does not answer) or "ended".
        age_s: seconds since it answered.
        place, count: its number among the loaders, from 1, and how many there are.
        rates: samples per second of each worker, by its number.
        message: answers the last key.
        help: whether the keys are explained instead.
    """

    name: str = ""
    status: Mapping[str, Any] | None = None
    state: str = "live"
    age_s: float = 0.0
    place: int = 0
    count: int = 0
    rates: Mapping[int, float] = field(default_factory=dict)
    message: str = ""
    help: bool = False


_RATE_S = 5.0
_MESSAGE_S = 5.0
_NEXT = {"tab": 1, "right": 1, "down": 1, "backtab": -1, "left": -1, "up": -1}


class Answer(NamedTuple):
    """What a loader answered when it was asked for its status.

    Attributes:
        pid: of its supervisor.
        name: of the loader, or its pid if it did not say.
        status: None if it did not answer.
    """

    pid: int
    name: str
    status: dict[str, Any] | None


class Request(NamedTuple):
    """A command for a loader.

    Attributes:
        pid: of its supervisor.
        workers: a number, or "auto".
    """

    pid: int
    workers: int | str


@dataclass
class _Seen:
    """A loader that has been seen.

    Attributes:
        status: the last one.
        at: when it answered last.
        state: as `View` has it.
        samples: of its workers, at some moments of the last seconds.
        asked: workers that it was told to have, and has not confirmed.
    """

    answer: Answer
    at: float
    state: str = "live"
    samples: deque[tuple[float, dict[int, int]]] = field(default_factory=deque)
    asked: int | None = None

    def take_in(self, answer: Answer, now: float) -> None:
        """Take in what it answered, or that it did not."""
        if answer.status is None:
            self.state = "silent"
            return
        self.answer, self.at, self.state = answer, now, "live"
        self.samples.append((now, {worker["number"]: worker["samples"] for worker in answer.status.get("workers", [])}))
        while len(self.samples) > 1 and self.samples[1][0] <= now - _RATE_S:
            self.samples.popleft()

    def rates(self) -> dict[int, float]:
        """Return the samples per second of each worker, by its number, as far as they are known yet."""
        if len(self.samples) < 2:
            return {}
        (then, before), (now, after) = self.samples[0], self.samples[-1]
        return {number: max(0, made - before[number]) / (now - then) for number, made in after.items() if number in before}


class Watched:
    """The loaders, and the one that is shown.

    Args:
        pid: of the supervisor of the loader to begin with; None for the one that delivers most.
    """

    def __init__(self, pid: int | None = None) -> None:
        self._seen: dict[int, _Seen] = {}
        self._shown = pid
        self._awaited: str | None = None  # name of one that was shown and has ended; until a key is pressed, its successor is shown
        self._help = False
        self._message, self._message_until = "", 0.0

    def answered(self, answers: Sequence[Answer], now: float) -> None:
        """All loaders were asked; these are the answers, in the order in which they are to be shown."""
        before = self._seen
        self._seen = {}
        for answer in answers:
            seen = self._seen[answer.pid] = before.get(answer.pid) or _Seen(answer, now)
            seen.take_in(answer, now)
        shown = before.get(self._shown or 0)
        if shown is not None and shown.answer.pid not in self._seen:
            shown.state = "ended"
            self._seen[shown.answer.pid] = shown
            self._awaited = shown.answer.name
        self._succeed([seen for pid, seen in self._seen.items() if pid not in before])
        if self._shown not in self._seen:
            self._shown = max(self._seen, key=self._rate, default=None)

    def _succeed(self, new: list[_Seen]) -> None:
        """Show one of these instead of one that has ended: one of its name, or any until then."""
        shown = self._seen.get(self._shown or 0)
        heir = next((seen for seen in new if seen.answer.name == self._awaited), None)
        if heir is not None:
            self._awaited = None
        elif shown is not None and shown.state == "ended":
            heir = next((seen for seen in new if seen.state == "live"), None)
        if heir is not None:
            if shown is not None and shown.state == "ended":
                del self._seen[shown.answer.pid]
            self._shown = heir.answer.pid

    def _rate(self, pid: int) -> float:
        status = self._seen[pid].answer.status or {}
        return float(status.get("samples_per_s", 0))

    def press(self, key: str, now: float) -> Request | None:
        """Do what a key means; return the command for a loader, or None."""
        if key == "?":
            self._help = not self._help
        elif key in _NEXT:
            self._go(_NEXT[key])
        elif key in ("+", "-", "a") and (seen := self._seen.get(self._shown or 0)) is not None:
            return self._change(seen, key, now)
        return None

    def _go(self, step: int) -> None:
        pids = list(self._seen)
        self._awaited = None
        if pids:
            self._shown = pids[(pids.index(self._shown) + step) % len(pids) if self._shown in pids else 0]

    def _change(self, seen: _Seen, key: str, now: float) -> Request | None:
        status = seen.answer.status or {}
        wanted, most = seen.asked or status.get("wanted_workers"), status.get("max_workers")
        if seen.state != "live" or wanted is None or most is None:
            self.say("it can't take commands now", now)
            return None
        if key == "a":
            if status.get("auto"):
                self.say("auto is already on", now)
                return None
            seen.asked = None  # of several requests in one go, only the last is sent
            return Request(seen.answer.pid, "auto")
        workers = wanted + (1 if key == "+" else -1)
        if not 1 <= workers <= most:
            self.say(f"{wanted} is the least" if workers < 1 else f"{wanted} is the maximum (max_workers)", now)
            return None
        seen.asked = workers
        return Request(seen.answer.pid, workers)

    def told(self, request: Request, answer: dict[str, Any] | None, now: float) -> None:
        """A loader was sent a command, and this is its reply; None if it did not answer."""
        seen = self._seen.get(request.pid)
        if seen is not None and seen.asked == request.workers:
            seen.asked = None
        change = (answer or {}).get("changed", {}).get("workers")
        if change is None:
            self.say(
                "it did not answer, so it is not known whether anything was changed" if answer is None else str(answer.get("error", answer)), now
            )
            return
        self.say(f"workers {change['old']} → {change['new']}", now)
        if seen is not None and seen.answer.status is not None:
            seen.answer.status["auto"] = request.workers == "auto"
            if isinstance(request.workers, int):
                seen.answer.status["wanted_workers"] = request.workers

    def say(self, message: str, now: float) -> None:
        """Show a message for some seconds."""
        self._message, self._message_until = message, now + _MESSAGE_S

    def view(self, now: float) -> View:
        """Return what is to be shown."""
        message = self._message if now < self._message_until else ""
        seen = self._seen.get(self._shown or 0)
        if seen is None:
            return View(message=message, help=self._help)
        place = list(self._seen).index(seen.answer.pid) + 1
        return View(
            name=seen.answer.name,
            status=seen.answer.status,
            state=seen.state,
            age_s=now - seen.at,
            place=place,
            count=len(self._seen),
            rates=seen.rates(),
            message=message,
            help=self._help,
        )
