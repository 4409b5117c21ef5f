"""What the first sample tells of a source and of those that it is made of, for processes that must not read one.

A supervisor reads no sample: that is code of the user's, and what it opens or starts, such as threads, would be there when the workers are forked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from loader.data.pipeline.global_rng_seeding import Draws
from loader.data.sources.source import Source, with_members
from loader.data.spec import SampleSpec


class ToldSpec(NamedTuple):
    """What is known of one source.

    Attributes:
        example: the sample that shows what all are like.
        spec: what it shows; None if nobody has asked.
    """

    example: int
    spec: SampleSpec | None


def known_specs(source: Source) -> list[ToldSpec]:
    """Return what is known of `source` by now, its spec in any case, and of each source that it is made of."""
    first, *members = with_members(source)
    return [ToldSpec(first._example, first.spec), *(ToldSpec(member._example, vars(member).get("spec")) for member in members)]


def tell_specs(source: Source, told: Sequence[ToldSpec]) -> None:
    """Let `source`, and those that it is made of, know what `known_specs` returned for them elsewhere."""
    for each, (example, spec) in zip(with_members(source), told, strict=True):
        if each._example != example:
            each.learn_from(example)
        if spec is not None:
            vars(each)["spec"] = spec  # where a cached property keeps it; a property of the user's own is asked as before


@dataclass(frozen=True)
class FirstSample:
    """What the first sample told.

    Attributes:
        sources: about the source and those that it is made of.
        specs: of what each segment of callables makes of it.
        draws: which places draw from which global generators.
    """

    sources: Sequence[ToldSpec]
    specs: Sequence[SampleSpec]
    draws: Draws

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-able data."""
        return {
            "sources": [[example, spec and spec.to_json()] for example, spec in self.sources],
            "specs": [spec.to_json() for spec in self.specs],
            "draws": [[place, *names] for place, names in self.draws.items()],
        }

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> FirstSample:
        """Build what `to_json` described."""
        return cls(
            [ToldSpec(example, spec and SampleSpec.from_json(spec)) for example, spec in told["sources"]],
            [SampleSpec.from_json(spec) for spec in told["specs"]],
            {place: names for place, *names in told["draws"]},
        )
