"""A span on its way, what is counted of all of them, and what is wrong with one that came, or that did not."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from enum import Enum

from loader.data.remote.objects import UNKNOWN_SIZE, UNKNOWN_VERSION, Fetched, Problem, Span
from loader.errors import FetchError

_CHANGED = "has changed since the source was made, or is of another size. What to do: make the source again; a resumed run needs the same data"


class State(Enum):
    """Of a flight."""

    WAITING = "for its turn, or for the end of a pause"
    ELSEWHERE = "another process fetches it"
    UNDER_WAY = "one or several requests are on their way"
    ENDED = "it is there, or has failed for good"


@dataclass(eq=False, slots=True)
class Flight:
    """A span on its way. It belongs to the loop's thread, but for `result` and `error`, which are set once, before `ended`."""

    span: Span
    state: State = State.WAITING
    attempts: dict[asyncio.Task[Fetched], float] = field(default_factory=dict)  # and when each began
    failures: int = 0
    last: Problem | None = None
    result: Fetched | None = None
    error: Exception | None = None
    ended: bool = False
    wanted: int = 1  # so many will take it
    kept: bool = False  # in the cache
    insists: bool = False  # on being fetched, whatever is in the cache or elsewhere
    spare: bool = False  # nobody will take it: it is for the cache


class Landings:
    """Where one thread waits for a flight that another one ends."""

    def __init__(self) -> None:
        self._landed = threading.Condition()
        self._awaited: Flight | None = None

    def wait_for(self, flight: Flight, patience_s: float) -> bool:
        """Wait until a flight has ended; return whether it has."""
        with self._landed:
            self._awaited = flight
            arrived = self._landed.wait_for(lambda: flight.ended, patience_s)
            self._awaited = None
        return arrived

    def end(self, flight: Flight) -> None:
        """End a flight, whose result or error is set."""
        with self._landed:
            flight.ended = True
            if flight is self._awaited:  # each time that it is woken it has to get Python's lock
                self._landed.notify()


@dataclass
class Counts:
    """What one process has fetched.

    Attributes:
        fetched: spans.
        nbytes: of them.
        hits: spans that were in the cache.
        hit_bytes: of them.
        retries: requests that were sent again, because one failed or took too long.
        in_flight: requests that are on their way now.
        waited_ns: in `take`.
        depth: requests that may be on their way now.
        took_ns: from the requests for those that were fetched to their answers.
    """

    fetched: int = 0
    nbytes: int = 0
    hits: int = 0
    hit_bytes: int = 0
    retries: int = 0
    in_flight: int = 0
    waited_ns: int = 0
    took_ns: int = 0
    depth: int = 0


def late(flight: Flight, patience_s: float) -> FetchError:
    """Return what is raised for a flight that has not ended within `patience_s`."""
    last = flight.last
    said = f"; the last of {flight.failures} failed tries: {last.words}" if last else ""
    return FetchError(
        flight.span.url,
        f"did not come within {patience_s:.3g} s{said}. What to do: check network and store; a larger sample_timeout_s waits longer",
    )


def check(span: Span, fetched: Fetched) -> Problem | None:
    """Return what is wrong with an answer; None if nothing is."""
    if UNKNOWN_VERSION not in (span.version, fetched.version) and fetched.version != span.version:
        return Problem(_CHANGED, passes=False)
    got, size = len(fetched.content), fetched.size if span.size == UNKNOWN_SIZE else span.size
    if size == UNKNOWN_SIZE:
        wanted = got if span.end is None else span.end - span.start
    else:
        wanted = max(0, (size if span.end is None else min(span.end, size)) - span.start)
    if got == wanted:
        return None
    return Problem(f"{got:,} bytes came instead of {wanted:,}", passes=True)
