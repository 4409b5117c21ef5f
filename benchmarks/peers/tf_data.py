"""tf.data with readers and decoders in C++; no Python runs for a sample."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.peer import SEED, SIZE, Peer, paths_of
from benchmarks.pictures import PictureWorkload
from benchmarks.workloads import SCALE, Workload


class TfData(Peer):
    title = "tf.data"
    parallel = "parallel calls"
    counts = (1, 2, 4)

    def version(self) -> str:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        import tensorflow as tf

        return str(tf.__version__)

    @contextmanager
    def batches(self, task: Workload, data: Path, count: int, shuffle: bool) -> Iterator[Iterator[Any]]:
        import tensorflow as tf

        if task.one_file and not task.rescale:  # small rows: the documentation's way for arrays that fit in memory
            dataset = tf.data.Dataset.from_tensor_slices(np.load(task.path(data)))
        elif task.one_file:
            row = int(np.prod(task.shape)) * np.dtype(task.dtype).itemsize
            header = os.path.getsize(task.path(data)) - row * task.samples
            dataset = tf.data.FixedLengthRecordDataset(str(task.path(data)), row, header_bytes=header)
        else:
            dataset = tf.data.Dataset.from_tensor_slices(paths_of(task, data))
        if shuffle:
            dataset = dataset.shuffle(task.samples, seed=SEED)
        dataset = dataset.repeat()
        if (read := self._reader(task, data)) is not None:
            dataset = dataset.map(read, num_parallel_calls=count)
        dataset = dataset.batch(task.batch_size, drop_remainder=True).prefetch(tf.data.AUTOTUNE)
        yield dataset.as_numpy_iterator()

    @staticmethod
    def _reader(task: Workload, data: Path) -> Any:
        import tensorflow as tf

        if isinstance(task, PictureWorkload):

            def decode(path: Any) -> Any:
                picture = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
                return tf.cast(tf.image.resize(picture, (SIZE, SIZE)), tf.uint8)

            return decode
        if task.one_file:
            return (lambda record: tf.cast(tf.reshape(tf.io.decode_raw(record, tf.uint8), task.shape), tf.float32) * SCALE) if task.rescale else None
        row = int(np.prod(task.shape)) * np.dtype(task.dtype).itemsize
        header = os.path.getsize(paths_of(task, data)[0]) - row

        def read(path: Any) -> Any:
            return tf.reshape(tf.io.decode_raw(tf.strings.substr(tf.io.read_file(path), header, row), task.dtype), task.shape)

        return read
