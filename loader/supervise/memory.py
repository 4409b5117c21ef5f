"""How much memory a process has for itself.

What counts is anonymous memory. `Private_Clean` counts mapped data files and `Private_Dirty` counts slots that only one process has touched so
far, so limits on them would blame healthy workers; `Pss_Anon` is exact but takes up to 17 ms. Resident minus shared takes 0.02 ms and is
close to it (docs/measurements.md).
"""

from __future__ import annotations

import psutil


def private_bytes(pid: int) -> int:
    """Return the anonymous memory of a process in bytes, roughly and fast; 0 when it is gone."""
    try:
        memory = psutil.Process(pid).memory_info()
    except psutil.NoSuchProcess:
        return 0
    return int(memory.rss - memory.shared)
