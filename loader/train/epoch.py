"""One epoch of a loader, as an iterator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loader.data.spec import Array, Sample
from loader.errors import IterationError, LoaderClosed

if TYPE_CHECKING:
    from loader.train.loader import Loader


class EpochIterator:
    """One epoch of a loader. Nothing happens before the first `next`; closing it in the middle ends its epoch.

    Args:
        loader: to take batches from.
        leased: whether small arrays, too, may lie in the slot.
        peek: whether it only looks: then the epoch starts again when this is closed.
    """

    def __init__(self, loader: Loader, leased: bool = False, peek: bool = False) -> None:
        self._loader = loader
        self._leased = leased
        self._peek = peek
        self._token = 0
        self._left = 1  # until it has begun, all that matters is that it is not over
        self._plain = False

    def __iter__(self) -> EpochIterator:
        return self

    def __next__(self) -> Sample:
        arrays = self.arrays()
        return arrays if self._plain else self._loader.spec.unflatten(arrays)

    def arrays(self) -> tuple[Array, ...]:
        """Return the arrays of the next batch, flat. Raises StopIteration at the end."""
        if self._left <= 0:  # below it where it was closed in the middle of `take`: by another thread, a signal handler, a transform
            raise StopIteration
        loader = self._loader
        if self._token != loader._position.token:
            self._enter()
        try:
            arrays = loader._position.take(self._leased)
        except IterationError:  # of two threads at once: this one has taken nothing, and the other one goes on
            raise
        except LoaderClosed:  # and will say so again: in a fork, or closed by a signal handler meanwhile
            raise
        except BaseException:  # Ctrl-C, too, may have hit in the middle of a batch
            self.close(failed=True)
            raise
        self._left -= 1
        return arrays

    def _enter(self) -> None:
        self._loader._check_open()
        if self._token:
            raise IterationError(f"a newer iterator of {self._loader.name} has started its epoch, or a state was loaded: that ended this one's")
        position = self._loader._position
        self._token = position.begin(self._peek)
        self._left = position.left
        self._plain = self._loader.spec.plain

    def close(self, *, failed: bool = False) -> None:
        """End the epoch, if it has begun and is not over; or start it again, if this only looked.

        Args:
            failed: whether taking a batch did.
        """
        position = self._loader._position
        if self._token and self._token == position.token and (self._left or self._peek):
            position.leave(failed=failed)
        self._left, self._peek = 0, False

    def __reduce__(self) -> Any:
        return self._loader.__reduce__()  # an error; a copy would end the epoch of this one

    def __del__(self) -> None:
        self.close()
