"""How many requests are worth having on their way: pure, from how long each of them takes.

By Little's law, as many answers a second come as requests are on their way, divided by the time that one takes. While the latency is what takes long,
more of them bring more. Where all wait for the same core or line, more of them only wait longer, and each answer costs more CPU time: it waits for
Python's lock in a thread of its own (docs/measurements.md). So fewer are tried now and then, or more, and kept if that is as good, or better:

    measured ──▶ tried with fewer ──┬── as many answers a second: kept, and fewer still are tried
                 (or with more)     └── not so many: as before; after a while, tried the other way
"""

from __future__ import annotations

_LEAST = 32.0
_STEP = 0.7
_AS_GOOD = 0.93  # fewer requests, for so much of the answers
_BETTER = 1.07
_ROUND = 2  # answers for each request on its way, that a rate is measured over
_REST = 16  # rounds, after what was tried was not kept: fewer requests than the latency needs cost a third


class Depth:
    """Looks for the least number of requests that brings all that can come.

    Args:
        most: requests; it begins with so many.

    Attributes:
        window: requests that may be on their way now.
    """

    def __init__(self, most: int) -> None:
        self._most = float(most)
        self._least = min(_LEAST, self._most)
        self.window = self._most
        self._kept = self.window
        self._rate: float | None = None  # with as many as are kept; None: not known yet
        self._fewer = True
        self._begin()

    def answered(self, took_s: float) -> None:
        """A request was answered while others waited for their turn."""
        if self._settling > 0:
            self._settling -= 1
            return
        self._answers += 1
        self._took_s += took_s
        if self._answers >= self._rounds * _ROUND * self.window:
            self._judge(self.window * self._answers / max(self._took_s, 1e-9))

    def _judge(self, rate: float) -> None:
        if self._rate is not None:
            if rate < self._rate * (_AS_GOOD if self.window < self._kept else _BETTER):
                self.window = self._kept
                self._fewer = not self._fewer
                self._rate = None
                self._begin(_REST)
                return
            self._kept = self.window
        self._rate = rate
        if self._kept == (self._least if self._fewer else self._most):
            self._fewer = not self._fewer
        self.window = max(self._least, self._kept * _STEP) if self._fewer else min(self._most, self._kept / _STEP)
        self._begin()

    def _begin(self, rounds: int = 1) -> None:
        """Measure, once the requests that are on their way have been answered."""
        self._rounds = rounds
        self._settling = int(self._most)
        self._answers = 0
        self._took_s = 0.0
