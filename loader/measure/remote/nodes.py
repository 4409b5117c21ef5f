"""What workers on other machines bring, machine by machine, from what was counted at two times."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from loader.measure.remote.counts import NodeCounts

# Workers that hold no ticket for more of their time than this wait for something else.
_BUSY = 0.7
# A worker that works for less than this share of the time in which it holds tickets waits for their way.
_WORKS = 0.6
# That is the way of what they make, if it is so much; less fits through any network.
_MUCH_BYTES_PER_S = 10e6
# One core is all that the gateway has.
_FULL = 0.85


@dataclass(frozen=True)
class NodeStats:
    """A machine with remote workers, or one that was refused.

    Attributes:
        name: its name or address.
        workers: that are there now.
        samples_per_s, bytes_per_s: that came from it, over the last 10 s.
        latency_ms: from sending a ticket to having its rows, its turn behind another one included, on average over the last 10 s.
        work_ms: of that, the worker's own time.
        hedges: tickets that others were asked for as well, because they were late, since the loader was made.
        deaths: of its workers since then.
        refused: why it is not used, in words; None if it is.
    """

    name: str
    workers: int
    samples_per_s: float
    bytes_per_s: float
    latency_ms: float
    work_ms: float
    hedges: int
    deaths: int
    refused: str | None = None

    def __str__(self) -> str:
        if self.refused is not None:
            return f"not used: {self.refused}"
        words = f"{self.workers} worker{'s' * (self.workers != 1)}, {self.samples_per_s:,.0f} samples/s, {self.bytes_per_s / 1e6:,.1f} MB/s, "
        words += f"{self.latency_ms:,.0f} ms a ticket, {self.work_ms:,.0f} of them work"
        return words + f", {self.hedges:,} hedged" * bool(self.hedges) + f", {self.deaths:,} died" * bool(self.deaths)


@dataclass(frozen=True)
class RemoteStats:
    """Workers on other machines.

    Attributes:
        workers: that take tickets.
        wanted: that should run now.
        most: that may be asked for.
        samples_per_s, bytes_per_s: that came from them, over the last 10 s.
        brings: how many times as many samples come as local workers alone would make.
        busy_ratio: share of their time in which they held a ticket, 0 to 1.
        work_ratio: share of that in which they worked on it; for the rest, it was on its way.
        gateway_ratio: share of a core that the process takes that receives what they make.
        nodes: a machine each.
    """

    workers: int
    wanted: int
    most: int
    samples_per_s: float = 0.0
    bytes_per_s: float = 0.0
    brings: float = 1.0
    busy_ratio: float = 0.0
    work_ratio: float = 0.0
    gateway_ratio: float = 0.0
    nodes: list[NodeStats] = field(default_factory=list)

    def __str__(self) -> str:
        there = f"{self.workers}" if self.workers == self.wanted else f"{self.workers} of {self.wanted}"
        return f"{there} workers, {self.samples_per_s:,.0f} samples/s, {self.bytes_per_s / 1e6:,.1f} MB/s, bring {self.brings:.1f} ×"

    def trouble(self, most_gain: float) -> tuple[str, float]:
        """Return what keeps them from bringing more, with what to do, and how many times as fast training is expected to be after that.

        Nothing (an empty text) while more of them are on their way, or idle.

        Args:
            most_gain: how many times as fast training would be with data always there.
        """
        refused = [f"{node.name} is not used: {node.refused}" for node in self.nodes if node.refused is not None]
        if self.workers < self.wanted:
            found = f"{self.workers} of the {self.wanted} remote workers that are wanted are there"
            cure = "; ".join(refused) or "the cluster has no place for more, or they are just starting"
            return f"{found}; {cure}", self._gain_with(self.wanted, most_gain)
        if self.busy_ratio < _BUSY:
            return "", 1.0
        flow = f"{self.bytes_per_s * 8e-9:.2g} Gbit/s"
        smaller = "smaller samples, such as uint8 instead of float32, or pictures cropped by an earlier transform, would bring more"
        if self.gateway_ratio >= _FULL:
            words = f"the process that receives what they make computes {self.gateway_ratio:.0%} of its time, at {flow}; {smaller}"
            return words, self._gain_with(2 * self.workers, most_gain)
        if self.work_ratio < _WORKS:
            works = f"they work only {self.work_ratio:.0%} of the time in which they hold tickets"
            if self.bytes_per_s < _MUCH_BYTES_PER_S:
                words = f"{works}, although little is sent ({flow}): the network takes long to answer, or a machine lacks cores"
            else:
                words = f"the network is the limit at {flow}, since {works}; {smaller}"
            return words, min(most_gain, self._all_working)
        if self.wanted == self.most:
            more = min(4 * self.most, math.ceil(self.workers * (1 + (most_gain - 1) * self.brings / max(0.1, self.brings - 1))))
            return f"all {self.most} that are allowed are busy; RayWorkers(max={more}) would bring more", self._gain_with(more, most_gain)
        return "", 1.0

    @property
    def _all_working(self) -> float:
        """How many times as many samples would come if the way of remote ones took no time."""
        return 1 + (1 - 1 / self.brings) * (1 / max(0.1, self.work_ratio) - 1)

    def _gain_with(self, workers: int, most_gain: float) -> float:
        """Return how many times as fast training would be with another number of remote workers, if each brings as much as now."""
        brought = (self.brings - 1) / self.workers * workers if self.workers else most_gain
        return min(most_gain, (1 + brought) / self.brings)


def remote_stats(
    then: Sequence[NodeCounts],
    now: Sequence[NodeCounts],
    elapsed_s: float,
    *,
    wanted: int,
    most: int,
    busy_s: float,
    gateway_s: float,
    rate: float,
    local_rate: float,
) -> RemoteStats:
    """Return what remote workers did between two times.

    Args:
        then, now: what was counted at each.
        elapsed_s: between them.
        wanted, most: remote workers that should run, and that may be asked for.
        busy_s: seconds of all of them together in which they held a ticket.
        gateway_s: seconds that the gateway computed.
        rate: samples per second, of all workers.
        local_rate: those that local workers make if they always have work.
    """
    nodes = [_node(before, counts, elapsed_s) for before, counts in zip([*then, *([None] * len(now))], now, strict=False)]
    made_s = sum(counts.made_ns for counts in now) / 1e9 - sum(counts.made_ns for counts in then) / 1e9
    there = sum(node.workers for node in nodes)
    return RemoteStats(
        workers=there,
        wanted=wanted,
        most=most,
        samples_per_s=sum(node.samples_per_s for node in nodes),
        bytes_per_s=sum(node.bytes_per_s for node in nodes),
        brings=max(1.0, rate / local_rate) if local_rate else 1.0,
        busy_ratio=min(1.0, busy_s / max(1e-9, elapsed_s * there)),
        work_ratio=max(0.0, min(1.0, made_s / busy_s)) if busy_s > 0 else 0.0,
        gateway_ratio=min(1.0, gateway_s / max(1e-9, elapsed_s)),
        nodes=nodes,
    )


def _node(then: NodeCounts | None, now: NodeCounts, elapsed_s: float) -> NodeStats:
    before = then or NodeCounts(now.node)
    tickets, seconds = max(1, now.tickets - before.tickets), max(1e-9, elapsed_s)
    return NodeStats(
        name=now.node,
        workers=now.workers,
        samples_per_s=max(0, now.samples - before.samples) / seconds,
        bytes_per_s=max(0, now.bytes - before.bytes) / seconds,
        latency_ms=max(0, now.took_ns - before.took_ns) / tickets / 1e6,
        work_ms=max(0, now.made_ns - before.made_ns) / tickets / 1e6,
        hedges=now.hedges,
        deaths=now.deaths,
        refused=now.refused,
    )
