"""`RayWorkers`: the setting for workers on other machines. Knows nothing of Ray, which only the gateway imports (`loader.produce.remote`)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from loader.errors import ConfigError

_AMOUNT = "more than 0, and a whole number from 1 on, as Ray wants it"
_OF_RAY = ("CPU", "GPU", "memory", "object_store_memory")  # which Ray does not take among the others


@dataclass(frozen=True)
class RayWorkers:
    """Workers on the machines of a Ray cluster, for `Loader(..., remote=RayWorkers(...))`; docs/workers_on_other_machines.md.

    Each is an actor of Ray with a process of its own. This machine must be a node of the cluster (`ray start --address=...`).

    Args:
        max: most of them; a lower number where memory allows no more.
        min: how many there are at least, even if the workers of this machine keep up.
        cpus_per_worker: that Ray reserves for each.
        runtime_env: of Ray, as `ray.init` takes it: packages, environment variables, a folder of code.
        address: of the cluster; "auto" finds the one that this machine belongs to, or that RAY_ADDRESS names.
        resources: that Ray reserves for each besides, by name, such as `{"decoder": 1}`.

    Raises:
        ConfigError: a value is out of range; the message lists all that are.
    """

    max: int = 16
    min: int = 0
    cpus_per_worker: float = 1.0
    runtime_env: Mapping[str, Any] | None = field(default=None, hash=False)
    address: str = "auto"
    resources: Mapping[str, float] | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        """Check everything."""
        given: Any = self  # what a user gave may have any type
        allowed = {
            "max": (_whole(given.max) and given.max >= 1, "1 or more"),
            "min": (_whole(given.min) and given.min >= 0 and (not _whole(given.max) or given.min <= given.max), "from 0 to max"),
            "cpus_per_worker": (_amount(given.cpus_per_worker), _AMOUNT),
            "runtime_env": (given.runtime_env is None or isinstance(given.runtime_env, Mapping), "a dict, as ray.init takes it"),
            "address": (
                isinstance(given.address, str) and bool(given.address) and not given.address.startswith("ray://"),
                '"auto", or HOST:PORT of the cluster\'s head; not ray://, which copies everything: '
                "let this machine join the cluster (ray start --address=HOST:PORT)",
            ),
            "resources": (
                given.resources is None
                or (
                    isinstance(given.resources, Mapping)
                    and all(isinstance(name, str) and name not in _OF_RAY and _amount(n) for name, n in given.resources.items())
                ),
                f'a dict of numbers by name, such as {{"decoder": 1}}, each {_AMOUNT}; not CPU, which is cpus_per_worker, nor other names of Ray',
            ),
        }
        wrong = [
            f"RayWorkers({each.name}={getattr(self, each.name)!r}): must be {allowed[each.name][1]}"
            for each in fields(self)
            if not allowed[each.name][0]
        ]
        if wrong:
            raise ConfigError("wrong settings:\n  " + "\n  ".join(wrong) if len(wrong) > 1 else wrong[0])


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _amount(value: Any) -> bool:
    """Return whether Ray can reserve so much of a resource."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        return False
    return value > 0 and (value < 1 or float(value).is_integer())
