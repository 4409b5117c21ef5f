"""How long a trainer's own step takes."""

from __future__ import annotations

from loader.supervise.sharing.pace import Counted, Pace


def look(pace: Pace, at_s: float, batches: int, waited_s: float = 0.0, waits: bool = False) -> float | None:
    step = pace.look(Counted(at_s, batches, waited_s), waits)
    return None if step is None else round(step.own_s, 6)


def test_waiting_does_not_count_and_nothing_is_known_before_some_batches() -> None:
    pace = Pace()
    assert [look(pace, 1 + number * 0.05, number, number * 0.03) for number in range(6)] == [None] * 5 + [0.02]


def test_compiling_and_pauses_count_only_until_the_next_batches() -> None:
    pace = Pace()
    look(pace, 0.0, 0)
    assert look(pace, 5.0, 1) is None
    assert look(pace, 9.0, 5) == 1.0
    assert look(pace, 9.4, 9) == 0.1
    assert look(pace, 20.0, 13) == 0.1


def test_a_trainer_that_does_nothing_pauses_and_one_that_waits_does_not() -> None:
    pace = Pace()
    for number in range(6):
        look(pace, number * 0.1, number)
    assert look(pace, 0.95, 5) == 0.1
    assert look(pace, 1.1, 5) is None
    assert look(pace, 1.1, 5, waits=True) == 0.1
    assert look(pace, 1.2, 5, waited_s=0.6) == 0.1
