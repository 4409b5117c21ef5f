"""How long an actor that does not come to life is waited for. No Ray runs here, but the module knows its errors."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from loader.ipc.board import Board
from loader.produce.remote.cluster.placement import Node
from loader.produce.remote.hand import Hand
from loader.produce.remote.node_counts import NodeCounts


class Silent:
    """A cluster of one node, on which no process starts."""

    def __init__(self) -> None:
        self.started: list[Node | None] = []
        self.ended = 0

    def nodes(self, then: Any) -> None:
        then([Node("a", "10.0.0.1", 4, False)], None)

    def start(self, node: Node | None) -> Any:
        self.started.append(node)
        return SimpleNamespace(call=lambda *arguments, **then: None, end=self.end)

    def end(self) -> None:
        self.ended += 1


def test_an_actor_that_is_slow_to_start_is_waited_for_and_the_next_one_for_longer() -> None:
    from loader.produce.remote.recruiting import Recruiter

    board, cluster = Board(None, 1, 1), Silent()
    given: Any = cluster
    recruiter = Recruiter(given, None, None, None, NodeCounts(board.gateway), lambda hand: None)  # type: ignore[arg-type]
    hand = Hand(1, board.workers[1])
    recruiter.seek(hand)
    begun = hand.since
    recruiter.look([hand], begun + 50)
    assert len(cluster.started) == 1
    recruiter.look([hand], begun + 61)
    assert [node and node.name for node in cluster.started] == ["a", None]
    assert cluster.ended == 1
    hand.node = "a"  # Ray has named it, and nothing runs there yet
    recruiter.look([hand], hand.since + 100)
    assert cluster.ended == 1
    recruiter.look([hand], hand.since + 121)
    assert cluster.ended == 2
