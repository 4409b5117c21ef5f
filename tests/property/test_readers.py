"""One schedule serves several readers: each gets each batch once and in order, whatever the others do. `readers_world` asserts the promises."""

from __future__ import annotations

from random import Random

import pytest

from loader.data.plans.rank_batches import RankBatches
from loader.supervise.schedule import sizing
from tests.plans import bucket_batches, sample_batches
from tests.property.readers_world import World, happen


def make_world(random: Random, readers: int) -> World:
    """Return a world with as few slots and places for blocks as so many readers need, or more."""
    size, slots = random.randint(1, 6), 2 * readers + random.choice([0, 0, 1, 5])
    row_ns = random.choice([10.0, 200_000.0, 100_000_000.0])
    if random.random() < 0.2:
        lengths = bucket_batches([number % 5 for number in range(random.randint(5, 60))], [1, 2, 4], [size, max(1, size // 2), 1], shuffle=True)
        return World(lengths, slots, 1, row_ns, 0, 0, workers=3)
    plan = sample_batches(random.choice([size, *range(size, 80)]), size, random.random() < 0.3)
    capacity = random.randint(1, 5)
    block_rows = min(random.randint(0, 4), plan.batches) * size
    places = random.choice([readers + 1, sizing.block_places(slots, capacity, size, block_rows) + readers]) if block_rows else 0
    return World(plan, slots, capacity, row_ns, block_rows, places, random.randint(1, 4), batch_work=random.random() < 0.3)


@pytest.mark.parametrize("seed", range(20))
def test_each_reader_gets_its_batches_once_and_in_order_whoever_comes_goes_jumps_or_dies(seed: int) -> None:
    random = Random(seed)
    for _ in range(5):
        most = random.randint(1, 5)
        world = make_world(random, most)
        for _ in range(600):
            happen(world, random, most)
        world.go_on(batches=10)


@pytest.mark.parametrize("seed", range(10))
def test_each_rank_of_a_job_gets_its_own_batches_whatever_happens_to_the_others(seed: int) -> None:
    random = Random(seed)
    for _ in range(5):
        size, ranks = random.randint(1, 6), random.randint(2, 4)
        plan = RankBatches.of(sample_batches(random.randint(size * ranks, 120), size, random.random() < 0.3, world=ranks))
        slots, capacity = 2 * ranks + random.choice([0, 2, 5]), random.randint(1, 5)
        block_rows = min(random.randint(0, 4), plan.batches) * size
        world = World(plan, slots, capacity, random.choice([10.0, 200_000.0]), block_rows, ranks + 1, random.randint(1, 4))
        for rank in range(1, ranks):
            world.enter(0, 0, rank)
        world.go_on(batches=2 * plan.batches)
        for _ in range(300):
            happen(world, random, ranks)
        world.go_on(batches=10)


@pytest.mark.parametrize("seed", range(5))
def test_readers_that_stay_get_all_batches_of_all_epochs(seed: int) -> None:
    random = Random(seed)
    world = make_world(random, readers=3)
    starts = [(0, 0), (1, 0), (0, world.plan.batches - 1)]
    for start in starts[1:]:
        world.enter(*start)
    world.go_on(batches=3 * world.plan.batches)


@pytest.mark.parametrize("seed", range(20))
def test_readers_that_stop_for_good_hold_up_nobody(seed: int) -> None:
    random = Random(seed)
    most = random.randint(2, 5)
    world = make_world(random, most)
    for _ in range(300):
        happen(world, random, most)
    for trainer in list(world.trainers.values())[1:]:
        trainer.stopped = True
    world.go_on(batches=3 * world.plan.batches)


def test_readers_in_step_share_all_slots_and_one_that_is_behind_joins_those_ahead_when_it_meets_them() -> None:
    world = World(sample_batches(400, 4), 8, 1, 1e6, 0, 0, workers=2)
    world.enter(0, 0)
    world.carry_out()
    made: list[int] = []
    for _ in range(100):
        for trainer in world.trainers.values():
            for slot in list(trainer.held):
                world.release(trainer, slot)
        world.carry_out()
        while world.busy():
            made += [ticket.rows for held in world.workers.values() for ticket in held]
            for worker in world.busy():
                while world.workers[worker]:
                    world.work(worker)
            world.carry_out()
    ahead, behind = world.trainers.values()
    assert ahead.due == behind.due
    assert sum(made) <= 4 * (ahead.got + 8)
