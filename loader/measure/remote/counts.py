"""What was counted of each machine with remote workers, by the gateway, which receives what they make and writes that to the board once a second."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from loader.ipc.board import Board, GatewayCell, SupervisorCell, WorkerCell, WorkerState


class NodeCounts(NamedTuple):
    """What was counted of a machine since the loader was made.

    Attributes:
        node: its name or address.
        workers: that are there now.
        samples, tickets, bytes: that came from it.
        took_ns: from sending a ticket to having its rows in the slot, of all of them.
        made_ns: of that, the workers' own time.
        hedges: tickets of its workers that others were asked for as well, because they were late.
        deaths: of its workers.
        refused: why it is not used, in words; None if it is.
    """

    node: str
    workers: int = 0
    samples: int = 0
    tickets: int = 0
    bytes: int = 0
    took_ns: int = 0
    made_ns: int = 0
    hedges: int = 0
    deaths: int = 0
    refused: str | None = None


class RemoteCounts(NamedTuple):
    """What was counted of all machines, at one time.

    Attributes:
        local: number of the first worker that is not on this machine.
        made: samples that came from them.
        wanted: workers that should run there.
        gateway_ns: time that the gateway computed.
        nodes: a machine each.
    """

    local: int
    made: int = 0
    wanted: int = 0
    gateway_ns: int = 0
    nodes: tuple[NodeCounts, ...] = ()

    @classmethod
    def of(cls, board: Board) -> RemoteCounts:
        """Read it."""
        rows = board.workers[board.first_remote :]
        places = Counter(cells[WorkerCell.NODE_GAUGE] - 1 for cells in rows if cells[WorkerCell.STATE_GAUGE] != WorkerState.ABSENT)
        return cls(
            local=board.first_remote,
            made=sum(cells[WorkerCell.SAMPLES] for cells in rows),
            wanted=board.supervisor[SupervisorCell.REMOTE_GAUGE],
            gateway_ns=board.gateway[GatewayCell.CPU_NS],
            nodes=counted(board.gateway.read_text(), places),
        )


def counted(text: Mapping[str, Any], workers: Mapping[int, int]) -> tuple[NodeCounts, ...]:
    """Return what the gateway wrote, with the workers that each machine has by its place, which it never loses."""
    known = NodeCounts._fields
    told = [{name: value for name, value in node.items() if name in known} for node in text.get("nodes", ())]
    return tuple(NodeCounts(**node | {"workers": workers.get(place, 0)}) for place, node in enumerate(told))
