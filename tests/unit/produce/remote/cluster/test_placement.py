from __future__ import annotations

from collections import Counter

from loader.produce.remote.cluster.placement import Node, choose, room_for

NODES = [Node("a", "10.0.0.1", 8, True), Node("b", "10.0.0.2", 4, False), Node("c", "10.0.0.3", 8, False)]


def placed(count: int, refused: tuple[str, ...] = ()) -> Counter[str]:
    found: Counter[str] = Counter()
    for _ in range(count):
        node = choose(NODES, found, refused)
        if node is not None:
            found[node.name] += 1
    return found


def test_other_machines_are_filled_evenly_and_the_trainers_own_comes_last() -> None:
    assert placed(6) == {"b": 2, "c": 4}
    assert placed(12) == {"b": 4, "c": 8}
    assert placed(15) == {"b": 4, "c": 8, "a": 3}


def test_there_is_no_more_than_there_is_room_for() -> None:
    assert sum(placed(100).values()) == 20
    assert choose(NODES, placed(20), ()) is None


def test_a_node_that_is_refused_gets_none() -> None:
    assert placed(100, ("c",)) == {"b": 4, "a": 8}


def test_room_is_what_the_scarcest_resource_leaves() -> None:
    assert room_for({"CPU": 8.0, "decoder": 3.0}, {"CPU": 0.5, "decoder": 1.0}) == 3
    assert room_for({"CPU": 8.0}, {"CPU": 0.1}) == 80
    assert room_for({"CPU": 8.0}, {"CPU": 1.0, "decoder": 1.0}) == 0
