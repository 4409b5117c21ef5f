"""Names of samples, for the supervisor, which runs no user code: that might hang, and training with it."""

from __future__ import annotations

import json

from loader.data.pipeline.pipeline import Pipeline
from loader.data.sources.source import Source
from loader.supervise.user_code_child import Tell, UserCodeChild

# A name takes microseconds; meanwhile nobody is served.
_PATIENCE_S = 1.0


class SampleNames:
    """Names of samples.

    Args:
        pipeline: has them.
        child: how a child is asked where only code of the user's knows them.
    """

    def __init__(self, pipeline: Pipeline, child: UserCodeChild) -> None:
        self._pipeline = pipeline
        self._child = child
        self._known = _is_built_in(pipeline.source)

    def at_hand(self, index: int) -> str | None:
        """Return the path or ID of a sample; None where it has none, or code of the user's would have to be asked."""
        return self._pipeline.name_of(index) if self._known else None

    def found_out(self, index: int) -> str | None:
        """Return the path or ID of a sample, asking a child if need be; None where it has none, or the child does not answer."""
        if self._known:
            return self._pipeline.name_of(index)
        answer = self._child.ask(lambda tell: self._tell(index, tell), _PATIENCE_S)
        name: str | None = json.loads(answer.text)["name"] if answer.complete else None
        return name

    def _tell(self, index: int, tell: Tell) -> None:
        tell(json.dumps({"name": self._pipeline.name_of(index)}).encode() + b"\n")


def _is_built_in(source: Source) -> bool:
    """Whether a source, and all that it is made of, are this package's."""
    ours = type(source).__module__.split(".")[0] == __name__.split(".")[0]
    return ours and all(map(_is_built_in, source.members()))
