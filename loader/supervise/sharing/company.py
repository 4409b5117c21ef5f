"""Who waits for whom: looks at the readers' counters, and tells the schedule what follows. The decisions are in `lag` and `meeting`."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from loader.ipc.board import TrainerCell
from loader.supervise.schedule.schedule import Schedule
from loader.supervise.sharing.lag import Lag, LagMode
from loader.supervise.sharing.meeting import Meeting, Way
from loader.supervise.sharing.pace import Counted, Pace, Step

_log = logging.getLogger("loader.supervisor")

# As plain numbers: they are read often.
_BATCHES, _WAIT_NS, _WAITING = int(TrainerCell.BATCHES), int(TrainerCell.WAIT_NS), int(TrainerCell.WAITING_GAUGE)

# How often it is looked while somebody waits for another reader, or will at any moment, and how often at most whether readers could meet.
_LOOK_S = 0.01
_LEAST_S = 0.005


class Company:
    """The readers of one pool among themselves.

    Args:
        mode: what happens with slow readers.
        schedule: is told who is to wait.
    """

    def __init__(self, mode: LagMode, schedule: Schedule) -> None:
        self._schedule = schedule
        self._lag = Lag(mode)
        self._splits = mode == "split"
        self._meeting = Meeting()
        self._paces: dict[int, Pace] = {}
        self._next = 0.0
        self._about_to_wait = False  # somebody will be held up when it has worked off what is in its hands, and will tell nobody

    def look(self, rows: Mapping[int, memoryview], now: float) -> bool:
        """Set a reader apart that holds up others for too long, and let those that are behind come up. Return whether one was set apart.

        Args:
            rows: cells of all readers, by their numbers.
            now: in seconds of a clock that never goes back.
        """
        waiting = [number for number, row in rows.items() if row[_WAITING]]
        hold_up = self._schedule.hold_up(waiting)
        self._about_to_wait = hold_up is None and self._schedule.hold_up(rows) is not None
        parted = hold_up if self._lag.ends(hold_up, now) else None
        if parted is not None:
            _log.debug("reader %d is so slow that it gets a stream of its own", parted.reader)
            self._schedule.set_apart(parted.reader)
        if self._splits and now >= self._next:
            self._next = now + _LEAST_S
            self._let_meet(rows, waiting, now)
        return parted is not None

    def _let_meet(self, rows: Mapping[int, memoryview], waiting: list[int], now: float) -> None:
        gaps = self._schedule.gaps()
        steps: dict[int, Step | None] = {}
        if gaps:
            self._paces = {number: self._paces.get(number) or Pace() for number in rows}
            for number, pace in self._paces.items():
                row = rows[number]
                steps[number] = pace.look(Counted(now, row[_BATCHES], row[_WAIT_NS] * 1e-9), number in waiting)
        elif self._paces:
            self._paces.clear()
        before = self._meeting.way
        way = self._meeting.look(gaps, steps, self._schedule.batch_s, waiting, self._lag.holds, now)
        if way != before or way != Way():
            self._schedule.give_way(way.ahead, way.kept)

    def patience_s(self, tick_s: float) -> float:
        """Return how long the loop may wait until this looks again."""
        soon = self._lag.holds or self._about_to_wait or self._meeting.way.kept
        return min(tick_s, _LOOK_S) if soon else tick_s
