"""JAX: its steps run asynchronously, any number of them behind the script, and each keeps its batch until it has run."""

from __future__ import annotations

import contextlib
import gc

import jax


def catch_up() -> None:
    """Wait until JAX has done everything that it was given, and let go of the batches.

    Blocks: until then. The device keeps working meanwhile, and gets more to do as soon as the next batch is there. A device that hangs would hold up
    the script anyway, as soon as it uses a result.
    """
    for array in jax.live_arrays():
        with contextlib.suppress(RuntimeError):  # deleted, or its computation failed: whoever uses it gets the error
            array.block_until_ready()
    gc.collect(0)  # it lets go in a callback of the garbage collector
