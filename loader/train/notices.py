"""The one warning that a loader gives when samples are being substituted."""

from __future__ import annotations

import warnings

from loader.errors import SampleError


def warn_of_first_bad(error: SampleError, quarantine: object) -> None:
    """Warn of the first bad sample, in the name of the caller of `EpochIterator.__next__`, which has called a producer's `take`."""
    rest = f"All bad samples are listed in {quarantine}." if quarantine else "Give quarantine=PATH for a list of all bad samples."
    warnings.warn(
        f"sample {error.index}{f' ({error.name})' if error.name else ''} is bad, and another one takes its place: "
        f'{error.reason}. There is one warning per loader; stats() has the counts. {rest} on_error="raise" would stop here',
        RuntimeWarning,
        stacklevel=6,
    )
