"""`workers="auto"` with real processes: it grows where reads wait, shrinks where the model is slow, and no batch differs."""

from __future__ import annotations

import itertools
import os
import time
from typing import Any

import numpy as np

from loader import Loader, NpyArrays
from tests.batches import assert_same, copied, inline
from tests.processes import wait_until

SOURCE = NpyArrays(np.arange(640 * 4, dtype=np.float32).reshape(640, 4))


def slowly(sample: Any, rng: np.random.Generator) -> Any:
    import time

    time.sleep(0.005)
    return sample


def count(loader: Loader) -> int:
    return len(loader.stats().workers)


def test_it_takes_more_workers_than_cores_where_reads_wait_and_no_batch_differs() -> None:
    deadline = time.monotonic() + 60
    with Loader(SOURCE, 16, shuffle=True, max_workers=8, transforms=[slowly]) as loader:
        found, batches = [], loader.batches()
        while count(loader) < 8 and time.monotonic() < deadline:
            found.append(copied(next(batches)))
        assert count(loader) == 8
        epochs = -(-len(found) // 40)
        assert_same(found, list(itertools.islice(inline(SOURCE, 16, epochs, shuffle=True), len(found))))


def test_it_sends_workers_away_where_the_model_is_slow() -> None:
    deadline = time.monotonic() + 100
    with Loader(SOURCE, 16, max_workers=8) as loader:
        for batch in loader.batches():
            del batch
            time.sleep(0.03)
            if count(loader) == 1 or time.monotonic() > deadline:
                break
        assert count(loader) == 1


def test_resize_ends_it() -> None:
    with Loader(SOURCE, 16, max_workers=8) as loader:
        batches = loader.batches()
        next(batches)
        loader.resize(3)
        wait_until(lambda: count(loader) == 3, "3 workers run")
        end = time.monotonic() + 4  # long enough to find, if it looked, that one would do
        while time.monotonic() < end:
            next(batches)
            time.sleep(0.03)
        assert count(loader) == 3


def test_max_workers_holds() -> None:
    with Loader(SOURCE, 16, max_workers=2, transforms=[slowly]) as loader:
        end = time.monotonic() + 4  # long enough to take more
        batches = loader.batches()
        while time.monotonic() < end:
            next(batches)
            assert count(loader) <= 2


def test_it_follows_the_readers_of_a_shared_loader_whether_or_not_the_script_that_made_it_reads() -> None:
    name = f"auto-{os.getpid()}"
    with Loader(SOURCE, 16, max_workers=4, transforms=[slowly], name=name, shared=True) as loader:
        loader._producer.keep_for_others()  # type: ignore[attr-defined]
        deadline = time.monotonic() + 60
        with Loader.attach(name, epoch=0) as reader:
            for _ in reader.batches():
                if count(loader) == 4 or time.monotonic() > deadline:
                    break
        assert count(loader) == 4
