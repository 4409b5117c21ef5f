"""What a source tells, and is told, if its samples are far away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from loader.data.rows import Indices

if TYPE_CHECKING:
    from loader.data.remote.fetcher import Fetcher
    from loader.data.remote.objects import Span

FarSpans: TypeAlias = "Sequence[tuple[Fetcher, Sequence[Span]]]"
"""What is to be fetched, and by whom."""


class FarData:
    """The methods of a source about distance."""

    def members(self) -> Sequence[FarData]:
        """Return the sources that this one is made of."""
        return ()

    def fetchers(self) -> list[Fetcher]:
        """Return what fetches for this source, and for those that it is made of; nothing if all is on this machine."""
        return [fetcher for member in self.members() for fetcher in member.fetchers()]

    def far_spans(self, indices: Indices) -> FarSpans:
        """Return what is fetched for samples, where that can be kept in a cache; nothing where it can't, or where nobody knows."""
        return ()

    @property
    def rows_at_once(self) -> int:
        """How many samples may be begun and not read, over all workers, because each takes long to come and costs little; 0 if none takes long.

        The next samples that a process reads are then told to `will_read` by that process.
        """
        return max((fetcher.rows for fetcher in self.fetchers()), default=0)

    def be_patient(self, patience_s: float) -> None:
        """Be told after which time a worker that waits for a sample is taken for stuck: give up sooner."""
        for fetcher in self.fetchers():
            fetcher.patience_s = patience_s

    def versions(self) -> Indices | None:
        """Return numbers that change whenever an object that this source reads from afar does; None if it reads none."""
        return None
