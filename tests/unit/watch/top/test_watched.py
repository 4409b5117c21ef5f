"""Which loader `loader top` shows, and what its keys ask for."""

from __future__ import annotations

from typing import Any

from loader.watch.top.terminal import Keys
from loader.watch.top.watched import Answer, Request, Watched


def answer(pid: int, name: str, *, silent: bool = False, samples: int = 0, **changes: Any) -> Answer:
    known = {"trainer_pid": 1, "wanted_workers": 2, "max_workers": 4, "auto": True, "workers": [{"pid": pid + 1, "number": 5, "samples": samples}]}
    return Answer(pid, str(pid) if silent else name, None if silent else known | changes)


def test_the_busiest_is_shown_first_unless_one_was_named() -> None:
    both = [answer(10, "train", samples_per_s=5), answer(20, "val", samples_per_s=9)]
    busiest, named = Watched(), Watched(10)
    for watched in (busiest, named):
        watched.answered(both, 0)
    assert (busiest.view(0).name, named.view(0).name) == ("val", "train")
    assert (named.view(0).place, named.view(0).count) == (1, 2)


def test_tab_goes_round() -> None:
    watched = Watched(10)
    watched.answered([answer(10, "a"), answer(20, "b"), answer(30, "c")], 0)
    names = []
    for key in ("tab", "right", "down", "left", "backtab"):
        assert watched.press(key, 0) is None
        names.append(watched.view(0).name)
    assert names == ["b", "c", "a", "c", "b"]


def test_plus_and_minus_count_on_before_the_answer_is_there() -> None:
    watched = Watched()
    watched.answered([answer(10, "train")], 0)
    assert [watched.press(key, 0) for key in "++-"] == [Request(10, 3), Request(10, 4), Request(10, 3)]
    watched.told(Request(10, 3), {"changed": {"workers": {"old": "auto (2 now)", "new": 3}}}, 1)
    assert watched.view(1).message == "workers auto (2 now) → 3"
    assert watched.view(1).status is not None
    assert watched.press("+", 1) == Request(10, 4)
    assert watched.view(60).message == ""


def test_a_number_that_auto_has_overtaken_is_forgotten() -> None:
    watched = Watched()
    watched.answered([answer(10, "train", wanted_workers=1, auto=False)], 0)
    assert [watched.press(key, 0) for key in "++a"] == [Request(10, 2), Request(10, 3), Request(10, "auto")]
    watched.told(Request(10, "auto"), {"changed": {"workers": {"old": 1, "new": "auto (1 now)"}}}, 1)
    watched.answered([answer(10, "train", wanted_workers=1)], 2)
    assert watched.press("+", 2) == Request(10, 2)


def test_limits_are_named() -> None:
    watched = Watched()
    watched.answered([answer(10, "train", wanted_workers=4)], 0)
    assert watched.press("+", 0) is None
    assert "4 is the maximum (max_workers)" in watched.view(0).message
    assert watched.press("a", 0) is None
    watched.answered([answer(10, "train", wanted_workers=1, auto=False)], 1)
    assert watched.press("-", 1) is None
    assert "1 is the least" in watched.view(1).message
    assert watched.press("a", 1) == Request(10, "auto")
    watched.told(Request(10, "auto"), {"error": "no"}, 2)
    assert watched.view(2).message == "no"
    watched.told(Request(10, "auto"), None, 3)
    assert "did not answer" in watched.view(3).message


def test_one_that_does_not_answer_keeps_its_last_picture() -> None:
    watched = Watched()
    watched.answered([answer(10, "train")], 0)
    watched.answered([answer(10, "train", silent=True)], 7)
    view = watched.view(8)
    assert (view.name, view.state, view.age_s) == ("train", "silent", 8)
    assert view.status is not None
    assert watched.press("+", 8) is None
    watched.answered([answer(10, "train")], 9)
    assert watched.view(9).state == "live"


def test_one_that_has_ended_stays_until_another_one_starts() -> None:
    watched = Watched(10)
    watched.answered([answer(10, "train"), answer(20, "val")], 0)
    watched.answered([answer(20, "val")], 1)
    for now in (2, 3):
        watched.answered([answer(20, "val")], now)
        assert (watched.view(now).name, watched.view(now).state) == ("train", "ended")
    watched.answered([answer(30, "other"), answer(20, "val")], 4)
    assert (watched.view(4).name, watched.view(4).state) == ("other", "live")
    watched.answered([answer(30, "other"), answer(40, "train"), answer(20, "val")], 5)
    assert (watched.view(5).name, watched.view(5).count) == ("train", 3)


def test_a_key_ends_the_wait_for_a_successor() -> None:
    watched = Watched(10)
    watched.answered([answer(10, "train"), answer(20, "val")], 0)
    watched.answered([answer(20, "val")], 1)
    watched.press("tab", 1)
    watched.answered([answer(20, "val"), answer(40, "train")], 2)
    assert watched.view(2).name == "val"


def test_a_replaced_supervisor_is_followed() -> None:
    watched = Watched(10)
    watched.answered([answer(10, "train"), answer(20, "val")], 0)
    watched.answered([answer(30, "train"), answer(20, "val")], 1)
    assert (watched.view(1).name, watched.view(1).state, watched.view(1).count) == ("train", "live", 2)


def test_workers_rates_are_those_of_the_last_seconds() -> None:
    watched = Watched()
    for second in range(20):
        watched.answered([answer(10, "train", samples=0 if second < 10 else 100 * (second - 10))], second)
    assert watched.view(19).rates == {5: 100.0}


def test_without_loaders_keys_do_nothing() -> None:
    watched = Watched(10)
    watched.answered([], 0)
    assert [watched.press(key, 0) for key in ("+", "a", "tab", "x", "?")] == [None] * 5
    assert (watched.view(0).name, watched.view(0).help) == ("", True)


def test_keys_have_names() -> None:
    assert Keys().named(b"+=-_\t\x1b[C\x1bOD\x1b[Z\x1b[5~\x1b[1;5Cq\xff?\x1b") == [
        "+",
        "+",
        "-",
        "-",
        "tab",
        "right",
        "left",
        "backtab",
        "q",
        "\ufffd",
        "?",
    ]
    assert Keys().named(b"") == []


def test_a_key_that_comes_in_pieces_is_one_key() -> None:
    keys = Keys()
    pressed = [keys.named(bytes([byte])) for byte in b"\x1b[A\x1bOD\x1bq"]
    assert pressed == [[], [], ["up"], [], [], ["left"], [], ["q"]]
