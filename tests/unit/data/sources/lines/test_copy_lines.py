"""Many lines at once, compared with one by one."""

from __future__ import annotations

import numpy as np
import pytest

from loader.data.sources.lines import copy_lines as module
from loader.data.sources.lines.copy_lines import copy_lines


@pytest.mark.parametrize("width", [1, 3, 16, 200, 2000])
@pytest.mark.parametrize("pad", [0, 255])
def test_lines_are_cut_and_padded_as_one_by_one(width: int, pad: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BLOCK_BYTES", 64)
    rng = np.random.default_rng(4)
    content = rng.integers(1, 250, 700).astype(np.uint8)
    starts = rng.integers(0, 690, 90)
    lengths = np.minimum(rng.integers(0, 40, 90), 700 - starts).astype(np.uint32)
    out = np.full((90, width), 7, np.uint8)
    copy_lines(content, starts, lengths, out, pad)
    for row, start, length in zip(out, starts, lengths, strict=True):
        expected = (content[start : start + length].tobytes() + bytes([pad]) * width)[:width]
        assert row.tobytes() == expected
