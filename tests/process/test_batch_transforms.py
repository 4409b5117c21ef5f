"""`batch_transforms`: functions of a finished batch, in real workers."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import ConfigError, Loader, NpyArrays, PipelineError, SampleError
from loader import transforms as T
from tests.batches import assert_same, copied, inline, take
from tests.processes import workers_of

ROWS = 331
X = np.arange(3 * ROWS, dtype=np.float32).reshape(ROWS, 3)
Y = np.eye(5, dtype=np.float32)[np.arange(ROWS) % 5]
DICTS = NpyArrays({"a": X[:330], "b": X[:330, :1]}, Y[:330])
PLAIN = NpyArrays(X, Y)
SHUFFLED: Any = {"shuffle": True, "seed": 3}


def mixup(batch: Any, rng: np.random.Generator) -> Any:
    x, y = batch
    share, order = np.float32(rng.beta(0.4, 0.4)), rng.permutation(len(y))

    def mixed(array: Any) -> Any:
        return share * array + (1 - share) * array[order]

    return {key: mixed(array) for key, array in x.items()} if isinstance(x, dict) else mixed(x), mixed(y)


def in_place(batch: Any, rng: np.random.Generator) -> Any:
    x, y = batch
    for array in x.values() if isinstance(x, dict) else [x]:
        array += 1000
        array *= np.float32(rng.uniform(0.5, 2))
    y[:] = y[::-1].copy()
    return x, y


def global_draws(batch: Any, rng: np.random.Generator) -> Any:
    return batch[0], batch[1] + np.float32(np.random.rand() + random.random())


def doubled(batch: Any, rng: np.random.Generator) -> Any:
    return batch[0], batch[1] * 2


CHAIN = [mixup, in_place, global_draws]


def has_sample_40(batch: Any) -> bool:
    return bool((batch[0][:, 0] == X[40, 0]).any())


@pytest.mark.parametrize(
    ("batch_size", "settings"),
    [(8, {}), (64, {}), (8, {"shuffle": "blocks"}), (64, {"drop_last": True}), (8, {"shard": (1, 3)})],
    ids=str,
)
def test_the_bits_are_the_same_for_any_number_of_workers(batch_size: int, settings: dict[str, Any]) -> None:
    given: Any = {**SHUFFLED, **settings, "transforms": [T.Rescale(0.5)], "batch_transforms": CHAIN}
    expected = inline(DICTS, batch_size, epochs=2, **given)
    with Loader(DICTS, batch_size, workers=3, **given) as train:
        assert_same(take(train, epochs=2), expected)
    without = inline(DICTS, batch_size, epochs=2, **{**given, "batch_transforms": []})
    assert not np.array_equal(expected[0][1], without[0][1])


def test_weights_of_classes_are_part_of_the_batch() -> None:
    weights: Any = {"class_weight": {0: 1.0, 1: 2.0}}
    source = NpyArrays(X, (np.arange(ROWS) % 2).astype(np.int32))
    with Loader(source, 64, workers=2, batch_transforms=[lambda batch, rng: tuple(part[::-1] for part in batch)], **weights) as train:
        made = take(train)
    assert_same(made, [tuple(part[::-1] for part in batch) for batch in inline(source, 64, **weights)])


def test_batches_that_are_files_are_given_as_they_are(tmp_path: Path) -> None:
    for number, rows in enumerate((3, 7, 5)):
        np.save(tmp_path / f"{number}.npy", X[10 * number : 10 * number + rows])
    source = NpyArrays(str(tmp_path / "*.npy"))
    with Loader(source, None, workers=2, batch_transforms=[lambda batch, rng: (batch[0] + len(batch[0]),)]) as train:
        assert sorted(int(x[0, 0]) for (x,) in train) == [0 + 3, 30 + 7, 60 + 5]


def test_each_batch_and_each_rank_draws_its_own() -> None:
    def drawing(batch: Any, rng: np.random.Generator) -> Any:
        return (np.full_like(batch[0], rng.random()),)

    seen = []
    for rank in (0, 1):
        batches = inline(NpyArrays(X[:320]), 16, epochs=2, shard=(rank, 2), batch_transforms=[drawing])
        seen += [float(x[0, 0]) for (x,) in batches]
    assert len(set(seen)) == len(seen) == 2 * 2 * 10


@pytest.mark.parametrize("batch_size", [4, 64])
def test_a_batch_whose_worker_died_while_it_was_changed_is_made_again(batch_size: int, tmp_path: Path) -> None:
    flag = tmp_path / "died"

    def dies_once(batch: Any, rng: np.random.Generator) -> Any:
        last = has_sample_40(batch)
        batch[0][:] += 1
        if last and not flag.exists():
            flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return mixup(batch, rng)

    with Loader(PLAIN, batch_size, workers=2, batch_transforms=[dies_once], **SHUFFLED) as train:
        made = take(train)
    assert flag.exists()
    assert_same(made, inline(PLAIN, batch_size, batch_transforms=[dies_once], **SHUFFLED))


@pytest.mark.parametrize("batch_size", [4, 64])
def test_workers_that_are_killed_at_any_time_change_nothing(batch_size: int) -> None:
    def slow(batch: Any, rng: np.random.Generator) -> Any:
        batch[0][:] += 1
        time.sleep(0.002)
        return in_place(mixup(batch, rng), rng)

    given: Any = {"transforms": [lambda sample, rng: (sample[0] + rng.random(dtype=np.float32), sample[1])], "batch_transforms": [slow], **SHUFFLED}
    expected = inline(PLAIN, batch_size, epochs=4, **given)
    chance, kills, found = random.Random(batch_size), 0, []
    with Loader(PLAIN, batch_size, workers=3, slots=3, **given) as train:
        batches = train.batches()
        for _ in expected:
            found.append(copied(next(batches)))
            if chance.random() < 16 / len(expected):
                with contextlib.suppress(ProcessLookupError):  # one that was killed, and is listed until its successor is there
                    os.kill(chance.choice(workers_of(train)), signal.SIGKILL)
                    kills += 1
    assert kills > 5
    assert_same(found, expected)


def test_one_that_kills_its_worker_is_named_with_the_batch() -> None:
    def dies(batch: Any, rng: np.random.Generator) -> Any:
        if has_sample_40(batch):
            os._exit(3)
        return batch

    with Loader(PLAIN, 8, workers=2, batch_transforms=[dies]) as train:
        following = iter(train)
        assert len(list(islice(following, 5))) == 5
        with pytest.raises(PipelineError, match=r"batch_transforms \(dies\) failed on batch 5 of epoch 0: 3 workers died; the last one exited"):
            next(following)


@pytest.mark.time_limit(60)
def test_one_that_hangs_is_named_with_the_batch() -> None:
    message = r"batch_transforms \(sleeps\) failed on batch 0 of epoch 0: 3 workers died"

    def sleeps(batch: Any, rng: np.random.Generator) -> Any:
        time.sleep(1000)

    with Loader(PLAIN, 64, workers=1, sample_timeout_s=1.0, batch_transforms=[sleeps]) as train, pytest.raises(PipelineError, match=message):
        take(train)


FAILURES: list[tuple[Any, str]] = [
    (lambda batch, rng: 1 / 0, "ZeroDivisionError"),
    (lambda batch, rng: None, "it returned None"),
    (lambda batch, rng: batch[:1], r"it returned \(x: \(8, 3\) float32\), and the batch is \(x: \(8, 3\) float32, y"),
    (lambda batch, rng: (batch[0][:4], batch[1][:4]), "number of rows"),
    (lambda batch, rng: (batch[0] * 1j, batch[1]), "kinds of numbers"),
    (lambda batch: batch, "takes 1 positional argument"),
]


@pytest.mark.parametrize(("function", "words", "workers"), [(*FAILURES[0], 2), *((*failure, 0) for failure in FAILURES)])
def test_a_failure_names_function_batch_and_epoch(function: Any, words: str, workers: int) -> None:
    def fails(batch: Any, rng: np.random.Generator) -> Any:
        return function(batch, rng) if has_sample_40(batch) else batch

    with Loader(PLAIN, 8, workers=workers, batch_transforms=[doubled, fails]) as train:
        following = iter(train)
        assert len(list(islice(following, 5))) == 5
        with pytest.raises(PipelineError, match=rf"(?s)batch transform 1, fails, failed on batch 5 of epoch 0: .*{words}"):
            next(following)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_bad_sample_is_still_the_error_of_its_batch(workers: int) -> None:
    def bad(sample: Any, rng: np.random.Generator) -> Any:
        if sample[0][0] == X[40, 0]:
            raise ValueError("a bad one")
        return sample

    with Loader(PLAIN, 8, workers=workers, transforms=[bad], batch_transforms=[mixup]) as train:
        following = iter(train)
        assert_same([copied(batch) for batch in islice(following, 5)], inline(PLAIN, 8, batch_transforms=[mixup])[:5])
        with pytest.raises(SampleError, match="a bad one"):
            next(following)


def test_one_may_return_views_of_other_arrays_of_the_batch() -> None:
    def crossed(batch: Any, rng: np.random.Generator) -> Any:
        (x,) = batch
        return ({"b": x["a"][::-1], "a": x["b"]},)

    source = NpyArrays({"a": X, "b": -X})
    for (x,), (plain,) in zip(inline(source, 64, batch_transforms=[crossed]), inline(source, 64), strict=True):
        assert np.array_equal(x["a"], plain["b"])
        assert np.array_equal(x["b"], plain["a"][::-1])


def test_after_a_jump_all_is_as_it_would_have_been() -> None:
    expected = inline(PLAIN, 8, epochs=3, batch_transforms=CHAIN, **SHUFFLED)
    with Loader(PLAIN, 8, workers=2, batch_transforms=CHAIN, **SHUFFLED) as train:
        assert len(list(islice(train, 7))) == 7
        state = train.state_dict()
        second = take(train)
        train.load_state_dict(state)
        rest = take(train)
    assert_same(second, expected[len(train) : 2 * len(train)])
    assert_same(rest, expected[7 : len(train)])


def test_the_global_generators_of_the_script_stay_as_they_are() -> None:
    np.random.seed(1)
    random.seed(1)
    expected = np.random.RandomState(1).rand(), random.Random(1).random()
    inline(PLAIN, 64, batch_transforms=[global_draws])
    assert (np.random.rand(), random.random()) == expected


def test_a_loader_with_other_settings_has_the_same_ones() -> None:
    with Loader(PLAIN, 64, workers=0, batch_transforms=CHAIN) as train, train.with_settings(batch_size=32, workers=2) as other:
        assert_same(take(other), inline(PLAIN, 32, batch_transforms=CHAIN))


@pytest.mark.parametrize("wrong", [mixup, [3], [T.Flip(0)], [T.Batch(mixup)], [T.Map], "ab"])
def test_nonsense_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigError, match="batch"):
        Loader(PLAIN, 8, workers=0, batch_transforms=wrong)


@pytest.mark.parametrize(("functions", "name"), [([mixup], "mixup"), ([mixup, doubled], "batch_transforms")])
@pytest.mark.parametrize("workers", [0, 2])
def test_they_are_a_stage_of_their_own(workers: int, functions: list[Any], name: str) -> None:
    with Loader(PLAIN, 16, workers=workers, batch_transforms=functions) as loader:
        batches = loader.batches()
        while not (found := [stage for stage in loader.stats().stages if stage.name == name]):
            next(batches)
        assert found[0].ms_per_batch
