"""The errors of samples that no worker lived to tell: made by the supervisor, put into the text of the slot that they belong to."""

from __future__ import annotations

from typing import Any

from loader.errors import SampleError, SampleTimeout
from loader.ipc.board import write_text
from loader.ipc.records import Ticket
from loader.produce.worker import Production
from loader.supervise.commands import Accuse
from loader.supervise.suspects import DEATHS_TO_ACCUSE


def accuse(accused: Accuse, production: Production) -> None:
    """Write the error of a sample that killed its workers, or made them hang."""
    how = "made no progress for sample_timeout_s" if accused.timed_out else "killed its worker"
    reason = f"it {how}, {DEATHS_TO_ACCUSE} times in a row while it was the only one in its ticket"
    kind = SampleTimeout if accused.timed_out else SampleError
    write_text(production.arena.text(accused.slot), _record(kind, production, accused.epoch, accused.row, reason))


def accuse_of_memory(ticket: Ticket, told: dict[str, Any], arithmetic: str, production: Production) -> None:
    """Write the error of the only sample of `ticket`, which got no memory although its worker was the only one.

    Args:
        ticket: holds one row.
        told: the error as its worker met it; empty where it could not say.
        arithmetic: how much there was, in words.
        production: knows names and places.
    """
    error = told or _record(SampleError, production, ticket.epoch, ticket.first, "MemoryError")
    longer = {key: f"{text}; {arithmetic}" for key, text in error.items() if key in ("reason", "message")}
    write_text(production.arena.text(ticket.place), error | longer)


def _record(kind: type[SampleError], production: Production, epoch: int, row: int, reason: str) -> dict[str, Any]:
    index = int(production.order.indices(epoch, production.plan.positions(row, row + 1))[0])
    return kind(index=index, name=production.pipeline.source.name_of(index), reason=reason).to_record()
