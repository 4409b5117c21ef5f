"""Who makes the batches of a loader, and the one place that says which of them comes next."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from loader.data.spec import Array, SampleSpec
from loader.ipc.board import Board, Cells


@dataclass
class Cursor:
    """The batch that comes next. `Position` alone moves it; whoever makes batches, or starts a process that does, asks it.

    Attributes:
        epoch: of the batch.
        batch: its number in the epoch.
    """

    epoch: int = 0
    batch: int = 0


class Producer(ABC):
    """Makes the batches of a loader, in order: in the calling process (`Inline`) or in a pool (`Remote`).

    Attributes:
        cursor: the batch that `take` returns. It stays where it is until the caller moves it.
        board: all counters of the loader.
        cells: the trainer's row of it.
    """

    cursor: Cursor
    board: Board
    cells: Cells

    @property
    @abstractmethod
    def pid(self) -> int:
        """Process id of the supervisor, or of this process if there is none."""

    @property
    @abstractmethod
    def specs(self) -> Sequence[SampleSpec]:
        """Specs of a finished sample, one for each layout that batches can have; the last one is the largest. Blocks until they are known."""

    @abstractmethod
    def take(self, leased: bool) -> tuple[Array, ...]:
        """Return the arrays of the batch at the cursor, one per leaf, `(rows, *leaf.shape)`, writable, at a multiple of 64 bytes.

        Blocks: until it is there.

        Args:
            leased: whether all arrays may lie in the slot; otherwise small ones are copied, which is cheaper than keeping the slot for them.

        Raises:
            SampleError: a sample of this batch could not be produced.
        """

    @abstractmethod
    def skip(self) -> None:
        """Continue at the cursor, which was moved, whatever has been made until now."""

    @abstractmethod
    def resize(self, workers: int) -> None:
        """Run `workers` workers from now on. Raises ConfigError where there are none."""

    @abstractmethod
    def check_owner(self) -> None:
        """Raise LoaderClosed in a fork of the process that made this, where it can't be used there."""

    @abstractmethod
    def relay(self) -> None:
        """Print what other processes have printed."""

    @abstractmethod
    def close(self) -> None:
        """End and close everything. Arrays that were handed out stay valid."""
