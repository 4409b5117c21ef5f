"""What a pool that is shared is for, and whom it takes in. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from loader.supervise.sharing.lag import LagMode

EPOCHS = 2**32
"""More than anybody trains for, and so few that no reader comes to where the numbers of epochs end (`loader.supervise.schedule.blocks`)."""


@dataclass(frozen=True, kw_only=True)
class SharedPool:
    """What a trainer that attaches is told, and may ask for.

    Attributes:
        name: of the loader; None where it is not shared.
        arena: of which each reader gets a descriptor that can't be mapped writable.
        arena_bytes: of it, without its layout.
        board: the counters; the trainer has written what else it is told.
        identity: tells the loader from others of that name. The supervisors of a loader have the same one.
        batches: in an epoch.
        rank, world: of the trainer that made the loader, in a data-parallel job. A reader may be another rank.
        lag: what happens with slow readers.
    """

    name: str | None
    arena: int
    arena_bytes: int
    board: int
    identity: int
    batches: int
    rank: int
    world: int
    lag: LagMode

    def first_batch(self, rank: int | None) -> int:
        """Return the number of the first batch of a rank in the pool's plan, which begins with those of the trainer that made the loader."""
        return 0 if rank is None else (rank - self.rank) % self.world * self.batches

    def rank_of(self, first: int) -> int | None:
        """Return the rank whose first batch has this number; None if there is only one."""
        return (self.rank + first // self.batches) % self.world if self.world > 1 else None

    def is_meant(self, request: Mapping[str, Any], told: Mapping[str, Any]) -> bool:
        """Whether a request is for this loader, and not for another one of the same name.

        Args:
            request: `loader.ipc.attachment` says what is in it.
            told: what the trainer that made the loader has written for others.
        """
        right = request.get("job") in (None, told.get("job")) and request.get("identity") in (None, self.identity)
        return request.get("name") == self.name and right

    def refusal(self, request: Mapping[str, Any], told: Mapping[str, Any]) -> str:
        """Return in words why a trainer is not taken in; "" if it may be. Arguments: those of `is_meant`."""
        if self.name is None:
            return "it is not shared; make it with shared=True"
        if not self.is_meant(request, told):
            return f"it is another loader; this one is called {self.name!r}"
        rank, world, ranks = request.get("rank"), request.get("world"), self.world
        if (rank, world) != (None, None) and not (world == ranks and is_number(rank, ranks)):
            return f"its batches are for {ranks} rank{'s' * (ranks > 1)}, from 0 to {ranks - 1}, and this one asks as rank {rank!r} of {world!r}"
        epoch, batch, settings = request.get("epoch"), request.get("batch"), request.get("settings")
        if not ((epoch is None or is_number(epoch, EPOCHS)) and is_number(batch, self.batches) and isinstance(settings, dict)):
            return f"epoch must be a number from 0 and batch one from 0 to {self.batches - 1}, not {epoch!r} and {batch!r}"
        have = told["settings"]
        unknown = [name for name in settings if name not in have]
        if unknown:
            return f"it can't be asked for {', '.join(map(str, unknown))}, only for {', '.join(have)}"
        differences = [f"{name}: {have[name]!r} there, {value!r} here" for name, value in settings.items() if have[name] != value]
        return "" if not differences else f"its settings differ: {'; '.join(differences)}"


def is_number(value: object, limit: int) -> TypeGuard[int]:
    """Whether what somebody sent is a number from 0 to below `limit`."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < limit
