"""PyTorch: the only file that imports it.

`torch.from_numpy` aliases the memory and lets go of it when the tensor goes (docs/measurements.md). Keras would copy a numpy array itself.
"""

from __future__ import annotations

from typing import Any

import torch

from loader.data.spec import Array, is_bfloat16


def tensor(array: Array) -> Any:
    """Return a tensor over the memory of `array`, which it keeps alive; over a copy if it can't be written to, as the model may do so."""
    if not array.flags.writeable:
        array = array.copy()
    if is_bfloat16(array.dtype):
        return torch.from_numpy(array.view("int16")).view(torch.bfloat16)
    return torch.from_numpy(array)
