"""What a source tells, and is told, if its samples are far away."""

from __future__ import annotations

from collections.abc import Sequence

from loader.data.rows import Indices


class FarData:
    """The methods of a source about distance. By default, they ask the sources that it is made of."""

    def members(self) -> Sequence[FarData]:
        """Return the sources that this one is made of."""
        return ()

    @property
    def rows_at_once(self) -> int:
        """How many samples may be on their way at once, over all workers, because each takes long to come and costs little; 0 if none takes long.

        The next samples that a process reads are then told to `will_read` by that process.
        """
        return max((member.rows_at_once for member in self.members()), default=0)

    def versions(self) -> Indices | None:
        """Return numbers that change whenever an object that this source reads from afar does; None if it reads none."""
        return None

    def be_patient(self, patience_s: float) -> None:
        """Be told after which time a worker that waits for a sample is taken for stuck: give up sooner."""
        for member in self.members():
            member.be_patient(patience_s)
