"""What the supervisor hands to a gateway. Imports nothing that only loaders with remote workers need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from loader.ray_workers import RayWorkers

NO_CLUSTER = 75
"""Exit status of a gateway that found no cluster, and has said so."""


# Of Ray, which would otherwise warn of what is so on purpose, and colour what is no terminal.
ENVIRONMENT_OF_RAY = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_COLOR_PREFIX": "0",
    "RAY_SCHEDULER_EVENTS": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}


@dataclass(frozen=True)
class RemoteContext:
    """What the gateway needs beside what all workers share.

    Attributes:
        setting: as the user gave it.
        payload: descriptor of what the trainer has sent.
        found: what the first sample showed, as JSON-able data.
        levels: of the trainer's loggers, by name.
        timeout_s: setting `sample_timeout_s`.
    """

    setting: RayWorkers
    payload: int
    found: Mapping[str, Any]
    levels: Mapping[str, int]
    timeout_s: float
