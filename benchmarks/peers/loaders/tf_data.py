"""tf.data in three ways: with readers and decoders in C++, over a Python generator, and with a Python function for each sample."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.peers.loaders.peer import Peer, Unsupported
from benchmarks.peers.samples import SIZE, Samples, changed, cut_from_the_middle, paths_of
from benchmarks.peers.tasks import STRENGTH, Task
from benchmarks.pictures import PictureWorkload
from benchmarks.workloads import SCALE, SEED


class TfData(Peer):
    """No Python runs for a sample."""

    title = "tf.data"
    parallel = "parallel calls"

    def version(self) -> str:
        import tensorflow as tf

        return str(tf.__version__)

    def counts(self, task: Task) -> tuple[int, ...]:
        return tuple(count for count in task.counts if count)

    @contextmanager
    def batches(self, task: Task, data: Path, count: int, shuffle: bool) -> Iterator[Iterator[Any]]:
        yield self._dataset(task, data, count, shuffle).as_numpy_iterator()

    @contextmanager
    def feed(self, task: Task, data: Path, count: int) -> Iterator[Any]:
        yield self._dataset(task, data, count, shuffle=True).map(lambda batch: (batch,))

    def _dataset(self, task: Task, data: Path, count: int, shuffle: bool) -> Any:
        import tensorflow as tf

        dataset = self._samples(task, data, count, shuffle)
        if task.wait_s or task.cold:  # reads that wait would keep the few threads that all share
            options = tf.data.Options()
            options.threading.private_threadpool_size = count
            dataset = dataset.with_options(options)
        size = task.work.batch_size
        if task.edges:
            dataset = dataset.bucket_by_sequence_length(
                lambda sample: tf.shape(sample)[0],
                bucket_boundaries=[edge + 1 for edge in task.edges],
                bucket_batch_sizes=[size] * (len(task.edges) + 1),
                pad_to_bucket_boundary=True,
                drop_remainder=True,
            )
        else:
            dataset = dataset.batch(size, drop_remainder=True)
        return dataset.prefetch(tf.data.AUTOTUNE)

    def _samples(self, task: Task, data: Path, count: int, shuffle: bool) -> Any:
        """Return a dataset of samples that never ends."""
        import tensorflow as tf

        if task.needs_python:
            raise Unsupported("its readers run no Python")
        work = task.work
        if work.one_file and not work.rescale:  # small rows: the documentation's way for arrays that fit in memory
            dataset = tf.data.Dataset.from_tensor_slices(np.load(work.path(data)))
        elif work.one_file:
            row = int(np.prod(work.shape)) * np.dtype(work.dtype).itemsize
            header = os.path.getsize(work.path(data)) - row * work.samples
            dataset = tf.data.FixedLengthRecordDataset(str(work.path(data)), row, header_bytes=header)
        else:
            dataset = tf.data.Dataset.from_tensor_slices(paths_of(work, data))
        dataset = (dataset.shuffle(work.samples, seed=SEED) if shuffle else dataset).repeat()
        read = _reader(task, data)
        if task.augmented and shuffle:  # seeds from a counter, as in the documentation's tutorial
            numbered = tf.data.Dataset.zip((dataset, tf.data.Dataset.counter()))
            return numbered.map(lambda path, number: _changed(read(path), tf.stack([tf.constant(SEED, tf.int64), number])), num_parallel_calls=count)
        if task.augmented:
            return dataset.map(lambda path: tf.image.resize_with_crop_or_pad(read(path), SIZE, SIZE), num_parallel_calls=count)
        return dataset.map(read, num_parallel_calls=count) if read else dataset


def _reader(task: Task, data: Path) -> Any:
    import tensorflow as tf

    work = task.work
    if isinstance(work, PictureWorkload):

        def decode(path: Any) -> Any:
            picture = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
            return tf.cast(tf.image.resize(picture, (SIZE, SIZE)), tf.uint8)

        return decode
    if work.one_file:
        return (lambda record: tf.cast(tf.reshape(tf.io.decode_raw(record, tf.uint8), work.shape), tf.float32) * SCALE) if work.rescale else None
    paths = paths_of(work, data)
    header = os.path.getsize(paths[0]) - np.load(paths[0], mmap_mode="r").nbytes
    shape = (-1, *work.shape) if task.edges else work.shape

    def read(path: Any) -> Any:
        content = tf.io.read_file(path)
        return tf.reshape(tf.io.decode_raw(tf.strings.substr(content, header, tf.strings.length(content) - header), work.dtype), shape)

    return read


def _changed(sample: Any, seed: Any) -> Any:
    import tensorflow as tf

    cut = tf.image.stateless_random_crop(sample, (SIZE, SIZE, 3), seed)
    cut = tf.image.stateless_random_flip_left_right(cut, seed + 1)
    bright = tf.image.stateless_random_brightness(cut, STRENGTH, seed + 2)
    return tf.image.stateless_random_contrast(bright, 1 - STRENGTH, 1 + STRENGTH, seed + 3)


class TfFunction(TfData):
    """`numpy_function`: Python reads each sample, within `map`."""

    title = "tf.data, numpy_function"

    def _samples(self, task: Task, data: Path, count: int, shuffle: bool) -> Any:
        import tensorflow as tf

        read, spec = _python(task, data, shuffle)
        dataset = tf.data.Dataset.range(task.work.samples)
        dataset = (dataset.shuffle(task.work.samples, seed=SEED) if shuffle else dataset).repeat()
        dataset = tf.data.Dataset.zip((dataset, tf.data.Dataset.counter()))
        made = dataset.map(lambda index, number: tf.numpy_function(read, (index, number), spec.dtype), num_parallel_calls=count)
        return made.map(lambda sample: tf.ensure_shape(sample, spec.shape))


class TfGenerator(TfData):
    """`from_generator`: Python reads one sample after another."""

    title = "tf.data, from_generator"
    parallel = "generator"

    def counts(self, task: Task) -> tuple[int, ...]:
        return (1,)

    def _samples(self, task: Task, data: Path, count: int, shuffle: bool) -> Any:
        import tensorflow as tf

        read, spec = _python(task, data, shuffle)

        def generator() -> Iterator[Any]:
            rng, number = np.random.default_rng(SEED), 0
            while True:
                for index in rng.permutation(task.work.samples).tolist() if shuffle else range(task.work.samples):
                    yield read(index, number)
                    number += 1

        return tf.data.Dataset.from_generator(generator, output_signature=spec)


def _python(task: Task, data: Path, shuffle: bool) -> tuple[Any, Any]:
    """Return a function that reads a sample, by its number and that of the draw, and what it returns."""
    import tensorflow as tf

    cv2.setNumThreads(0)
    samples = Samples(task, data)

    def read(index: Any, number: Any) -> Any:
        sample = samples[int(index)]
        if not task.augmented:
            return sample
        return changed(sample, np.random.default_rng((SEED, int(number))), STRENGTH) if shuffle else cut_from_the_middle(sample)

    first = read(0, 0)
    return read, tf.TensorSpec((None, *first.shape[1:]) if task.edges else first.shape, first.dtype)
