"""When a supervisor has died: whether another one may follow, and what that one runs with. No process is touched, and the clock is passed in."""

from __future__ import annotations

from collections import deque

from loader.config import Config
from loader.ipc.board import Cells, SupervisorCell
from loader.ipc.records import Resize

# An operator or the OOM killer may strike more than once. But what kills four supervisors within a minute, although each needs less than a second to
# start, kills the fifth as well, and whoever waits for the batch should be told.
MOST_RESTARTS = 3
WINDOW_S = 60.0


class RestartLimit:
    """Allows at most `most` restarts within any `window_s` seconds.

    Args:
        most: how many.
        window_s: length of the window.
    """

    def __init__(self, most: int = MOST_RESTARTS, window_s: float = WINDOW_S) -> None:
        self._window_s = window_s
        self._most = most
        self._times: deque[float] = deque()

    def allow(self, now: float) -> bool:
        """Return whether a restart at `now`, in seconds of a clock that never goes back, is within the limit; if so, it counts."""
        while self._times and self._times[0] <= now - self._window_s:
            self._times.popleft()
        if len(self._times) >= self._most:
            return False
        self._times.append(now)
        return True


class RequestedSettings:
    """The numbers of workers and the memory limit that script, tuner and operators have asked for, kept for the next supervisor.

    The last request counts. A supervisor shows what it runs with, and the number of the last `resize` that it has obeyed. If that is the script's
    last one, then what it shows is the latest request, whoever made it.

    Args:
        config: of the loader.
        cells: of the supervisor, where it shows what it runs with.
    """

    def __init__(self, config: Config, cells: Cells) -> None:
        self._cells = cells
        self._workers = config.worker_count
        self._auto = config.workers == "auto"
        self._remote = config.remote.min if config.remote else 0
        self._limit_bytes = 0  # where it is not that of `config`
        self._resizes = 0

    def resized(self, workers: int) -> Resize:
        """The script asks for so many workers. Return the record that tells the supervisor so."""
        self._workers, self._auto = workers, False
        self._resizes += 1
        return Resize(workers, self._resizes)

    def remember(self) -> None:
        """Take over the settings of a supervisor that has died, before its cells are cleared. One that died while it booted has none yet."""
        shown = self._cells[SupervisorCell.WORKERS_GAUGE]
        if shown and self._cells[SupervisorCell.RESIZES] == self._resizes:
            self._workers, self._auto = shown, bool(self._cells[SupervisorCell.AUTO_GAUGE])
        if shown:
            self._remote = self._cells[SupervisorCell.REMOTE_GAUGE]
        if shown and not self._cells[SupervisorCell.LIMIT_IS_DEFAULT_GAUGE]:
            self._limit_bytes = self._cells[SupervisorCell.LIMIT_BYTES_GAUGE]
        self._cells[SupervisorCell.RESIZES] = self._resizes  # the next one is told by `numbers`

    def numbers(self) -> dict[str, int]:
        """Return the fields of `loader.supervise.boot.BootParameters` that say so."""
        return {"workers": self._workers, "auto": int(self._auto), "remote": self._remote, "limit": self._limit_bytes}
