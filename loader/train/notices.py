"""The one warning that a loader gives when samples are being substituted."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any


def warn_of_first_bad(error: Mapping[str, Any], quarantine: object) -> None:
    """Warn of the first bad sample, in the name of the caller of `EpochIterator.__next__`, which has called a producer's `take`.

    Args:
        error: fields of its SampleError.
        quarantine: path of the report, or None.
    """
    rest = f"All bad samples are listed in {quarantine}." if quarantine else "Give quarantine=PATH for a list of all bad samples."
    name = f" ({error['name']})" if error["name"] else ""
    warnings.warn(
        f"sample {error['index']}{name} is bad, and another one takes its place: {error['reason']}. There is one warning per loader; stats() has "
        f'the counts. {rest} on_error="raise" would stop here',
        RuntimeWarning,
        stacklevel=6,
    )
