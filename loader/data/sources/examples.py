"""Which samples may show what all of a source are like: the first one, and others if that is bad."""

from __future__ import annotations

import numpy as np

MOST_OTHERS = 16


def places_of_examples(samples: int) -> list[int]:
    """Return the first sample and up to 16 others, spread evenly: what is next to a bad file, such as the rest of its folder, may be bad as well."""
    return sorted(set(np.linspace(0, samples - 1, 1 + MOST_OTHERS).astype(int).tolist()))  # np.unique would import numpy.ma, in each process anew
