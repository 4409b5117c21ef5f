"""What a loader warns of while it runs.

Each is a Python warning, which scripts know how to filter, in the name of the caller of `EpochIterator.__next__`: the stack levels count the
functions from there to here. A supervisor that was replaced is in the log as well, at INFO, so that nobody reads it twice without asking for it.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from typing import Any

_log = logging.getLogger("loader.trainer")


def warn_of_first_bad(error: Mapping[str, Any], quarantine: object) -> None:
    """Warn of the first bad sample. Called by a producer's `take`.

    Args:
        error: fields of its SampleError.
        quarantine: path of the report, or None.
    """
    rest = f"All bad samples are listed in {quarantine}." if quarantine else "Give quarantine=PATH for a list of all bad samples."
    name = f" ({error['name']})" if error["name"] else ""
    warnings.warn(
        f"sample {error['index']}{name} is bad, and another one takes its place: {error['reason']}. This warning comes once per loader; stats() has "
        f'the counts. {rest} on_error="raise" would stop here',
        RuntimeWarning,
        stacklevel=6,
    )


def warn_of_replacement(died: str, epoch: int, batch: int) -> None:
    """Warn of a supervisor that was replaced. Called by `Remote._replace`.

    Args:
        died: which one, and how, in words.
        epoch: with which the new one goes on.
        batch: of that epoch.
    """
    what = f"{died}; another one continues with batch {batch} of epoch {epoch}, and no batch is lost or repeated"
    _log.info(what)
    warnings.warn(what, RuntimeWarning, stacklevel=9)


def warn_of_kept_batches(slots: int) -> None:
    """Warn of batches that are copied, because all slots are kept. Called by `Starvation.persists`."""
    warnings.warn(
        f"all {slots} slots hold batches that are still in use, so batches are copied until some of them are released. "
        "Likely cause: the script keeps batches, or arrays that look into them. What to do: copy what you need, or set a higher slots=",
        RuntimeWarning,
        stacklevel=8,
    )
