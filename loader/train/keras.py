"""Keras: how `model.fit(loader)` accepts a Loader. The only file that touches Keras' private API.

`fit` takes arrays, a `tf.data.Dataset`, a generator, … or any instance of its own `DataAdapter` class, which is passed through unchanged (since
Keras 3.7). It asks with `isinstance`, which looks at `loader.__class__`; there we answer with a class that is both, made when Keras is there
to be subclassed. So this package never imports Keras, and it does not matter which of them is imported first. `batches()` and `as_tf_dataset()`
are the ways that need none of this.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterable
from types import FrameType
from typing import TYPE_CHECKING, Any

from loader.errors import ConfigError

if TYPE_CHECKING:
    pass

_ADAPTER_MODULE = "keras.src.trainers.data_adapters.data_adapter"

# Arguments of `fit`, `evaluate` and `predict` that Keras drops without a word when it is given a DataAdapter, and where they belong.
_DROPPED = {
    "y": "the labels belong to the source",
    "sample_weight": "the weights belong to the source",
    "class_weight": "give it to the Loader: Loader(..., class_weight=...)",
    "batch_size": "it is the Loader's: Loader(..., batch_size=...)",
}


class KerasAdapter:
    """The methods that Keras calls on what it takes for its own `DataAdapter`. Users call none of them."""

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        module = sys.modules.get(_ADAPTER_MODULE)
        if module is None or not hasattr(module, "DataAdapter"):
            return type(self)
        _refuse_dropped_arguments(self, sys._getframe(1))
        own: Any = type(self)
        return _both(own, module.DataAdapter)

    def get_tf_dataset(self: Any) -> Iterable[Any]:
        """Return what Keras' TensorFlow trainer iterates over: tensors over the slots, or a dataset where a strategy needs one."""
        from loader.train.tensorflow import epochs

        return epochs(self)

    def get_numpy_iterator(self: Any) -> Iterable[Any]:
        """Return what Keras iterates over to look at a batch: numpy arrays."""
        return self  # type: ignore[no-any-return]

    def get_jax_iterator(self) -> Iterable[Any]:
        """Raise: this backend is not supported yet."""
        raise _unsupported("JAX")

    def get_torch_dataloader(self) -> Iterable[Any]:
        """Raise: this backend is not supported yet."""
        raise _unsupported("PyTorch")

    @property
    def num_batches(self: Any) -> int:
        """Batches in an epoch."""
        return len(self)

    @property
    def has_partial_batch(self: Any) -> bool:
        """Whether the last batch is smaller."""
        return bool(self.plan.rows % self.plan.batch_size)

    @property
    def partial_batch_size(self: Any) -> int | None:
        """Rows of a smaller last batch, or None."""
        return self.plan.rows % self.plan.batch_size or None

    def on_epoch_begin(self) -> None:
        """Do nothing: an epoch begins with the first batch that is taken."""

    def on_epoch_end(self) -> None:
        """Do nothing: Keras calls this at odd times; an epoch ends with its iterator."""


@functools.cache
def _both(loader: Any, adapter: Any) -> type:
    return type(loader.__name__, (loader, adapter), {})


def _refuse_dropped_arguments(adapter: object, caller: FrameType) -> None:
    if caller.f_code.co_name != "get_data_adapter" or caller.f_locals.get("x") is not adapter:
        return
    given = [f"{name}: {remedy}" for name, remedy in _DROPPED.items() if caller.f_locals.get(name) is not None]
    if given:
        raise ConfigError("Keras would ignore these beside a Loader:\n  " + "\n  ".join(given))


def _unsupported(backend: str) -> ConfigError:
    return ConfigError(f"fit with a Loader is not there yet for Keras on {backend}; set KERAS_BACKEND=tensorflow, or write a loop over the Loader")
