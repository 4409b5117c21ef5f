"""How far a long listing or transfer is, for whoever waits for it."""

from __future__ import annotations

import logging
import sys
import time

_SHOWN_AFTER_S = 2.0
_EVERY_S = 1.0

_log = logging.getLogger("loader.data")


class Shown:
    """Says how far a long listing or transfer is, which counts `what`: on a terminal in one line that changes, else in the log."""

    def __init__(self, url: str, what: str) -> None:
        self.url = url
        self._what = what
        self._next_s = time.monotonic() + _SHOWN_AFTER_S
        self._terminal = sys.stderr is not None and sys.stderr.isatty()
        self._drawn = False

    def update(self, known: int, trouble: str) -> None:
        """So many are known; `trouble`: why a request failed that is tried again."""
        now = time.monotonic()
        if now < self._next_s or not (known or trouble):
            return
        words = f"{self.url}: {known:,} {self._what} so far" + (f"; {trouble}; it is tried again" if trouble else "")
        if self._terminal:
            print(f"\r\33[K{words}", end="", file=sys.stderr, flush=True)
            self._drawn = True
        else:
            _log.log(logging.WARNING if trouble else logging.INFO, "%s", words)
        self._next_s = now + (_EVERY_S if self._terminal else 10 * _EVERY_S)

    def end(self) -> None:
        """All are known."""
        if self._drawn:
            print(file=sys.stderr, flush=True)
        self._drawn = False
