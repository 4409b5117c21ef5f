"""How many workers on other machines: the policy behind `remote=RayWorkers(max=...)`. Pure: intervals in, advice out (docs/tuning.md).

    wanted      local workers first; of the others, as many as make what is missing
    estimate    (samples per second that the trainer would take − those that the local workers can make) / those of a remote worker
    proof       more of them are kept if batches come 7 % sooner, or the trainer waits no more; fewer if nothing is lost; otherwise, back again
    rest        when nothing is left to try, only a change of the load, or the end of a pause that doubles each time, starts a new search

A remote worker brings less than it makes if the network is full. That shows as time in which it holds tickets, so the law above, with what one of
them brought when there were few, says how many would do as well.
"""

from __future__ import annotations

import math

from loader.measure.moments import Moment
from loader.measure.worker_count import MOST_GAIN, WAIT_NOTICED, with_room
from loader.supervise.tuning.intervals import Intervals, Shares
from loader.supervise.tuning.tuner import Advice, Allowance

# More workers are kept if batches come so much sooner, fewer if so little is lost.
GAIN_WANTED = 1.07
_LOSS_ALLOWED = 0.03
# If the trainer does not wait, its speed varies for its own reasons.
_SLOWED = 0.1
# A trial that is neither clearly better nor clearly not is looked at for longer. Before workers are dismissed, a bad moment or two must be seen.
_UNCLEAR = (0.9, 1.15)
_UNCLEAR_S = 2.5
_SHRINK_S = 2.0
# Workers that idle this much while the trainer waits are held up by something that more of them would not cure.
_BUSY_ENOUGH = 0.6
# A first jump may quadruple all workers; a second look at what failed before takes a smaller step.
_JUMP = 4.0
_STEP = 1.5
# A reduction is a trial that costs speed, so it must be worth it.
_WORTH_A_TRIAL = 0.8
_WORTH_ANOTHER = 0.9
# The load has changed when one of the three rates has, by this factor, or waiting appears where none was.
_CHANGED = 1.4
_WAIT_APPEARED = 0.08
# What a trainer that waits for more of its time than this would take is not known.
_HARDLY_WORKS = 0.9
# A cluster takes its time to start a worker; one that has not come by then has no place.
_STARTING_S = 30.0
_FIRST_PAUSE_S = 30.0
_LONGEST_PAUSE_S = 300.0


class RemoteTuner:
    """Finds the number of remote workers for one loader.

    Args:
        floor: fewest that are to run.
    """

    def __init__(self, floor: int) -> None:
        self._floor = floor
        self._intervals = Intervals()
        self._at: tuple[int, int, int] | None = None  # local workers, remote ones that are asked for, and those that have come
        self._came_at = -math.inf
        self._allowance = Allowance()
        self._forget()

    def _forget(self) -> None:
        self._home: Shares | None = None  # the count that is kept, and what it achieved last
        self._first: dict[int, Shares] = {}  # the first measurement at each count: what a drift is compared with
        self._too_few = -1  # the largest count that was tried and lost something
        self._no_more = False  # whether a larger one was tried and brought nothing
        self._factor, self._pause_s = _JUMP, _FIRST_PAUSE_S
        self._retry_at: float | None = None

    @property
    def at_floor(self) -> bool:
        """Whether the fewest are found to be enough, or nothing is known yet."""
        return self._home is None or self._home.remote <= self._floor

    def interrupted(self) -> None:
        """Not everything was seen since the last look."""
        self._intervals.restart()

    def observe(self, moment: Moment, local: int, asked: int, there: int, ceiling: int) -> Advice | None:
        """Take in what the counters say now; return another number of remote workers, or None.

        Args:
            moment: the counters; its time may count from any start.
            local: workers on this machine.
            asked: remote workers that were wanted until now.
            there: those of them that take tickets.
            ceiling: most that are allowed now.
        """
        now = moment.at_s
        self._allowance.pass_time(now)
        if not self._floor <= asked <= max(self._floor, ceiling):
            return self._go(max(self._floor, min(asked, ceiling)), f"from {self._floor} to {ceiling} remote workers are allowed")
        if (local, asked, there) != self._at:
            if self._at is None or self._at[0] != local:
                self._forget()
            self._at, self._came_at = (local, asked, there), now
            self._intervals.restart()
            return None
        self._intervals.add(moment)
        if there < self._floor or (there < asked and now < self._came_at + _STARTING_S):
            return None
        seen = self._intervals.shares(local, there)
        if seen is None or self._changed(seen) or self._unclear(seen):
            return None
        return self._decide(seen, self._learn(seen), asked, ceiling, now)

    def _go(self, remote: int, reason: str) -> Advice:
        self._allowance.take()
        self._retry_at = None
        self._intervals.restart()
        return Advice(remote, reason)

    # What is known.

    def _learn(self, seen: Shares) -> Shares:
        """Return what the count achieved that is kept: the one that was kept before, unless the present one has proved itself against it."""
        home = self._home
        self._first.setdefault(seen.remote, seen)
        if home is None or seen.remote == home.remote:
            self._home = home = seen
        elif seen.remote > home.remote:
            if seen.rate >= (GAIN_WANTED if seen.wait > WAIT_NOTICED else 1 + _LOSS_ALLOWED) * home.rate:
                self._too_few, self._home = home.remote, seen
            else:
                self._no_more = True
        elif seen.rate >= home.rate * (1 - _LOSS_ALLOWED) or (seen.wait <= WAIT_NOTICED and seen.rate >= home.rate * (1 - _SLOWED)):
            self._home = seen
        else:
            self._too_few = max(self._too_few, seen.remote)
        return self._home or seen

    def _changed(self, seen: Shares) -> bool:
        """Forget what was measured under another load; return whether there was one."""
        first = self._first.get(seen.remote)
        if first is None or self._intervals.elapsed_s < _SHRINK_S:
            return False
        ratios = [new / old for new, old in ((seen.local_rate, first.local_rate), (seen.each, first.each)) if old]
        if min(seen.wait, first.wait) < _HARDLY_WORKS:
            ratios.append(seen.wanted / first.wanted)
        at_home = self._home is not None and self._home.remote == seen.remote
        appeared = at_home and first.wait <= WAIT_NOTICED and seen.wait > _WAIT_APPEARED
        if not appeared and all(1 / _CHANGED <= ratio <= _CHANGED for ratio in ratios):
            return False
        self._forget()
        self._intervals.restart()
        return True

    def _unclear(self, seen: Shares) -> bool:
        home = self._home
        if home is None or seen.remote == home.remote or self._intervals.elapsed_s >= _UNCLEAR_S:
            return False
        return _UNCLEAR[0] < seen.rate / home.rate < _UNCLEAR[1]

    # What follows from it.

    def _decide(self, seen: Shares, home: Shares, asked: int, ceiling: int, now: float) -> Advice | None:
        if seen.remote != home.remote:
            return self._back(seen, home, asked)
        if asked > home.remote:  # there is no place for more
            least = self._fewer(home)
            return None if least is None else self._go(least, _enough(home))
        target, reason = self._more(home, ceiling), _missing(home, self._each(home))
        if target is None:
            target, reason = self._fewer(home), _enough(home)
        if target is None:
            self._rest(now)
            return None
        if not self._allowance.left or (target < home.remote and self._intervals.elapsed_s < _SHRINK_S):
            return None
        return self._go(target, reason)

    def _back(self, seen: Shares, home: Shares, asked: int) -> Advice | None:
        if home.remote == asked:  # some have gone by themselves, and others are on their way
            return None
        found = f"{home.remote} remote workers bring {home.rate:,.0f} samples/s, {seen.remote} bring {seen.rate:,.0f}"
        return self._go(home.remote, found)

    def _rest(self, now: float) -> None:
        """Nothing is left to try. When the pause is over, forget what has failed."""
        if self._retry_at is None:
            self._retry_at = now + self._pause_s
        if now < self._retry_at:
            return
        self._too_few, self._no_more = -1, False
        self._factor = _STEP
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
        self._retry_at = None

    def _each(self, home: Shares) -> float:
        """Return what a remote worker makes that nothing holds up: the most that one has made. Before there was one: as much as a local one."""
        return max((one.each for one in self._first.values()), default=0.0) or home.each or home.local_rate / home.local

    def _needed(self, rate: float, home: Shares) -> int:
        """Return how many remote workers make what the local ones can't make of `rate` samples per second."""
        each = self._each(home)
        return max(self._floor, math.ceil(with_room(rate / each) - home.local_rate / each - 1e-6))

    def _more(self, home: Shares, ceiling: int) -> int | None:
        """Return more remote workers that may do better, or None."""
        gain = min(MOST_GAIN, 1 / max(1 - home.wait, 1e-9))
        if self._no_more or gain < GAIN_WANTED or home.busy < _BUSY_ENOUGH:
            return None
        most = math.ceil(self._factor * (home.local + home.remote)) - home.local
        target = min(max(self._needed(gain * home.rate, home), home.remote + 1), most, ceiling)
        brings = (home.local_rate + target * self._each(home)) / home.rate
        return target if target > home.remote and brings >= GAIN_WANTED else None

    def _fewer(self, home: Shares) -> int | None:
        """Return fewer remote workers that may do as well, or None."""
        least, worth = self._needed(home.rate, home), home.remote - 1 if home.wait <= WAIT_NOTICED else int(_WORTH_A_TRIAL * home.remote)
        if least <= self._too_few:  # the law was too optimistic
            least, worth = math.ceil((self._too_few + home.remote) / 2), int(_WORTH_ANOTHER * home.remote)
        return least if least <= worth and least < home.remote else None


def _missing(home: Shares, each: float) -> str:
    words = f"the trainer waits {home.wait:.0%} of the time and would take {home.wanted:,.0f} samples/s; local workers make {home.local_rate:,.0f}"
    return f"{words}, a remote one {'perhaps ' * (not home.each)}{each:,.0f}"


def _enough(home: Shares) -> str:
    return (
        f"the trainer waits {home.wait:.0%} of the time, and takes {home.rate:,.0f} samples/s, of which local workers can make {home.local_rate:,.0f}"
    )
