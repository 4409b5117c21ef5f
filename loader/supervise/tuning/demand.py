"""What all readers of a pool want together, as if they were one trainer: that is what the workers are tuned for. Pure.

Those that go along with each other are handed the same batches, so the quickest one counts for all of them. Those that go apart need the sum. Each
would take its samples per second over the share of time that it does not wait; so the one trainer waits for the share that is lacking of the sum.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from loader.ipc.board import Board, TrainerCell
from loader.measure.moments import Moment

# A reader that waits for this share of a look, and takes nothing, has no data to go on with; otherwise it pauses.
_WAITS = 0.5
# A wait is known no better.
_MOST_WAIT = 0.95


class _Taken(NamedTuple):
    samples: int
    batches: int
    wait_ns: int


class Demand:
    """Adds up what readers did from one look to the next."""

    def __init__(self) -> None:
        self._total: _Taken | None = None
        self._last: dict[int, _Taken] = {}
        self._at_s = 0.0
        self._might: dict[int, float] = {}  # samples per second that a reader took, over the share of time that it did not wait

    def moment(self, board: Board, at_s: float, company: Mapping[int, int]) -> Moment:
        """Return the counters at a time, those of the trainer being what all readers did together since the first look.

        Args:
            board: counters of all processes.
            at_s: time.monotonic().
            company: for each reader, the number of one of those that are handed the same batches.
        """
        taken = {reader: _taken(board, reader) for reader in company}
        if self._total is None:
            self._total = _taken(board, 0)
        else:
            self._add(taken, at_s - self._at_s, company)
        self._last, self._at_s = taken, at_s
        return Moment.of(board, at_s)._replace(**self._total._asdict())

    def _add(self, taken: Mapping[int, _Taken], elapsed_s: float, company: Mapping[int, int]) -> None:
        quickest: dict[int, tuple[int, _Taken]] = {}
        for reader, now in taken.items():
            then = self._last.get(reader)
            if then is not None:
                did = _Taken(*(max(0, new - old) for new, old in zip(now, then, strict=True)))
                best = quickest.get(company[reader])
                if best is None or did.samples > best[1].samples:
                    quickest[company[reader]] = reader, did
        each = dict(quickest.values())
        samples, batches = sum(did.samples for did in each.values()), sum(did.batches for did in each.values())
        wait_ns = sum(did.wait_ns for did in each.values())
        if len(each) > 1:
            wait_ns = round(self._lacking(each, samples, elapsed_s) * elapsed_s * 1e9)
        assert self._total is not None
        self._total = _Taken(self._total.samples + samples, self._total.batches + batches, self._total.wait_ns + wait_ns)

    def _lacking(self, each: Mapping[int, _Taken], samples: int, elapsed_s: float) -> float:
        """Return the share that was lacking of what all of them would have taken."""
        might: dict[int, float] = {}
        for reader, did in each.items():
            wait = min(_MOST_WAIT, did.wait_ns / max(1.0, elapsed_s * 1e9))
            if did.samples:
                might[reader] = did.samples / (1 - wait)
            elif wait >= _WAITS:
                might[reader] = self._might.get(reader, 0.0) * elapsed_s
        self._might |= {reader: count / elapsed_s for reader, count in might.items()}
        return max(0.0, 1 - samples / sum(might.values())) if any(might.values()) else 0.0


def _taken(board: Board, reader: int) -> _Taken:
    row = board.reader(reader)
    return _Taken(row[TrainerCell.SAMPLES], row[TrainerCell.BATCHES], row[TrainerCell.WAIT_NS])
