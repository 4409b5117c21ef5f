"""Many objects, or ranges of them, on their way to one process at the same time.

Latency is what makes far data slow: one request after the other brings a dozen samples a second, whatever the bandwidth. So whoever knows what it
will read says so (`begin`), and takes it later (`take`). In between, a thread with an event loop keeps the requests going: it starts as many as the
store stands, tries again what failed, and asks a second time for what takes several times as long as usual.

    begun ── waiting ── under way ──┬── there ── taken
          │     ▲                   │
          │     └── after a pause ──┴── failed for good ── raised by `take`
          └── elsewhere: another process fetches it, for a cache that both fill; looked for until it is there, or that one has given up

Nobody but `take` gives up: what was begun beforehand may be tried for as long as it likes, since nobody waits for it yet.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Iterable

from loader.data.remote.fetch_cache.fetch_cache import FetchCache
from loader.data.remote.gathering.depth import Depth
from loader.data.remote.gathering.flights import Counts, Flight, Landings, State, check, late
from loader.data.remote.gathering.loop_thread import LoopThread
from loader.data.remote.gathering.pace import Pace, pause_s
from loader.data.remote.objects import Fetched, Problem, Span
from loader.data.remote.options import StorageOptions
from loader.data.remote.stores.stores import Stores
from loader.errors import ConfigError

_log = logging.getLogger("loader.worker")

_LOOKED_AFTER_EVERY_S = 0.02
_ATTEMPTS_AT_ONCE = 6  # for one span
_SHARE_OF_PATIENCE = 0.75  # of the time after which a worker is taken for stuck


class Gather:
    """Fetches spans. Each process makes its own; one thread at a time calls it.

    Args:
        options: of the stores.
        patience_s: after which a worker that waits is taken for stuck; `take` gives up sooner.
        most: requests on their way.
        kept: spans that are begun and not taken. Beyond that, the oldest ones are dropped, which nobody has taken since there was an error.
        cache: where spans are looked for, and to which those that were fetched are added; None for none. It is closed with this.

    Attributes:
        counts: what was done so far.
        fills: whether the cache, if there is one, takes more of what nobody asks for yet.
    """

    def __init__(self, options: StorageOptions, patience_s: float, most: int, kept: int, cache: FetchCache | None = None) -> None:
        self.counts = Counts(depth=most)
        self.fills = cache is not None
        self._patience_s = _SHARE_OF_PATIENCE * patience_s
        self._stores = Stores(options, self._patience_s)
        self._pace, self._depth, self._cache = Pace(most), Depth(most), cache
        self._kept = max(kept, most)
        self._flights: dict[Span, Flight] = {}  # in the order in which they were begun
        self._waiting: deque[Flight] = deque()
        self._under_way: dict[Flight, None] = {}
        self._elsewhere: list[Flight] = []
        self._landings = Landings()
        self._watching = self._filling = False
        self._chance = random.Random()  # its own: that of the module is for the user's functions
        self._thread = LoopThread((lambda: None) if cache is None else cache.close)
        self._loop = self._thread.loop

    def begin(self, spans: Iterable[Span], again: bool = False, first: bool = False) -> None:
        """Begin to fetch spans, unless they are begun already, and don't wait for them.

        `again`: those that are will be taken once more than was known. `first`: they come before all that waits for its turn.
        """
        self._thread.check_process()
        new = []
        for span in spans:
            if (begun := self._flights.get(span)) is None:
                kept = self._cache is not None and self._cache.has(span)
                self._flights[span] = flight = Flight(span, ended=kept, kept=kept)
                new.append(flight)
            elif again:
                begun.wanted += 1
        if not new:
            return
        dropped = []
        while len(self._flights) > self._kept and (oldest := next(iter(self._flights.values()))) is not new[0]:
            dropped.append(self._flights.pop(oldest.span))
        flights = [flight for flight in new if not flight.kept]
        if flights or dropped:
            self._loop.call_soon_threadsafe(self._admit, flights, dropped, first)

    def take(self, span: Span) -> Fetched:
        """Return a span, once it is there; it is forgotten when all have taken it who will.

        Raises:
            DataNotFoundError: there is no such object.
            FetchError: it can't be fetched, has changed, or did not come in time.
        """
        self.begin((span,), first=True)
        flight = self._flights[span]
        flight.wanted -= 1
        if not flight.wanted:
            del self._flights[span]
        self._wait_for(flight)
        if flight.kept and self._cache is not None:
            if (kept := self._cache.read(span)) is not None:
                self.counts.hits += 1
                self.counts.hit_bytes += len(kept.content)
                return kept
            flight = Flight(span, insists=True)  # it was damaged, or has been deleted
            self._loop.call_soon_threadsafe(self._admit, [flight], [], True)
            self._wait_for(flight)
        if flight.error is not None:
            self._flights.pop(span, None)  # whoever else wants it asks anew
            raise flight.error
        assert flight.result is not None
        return flight.result

    def keeps(self, span: Span) -> bool:
        """Return whether the cache has a span, or would keep it."""
        return self._cache is not None and (self._cache.takes(span) or self._cache.holds(span))

    @property
    def idle(self) -> bool:
        """Whether nothing is on its way, and nothing waits for its turn."""
        return not (self._filling or self._waiting or self._under_way or self._elsewhere)

    def fill(self, spans: Iterable[Span]) -> None:
        """Fetch spans for the cache alone, unless they are there. Nobody waits for them, so they are asked for once; for many only while `idle`."""
        self._thread.check_process()
        missing = [Flight(span, spare=True) for span in spans if self._cache is not None and not self._cache.holds(span)]
        if missing:
            self._filling = True
            self._loop.call_soon_threadsafe(self._fill, missing)

    def drop(self, span: Span) -> None:
        """Forget a span that nobody will take, wherever it is."""
        if (flight := self._flights.pop(span, None)) is not None:
            self._loop.call_soon_threadsafe(self._admit, [], [flight])

    def _wait_for(self, flight: Flight) -> None:
        if flight.ended:
            return
        began = time.monotonic_ns()
        arrived = self._landings.wait_for(flight, self._patience_s)
        self.counts.waited_ns += time.monotonic_ns() - began
        if not arrived:
            self._flights.pop(flight.span, None)
            self._loop.call_soon_threadsafe(self._admit, [], [flight])
            raise late(flight, self._patience_s)

    def close(self) -> None:
        """End the thread; nothing is fetched any more."""
        self._thread.close()

    # All that follows runs in the thread of the loop.

    def _admit(self, flights: list[Flight], dropped: list[Flight], first: bool = False) -> None:
        for flight in dropped:
            flight.state = State.ENDED
            self._leave(flight)
            if self._cache is not None:
                self._cache.drop(flight.span)
        (self._waiting.extendleft if first else self._waiting.extend)(flights)
        self._start()

    def _fill(self, flights: list[Flight]) -> None:
        self.fills = self._cache is not None and self._cache.takes(flights[0].span)
        if self.fills:
            self._admit(flights, [])
        self._filling = False

    def _start(self) -> None:
        """Start what waits for its turn, as much as the store stands."""
        self.counts.depth = int(min(self._pace.window, self._depth.window))
        while self._waiting and self.counts.in_flight < self.counts.depth:
            flight = self._waiting.popleft()
            if flight.state is not State.WAITING:
                continue
            if self._cache is None or flight.insists:
                self._attempt(flight)
            elif not self._cache.claim(flight.span):
                flight.state = State.ELSEWHERE
                self._elsewhere.append(flight)
                self._watch()
            elif self._cache.has(flight.span):  # since a moment ago
                self._cache.drop(flight.span)
                flight.kept = True
                self._finish(flight)
            else:
                self._attempt(flight)

    def _attempt(self, flight: Flight) -> None:
        try:
            store, place = self._stores.find(flight.span.url)
        except ConfigError as error:
            self._finish(flight, error=error)
            return
        flight.state = State.UNDER_WAY
        self._under_way[flight] = None
        self.counts.in_flight += 1
        task = self._loop.create_task(store.fetch(place.key, flight.span.start, flight.span.end))
        flight.attempts[task] = time.monotonic()
        task.add_done_callback(lambda done: self._landed_or_failed(flight, done))
        self._watch()

    def _landed_or_failed(self, flight: Flight, task: asyncio.Task[Fetched]) -> None:
        self.counts.in_flight -= 1
        began = flight.attempts.pop(task, 0.0)
        if task.cancelled():
            self._start()
            return
        error = task.exception()
        if flight.state is State.UNDER_WAY:
            problem = check(flight.span, task.result()) if error is None else self._stores.find(flight.span.url)[0].problem(error)
            if problem is None:
                took_s = time.monotonic() - began
                self._pace.answered(took_s)
                if self._waiting:
                    self._depth.answered(took_s)
                self.counts.took_ns += int(took_s * 1e9)
                self._finish(flight, task.result())
            else:
                self._failed(flight, problem)
        self._start()

    def _failed(self, flight: Flight, problem: Problem) -> None:
        flight.failures += 1
        flight.last = problem
        if problem.slow_down:
            self._pace.refused(time.monotonic())
        if not problem.passes or flight.spare:
            self._finish(flight, error=problem.error(flight.span.url))
        elif not flight.attempts:
            wait_s = pause_s(flight.failures, self._chance.random())
            _log.info("%s: %s; it is tried again in %.2g s (try %d)", flight.span.url, problem.words, wait_s, flight.failures + 1)
            flight.state = State.WAITING
            self._under_way.pop(flight, None)
            self._loop.call_later(wait_s, self._again, flight)

    def _again(self, flight: Flight) -> None:
        if flight.state is State.WAITING:
            self.counts.retries += 1
            self._waiting.appendleft(flight)  # the oldest, so the first that is waited for
            self._start()

    def _finish(self, flight: Flight, result: Fetched | None = None, error: Exception | None = None) -> None:
        flight.state = State.ENDED
        flight.result, flight.error = result, error
        if self._cache is not None and not flight.kept:
            if result is None:
                self._cache.drop(flight.span)
            else:
                self._cache.add(flight.span, result)
        if result is not None:
            self.counts.fetched += 1
            self.counts.nbytes += len(result.content)
        self._leave(flight)
        self._landings.end(flight)

    def _leave(self, flight: Flight) -> None:
        self._under_way.pop(flight, None)
        for task in list(flight.attempts):
            task.cancel()

    def _watch(self) -> None:
        if not self._watching:
            self._watching = True
            self._loop.call_later(_LOOKED_AFTER_EVERY_S, self._look)

    def _look(self) -> None:
        """Look for what others fetch, and ask once more for what is likely to hang, the oldest first. Goes on while anything is on its way."""
        self._look_elsewhere()
        now = time.monotonic()
        for flight in [flight for flight in self._under_way if not flight.spare]:
            latest, attempts = max(flight.attempts.values(), default=now), len(flight.attempts)
            if now - latest > self._pace.lost_after_s(attempts) and attempts < _ATTEMPTS_AT_ONCE and self._pace.hedge():
                _log.info("%s: no answer for %.2g s; it is asked for once more", flight.span.url, now - latest)
                self.counts.retries += 1
                self._attempt(flight)
        self._watching = False
        if self._under_way or self._elsewhere:
            self._watch()

    def _look_elsewhere(self) -> None:
        flights, self._elsewhere = self._elsewhere, []
        for flight in flights:
            if flight.state is not State.ELSEWHERE:
                continue
            flight.kept = self._cache is not None and self._cache.has(flight.span)
            if flight.kept:
                self._finish(flight)
            else:
                flight.state = State.WAITING
                self._waiting.append(flight)
        self._start()
