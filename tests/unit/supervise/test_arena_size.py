"""How many slots there are for several trainers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from loader.config import Config, LocalShard
from loader.data.spec import Leaf, SampleSpec
from loader.supervise.arena_size import SharedBytes, lay_out
from tests.plans import sample_batches

SPEC = SampleSpec((Leaf(0, None, (150_000,), np.dtype("float32")),))


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
