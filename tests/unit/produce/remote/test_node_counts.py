from __future__ import annotations

from loader.ipc.board import Board
from loader.produce.remote.node_counts import NodeCounts


def test_counts_and_places_outlive_a_gateway_but_not_a_refusal() -> None:
    row = Board(None, 1, 1).gateway
    first = NodeCounts(row)
    first.see("a", "10.0.0.1")
    first.see("b", "10.0.0.2")
    first.of("b").samples += 7
    first.of("b").refused = "it has NumPy 1.0"
    first.publish()
    second = NodeCounts(row)
    second.see("c", "10.0.0.3")
    assert [second.place(name) for name in "abc"] == [1, 2, 3]
    assert second.of("b").samples == 7
    assert second.of("b").refused is None


def test_nodes_of_one_address_are_told_apart() -> None:
    counts = NodeCounts(Board(None, 1, 1).gateway)
    for name in "abc":
        counts.see(name, "127.0.0.1")
    counts.see("a", "127.0.0.1")
    assert [counts.of(name).node for name in "abc"] == ["127.0.0.1", "127.0.0.1 #2", "127.0.0.1 #3"]
