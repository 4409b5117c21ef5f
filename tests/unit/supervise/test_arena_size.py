"""How many slots there are, and how large they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from loader.config import Config, LocalShard, RayWorkers
from loader.data.spec import Leaf, SampleSpec
from loader.supervise.arena_size import SharedBytes, lay_out
from tests.plans import sample_batches

SPEC = SampleSpec((Leaf(0, None, (150_000,), np.dtype("float32")),))


SMALL = SampleSpec((Leaf(0, None, (256,), np.dtype("float32")),))


@pytest.mark.parametrize(
    ("row_ns", "remote", "slots", "capacity"),
    [
        (5_000_000, None, 258, 1),  # two slots for each worker
        (200, None, 258, 64),
        (5_000_000, RayWorkers(max=1), 17, 64),  # how long rows take elsewhere is not known, and 64 MiB hold no more
    ],
)
def test_slots_have_no_room_for_batches_that_are_never_put_there(row_ns: int, remote: RayWorkers | None, slots: int, capacity: int) -> None:
    config = Config(batch_size=64, workers=128, remote=remote)
    layout, _ = lay_out(config, sample_batches(1_000_000, 64), [SMALL], row_ns, SharedBytes(0, 0, 0), 2**62)
    assert (layout.layouts[0].capacity, layout.slots) == (capacity, slots)


@pytest.mark.parametrize("ranks", [1, 2, 4, 8])
def test_each_rank_has_three_slots_at_least_and_one_beside_those_of_the_workers(ranks: int) -> None:
    alone = Config(batch_size=64, workers=2)

    def slots(config: Config, row_ns: int) -> int:
        return lay_out(config, sample_batches(10_000, 64), [SPEC], row_ns, SharedBytes(0, 0, 0), 2**62)[0].slots

    shared = replace(alone, shard=LocalShard(0, ranks, ranks), shared=True, name="ranks")
    assert slots(alone, 100_000) == 3
    assert slots(shared, 100_000) == (3 * ranks if ranks > 1 else 3 + 8)
    assert slots(replace(shared, slots=2 * ranks), 100_000) == 2 * ranks
    many = replace(shared, workers=8)
    assert slots(many, 1_000) == max(slots(replace(alone, workers=8), 1_000) + (ranks - 1 if ranks > 1 else 8), 3 * ranks)
