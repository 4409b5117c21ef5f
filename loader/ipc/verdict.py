"""Which side is the slow one, in words. Pure."""

from __future__ import annotations

from collections.abc import Sequence

_NOTICEABLE = 0.05


def verdict(wait_ratio: float, busy: Sequence[float], *, delivered: bool, inline: bool) -> str:
    """Return a sentence on who waits for whom, and by how much.

    A trainer that waits for a share w of its time would be `1 / (1 - w)` times as fast with data always there. Workers that are busy for a
    share b could deliver `1 / b` times as much.

    Args:
        wait_ratio: share of the time that the trainer waited for data.
        busy: share of the time that each worker was busy.
        delivered: whether anything was handed out in that time.
        inline: whether the trainer makes the batches itself.
    """
    if not delivered:
        return "nothing was taken from the loader in the last 10 s"
    if inline:
        return f"the trainer makes its batches itself (workers=0), for {wait_ratio:.0%} of its time; workers=1 would do that beside it"
    share = sum(busy) / len(busy) if busy else 1.0
    if wait_ratio < _NOTICEABLE:
        spare = f"the workers are busy {share:.0%} of theirs"
        if share < 1 - _NOTICEABLE:
            spare += f" and could deliver {1 / max(share, 0.01):.1f} times as much"
        needed = max(1, -(-round(100 * share * len(busy)) // 80))
        hint = f"; {needed} of {len(busy)} workers would do" if needed < len(busy) else ""
        return f"the model is the slow part: it waits for data {wait_ratio:.0%} of its time, {spare}{hint}"
    gain = f"with data always there it could run {1 / max(1 - wait_ratio, 0.01):.1f} times as fast"
    idle = f"the workers are busy only {share:.0%} of theirs: too few cores, slow starts, or slots that are kept"
    why = "more workers may help" if share > 0.7 else idle
    return f"the loader is the slow part: the trainer waits for data {wait_ratio:.0%} of its time, {gain}; {why}"
