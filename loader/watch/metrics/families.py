"""Which figures there are, what they are called, and where they are in what a supervisor answers to `status`. Pure.

Names follow the conventions of Prometheus: base units at their end, `_total` for what only grows. Rates are left to whoever stores the figures,
except where the loader knows them better: shares of its last ten seconds, which the verdict is based on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from loader.measure.kinds import Kind

Status = Mapping[str, Any]
Values = Iterable[tuple[Mapping[str, str], float]]


class Type(Enum):
    """What a figure does over time; the values are what OpenMetrics calls them."""

    GAUGE = "gauge"
    """It goes up and down."""
    COUNTER = "counter"
    """It only grows."""
    INFO = "info"
    """It is always 1, and its labels say something."""
    STATES = "stateset"
    """One of several states is 1, the others are 0."""


@dataclass(frozen=True)
class Family:
    """All figures of one name.

    Attributes:
        name: as it is shown, with `_total` or `_info`.
        type: what it does over time.
        help: what it says, in a sentence.
        read: from a status to labels and values; there are none if the loader does not have it.
        labels: names of the labels beside `loader` and `pid`.
    """

    name: str
    type: Type
    help: str
    read: Callable[[Status], Values]
    labels: tuple[str, ...] = ()

    @property
    def unit(self) -> str:
        """The unit at the end of its name, or an empty text."""
        last = self.name.removesuffix("_total").rpartition("_")[2]
        return last if last in ("seconds", "bytes", "ratio") else ""


def _gauge(name: str, says: str, *path: str) -> Family:
    return Family(name, Type.GAUGE, says, lambda status: _one(status, path))


def _counter(name: str, says: str, *path: str) -> Family:
    return Family(name, Type.COUNTER, says, lambda status: _one(status, path))


def _at(status: Status, path: Iterable[str]) -> Any:
    found: Any = status
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _one(status: Status, path: Iterable[str]) -> Values:
    found = _at(status, path)
    return [({}, float(found))] if isinstance(found, int | float) else []


def _each(kind: Type, name: str, says: str, where: tuple[str, ...], label: str, named: str, key: str, scale: float = 1.0) -> Family:
    """Return a family with a figure for each of a list of things."""

    def read(status: Status) -> Values:
        found = [(one.get(named), one.get(key)) for one in _at(status, where) or []]
        return [({label: str(who)}, value * scale) for who, value in found if who is not None and value is not None]

    return Family(name, kind, says, read, (label,))


def _by_worker(kind: Type, name: str, says: str, key: str) -> Family:
    """Return a family with a figure for each worker; those on other machines are labelled with it."""

    def read(status: Status) -> Values:
        for one in status.get("workers") or []:
            if one.get(key) is not None:
                node = {"node": str(one["node"])} if one.get("node") else {}
                yield {"worker": str(one.get("number")), **node}, one[key]

    return Family(f"loader_worker_{name}", kind, says, read, ("worker", "node"))


def _by_node(name: str, says: str, key: str) -> Family:
    return _each(Type.COUNTER, f"loader_node_{name}", says, ("totals", "nodes"), "node", "node", key)


def _by_stage(name: str, says: str, key: str, scale: float = 1.0) -> Family:
    return _each(Type.GAUGE, f"loader_stage_{name}", says, ("stages",), "stage", "name", key, scale)


def _by_reader(name: str, says: str, key: str) -> Family:
    return _each(Type.COUNTER, f"loader_reader_{name}", says, ("totals", "readers"), "reader", "number", key)


def _from_afar(name: str, says: str, *path: str) -> Family:
    """Return a counter that there is only if something comes from afar."""
    return Family(name, Type.COUNTER, says, lambda status: _one(status, path) if status.get("network") else [])


def _verdict(status: Status) -> Values:
    said = status.get("verdict_kind") or ""
    known = [kind.value for kind in Kind]
    return [({"loader_verdict": kind}, float(kind == said)) for kind in (known if said in known or not said else [*known, said])]


def _slots(status: Status) -> Values:
    return [({"state": state}, float(count)) for state, count in (status.get("slots") or {}).items()]


def _slow_readers(status: Status) -> Values:
    return [({"reader": str(one.get("number"))}, float(one.get("state") == "slow")) for one in status.get("readers") or []]


def _refused(status: Status) -> Values:
    return [({"node": str(one.get("name"))}, float(one.get("refused") is not None)) for one in _at(status, ("remote", "nodes")) or []]


def _local_workers(status: Status) -> Values:
    return [({}, float(sum(one.get("node") is None for one in status.get("workers") or [])))]


def _script(status: Status) -> Values:
    return [({"trainer_pid": str(status.get("trainer_pid") or ""), "script": str(status.get("script", ""))}, 1.0)]


FAMILIES = (
    # Which loader, and how far it is.
    Family("loader_info", Type.INFO, "The script that made the loader, and the process that trains.", _script, ("trainer_pid", "script")),
    _gauge("loader_start_time_seconds", "When the loader was made, in seconds since 1970.", "started"),
    _gauge("loader_epoch", "Epoch that the next batch belongs to, from 0.", "epoch"),
    _gauge("loader_epoch_batches", "Batches in an epoch.", "epoch_batches"),
    _gauge("loader_epoch_batches_delivered", "Batches of the present epoch that were delivered.", "batch"),
    # Is training waiting?
    _counter("loader_batches_delivered_total", "Batches that training took.", "totals", "batches"),
    _counter("loader_samples_delivered_total", "Samples that training took.", "totals", "samples"),
    _counter("loader_trainer_wait_seconds_total", "Time that training waited for data.", "totals", "trainer_wait_s"),
    _gauge("loader_trainer_wait_ratio", "Share of the last 10 s that training waited for data.", "trainer_wait_ratio"),
    _gauge("loader_last_batch_age_seconds", "Time since training took a batch, to a second.", "seconds_since_last_batch"),
    _counter("loader_copied_batches_total", "Batches that were copied because training kept all slots.", "totals", "copies"),
    # Who starves it?
    Family("loader_verdict", Type.STATES, "What limits training: one of these is 1.", _verdict, ("loader_verdict",)),
    _gauge("loader_verdict_gain_ratio", "How many times as fast training could be if that were cured.", "verdict_gain"),
    Family("loader_slots", Type.GAUGE, "Slots of shared memory: free, being filled, ready, lent to training.", _slots, ("state",)),
    _counter("loader_slots_full_seconds_total", "Time in which all slots were full, so that workers had nothing to do.", "totals", "slots_full_s"),
    # Which reader of a shared loader?
    _by_reader("batches_delivered_total", "Batches that a reader of a shared loader took; reader 0 is the script that made it.", "batches"),
    _by_reader("samples_delivered_total", "Samples that it took.", "samples"),
    _by_reader("wait_seconds_total", "Time that it waited for data.", "wait_s"),
    Family("loader_reader_slow", Type.GAUGE, "1 if it is the slow one, for which others wait.", _slow_readers, ("reader",)),
    # Which stage?
    _by_stage("time_ratio", "Share of the workers' busy time, over the last 10 s.", "share"),
    _by_stage("sample_seconds", "Time that it takes for a sample in one worker, over the last 10 s.", "ms_per_sample", 1e-3),
    _by_stage("batch_seconds", "The same for a batch, of batch transforms only.", "ms_per_batch", 1e-3),
    # Which worker?
    Family("loader_workers", Type.GAUGE, "Worker processes that run on this machine.", _local_workers),
    _gauge("loader_workers_wanted", "Worker processes that should run on this machine.", "wanted_workers"),
    _gauge("loader_workers_max", "Most worker processes that may be asked for on this machine.", "max_workers"),
    _gauge("loader_workers_auto", "1 if the loader finds the number of workers itself.", "auto"),
    _by_worker(Type.GAUGE, "busy_ratio", "Share of the last 10 s that the worker was busy.", "busy_ratio"),
    _by_worker(Type.COUNTER, "busy_seconds_total", "Time that the worker was busy.", "busy_s"),
    _by_worker(Type.COUNTER, "samples_total", "Samples that the worker made.", "samples"),
    _by_worker(Type.GAUGE, "memory_bytes", "Memory of the worker's own.", "memory_bytes"),
    # Which node?
    _gauge("loader_remote_workers", "Workers on other machines that take tickets.", "remote", "workers"),
    _gauge("loader_remote_workers_wanted", "Workers that should run on other machines.", "remote", "wanted"),
    _gauge("loader_remote_workers_max", "Most workers that may be asked for on other machines.", "remote", "most"),
    _gauge(
        "loader_remote_work_ratio", "Share of the time with tickets that they work; for the rest, tickets are on their way.", "remote", "work_ratio"
    ),
    _counter("loader_gateway_cpu_seconds_total", "CPU time of the process that receives what they make.", "totals", "gateway_s"),
    _each(Type.GAUGE, "loader_node_workers", "Workers on a machine.", ("remote", "nodes"), "node", "name", "workers"),
    _by_node("samples_total", "Samples that came from it.", "samples"),
    _by_node("tickets_total", "Tickets that came back from it.", "tickets"),
    _by_node("ticket_seconds_total", "Time from sending these tickets to having their rows.", "took_s"),
    _by_node("ticket_work_seconds_total", "Of that, the time that its workers worked on them.", "made_s"),
    _by_node("received_bytes_total", "Bytes that came from it.", "bytes"),
    _by_node("hedged_tickets_total", "Tickets of it that were late, so that others were asked for them as well.", "hedges"),
    _by_node("workers_died_total", "Workers on it that died.", "deaths"),
    Family("loader_node_refused", Type.GAUGE, "1 if it is not used; `loader status` says why.", _refused, ("node",)),
    # What does memory do?
    _gauge("loader_memory_shared_bytes", "Shared memory: slots, order, and arrays that came from the script.", "memory", "arena_bytes"),
    _gauge("loader_memory_private_bytes", "Memory of supervisor and workers of their own.", "memory", "private_bytes"),
    _gauge("loader_memory_limit_bytes", "What both together may take.", "memory", "limit_bytes"),
    _gauge("loader_memory_allowed_workers", "Workers that memory allows, where these are fewer than wanted.", "memory", "reduced_to"),
    _counter("loader_memory_replaced_workers_total", "Workers that were replaced because they took too much memory.", "memory", "replaced_workers"),
    # What died?
    _counter("loader_workers_died_total", "Workers that died and were replaced.", "restarts"),
    _by_worker(Type.COUNTER, "died_total", "How often the worker died and was replaced.", "restarts"),
    _counter("loader_supervisors_died_total", "Supervisors that died and were replaced.", "supervisor_restarts"),
    _counter("loader_sample_errors_total", "Failures of samples; one that fails twice counts twice.", "errors"),
    _counter("loader_bad_samples_total", "Samples that have been bad, each counted once.", "quarantined"),
    _counter("loader_substituted_rows_total", "Rows that hold another sample because their own was bad.", "substituted"),
    # What comes from afar?
    _gauge("loader_fetch_requests_in_flight", "Requests that are on their way.", "network", "in_flight"),
    _from_afar("loader_fetched_objects_total", "Objects, or ranges of them, that came.", "totals", "fetched_objects"),
    _from_afar("loader_fetched_bytes_total", "Bytes of them.", "totals", "fetched_bytes"),
    _from_afar("loader_fetch_wait_seconds_total", "Time that workers waited for them.", "totals", "fetch_wait_s"),
    _from_afar("loader_fetch_retries_total", "Requests that were sent again.", "network", "retries"),
    _from_afar("loader_fetch_cache_hits_total", "Objects that were found in a cache.", "network", "hits"),
)
