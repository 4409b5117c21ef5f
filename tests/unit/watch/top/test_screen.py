"""The picture of `loader top`, without a terminal: it fits, whatever it is given, and says what matters."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from loader.watch.top.drawing import FINE, PLAIN, count, span
from loader.watch.top.screen import screen
from loader.watch.top.tables import Block, arranged
from loader.watch.top.watched import View
from tests.examples import examples
from tests.unit.watch.statuses import REMOTE
from tests.unit.watch.statuses import status as answered


def status(workers: int = 4, **changes: Any) -> dict[str, Any]:
    return answered(workers, **({"stages": [], "errors": 0, "substituted": 0, "quarantined": 0, "supervisor_restarts": 0, "restarts": 0} | changes))


def shown(view: View, width: int = 80, height: int = 24) -> list[str]:
    return [line.plain for line in screen(view, width, height)]


def text(**changes: Any) -> str:
    return "\n".join(shown(View("train", status(**changes), rates={1: 310.0})))


def test_80_by_24_has_everything() -> None:
    lines = shown(View("train", status(), rates={1: 310.0}, place=1, count=2))
    assert (len(lines), max(map(len, lines))) == (24, 80)
    whole = "\n".join(lines)
    for words in ("train", "1 of 2", "61%", "batch 612 of 1,000, 10 s left", "1,234", "42%", "the loader is the slow part", "3 ready", "62%"):
        assert words in whole
    for words in ("1.2 GiB of 2.0 GiB", "none: no errors", "at most 16", "4001", "310", "12 MiB", "cats/000001.npy", "12 s ago", "2 → 4 workers"):
        assert words in whole
    assert lines[-1].startswith("+ - workers")


def test_training_that_stands_still_is_said_to() -> None:
    assert "batch 612 of 1,000, no batch taken for 34 s" in text(seconds_since_last_batch=34.2)
    assert "no batch taken" not in text(seconds_since_last_batch=2.0)


def test_a_curve_has_a_column_for_each_second() -> None:
    line = next(line for line in text().splitlines() if line.startswith("trainer waits"))
    assert line[20:] == "▅" * 60


def test_troubles_are_counted() -> None:
    assert "2 errors · 1 worker died" in text(errors=2, restarts=1)
    assert "only 2 workers fit" in text(memory={"arena_bytes": 1, "private_bytes": 1, "limit_bytes": 2**31, "reduced_to": 2})


def test_the_network_is_shown_where_data_are_far_away() -> None:
    assert "network" not in text()
    known = {"in_flight": 256, "objects_per_s": 1500.4, "bytes_per_s": 170e6, "waiting": 0.8, "retries": 12, "hits": 0, "latency_ms": 61.7}
    assert "network       256 in flight · 62 ms · 1,500 objects/s · 170.0 MB/s · 12 retries\n" in text(network=known)
    assert "12 retries · 37% cached" in "\n".join(shown(View("train", status(network=known | {"hits": 9, "hit_ratio": 0.37})), 120))
    assert "5 in flight" in text(network={"in_flight": 5, "objects_per_s": 1.0, "bytes_per_s": 1e6, "retries": 0, "hits": 0})  # of another version


def test_stages_are_shown_where_there_are_some() -> None:
    assert "stages" not in text()
    assert "mixup 9% (25 ms per batch)" in text(stages=[{"name": "mixup", "share": 0.09, "ms_per_sample": 0.4, "ms_per_batch": 25}])
    assert "read 62% (0.4 ms) · decode 38% (0.25 ms)" in text(
        stages=[{"name": "read", "share": 0.62, "ms_per_sample": 0.4}, {"name": "decode", "share": 0.38, "ms_per_sample": 0.25}]
    )


READERS = [
    {"number": 0, "pid": 76, "epoch": 3, "batch": 612, "samples_per_s": 1234.5, "wait_ratio": 0.02, "shares_with": [1], "state": "reads"},
    {"number": 1, "pid": 81, "epoch": 3, "batch": 611, "samples_per_s": 1230.0, "wait_ratio": 0.0, "shares_with": [0], "state": "reads"},
    {"number": 2, "pid": 82, "epoch": 1, "batch": 1234, "samples_per_s": 9.5, "wait_ratio": 0.0, "shares_with": [], "state": "slow"},
]


def test_readers_of_a_shared_loader_have_a_line_each() -> None:
    lines = text(readers=READERS, sharing={"readers": 3, "work": 1.013, "alone": 2.004}).splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("readers"))
    assert lines[start : start + 5] == [
        "readers       3, 1.01 × the work of one, without sharing 2.00 ×",
        "  #      PID  EPOCH      BATCH  SAMPLES/S  WAITS  BATCHES",
        "  0       76      3        612      1,234     2%  shared with 1",
        "  1       81      3        611      1,230     0%  shared with 0",
        "  2       82      1      1,234        9.5     0%  slow, made for it alone",
    ]
    assert "readers       3" in text(readers=READERS, sharing=None).splitlines()
    assert "without sharing 2.00 x" in "".join(
        line.plain for line in screen(View("a", status(readers=READERS, sharing={"work": 1, "alone": 2})), 80, 40, PLAIN)
    )


def test_machines_with_remote_workers_have_a_line_each() -> None:
    assert "remote" not in text()
    shown_at = View("train", status(2) | REMOTE, rates={16: 55.0})
    lines = shown(shown_at, 100, 40)
    start = next(number for number, line in enumerate(lines) if line.startswith("remote"))
    assert lines[start : start + 4] == [
        "remote        2 → 3, at most 8, bring 2.1 ×, 120.0 MB/s, at work 90% of their time",
        "           NODE  WORKERS  SAMPLES/S     MB/S   TICKET  HEDGED  DIED  NOT USED BECAUSE",
        "       10.0.0.7        2        800    120.0    42 ms       3     1  ",
        "       10.0.0.9        0        0.0      0.0     0 ms       0     0  it has NumPy 2.1.0, this machi…",
    ]
    whole = "\n".join(lines)
    assert "workers       2, at most 16" in whole
    assert " 16       90   busy   80%         55               0  on 10.0.0.7, sample 7" in whole


def test_one_that_reads_its_own_loader_alone_is_not_listed() -> None:
    assert "readers" not in text(readers=READERS[:1])
    assert "readers       1" in text(readers=READERS[1:2])


def test_many_readers_and_workers_fit_and_what_is_left_out_is_counted() -> None:
    many = [READERS[2] | {"number": number, "pid": 90 + number} for number in range(20)]
    lines = shown(View("train", status(workers=20, readers=many)))
    assert len(lines) == 24
    assert sum(line.strip().startswith("and ") and line.endswith(" more") for line in lines) == 2


def test_workers_that_do_not_fit_are_counted() -> None:
    lines = shown(View("train", status(workers=40)))
    assert len(lines) == 24
    number = sum(line.split()[1:2] == [str(4000 + place)] for place in range(40) for line in lines)
    assert number >= 4
    assert any(f"and {40 - number} more" in line for line in lines)
    assert sum("busy" in line for line in shown(View("train", status(workers=40)), height=70)) == 40


def test_a_head_never_stands_alone() -> None:
    for height in range(1, 30):
        lines = shown(View("train", status(workers=6)), height=height)
        heads = [place for place, line in enumerate(lines) if line.rstrip().endswith("SAMPLE")]
        assert all("busy" in lines[place + 1] for place in heads), height


@pytest.mark.parametrize(("state", "words"), [("ended", "ended"), ("silent", "does not answer for 5 s")])
def test_a_loader_that_is_gone_says_so(state: str, words: str) -> None:
    lines = shown(View("train", status(), state=state, age_s=5.2))
    assert words in lines[0]
    assert ("left" in lines[1]) is False


def test_a_loader_that_never_answered_and_none_at_all_have_a_picture_too() -> None:
    assert "does not answer" in shown(View("77", None, state="silent"))[0]
    assert any("no loader of yours is running" in line for line in shown(View()))


def test_help_explains_keys_and_figures() -> None:
    whole = "\n".join(shown(View("train", status(), help=True)))
    assert all(words in whole for words in ("one worker more", "auto", "quit", "trainer waits", "slots"))


def test_a_name_moves_no_cursor() -> None:
    evil = "\x1b[2J\x07\udc80\n\u202e"
    whole = "".join(shown(View(evil, status(script=evil, verdict=evil, decisions=[{"ago_s": 1, "text": evil}]), message=evil)))
    worker = status(workers=1)
    worker["workers"][0]["sample"] = evil
    whole += "".join(shown(View("train", worker)))
    assert whole.isprintable()


def test_without_unicode_only_ascii_is_drawn() -> None:
    lines = screen(View("train", status(decisions=[]), count=2), 80, 24, PLAIN)
    assert "\n".join(line.plain for line in lines).isascii()


def test_without_colour_the_text_is_the_same() -> None:
    assert shown(View("train", status())) == [Text(line.plain).plain for line in screen(View("train", status()), 80, 24)]


words = st.text(st.characters(exclude_categories=()), max_size=60)


@examples(60)
@given(
    width=st.integers(0, 220),
    height=st.integers(0, 80),
    workers=st.integers(0, 30),
    name=words,
    text=words,
    state=st.sampled_from(["live", "silent", "ended"]),
    message=words,
    missing=st.sets(st.sampled_from(sorted(status()))),
    help=st.booleans(),
    glyphs=st.sampled_from([FINE, PLAIN]),
)
def test_it_fits_any_terminal(
    width: int, height: int, workers: int, name: str, text: str, state: str, message: str, missing: set[str], help: bool, glyphs: Any
) -> None:
    known = status(workers=workers, script=text, verdict=text, decisions=[{"ago_s": 5000.0, "text": text}] * 20)
    for worker in known["workers"]:
        worker["sample"] = text
    view = View(name, {key: value for key, value in known.items() if key not in missing}, state, 3.0, 1, 2, {4000: 1e9}, message, help)
    lines = screen(view, width, height, glyphs)
    assert len(lines) == max(1, height)
    assert all(line.cell_len <= max(1, width) for line in lines)
    assert "".join(line.plain for line in lines).isprintable()


@examples(200)
@given(
    blocks=st.lists(st.tuples(st.integers(0, 9), st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=3)), max_size=6),
    height=st.integers(0, 30),
)
def test_blocks_keep_their_order_and_the_height(blocks: list[tuple[int, list[tuple[int, int]]]], height: int) -> None:
    made = [Block([Text(f"{place} {row}") for row in range(rows)], squeeze) for place, (rows, squeeze) in enumerate(blocks)]
    lines = [line.plain for line in arranged(made, height)]
    assert len(lines) <= height
    assert lines == sorted(lines)
    if sum(rows for rows, _ in blocks) <= height:
        assert len(lines) == sum(rows for rows, _ in blocks)


def test_a_text_that_is_cut_says_so() -> None:
    lines = [Text("all of"), Text("this text"), Text("is shown")]
    block = Block(lines, squeeze=[(0, 1)], cut="…")
    assert [[line.plain for line in arranged([block], height)] for height in (3, 2, 1)] == [
        ["all of", "this text", "is shown"],
        ["all of", "this tex…"],
        ["all o…"],
    ]
    long = "the loader is the slow part: " + "and so on " * 40
    assert any(line.endswith("…") and "on" in line for line in shown(View("train", status(verdict=long)), 80, 18))
    assert lines[1].plain == "this text"


def test_numbers_and_times_are_short() -> None:
    assert [count(value) for value in (0, 0.5, 12, 1234.5, 99_999, 123_456, 8_900_128, 2e11)] == [
        *("0", "0.5", "12", "1,234", "99,999", "123 k", "8.9 M", "200 G")
    ]
    assert [span(value) for value in (0, 59.9, 61, 3600, 90_000)] == ["0 s", "59 s", "1 min 01 s", "1 h 00 min", "25 h 00 min"]
