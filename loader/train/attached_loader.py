"""A loader that another script has made: what `Loader.attach` returns."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from loader.config import Config, plain
from loader.data.pipeline.batch_transforms import BatchTransform
from loader.data.pipeline.segments import Transform
from loader.data.plans.plan_facts import PlanFacts
from loader.data.transforms.functions.map_function import name_of
from loader.train.handle import Handle
from loader.train.state import State

_SETTINGS = ("batch_size", "shuffle", "seed", "drop_last", "shard", "on_error")
_CHARACTERS = 200  # of a transform
_LONGEST, _SHOWN = 2000, 60  # characters of a setting, and of one that is longer


class AttachedLoader(Handle):
    """Batches of a shared loader, in this script as in those that read them beside it: each batch of each epoch once, in order.

    Use it as a `Loader`. The arrays are read-only, since others read the same memory. `close` ends only what this script reads.

    Args:
        name: of the shared loader.
        epoch: to begin with; None: the one in which its readers are.
        batch: of that epoch.
        settings: that it must have.
        timeout_s: how long to wait for it to be there.
        who: `rank` and `world` of this process, if it is one of several that share each batch.

    Raises:
        AttachError: there is no such loader, it has no room, or its settings are others.
    """

    def __init__(
        self, name: str, epoch: int | None, batch: int, settings: Mapping[str, Any], timeout_s: float, who: Mapping[str, Any] | None = None
    ) -> None:
        from loader.train.remote.attached import Attached  # can be imported where there is a pool only

        producer = Attached(name, epoch, batch, _plain(settings), timeout_s, who)
        self.name = name
        self.plan = PlanFacts.from_dict(producer.told["plan"])
        self._state: dict[str, Any] = producer.told["state"]
        self._open(producer)

    @property
    def shuffles(self) -> bool:
        """Whether the order is new in every epoch."""
        return self._state["shuffle"] is not False

    def _state_at(self, epoch: int, batch: int) -> State:
        return State.from_dict(self._state | {"epoch": epoch, "batch": batch, "spec": str(self.spec)})

    def __repr__(self) -> str:
        return f"<AttachedLoader {self.name}: {'closed' if self._closed else f'{len(self):,} batches of {self.batch_size}'}>"


def shared_settings(config: Config, transforms: Sequence[Transform], batch_transforms: Sequence[BatchTransform]) -> dict[str, Any]:
    """Return the settings of a loader that a script which attaches may insist on, JSON-able."""
    given = {name: getattr(config, name) for name in (*_SETTINGS, "class_weight")}
    return _plain({**given, "transforms": transforms, "batch_transforms": batch_transforms})


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as JSON has them: sequences as lists, objects by what they say of themselves, functions by their names.

    A long one, such as the weights of many classes, becomes a digest: what a script asks and what it is told goes through a socket, in one line.
    """
    return {name: _shortened(_as_json(value)) for name, value in settings.items()}


def _shortened(value: Any) -> Any:
    raw = json.dumps(value, sort_keys=True)
    if len(raw) <= _LONGEST:
        return value
    from hashlib import sha256

    return f"{raw[:_SHOWN]}… ({len(raw):,} characters, SHA-256 {sha256(raw.encode()).hexdigest()[:16]})"


def _as_json(value: Any) -> Any:
    value = plain(value)
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)  # which JSON does not have
    if isinstance(value, float) and value.is_integer():
        return int(value)  # equal numbers are to be equal in a digest, too
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_as_json(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _as_json(item) for key, item in value.items()}
    return (name_of(value) if "<locals>" in repr(value) or " at 0x" in repr(value) else repr(value))[:_CHARACTERS]
