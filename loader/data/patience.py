"""When something that somebody else does is late, and whether it may be begun once more elsewhere. Pure: times are arguments."""

from __future__ import annotations

# What takes much longer than usual is likely to hang, or to be at a bad place: it is begun once more, and whoever is first counts.
_MOST_TIMES_USUAL = 4
_SMOOTHING = 0.05
_REPEATS_PER_ANSWER = 0.15  # where all have become slow, doing things twice would make it worse
_MOST_REPEATS_SAVED = 32.0


class Patience:
    """Follows how long things take, and how far most of them are from that.

    Args:
        first_guess_s: when a thing is late, as long as none has been done.
        least_s: nothing is late sooner.
        most_s: everything is late by then.
        times_usual: a thing is late after so many times what is usual,
        deviations: and so many times the usual deviation from that.
    """

    def __init__(self, first_guess_s: float, least_s: float, most_s: float, times_usual: float = 1.5, deviations: float = 4.0) -> None:
        self._times_usual = times_usual
        self._deviations = deviations
        self._first_guess_s = first_guess_s
        self._least_s = least_s
        self._most_s = most_s
        self._usual_s: float | None = None  # for one part
        self._deviation_s = 0.0  # from what is usual, on average
        self._repeats = _MOST_REPEATS_SAVED / 4

    def answered(self, took_s: float, parts: int = 1) -> None:
        """A thing of `parts` equal parts was done in `took_s`."""
        part_s = took_s / parts
        if self._usual_s is None:
            self._usual_s, self._deviation_s = part_s, part_s / 2
        off_s = min(part_s, _MOST_TIMES_USUAL * self._usual_s) - self._usual_s
        self._usual_s += _SMOOTHING * off_s
        self._deviation_s += _SMOOTHING * (abs(off_s) - self._deviation_s)
        self._repeats = min(self._repeats + _REPEATS_PER_ANSWER, _MOST_REPEATS_SAVED)

    def late_after_s(self, parts: int = 1) -> float:
        """Return after how long a thing of `parts` parts is late: as TCP does it, from what is usual and how far most are from that (RFC 6298)."""
        return self._after_s(parts, self._times_usual)

    def overdue_after_s(self, parts: int = 1) -> float:
        """Return after how long nearly all things of `parts` parts are done: sooner than one is late, for where more than one thing tells."""
        return self._after_s(parts, 1)

    def _after_s(self, parts: int, times_usual: float) -> float:
        if self._usual_s is None:
            return self._first_guess_s
        after_s = parts * (times_usual * self._usual_s + self._deviations * self._deviation_s)
        return min(max(after_s, self._least_s), self._most_s)

    def repeat(self) -> bool:
        """Return whether one more thing may be begun once more, and count it."""
        if self._repeats < 1:
            return False
        self._repeats -= 1
        return True
