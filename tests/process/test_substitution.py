"""`on_error="substitute"`: exactly the bad rows hold other samples, the same ones whoever fills them, and all are told of."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import ConfigError, Loader, MapSource, NpyArrays, NpyFiles, SampleError, Source, Zip
from loader import transforms as T
from loader.data.order import Order
from loader.data.pipeline.substitution import substitute
from tests.batches import Batch, assert_same, first_numbers, take

pytestmark = pytest.mark.filterwarnings("ignore:sample .* is bad, and another one takes its place:RuntimeWarning")
with_and_without_a_pool = pytest.mark.parametrize("workers", [0, 2])
N, SEED = 40, 3


def missing(path: Path) -> None:
    path.unlink()


def truncated(path: Path) -> None:
    os.truncate(path, 150)


def of_another_shape(path: Path) -> None:
    np.save(path, np.zeros((2, 2), np.float32))


def of_another_dtype(path: Path) -> None:
    np.save(path, np.zeros((4, 3), np.int16))


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def too_many_links(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


DAMAGE = {5: missing, 6: truncated, 17: of_another_shape, 18: of_another_dtype, 30: a_folder, 39: too_many_links}


@pytest.fixture
def damaged(npy_folder: Any) -> tuple[Source, Source]:
    """Return a source with damaged files, and the same one without; x is filled with the sample's number, and so is y."""
    folder = npy_folder(N)
    whole = NpyArrays(np.stack([np.load(folder / f"{number:06d}.npy") for number in range(N)]), np.arange(N, dtype=np.int64))
    source = NpyFiles(folder, labels=np.arange(N, dtype=np.int64))
    for number, damage in DAMAGE.items():
        damage(folder / f"{number:06d}.npy")
    return source, whole


def stand_in(number: int, epoch: int, bad: Any) -> int:
    """Return the sample that stands in for a bad one: the first good one of its attempts."""
    return next(other for attempt in range(1, 17) if (other := substitute(SEED, epoch, number, attempt, N)) not in bad)


def wanted(epochs: int, bad: Any) -> list[int]:
    """Return which samples the rows of some epochs must hold."""
    order = [Order(N, SEED, True).indices(epoch, np.arange(N)).tolist() for epoch in range(epochs)]
    return [stand_in(number, epoch, bad) if number in bad else number for epoch in range(epochs) for number in order[epoch]]


def found(source: Source, epochs: int = 1, batch_size: int = 6, **settings: Any) -> list[Batch]:
    settings = {"shuffle": True, "seed": SEED, "on_error": "substitute", "io_retries": 0, **settings}
    with Loader(source, batch_size, **settings) as loader:
        return take(loader, epochs)


def labels(batches: list[Batch]) -> list[int]:
    return [int(label) for batch in batches for label in batch[1]]


def noisy(sample: Any, rng: np.random.Generator) -> Any:
    return sample[0] + rng.random(dtype=np.float32), sample[1]


PIPELINES: dict[str, list[Any]] = {
    "as they are": [],
    "built-in": [T.Rescale(1 / 3), T.Flip("horizontal")],
    "a function": [noisy],
    "both": [T.Rescale(2), noisy, T.Flip("vertical"), T.Normalize(1, 2)],
}


@pytest.mark.parametrize("transforms", PIPELINES.values(), ids=PIPELINES)
def test_exactly_the_bad_rows_hold_other_samples_with_their_own_labels_and_random_draws(transforms: Any, damaged: Any) -> None:
    source, whole = damaged
    numbers = wanted(2, DAMAGE)
    quiet = found(whole, 2, 1, workers=0, transforms=transforms)
    by_sample = {(row // N, int(batch[1][0])): batch for row, batch in enumerate(quiet)}
    rows = found(source, 2, 1, workers=0, transforms=transforms)
    assert labels(rows) == numbers
    assert_same(rows, [by_sample[row // N, number] for row, number in enumerate(numbers)])


@pytest.mark.parametrize(
    ("pipeline", "workers", "batch_size", "slots"),
    [*((pipeline, 3, 6, 4) for pipeline in PIPELINES), ("both", 1, 6, None), ("both", 2, 1, 2), ("as they are", 2, 1, 2), ("both", 2, 40, None)],
)
def test_the_batches_are_those_of_one_process(pipeline: str, workers: int, batch_size: int, slots: int | None, damaged: Any) -> None:
    source, _ = damaged
    settings = {"transforms": PIPELINES[pipeline], "class_weight": {number: number / 7 for number in range(N)}}
    expected = found(source, 2, batch_size, workers=0, **settings)
    assert labels(expected) == wanted(2, DAMAGE)
    assert [float(w) for batch in expected for w in batch[2]] == [np.float32(number / 7) for number in wanted(2, DAMAGE)]
    assert_same(found(source, 2, batch_size, workers=workers, slots=slots, **settings), expected)


def test_rows_that_are_gathered_from_a_large_array_are_made_again_without_the_bad_ones() -> None:
    x = np.arange(N * 500, dtype=np.float32).reshape(N, 500)
    y = np.where(np.isin(np.arange(N), [4, 5, 33]), np.nan, np.arange(N) % 3)
    expected = found(NpyArrays(x, y), 2, transforms=[T.OneHot(3)], workers=0)
    assert [int(row[0]) // 500 for batch in expected for row in batch[0]] == wanted(2, {4, 5, 33})
    assert_same(found(NpyArrays(x, y), 2, transforms=[T.OneHot(3)], workers=2), expected)


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def recursion() -> None:
    recursion()


def leave_with(error: BaseException) -> Any:
    def act() -> None:
        raise error

    return act


FAULTS = {
    "an error": (leave_with(ZeroDivisionError("by hand")), "ZeroDivisionError: by hand"),
    "sys.exit": (lambda: sys.exit("enough"), "SystemExit: enough"),
    "no memory": (leave_with(MemoryError()), "MemoryError"),
    "recursion": (recursion, "RecursionError: maximum recursion depth"),
    "no message": (leave_with(Unspeakable()), "Unspeakable: (its message can't be shown: str() raises RuntimeError)"),
    "a huge message": (lambda: leave_with(ValueError("x" * 10**7))(), "(10,000,000 characters)"),
    "the batch": (lambda: leave_with(ValueError(np.zeros((2000, 2000)), "a batch"))(), "ValueError: (array("),
    "half a character": (leave_with(ValueError("\ud800")), "ValueError: \ud800"),
}


def only(bad: Any, act: Any) -> Any:
    def step(sample: Any, rng: np.random.Generator) -> Any:
        if int(sample[0]) in bad:
            act()
        return sample

    return step


@with_and_without_a_pool
@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_a_function_raises_is_named(fault: str, workers: int) -> None:
    act, said = FAULTS[fault]
    with Loader(NpyArrays(np.arange(N)), 6, workers=workers, transforms=[only({8}, act)]) as loader:
        with pytest.raises(SampleError) as caught:
            take(loader)
        assert caught.value.index == 8
        assert said in caught.value.reason
        assert len(str(caught.value)) < 60_000


def test_a_keyboard_interrupt_that_a_function_raises_in_a_worker_is_an_error_of_its_sample() -> None:
    with Loader(NpyArrays(np.arange(N)), 6, workers=2, transforms=[only({8}, leave_with(KeyboardInterrupt()))]) as loader:
        with pytest.raises(SampleError, match="sample 8: KeyboardInterrupt") as caught:
            take(loader)
        assert "Traceback" in caught.value.remote_traceback  # it did not kill its worker


# Samples that kill or hang.


def crash() -> None:
    ctypes.string_at(0)


DEATHS = {
    "exit": (lambda: os._exit(7), "exited with status 7", ""),
    "segfault": (crash, "killed by SIGSEGV", "in crash"),
    "kill": (lambda: os.kill(os.getpid(), signal.SIGKILL), "killed by SIGKILL (perhaps out of memory?)", ""),
    "hang": (lambda: time.sleep(1000), "killed for making no progress", "test_substitution.py"),
    "stop": (lambda: os.kill(os.getpid(), signal.SIGSTOP), "killed for making no progress", ""),
}


@pytest.mark.parametrize("death", DEATHS)
def test_samples_that_end_their_worker_are_substituted_and_reported_with_its_last_words(death: str, tmp_path: Path) -> None:
    act, how, where = DEATHS[death]
    first = substitute(SEED, 0, 21, 1, N)
    bad = {21, first}  # what stands in for the first one kills as well
    report = tmp_path / "bad.jsonl"
    source = NpyArrays(np.arange(N))
    order = wanted(1, bad)
    seen = found(source, workers=2, transforms=[only(bad, act)], sample_timeout_s=1.0, quarantine=report)
    assert first_numbers(seen) == order
    entries = {entry["index"]: entry for entry in map(json.loads, report.read_text().splitlines())}
    assert bad <= set(entries)
    for number in bad:
        assert "3 times in a row" in entries[number]["reason"]
        assert how in entries[number]["reason"]
        assert where in entries[number]["traceback"]


def test_a_sample_that_hangs_is_not_tried_again_in_later_epochs(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()

    def hang() -> None:
        (marks / str(time.monotonic_ns())).touch()
        time.sleep(1000)

    order = wanted(6, {21})
    for workers in (1, 3):
        before = len(list(marks.iterdir()))
        seen = found(NpyArrays(np.arange(N)), 6, workers=workers, transforms=[only({21}, hang)], sample_timeout_s=1.0)
        assert first_numbers(seen) == order
        # Workers may be at other epochs' rows of it when the first one is accused. In six epochs it would be 24 times or more otherwise.
        assert 3 <= len(list(marks.iterdir())) - before <= (4 if workers == 1 else 20)


def test_where_samples_raise_and_kill_each_is_found_whichever_way() -> None:
    first, second = (substitute(SEED, 0, 21, attempt, N) for attempt in (1, 2))
    steps = [only({21, second}, leave_with(ValueError("no"))), only({first}, crash)]
    seen = found(NpyArrays(np.arange(N)), workers=2, transforms=steps)
    assert first_numbers(seen) == wanted(1, {21, first, second})


@with_and_without_a_pool
def test_where_no_sample_can_stand_in_the_sample_is_an_error(workers: int) -> None:
    with Loader(
        NpyArrays(np.arange(400)), 4, workers=workers, on_error="substitute", transforms=[only(range(9, 400), leave_with(ValueError("no")))]
    ) as loader:
        seen: list[Any] = []
        with pytest.raises(SampleError, match=r"so is every sample that was tried in its place, up to 16 of them.*ValueError: no"):
            seen.extend(loader)
        assert len(seen) >= 2
    with Loader(NpyArrays(np.arange(2)), 1, workers=workers, on_error="substitute", transforms=[only({1}, leave_with(ValueError("no")))]) as loader:
        assert [x.tolist() for (x,) in loader] == [[0], [0]]


def test_where_everything_kills_the_sample_is_an_error_and_no_endless_loop() -> None:
    with Loader(NpyArrays(np.arange(4)), 1, workers=1, slots=2, on_error="substitute", transforms=[only({1, 2, 3}, lambda: os._exit(3))]) as loader:
        assert [x.tolist() for (x,) in loader] == [[0]] * 4  # one good sample of four is found within 16 attempts


# How many may be bad.


@with_and_without_a_pool
@pytest.mark.parametrize(
    ("bound", "said"), [(2, "max_errors=2 allows 2"), (0.05, "max_errors=0.05 of 40 samples allows 2"), (0, "max_errors=0 allows 0")]
)
def test_one_bad_sample_too_many_is_an_error_when_its_batch_is_due(bound: float, said: str, workers: int, tmp_path: Path) -> None:
    report = tmp_path / "bad.jsonl"
    bad = [9, 18, 27] if bound else [27]
    source = NpyArrays(np.arange(N))
    step = only(set(bad), leave_with(ValueError("no")))
    with Loader(source, 4, workers=workers, transforms=[step], on_error="substitute", max_errors=bound, quarantine=report) as loader:
        for _ in range(2):
            seen: list[Any] = []
            with pytest.raises(SampleError) as caught:
                seen.extend(loader)
            assert caught.value.index in bad  # which one is met last is up to the workers
            assert len(seen) == caught.value.index // 4
            assert f"{len(bad)} different samples have been bad, and {said}" in str(caught.value)
            assert str(report) in str(caught.value)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore" if bound else "error")  # nothing has taken the place of the only one
            next(iter(loader))
    assert sorted(json.loads(line)["index"] for line in report.read_text().splitlines()) == bad


@with_and_without_a_pool
def test_as_many_bad_samples_as_allowed_are_no_error_however_often_they_come(workers: int) -> None:
    step = only({9, 18}, leave_with(ValueError("no")))
    seen = found(NpyArrays(np.arange(N)), 3, workers=workers, transforms=[step], max_errors=0.05)
    assert first_numbers(seen) == wanted(3, {9, 18})


def test_a_killer_too_many_is_an_error() -> None:
    with Loader(NpyArrays(np.arange(N)), 4, workers=2, transforms=[only({9}, crash)], on_error="substitute", max_errors=0) as loader:
        seen: list[Any] = []
        with pytest.raises(SampleError, match="max_errors=0 allows 0") as caught:
            seen.extend(loader)
        assert (caught.value.index, len(seen)) == (9, 2)
        assert "in crash" in caught.value.remote_traceback


# What is told.


@with_and_without_a_pool
def test_each_bad_sample_is_one_line_of_the_report_and_the_first_one_a_warning(workers: int, damaged: Any, tmp_path: Path) -> None:
    source, _ = damaged
    report = tmp_path / "bad.jsonl"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with Loader(source, 6, workers=workers, on_error="substitute", io_retries=0, quarantine=report) as loader:
            take(loader, 3)
            stats = loader.stats()
    (warning,) = (entry for entry in caught if entry.category is RuntimeWarning)
    assert "is bad, and another one takes its place" in str(warning.message)
    assert str(report) in str(warning.message)
    assert Path(warning.filename).name == "batches.py"  # the loop, not a file of ours
    assert stats.quarantined == len(DAMAGE)
    assert stats.substituted >= 3 * len(DAMAGE)  # the next epoch is being filled
    assert stats.errors >= stats.substituted
    assert f"{len(DAMAGE)}, {stats.substituted:,} rows substituted" in str(stats)
    entries = [json.loads(line) for line in report.read_text().splitlines()]
    assert sorted(entry["index"] for entry in entries) == sorted(DAMAGE)
    for entry in entries:
        assert set(entry) == {"time", "path", "index", "reason", "traceback"}
        assert entry["path"] == source.name_of(entry["index"])
        assert "Error" in entry["traceback"]


@with_and_without_a_pool
def test_a_quiet_run_warns_of_nothing_and_reports_nothing(workers: int, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        seen = found(NpyArrays(np.arange(N)), 2, workers=workers, quarantine=tmp_path / "bad.jsonl")
    assert first_numbers(seen) == wanted(2, {})
    assert (tmp_path / "bad.jsonl").read_text() == ""


@with_and_without_a_pool
def test_without_substitution_the_report_holds_what_was_raised(workers: int, tmp_path: Path) -> None:
    report = tmp_path / "bad.jsonl"
    with Loader(NpyArrays(np.arange(N)), 6, workers=workers, transforms=[only({8}, leave_with(ValueError("no")))], quarantine=report) as loader:
        for _ in range(2):
            with pytest.raises(SampleError):
                take(loader)
    (entry,) = map(json.loads, report.read_text().splitlines())
    assert (entry["index"], entry["reason"]) == (8, "ValueError: no")


@with_and_without_a_pool
def test_a_report_that_cant_be_opened_is_refused_at_once(workers: int, tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere" / "bad.jsonl"):
        with pytest.raises(ConfigError, match="can't be opened to append to it"):
            Loader(NpyArrays(np.arange(N)), 6, workers=workers, quarantine=path)


@with_and_without_a_pool
@pytest.mark.parametrize("steps", [[], [lambda sample, rng: sample]], ids=["as they are", "a function"])
def test_the_part_that_failed_is_named(steps: Any, workers: int, npy_folder: Any) -> None:
    folder = npy_folder(12)
    masks = folder.parent / "masks"
    masks.mkdir()
    for number in range(12):
        np.save(masks / f"{number:06d}.npy", np.zeros(3))
    (masks / "000007.npy").write_bytes(b"")
    source = Zip(NpyFiles(folder), y={"mask": NpyFiles(masks)})
    settings = {"workers": workers, "io_retries": 0, "transforms": steps}
    with Loader(source.subset(range(12)) + source, 4, **settings) as loader, pytest.raises(SampleError) as caught:
        take(loader)
    assert (caught.value.index, caught.value.field, caught.value.name) == (7, "y['mask']", str(masks / "000007.npy"))
    assert f"sample 7 ({masks}/000007.npy), y['mask']: NpyError" in str(caught.value)


def test_a_function_that_uses_faulthandler_itself_changes_nothing_but_the_last_words(tmp_path: Path) -> None:
    log = (tmp_path / "own.txt").open("w")
    number = log.fileno()
    log.close()

    class Own:
        def __len__(self) -> int:
            return N

        def __getitem__(self, index: int) -> Any:
            import faulthandler

            faulthandler.disable()
            faulthandler.unregister(signal.SIGRTMAX)  # what asks for stacks now kills
            if index == 21:
                crash()
            if index == 22:
                time.sleep(1000)
            return np.int64(index + 0 * number)

    assert first_numbers(found(MapSource(Own()), workers=2, sample_timeout_s=1.0)) == wanted(1, {21, 22})
