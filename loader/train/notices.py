"""What a loader warns of while it runs.

Each is a Python warning, which scripts know how to filter, in the name of the line that asked for a batch, by whichever way. A supervisor that was
replaced is in the log as well, at INFO, so that nobody reads it twice without asking for it.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Mapping
from typing import Any

_log = logging.getLogger("loader.trainer")
_PACKAGE = __name__.partition(".")[0]


def warn_of_first_bad(error: Mapping[str, Any], quarantine: object) -> None:
    """Warn of the first bad sample.

    Args:
        error: fields of its SampleError.
        quarantine: path of the report, or None.
    """
    rest = f"All bad samples are listed in {quarantine}." if quarantine else "Give quarantine=PATH for a list of all bad samples."
    name = f" ({error['name']})" if error["name"] else ""
    _warn(
        f"sample {error['index']}{name} is bad, and another one takes its place: {error['reason']}. This warning comes once per loader; stats() has "
        f'the counts. {rest} on_error="raise" would stop here'
    )


def warn_of_replacement(died: str, epoch: int, batch: int) -> None:
    """Warn of a supervisor that was replaced.

    Args:
        died: which one, and how, in words.
        epoch: with which the new one goes on.
        batch: of that epoch.
    """
    what = f"{died}; another one continues with batch {batch} of epoch {epoch}, and no batch is lost or repeated"
    _log.info(what)
    _warn(what)


def warn_of_kept_batches(slots: int) -> None:
    """Warn of batches that are copied, because all slots are kept."""
    _warn(
        f"all {slots} slots hold batches that are still in use, so batches are copied until some of them are released. "
        "Likely cause: the script keeps batches, or arrays that look into them. What to do: copy what you need, or set a higher slots="
    )


def _warn(text: str) -> None:
    frame, level = sys._getframe(), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == _PACKAGE:
        frame, level = frame.f_back, level + 1
    warnings.warn(text, RuntimeWarning, stacklevel=level)
