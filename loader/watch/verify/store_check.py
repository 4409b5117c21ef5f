"""What it means that an HDF5 file or a Zarr folder is good: all of its chunks can be read."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from loader.errors import ConfigError
from loader.watch.inspect.kinds.stores import pieces_of, read_piece
from loader.watch.verify.checks import BadItem

_TIMEOUT_S = 60.0


class StoreCheck:
    """The arrays of stores, read to their last chunk; see `loader.watch.verify.checks.Check`.

    Args:
        paths: of HDF5 files, or of one Zarr folder.

    Raises:
        ConfigError: their library is not installed, or there is nothing in them.
        OSError: one can't be opened.
    """

    noun = "pieces"
    timeout_s = _TIMEOUT_S
    remark = ""

    def __init__(self, paths: Sequence[str]) -> None:
        self._pieces = [(path, piece) for path in paths for piece in pieces_of(path)]
        if not self._pieces:
            raise ConfigError(f"{paths[0]} has no array with rows")

    def __len__(self) -> int:
        return len(self._pieces)

    def name_of(self, index: int) -> str | None:
        path, piece = self._pieces[index]
        return f"{path}, {piece.array or 'its array'}, rows {piece.start:,} to {piece.stop - 1:,}"

    def check(self, index: int, advance: Callable[[int], None]) -> tuple[int, int]:
        try:
            values = read_piece(*self._pieces[index])
        except (OSError, RuntimeError, ValueError, KeyError) as error:  # what h5py, zarr and their codecs raise
            raise BadItem(f"can't be read: {error}") from error
        advance(values.nbytes)
        if values.dtype.kind not in "fc":
            return 0, 0
        nan = int(np.isnan(values).sum())
        return nan, int((~np.isfinite(values)).sum()) - nan
