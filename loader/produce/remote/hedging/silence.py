"""Which nodes say nothing more. Pure: times are arguments.

One actor that has been at its ticket for a little longer than usual means nothing. If that is so for all actors of a node, and not for most of those
elsewhere, the node is gone, or its network: that is known sooner than of any of them alone, and what they hold may all be done by others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

_LEAST_ACTORS = 2  # one alone may have a slow sample
_TRUSTED_S = 60.0  # a node that was silent and has answered is slow; `standing` says what becomes of its actors


class Silence:
    """Follows which nodes are silent.

    Attributes:
        nodes: those that are.
    """

    def __init__(self) -> None:
        self.nodes: set[str] = set()
        self._trusted_until_s: dict[str, float] = {}

    def look(self, overdue: Mapping[str, Sequence[bool]], now_s: float) -> None:
        """Find out which nodes are silent.

        Args:
            overdue: for each node, of each actor that has something to do, whether it has been at that for longer than nearly all take.
            now_s: the time.
        """
        silent = {node for node, actors in overdue.items() if len(actors) >= _LEAST_ACTORS and all(actors)}
        others = list(chain.from_iterable(actors for node, actors in overdue.items() if node not in silent))
        if 2 * sum(others) >= len(others):  # it is not the node; where there are no others, nobody knows
            silent.clear()
        self.nodes = {node for node in silent if self._trusted_until_s.get(node, now_s) <= now_s}

    def answered(self, node: str, now_s: float) -> None:
        """An actor of a node has brought something."""
        if node in self.nodes:
            self.nodes.remove(node)
            self._trusted_until_s[node] = now_s + _TRUSTED_S
