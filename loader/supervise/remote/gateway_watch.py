"""Whether the gateway gets on. Pure: the clock is an argument."""

from __future__ import annotations

from collections.abc import Sequence


class GatewayWatch:
    """Notices a gateway that does nothing, although its workers hold tickets.

    Its loop shows its CPU time on the board once a second, and what its workers hold changes as they get on. Both stop where a call of Ray does not
    return, as when the cluster's head has gone, and where a batch transform hangs.

    Args:
        timeout_s: a gateway for which nothing has moved for so long is stuck.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._seen: tuple[tuple[int, ...], int] | None = None
        self._since = 0.0

    def stuck(self, held: Sequence[int], cpu_ns: int, now: float) -> bool:
        """Return whether the gateway is stuck, whose workers hold the tickets of these numbers, and which has shown this CPU time."""
        seen = (tuple(held), cpu_ns)
        if not held or seen != self._seen:
            self._seen, self._since = seen, now
            return False
        return now - self._since >= self._timeout_s
