"""JAX: its steps run behind the script, by any number of them, and each keeps its batch until it has run."""

from __future__ import annotations

import contextlib
import gc

import jax


def catch_up() -> None:
    """Wait until all that JAX was given is done, and let go of the batches.

    Blocks: until then. The device works on meanwhile, and has more to do as soon as the next batch is there. One that hangs holds up whoever uses
    what it was to make, with this or without.
    """
    for array in jax.live_arrays():
        with contextlib.suppress(RuntimeError):  # deleted, or what should have made it failed: whoever uses it is told
            array.block_until_ready()
    gc.collect(0)  # it lets go in a callback of the garbage collector
