"""Who works, here and on other machines, and whose number is to change next. Pure.

Local workers come first: with `workers="auto"` their number is found while no more remote ones run than must. Once nothing is left to try there, or
nothing was changed for ten seconds, and the trainer still waits, remote ones make what is missing. The local number rests until they are not needed
any more: what local workers do beside others says little about how many of them there should be.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from loader.measure.moments import Moment
from loader.supervise.tuning.remote_tuner import RemoteTuner
from loader.supervise.tuning.tuner import Tuner

# The search for the number of local workers may begin again and again where their times vary much. What it would change, it has changed by then.
_PATIENCE_S = 10.0


@dataclass(frozen=True, slots=True)
class Crew:
    """Numbers of workers.

    Attributes:
        local: that are wanted on this machine.
        remote: that are wanted on others.
        there: those of the remote ones that take tickets.
    """

    local: int
    remote: int = 0
    there: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """What the numbers may be.

    Attributes:
        local: most workers on this machine, 1 or more.
        fewest_remote, remote: fewest and most on others.
    """

    local: int
    fewest_remote: int = 0
    remote: int = 0


@dataclass(frozen=True, slots=True)
class Change:
    """Another crew, and why, in words."""

    crew: Crew
    reason: str


class CrewTuner:
    """Finds both numbers for one loader.

    Args:
        cores: that the loader may use.
        limits: see there; those of remote workers stay.
    """

    def __init__(self, cores: int, limits: Limits) -> None:
        self._local = Tuner(cores)
        self._remote = RemoteTuner(limits.fewest_remote) if limits.remote else None
        self._watches_local = True
        self._changed_at: float | None = None

    def observe(self, moment: Moment, crew: Crew, limits: Limits, *, auto: bool) -> Change | None:
        """Take in what the counters say now; return another crew, or None.

        Args:
            moment: the counters; its time may count from any start.
            crew: that was wanted until now.
            limits: what is allowed now.
            auto: whether the number of local workers is to be found.
        """
        remote, now = self._remote, moment.at_s
        self._changed_at = now if self._changed_at is None else self._changed_at
        watches_local = auto and (remote is None or (crew.remote == limits.fewest_remote and remote.at_floor) or crew.local > limits.local)
        if watches_local:
            if not self._watches_local:
                self._local.interrupted()
            advice = self._local.observe(moment, crew.local, limits.local)
            if advice is not None:
                self._changed_at = now
                if remote is not None:
                    remote.interrupted()
                return Change(replace(crew, local=advice.workers), advice.reason)
        self._watches_local = watches_local
        if remote is None or (watches_local and not self._local.rests and now < self._changed_at + _PATIENCE_S):
            return None
        advice = remote.observe(moment, crew.local, crew.remote, crew.there, limits.remote)
        return None if advice is None else Change(replace(crew, remote=advice.workers), advice.reason)
