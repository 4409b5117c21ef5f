"""All slots are in use at once: what gets some of them back, and what happens if nothing does.

A script may keep every batch. Then no slot would ever come back, and waiting for one would hang. So batches are copied as long as that is the case.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Collection

from loader.train.notices import warn_of_kept_batches


class Starvation:
    """Decides for each slot that is handed out whether it may be kept. One warning for a loader.

    Attributes:
        copying: whether the last slot was copied.
    """

    def __init__(self) -> None:
        self.copying = False
        self._warned = False

    def persists(self, lent: Collection[int], slots: int) -> bool:
        """Try to get back slots that are not really in use; return whether handing out the last one would leave none to fill.

        Args:
            lent: slots that are in use, including the last one; those that come back are removed from it.
            slots: in all.
        """
        for remedy in (_collect_young, _drop_tensorflow_references, _let_jax_catch_up):
            remedy()
            if len(lent) < slots:
                self.copying = False
                return False
        if self.copying and not self._warned:  # with two slots, a plain loop has every other batch copied, although it keeps none
            self._warned = True
            warn_of_kept_batches(slots)
        self.copying = True
        return True


def _collect_young() -> None:
    """Let go of batches that lie in garbage cycles: some frameworks keep them so."""
    gc.collect(0)


def _drop_tensorflow_references() -> None:
    """Let go of batches that TensorFlow has finished with, if it is there."""
    if "tensorflow" in sys.modules:
        from loader.train.keras.tensorflow import drop_pending_references

        drop_pending_references()


def _let_jax_catch_up() -> None:
    """Let go of batches that JAX still has to work on, if it is there, by waiting for it."""
    if "jax" in sys.modules:
        from loader.train.keras.jax import catch_up

        catch_up()
