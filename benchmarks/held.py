"""What a process holds: the soak and the table of faults compare it before a loader and after it."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path


def held() -> Counter[str]:
    """Count the descriptors and shared mappings of this process by kind."""
    found: Counter[str] = Counter()
    for entry in os.listdir("/proc/self/fd"):
        try:
            found[re.sub(r":.[0-9]+.$", "", os.readlink(f"/proc/self/fd/{entry}"))] += 1
        except OSError:
            continue  # of the listing itself
    mappings = Path("/proc/self/maps").read_text().splitlines()
    return found + Counter(line[line.index("/memfd:") :] for line in mappings if "/memfd:" in line)
