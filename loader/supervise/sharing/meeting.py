"""When readers that are ahead give way to those behind, so that they meet and share what they read. Pure: the clock is an argument.

Readers of equal speed that do not begin at the same time never meet by themselves, and each batch is made once for each of them, for as long as they
train. Somebody has to lose the time by which they are apart, once. Those ahead give way to those right behind them

    if these would keep up with them afterwards       their own work on a batch takes at most 10 % longer than those ahead need for one
    if these can come up within 30 s                  what is farther away is not worth it, as nobody knows how long they train
    it costs them 3 % of their time, two seconds at once, and nothing where the workers can't serve both anyway

To give way is to get one ticket for three of those behind, where there are not enough for both; and to be handed nothing, as long as the time lasts.
Whoever is kept works on what it holds first, so only the time for which it waits counts. What readers lose by one that is slow (`lag`) counts, too.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from loader.supervise.schedule.fairness import Gap
from loader.supervise.sharing.pace import Step

_SHARE = 0.03
_MOST_S = 2.0

# Once the time is used up, so much of it has to come together again.
_LEAST_S = 0.03

_SLOWER = 1.1
_REACH_S = 30.0


class Way(NamedTuple):
    """Who gives way.

    Attributes:
        ahead: readers that get fewer tickets.
        kept: those of them that are handed nothing.
    """

    ahead: frozenset[int] = frozenset()
    kept: frozenset[int] = frozenset()


class Meeting:
    """Decides who gives way, and sees what it costs.

    Attributes:
        way: as it was decided last.
    """

    def __init__(self) -> None:
        self.way = Way()
        self._credit_s = _MOST_S
        self._costs = False
        self._looked = 0.0

    def look(self, gaps: Sequence[Gap], steps: Mapping[int, Step | None], batch_s: float, waiting: Collection[int], held: bool, now: float) -> Way:
        """Decide anew.

        Args:
            gaps: between streams, the hindmost first.
            steps: how long a batch takes each reader; None if that is not known, or it pauses.
            batch_s: how long it takes the workers.
            waiting: readers that wait for a batch.
            held: whether a slow reader holds up others.
            now: in seconds of a clock that never goes back.
        """
        elapsed, self._looked = now - self._looked if self._looked else 0.0, now
        self._credit_s = min(_MOST_S, self._credit_s + _SHARE * elapsed - (elapsed if self._costs else 0.0))
        affordable = self._credit_s > (0.0 if self.way.kept else _LEAST_S)
        ahead: set[int] = set()
        kept: set[int] = set()
        for gap in gaps:
            if _will_meet(gap, steps, batch_s):
                ahead.update(gap.ahead)
                if affordable and (gap.batches > 0 or self.way.kept.issuperset(gap.ahead)):
                    kept.update(gap.ahead)
        self.way = Way(frozenset(ahead), frozenset(kept))
        self._costs = held or not kept.isdisjoint(waiting)
        return self.way


def _will_meet(gap: Gap, steps: Mapping[int, Step | None], batch_s: float) -> bool:
    behind, ahead = ([step for reader in readers if (step := steps.get(reader)) is not None] for readers in (gap.behind, gap.ahead))
    if len(behind) < len(gap.behind) or len(ahead) < len(gap.ahead):
        return False
    slowest_s = max(step.own_s for step in behind)
    return slowest_s <= _SLOWER * max(step.all_s for step in ahead) and gap.batches * max(slowest_s, batch_s) <= _REACH_S
