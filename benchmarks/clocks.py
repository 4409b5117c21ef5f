"""CPU time of other processes, read from outside, so that they pay nothing for it."""

from __future__ import annotations

import time


def cpu_time_ns(pid: int) -> int:
    """Return the CPU time of a process and its threads; 0 when it is gone.

    The number of another process's clock is what clock_getcpuclockid(3) makes of a pid.
    """
    try:
        return time.clock_gettime_ns((~pid << 3) | 2)
    except OSError:
        return 0
