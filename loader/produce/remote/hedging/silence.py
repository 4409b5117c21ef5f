"""Which nodes say nothing more. Pure: times are arguments.

One actor that has been at its ticket for a little longer than usual means nothing. If that is so for all actors of a node, and not for most of those
elsewhere, the node is gone, or its network: that is known sooner than of any of them alone, and what they hold may all be done by others. Those
elsewhere that have nothing to do have brought all that they were given, and so are not overdue. On the node itself, they tell nothing about now.
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
        self._unheard: set[str] = set()  # those that have been silent since their last answer, also if most others are late by now
        self._trusted_until_s: dict[str, float] = {}

    def look(self, overdue: Mapping[str, Sequence[bool | None]], now_s: float) -> None:
        """Find out which nodes are silent.

        Args:
            overdue: for each node that has actors, of each that may be given tickets, whether it has been at its ticket for longer than nearly all
                take; None if it has nothing to do.
            now_s: the time.
        """
        busy = {node: [late for late in actors if late is not None] for node, actors in overdue.items()}
        silent = {node for node, actors in busy.items() if len(actors) >= _LEAST_ACTORS and all(actors)}
        others = list(chain.from_iterable(actors for node, actors in overdue.items() if node not in silent))
        if 2 * others.count(True) >= len(others):  # it is not the node; where there are no others, nobody knows
            silent.clear()
        self.nodes = {node for node in silent if self._trusted_until_s.get(node, now_s) <= now_s}
        self._unheard = (self._unheard & overdue.keys()) | self.nodes

    def answered(self, node: str, now_s: float) -> None:
        """An actor of a node has brought something, or begins to."""
        self.nodes.discard(node)
        if node in self._unheard:
            self._unheard.remove(node)
            self._trusted_until_s[node] = now_s + _TRUSTED_S
