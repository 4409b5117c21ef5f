"""What a script that attaches to a shared loader knows of its plan. It makes no batches, so it needs no order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from loader.data.plans.epoch_plan import EpochPlan


@dataclass(frozen=True)
class PlanFacts:
    """Numbers of a plan, JSON-able; `EpochPlan` says what they are."""

    batches: int
    batch_size: int
    has_partial: bool
    by_length: bool
    left_out: int

    @classmethod
    def of(cls, plan: EpochPlan) -> PlanFacts:
        """Return those of a plan."""
        return cls(**{fact.name: getattr(plan, fact.name) for fact in fields(cls)})

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> PlanFacts:
        """Return what `to_dict` gave."""
        return cls(**{fact.name: given[fact.name] for fact in fields(cls)})

    def to_dict(self) -> dict[str, Any]:
        """Return them as JSON-able data."""
        return asdict(self)
