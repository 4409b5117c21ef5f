"""TensorFlow: the only file that imports it.

A batch becomes tensors by DLPack, which always aliases the memory and lets go of it promptly. It needs writable memory at a multiple of 64 bytes and
aborts the process otherwise, so that is checked here, although every slot has it (docs/measurements.md).
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from loader.data.layout import ALIGNMENT
from loader.data.spec import Array, Sample, is_bfloat16
from loader.errors import ProtocolError
from loader.train.keras.feed import Feed


def for_strategy(loader: Feed, endless: bool) -> tf.data.Dataset | None:
    """Return a dataset if the current strategy needs one, because it distributes the rows of a batch over its devices; otherwise None."""
    if not tf.distribute.has_strategy():
        return None
    return dataset(loader, bounded=False).repeat() if endless else dataset(loader, bounded=False)


def tensor(array: Array) -> Any:
    """Return a tensor over the memory of `array`, which it keeps alive."""
    address = array.__array_interface__["data"][0]
    if address % ALIGNMENT:
        raise ProtocolError(f"an array of a batch begins at {address:#x}, no multiple of {ALIGNMENT}; TensorFlow would end the process")
    if array.dtype == bool:  # DLPack of this TensorFlow has no bool
        return tf.cast(_by_dlpack(array.view("uint8")), tf.bool)
    if is_bfloat16(array.dtype):  # DLPack of NumPy has no bfloat16
        return tf.bitcast(_by_dlpack(array.view("uint16")), tf.bfloat16)
    return _by_dlpack(array)


def _by_dlpack(array: Array) -> Any:
    exported = array if array.flags.writeable else np.asarray(_SaidToBeWritable(array))
    return tf.experimental.dlpack.from_dlpack(exported.__dlpack__())


class _SaidToBeWritable:
    """The memory of a read-only array, which it keeps alive, for DLPack, which knows no such arrays. TensorFlow's tensors can't be written to."""

    def __init__(self, array: Array) -> None:
        self._array = array
        interface = array.__array_interface__
        self.__array_interface__ = {**interface, "data": (interface["data"][0], False)}


def dataset(loader: Feed, *, bounded: bool = True) -> tf.data.Dataset:
    """Return a dataset of one epoch, repeatable. See `Loader.as_tf_dataset`.

    Args:
        loader: to take batches from.
        bounded: promise the length of an epoch, which TensorFlow checks. False if a position was loaded, or may still be.
    """
    spec = loader.spec
    shapes = loader.batch_shapes
    signature = spec.unflatten([tf.TensorSpec(shape, leaf.dtype) for shape, leaf in zip(shapes, spec.leaves, strict=True)])
    reference = weakref.ref(loader)  # from_generator never frees its function

    def epoch() -> Iterator[Sample]:
        alive = reference()
        if alive is None:
            raise RuntimeError("the Loader behind this dataset is gone; keep a reference to it as long as you use the dataset")
        return iter(alive)

    made = tf.data.Dataset.from_generator(epoch, output_signature=signature)
    if bounded and loader.batches_left == len(loader):
        made = made.apply(tf.data.experimental.assert_cardinality(len(loader)))
    made = made.prefetch(1)
    options = tf.data.Options()
    options.autotune.enabled = False  # it would raise the prefetch until 13 batches are alive
    options.experimental_optimization.inject_prefetch = False
    return made.with_options(options)


def drop_pending_references() -> None:
    """Make TensorFlow let go of arrays that it has finished with: it drains its list of them when an EagerTensor dies."""
    tf.constant(0)
