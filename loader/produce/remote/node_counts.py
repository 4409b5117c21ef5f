"""What comes from each node: counted by the gateway, and shown in its row of the board once a second, as text.

    {"nodes": [{"node": "10.0.0.7", "id": "…", "samples": 0, "tickets": 0, "took_ns": 0, "made_ns": 0, "bytes": 0, "hedges": 0, "deaths": 0,
                "refused": null}, …]}

A node keeps its place and its counts when it goes, and when another gateway follows this one.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass

from loader.ipc.board import Cells, GatewayCell


@dataclass
class NodeCount:
    """One node.

    Attributes:
        node: its address; with a number where several nodes have the same.
        id: the name that Ray has for it.
        samples: that it has made.
        tickets: that it has done.
        took_ns: from giving tickets to their actors to having their blocks, of all tickets together.
        made_ns: of this, what the actors say that they have worked.
        bytes: of the blocks that came.
        hedges: tickets that somebody else was asked for as well, because they were late.
        deaths: of its actors, at work.
        refused: why it is not used, in words.
    """

    node: str
    id: str
    samples: int = 0
    tickets: int = 0
    took_ns: int = 0
    made_ns: int = 0
    bytes: int = 0
    hedges: int = 0
    deaths: int = 0
    refused: str | None = None


class NodeCounts:
    """Counts of all nodes that have been seen.

    Args:
        row: of the gateway, on the board.
    """

    def __init__(self, row: Cells) -> None:
        self._row = row
        self._nodes = {each["id"]: NodeCount(**each) for each in row.read_text().get("nodes", [])}
        for each in self._nodes.values():
            each.refused = None  # it may have been set right meanwhile
        self._cpu_ns = 0

    def see(self, name: str, address: str) -> None:
        """Know a node, by the name that Ray has for it."""
        if name not in self._nodes:
            alike = sum(each.node.partition(" ")[0] == address for each in self._nodes.values())
            self._nodes[name] = NodeCount(f"{address} #{alike + 1}" if alike else address, name)

    def of(self, name: str) -> NodeCount:
        """Return the counts of a node, to be changed."""
        self.see(name, "somewhere")
        return self._nodes[name]

    def place(self, name: str) -> int:
        """Return the place of a node in the text, counted from 1."""
        return 1 + list(self._nodes).index(name)

    def publish(self) -> None:
        """Show them, and the CPU time of this process."""
        self._row.write_text({"nodes": [asdict(each) for each in self._nodes.values()]})
        now = time.process_time_ns()
        self._row.add(GatewayCell.CPU_NS, now - self._cpu_ns)
        self._cpu_ns = now
