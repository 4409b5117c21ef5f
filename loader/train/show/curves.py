"""Curves: sound, series, vectors. Drawn three times as large and then made smaller, so that their edges are smooth."""

from __future__ import annotations

import numpy as np

from loader.data.spec import Array
from loader.train.show.values import Scale

PALETTE = (
    *((31, 111, 180), (226, 119, 28), (46, 140, 87), (196, 57, 63)),
    *((127, 88, 175), (120, 85, 72), (214, 110, 175), (20, 160, 170)),
)
"""Colours of curves and of the classes of masks."""

_FINE = 3  # as many lines and columns of the drawing make one of the picture
_PAPER, _ZERO = (246, 246, 246), (205, 205, 205)
_EDGE = 2  # pixels above and below a curve


def curves(array: Array, scale: Scale, width: int, height: int) -> Array:
    """Return one curve for each channel, and a grey line at zero, as `(height, width, 3)` bytes.

    Args:
        array: `(steps,)`, or steps and channels in any order: there are fewer channels.
        scale: the values at the bottom and at the top.
        width, height: of the picture.
    """
    paper = np.empty((height, width, 3), np.float32)
    paper[...] = _PAPER
    if scale.low < 0 < scale.high:
        paper[int(_row(np.zeros(1), scale, height)[0])] = _ZERO
    channels = array.reshape(len(array), -1)
    for number, channel in enumerate(channels.T if len(channels) >= channels.shape[1] else channels):
        ink = _ink(channel.astype(np.float64), scale, width, height)[..., None]
        paper = paper * (1 - ink) + np.array(PALETTE[number % len(PALETTE)], np.float32) * ink
    return np.rint(paper).astype(np.uint8)


def _ink(steps: Array, scale: Scale, width: int, height: int) -> Array:
    """Return how much of each pixel a curve covers, 0 to 1, of shape `(height, width)`. It has gaps where values are not finite."""
    steps = np.where(np.isfinite(steps), steps, np.nan)
    low, high = _spans(steps, width * _FINE)
    fine = height * _FINE
    top, bottom = _row(high, scale, fine), _row(low, scale, fine)
    rows = np.arange(fine)[:, None]
    covered = (rows >= top - 1) & (rows <= bottom + 1)  # comparing with NaN is false
    share: Array = covered.reshape(height, _FINE, width, _FINE).mean(axis=(1, 3), dtype=np.float32)
    return share


def _spans(steps: Array, columns: int) -> tuple[Array, Array]:
    """Return the least and the greatest value that a curve takes within each column."""
    if len(steps) > columns:
        starts = np.arange(columns) * len(steps) // columns
        following = steps[np.append(starts[1:], len(steps) - 1)]  # so that columns join
        return np.minimum(np.minimum.reduceat(steps, starts), following), np.maximum(np.maximum.reduceat(steps, starts), following)
    ends = np.interp(np.linspace(0, len(steps) - 1, columns + 1), np.arange(len(steps)), steps)
    return np.minimum(ends[:-1], ends[1:]), np.maximum(ends[:-1], ends[1:])


def _row(values: Array, scale: Scale, height: int) -> Array:
    room = height - 1 - 2 * _EDGE
    share = (values - scale.low) / (scale.high - scale.low)
    rows: Array = np.rint(height - 1 - _EDGE - share * room)
    return rows
