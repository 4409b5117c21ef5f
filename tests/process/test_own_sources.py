"""Sources of the user's own: whatever their `read` raises is an error of the sample that it could not read, and no crash."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import Loader, MapSource, PipelineError, SampleError, Source, Zip
from loader import transforms as T
from loader.data.rows import BadSample
from loader.ipc.board import SupervisorCell
from tests.batches import assert_same, copied, first_numbers, inline, take

with_and_without_a_pool = pytest.mark.parametrize("workers", [0, 2])
SAMPLES, BATCH, BAD = 40, 8, 21
GOOD_BATCHES = BAD // BATCH


class Numbers(Source):
    """Reads many at once, in its own way, and raises `error` as soon as sample `BAD` is among them."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error

    def __len__(self) -> int:
        return SAMPLES

    def sample(self, index: int) -> Any:
        if self.error is not None and index == BAD:
            raise self.error
        return np.full(3, index, np.float32), np.int32(index)

    def read(self, indices: Any, out: Sequence[Any]) -> None:
        if self.error is not None and BAD in indices:
            raise self.error
        out[0][...] = indices[:, None]
        out[1][...] = indices


class Moody(Numbers):
    """Can't read several rows at once where sample `BAD` is among them; alone, it can."""

    def read(self, indices: Any, out: Sequence[Any]) -> None:
        if len(indices) > 1 and BAD in indices:
            raise RuntimeError("too many at once")
        super().read(indices, out)


class OpenedOnce(Numbers):
    opened = False

    def open(self) -> None:
        if self.opened:
            raise RuntimeError("it is open already")
        self.opened = True


class Unnamed(Numbers):
    def name_of(self, index: int) -> str | None:
        raise KeyError(index)


def restarts_of(loader: Loader) -> int:
    """Return how many workers have died and been replaced."""
    count: int = loader._producer.board.supervisor[SupervisorCell.RESTARTS]
    return count


ERRORS = {
    "an error": ValueError("not a picture"),
    "an exit": SystemExit("not a picture"),
    "another sample's error": BadSample(10_000),
    "no memory": MemoryError("not a picture"),
}


@with_and_without_a_pool
@pytest.mark.parametrize("transforms", [[], [T.Rescale(2.0)]], ids=["alone", "with transforms"])
@pytest.mark.parametrize("what", ["an error", "another sample's error", "no memory"])
def test_whatever_read_raises_names_the_sample_and_the_batches_before_are_delivered(what: str, transforms: Any, workers: int) -> None:
    with Loader(Numbers(ERRORS[what]), BATCH, workers=workers, transforms=transforms) as loader:
        for _ in range(2):
            found: list[Any] = []
            with pytest.raises(SampleError, match="BadSample: 10000" if "another" in what else "not a picture") as caught:
                found.extend(copied(batch) for batch in loader)
            assert caught.value.index == BAD
            assert_same(found, inline(Numbers(), BATCH, transforms=transforms)[:GOOD_BATCHES])
        if workers:
            assert restarts_of(loader) == 0 or what == "no memory"


def test_read_that_exits_is_an_error_in_a_worker() -> None:
    with Loader(Numbers(ERRORS["an exit"]), BATCH, workers=2) as loader, pytest.raises(SampleError, match="SystemExit: not a picture") as caught:
        take(loader)
    assert caught.value.index == BAD


@with_and_without_a_pool
def test_rows_that_can_be_read_alone_are_no_error(workers: int) -> None:
    with Loader(Moody(), BATCH, workers=workers) as loader:
        assert_same(take(loader, 2), inline(Numbers(), BATCH, 2))


@with_and_without_a_pool
def test_a_source_that_cant_name_its_samples_is_named_by_their_number(workers: int) -> None:
    with Loader(Unnamed(ValueError("not a picture")), BATCH, workers=workers) as loader, pytest.raises(SampleError, match=f"sample {BAD}") as caught:
        take(loader)
    assert caught.value.name is None


class Pathlike(Unnamed):
    def sample(self, index: int) -> Any:
        return super().sample(index)[:1]

    read = Source.read

    def name_of(self, index: int) -> Any:
        return Path(f"{index}.png")


class Nameless(Pathlike):
    name_of = Unnamed.name_of


@with_and_without_a_pool
@pytest.mark.parametrize(("kind", "name"), [(Pathlike, f"{BAD}.png"), (Nameless, None)])
def test_names_that_are_no_text_do_not_stand_in_the_way_of_the_error(kind: type[Pathlike], name: str | None, workers: int) -> None:
    with Loader(Zip(kind(ValueError("not a picture")), MapSource(range(SAMPLES))), BATCH, workers=workers) as loader:
        with pytest.raises(SampleError, match="not a picture") as caught:
            take(loader)
        assert (caught.value.name, caught.value.index, caught.value.field) == (name, BAD, "x")


@pytest.mark.filterwarnings("ignore:sample .* is bad, and another one takes its place:RuntimeWarning")
@with_and_without_a_pool
def test_another_sample_takes_the_place_of_one_that_read_cant_read(workers: int) -> None:
    expected = inline(Numbers(ValueError("no")), BATCH, 2, on_error="substitute", shuffle=True)
    with Loader(Numbers(ValueError("no")), BATCH, workers=workers, on_error="substitute", shuffle=True) as loader:
        assert_same(take(loader, 2), expected)


def test_what_fails_beside_the_first_sample_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    with Loader(OpenedOnce(), BATCH, workers=1) as loader, pytest.raises(PipelineError, match="exited with status 1"):
        take(loader)
    assert "RuntimeError: it is open already" in capfd.readouterr().err


class Reading:
    """An object that notes in a file which process reads from it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __len__(self) -> int:
        return SAMPLES

    def __getitem__(self, index: int) -> Any:
        with self.path.open("a") as file:
            file.write(f"{os.getpid()}\n")
        return np.full(3, index, np.float32)


TREES: dict[str, Callable[[Source], Source]] = {
    "alone": lambda source: source,
    "a split": lambda source: source.split(seed=1)[0],
    "a sum": lambda source: source + MapSource([np.zeros(3, np.float32)]),
    "a dict": lambda source: Zip({"a": source.subset(range(20)), "b": source.subset(range(20, 40))}),
}


@pytest.mark.parametrize("tree", TREES)
def test_the_process_that_workers_are_forked_from_reads_no_sample(tree: str, tmp_path: Path) -> None:
    source = TREES[tree](MapSource(Reading(tmp_path / "readers")))
    with Loader(source, BATCH, workers=2) as loader:
        take(loader)
        assert str(loader.pid) not in (tmp_path / "readers").read_text().splitlines()


# Descriptors.


class Leaking(Source):
    """Opens a file for each sample and closes none; sample `greedy` opens as many as it can.

    A worker may have `limit` files open; the first one to look sets that.
    """

    def __init__(self, greedy: int | None = None) -> None:
        self.greedy = greedy

    def __len__(self) -> int:
        return 200

    def sample(self, index: int) -> Any:
        import resource

        if index:  # the first one is tried elsewhere, too
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        os.open("/dev/null", os.O_RDONLY)
        while index == self.greedy:
            os.open("/dev/null", os.O_RDONLY)
        return np.full(3, index, np.float32)


def test_a_worker_without_descriptors_is_replaced_and_no_batch_differs(capfd: pytest.CaptureFixture[str]) -> None:
    with Loader(Leaking(), BATCH, shuffle=True, workers=2) as loader:
        found = first_numbers(take(loader, 2))
        restarts = restarts_of(loader)
        errors = loader.stats().errors
    assert [sorted(found[:200]), sorted(found[200:])] == [list(range(200))] * 2
    assert restarts >= 4
    assert errors == 0
    printed = capfd.readouterr().err
    assert printed.count("no file descriptor left") == 1
    assert "likely cause: the source or a transform opens files and does not close them" in printed


def test_a_sample_that_takes_all_descriptors_of_a_fresh_worker_is_named_with_the_limit() -> None:
    with Loader(Leaking(greedy=77), BATCH, workers=2) as loader:
        for _ in range(2):
            found: list[Any] = []
            with pytest.raises(SampleError, match=r"Too many open files.*may have 64 files open.*its worker was a fresh one") as caught:
                found.extend(copied(batch) for batch in itertools.islice(loader, 25))
            assert caught.value.index == 77
            assert first_numbers(found) == list(range(72))


@pytest.mark.filterwarnings("ignore:sample .* is bad, and another one takes its place:RuntimeWarning")
def test_another_sample_takes_the_place_of_one_that_takes_all_descriptors() -> None:
    class Refusing(Leaking):
        def sample(self, index: int) -> Any:
            if index == self.greedy:
                raise ValueError(index)
            return np.full(3, index, np.float32)

    expected = inline(Refusing(greedy=77), BATCH, 2, on_error="substitute", shuffle=True)
    with Loader(Leaking(greedy=77), BATCH, workers=2, on_error="substitute", shuffle=True) as loader:
        assert_same(take(loader, 2), expected)
        assert loader.stats().quarantined == 1
