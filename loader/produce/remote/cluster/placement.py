"""On which node the next actor is to run. Pure.

The cores of the trainer's own machine are for its local workers, which Ray knows nothing of, so it comes last. Among the others, the one with the
smallest share of its room taken is next, so that no node's network or disk has to serve all of them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple


class Node(NamedTuple):
    """A machine of the cluster.

    Attributes:
        name: that Ray has for it.
        address: for people.
        room: how many actors it could have if nothing else ran there.
        own: whether it is the trainer's machine.
    """

    name: str
    address: str
    room: int
    own: bool


def room_for(has: Mapping[str, float], needs: Mapping[str, float]) -> int:
    """Return how many actors that need so much of each resource a node could have."""
    return min(int(has.get(name, 0.0) / need + 1e-9) for name, need in needs.items())


def choose(nodes: Sequence[Node], placed: Mapping[str, int], refused: Collection[str]) -> Node | None:
    """Return the node for the next actor; None if none has room left.

    Args:
        nodes: that live.
        placed: how many actors each has, by its name.
        refused: names of nodes that are not to be used.
    """
    free = [node for node in nodes if node.name not in refused and placed.get(node.name, 0) < node.room]
    return min(free, key=lambda node: (node.own, placed.get(node.name, 0) / node.room, node.name), default=None)
