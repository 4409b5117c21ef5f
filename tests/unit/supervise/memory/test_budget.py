from __future__ import annotations

import dataclasses
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.config import mib
from loader.errors import MemoryLimitError
from loader.supervise.memory import budget
from loader.supervise.memory.budget import Need

MIB = 2**20
PLENTY = 2**50


@pytest.fixture
def available(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What is available, in bytes; a test may change it."""
    memory = [PLENTY]
    monkeypatch.setattr(budget, "available_bytes", lambda: memory[0])
    return memory


def need_of(slots: int = 4, slot: float = 10, other: float = 1, payload: float = 5, workers: int = 2) -> Need:
    return Need(slots, int(slot * MIB), int(other * MIB), int(payload * MIB), workers)


def refusal(need: Need, limit: int | None, batch_size: int = 64) -> str:
    with pytest.raises(MemoryLimitError) as caught:
        budget.check(need, limit, batch_size)
    return str(caught.value)


def test_the_sum_is_what_its_arithmetic_says() -> None:
    need = need_of()
    words = need.arithmetic()
    slots, slot, *rest = (float(number) for number in re.findall(r"[\d.]+", words.replace(",", "")))
    other, payload, supervisor, workers, worker, total = rest
    assert (slots, slot, other, payload, workers) == (4, 10.0, 1.0, 5.0, 2)
    assert slots * slot + other + payload + supervisor + workers * worker == total
    assert round(total * MIB) == need.total


def test_what_fits_exactly_fits(available: list[int]) -> None:
    need = need_of()
    budget.check(need, need.total, 64)
    budget.check(need, None, 64)
    available[0] = need.new_bytes  # the arrays from the script are there already
    budget.check(need, need.total, 64)
    available[0] = need.new_bytes - 1
    assert "are available now" in refusal(need, None)


@pytest.mark.usefixtures("available")
def test_a_refusal_says_the_limit_the_sum_and_what_to_do() -> None:
    need = need_of(slots=6)
    message = refusal(need, need.total - 1)
    assert message.startswith(f"memory_limit is {mib(need.total - 1)}, but 6 slots × 10.0 MiB + 1.0 MiB order and texts + ")
    assert message.endswith("What to do: slots=5 would fit")


def test_a_refusal_names_both_bounds_and_minds_the_narrower(available: list[int]) -> None:
    need = need_of(slots=6)
    available[0] = need.new_bytes - 25 * MIB
    message = refusal(need, need.total - 1)
    assert "memory_limit is" in message
    assert " and only " in message
    assert message.endswith("slots=3 would fit")


@pytest.mark.usefixtures("available")
@pytest.mark.parametrize(
    ("need", "room", "remedy"),
    [
        (need_of(slots=2), 10, "What to do: batch_size=32 would fit"),
        (need_of(slots=5), 10, "What to do: slots=2 and batch_size=32 would fit"),
        (need_of(slots=2), 0, "allow more than .* MiB, which is needed without a single slot"),
        (need_of(slots=2), -3, "allow more than .* MiB, which is needed without a single slot"),
        (need_of(slots=2), 0.1, "even one sample in each of 2 slots is too much; allow .* MiB"),
    ],
)
def test_the_remedy_is_what_helps(need: Need, room: float, remedy: str) -> None:
    without_slots = need.total - need.slots * need.slot_bytes
    assert re.search(remedy + "$", refusal(need, without_slots + int(room * MIB)))


def test_of_remote_workers_the_gateway_counts_and_what_goes_to_them() -> None:
    need = need_of(payload=5)
    remote = dataclasses.replace(need, remote=True)
    assert remote.total - need.total == (96 + 5) * MIB
    assert "+ 96.0 MiB gateway + 5.0 MiB the same arrays in Ray's object store" in remote.arithmetic()


@given(slots=st.integers(2, 20), slot_kib=st.integers(1, 100_000), batch_size=st.integers(1, 500), short=st.floats(0.001, 0.999))
def test_what_a_refusal_says_would_fit_does_fit(slots: int, slot_kib: int, batch_size: int, short: float) -> None:
    need = Need(slots, slot_kib * 1024, MIB, 0, 2)
    limit = need.total - max(1, int(slots * need.slot_bytes * short))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(budget, "available_bytes", lambda: PLENTY)
        message = refusal(need, limit, batch_size)
        told = {name: int(value) for name, value in re.findall(r"(slots|batch_size)=(\d+)", message.split("What to do")[1])}
        if not told:
            assert "even one sample" in message
            return
        per_row = need.slot_bytes / batch_size
        slot_bytes = int(per_row * told.get("batch_size", batch_size))
        fitting = dataclasses.replace(need, slots=told.get("slots", slots), slot_bytes=slot_bytes)
        budget.check(fitting, limit, batch_size)
        assert told.get("batch_size", 1) >= 1
        assert told.get("slots", 2) >= 2


def test_the_default_number_of_slots_shrinks_to_what_fits_and_never_below_two(available: list[int]) -> None:
    need = need_of(slots=8)
    assert budget.fitting_slots(need, None) == 8
    assert budget.fitting_slots(need, need.total) == 8
    assert budget.fitting_slots(need, need.total - 1) == 7
    assert budget.fitting_slots(need, need.total - 35 * MIB) == 4
    assert budget.fitting_slots(need, 1) == 2
    available[0] = need.new_bytes - 15 * MIB
    assert budget.fitting_slots(need, None) == 6
    assert budget.fitting_slots(need, need.total - 35 * MIB) == 4


@given(slots=st.integers(2, 9), payload=st.integers(0, 2_000), workers=st.integers(1, 64), free=st.integers(0, 100_000), slot=st.floats(0.01, 500))
def test_the_default_limit_is_half_of_what_there_is_unless_more_is_needed(slots: int, payload: int, workers: int, free: int, slot: float) -> None:
    need = need_of(slots, slot, payload=payload, workers=workers)
    could = free * MIB + need.payload_bytes
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(budget, "available_bytes", lambda: free * MIB)
        limit = budget.default_limit(need)
    assert limit >= need.total
    assert limit <= max(need.total, could)
    if could // 2 >= need.total + workers * 256 * MIB:
        assert limit == could // 2


def test_fewer_workers_are_the_remedy_where_these_are_what_is_too_much(available: list[int]) -> None:
    available[0] = PLENTY
    need = need_of(slot=0.01, workers=8)
    assert refusal(need, need.total - 9 * MIB).endswith("What to do: workers=5 would fit")


def test_samples_that_are_kept_in_memory_count_and_those_that_are_there_need_no_more(available: list[int]) -> None:
    without = need_of(slots=2, slot=1, other=0, payload=0, workers=1)
    need = dataclasses.replace(without, cache_bytes=100 * MIB, cached_bytes=60 * MIB)
    assert (need.total - without.total, need.new_bytes - without.new_bytes) == (100 * MIB, 40 * MIB)
    said = refusal(need, 90 * MIB)
    assert "100.0 MiB samples kept in memory" in said
    fitting = re.search(r"cache fewer samples, max_bytes=(\d+), or cache in a folder", said)
    assert fitting is not None
    budget.check(dataclasses.replace(need, cache_bytes=int(fitting[1])), 90 * MIB, 8)
