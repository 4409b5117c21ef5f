from __future__ import annotations

import itertools
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.measure.kinds import Kind, short
from loader.measure.measurements import Measurements, StageStats
from loader.measure.network import NetworkStats
from loader.measure.readers import ReaderStats
from loader.measure.remote.nodes import NodeStats, RemoteStats
from loader.measure.verdict import judge
from loader.measure.worker_count import MOST_GAIN, busy_at_most

RATIO = st.floats(0, 1)
BLUR = (StageStats("read", 0.2, 1.0), StageStats("blur", 0.71, 3.5), StageStats("write", 0.09, 0.4))
READ = (StageStats("read", 0.8, 4.0), StageStats("blur", 0.15, 0.75), StageStats("write", 0.05, 0.2))
DECODE = (StageStats("read", 0.04, 0.2), StageStats("decode", 0.9, 4.5), StageStats("write", 0.06, 0.3))
EVEN = (StageStats("read", 0.4, 2.0), StageStats("blur", 0.4, 2.0), StageStats("write", 0.2, 1.0))

USUAL = Measurements(wait=0.5, busy=(0.95, 0.97), computing=0.1, cores=8, ceiling=16, wanted=2, slots=4, stages=EVEN)
"""Two workers that are busy, mostly with waiting, and too slow."""

NODES = [NodeStats("10.0.0.7", 8, 400.0, 60e6, 40.0, 36.0, 0, 0)]
REMOTE = RemoteStats(8, 8, 8, samples_per_s=400.0, bytes_per_s=60e6, brings=2.1, busy_ratio=0.97, work_ratio=0.9, gateway_ratio=0.2, nodes=NODES)
"""Eight workers on another machine, which are busy, and all that are allowed."""

CASES = {
    Kind.NOTHING: replace(USUAL, delivered=False),
    Kind.MEASURING: replace(USUAL, taking_s=0.7, batches=3),
    Kind.INLINE: replace(USUAL, inline=True, busy=()),
    Kind.OVERHEAD: replace(USUAL, work_s=2e-5, step_s=1e-4, busy=(0.1, 0.1)),
    Kind.MODEL: replace(USUAL, wait=0.01, busy=(0.4, 0.4, 0.4), stages=BLUR),
    Kind.TOO_MANY: replace(USUAL, wait=0.01, busy=(0.1,) * 8),
    Kind.BALANCED: replace(USUAL, wait=0.04, busy=(0.9, 0.92)),
    Kind.MEMORY: replace(USUAL, reduced_to=2, wanted=6, stages=BLUR),
    Kind.READER: replace(USUAL, busy=(0.2, 0.3), nothing_to_fill=0.6, slow_reader=ReaderStats(2, 4711, 0, 7, 20.0, 0.01, [0], "slow")),
    Kind.SLOTS: replace(USUAL, busy=(0.2, 0.3), lent=3.2, nothing_to_fill=0.6),
    Kind.STRAGGLER: replace(USUAL, slow_share=0.6, slow_samples=0.01, slow_ms=300.0, slow_sample=37, stages=READ),
    Kind.REMOTE: replace(USUAL, computing=0.98, cores=2, remote=REMOTE),
    Kind.CORES: replace(USUAL, computing=0.98, cores=2),
    Kind.NETWORK: replace(USUAL, stages=READ, network=NetworkStats(200, 1500.0, 170e6, 0.85, 12, 0, latency_ms=130.0, depth=256)),
    Kind.READING: replace(USUAL, stages=READ),
    Kind.DECODING: replace(USUAL, computing=0.98, cores=2, stages=DECODE),
    Kind.TRANSFORMING: replace(USUAL, stages=BLUR),
    Kind.WORKERS: USUAL,
    Kind.UNCLEAR: replace(USUAL, busy=(0.2, 0.3)),
}


@pytest.mark.parametrize("kind", Kind)
def test_each_kind_is_told_from_the_others(kind: Kind) -> None:
    assert judge(CASES[kind]).kind is kind


def test_a_slow_transform_is_named_with_what_faster_data_would_bring() -> None:
    words = judge(CASES[Kind.TRANSFORMING]).sentence
    assert words.startswith("the loader is the slow part: the trainer waits for data 50% of its time and could run 2.0 times as fast")
    assert "`blur` takes 71% of the workers' time (3.5 ms per sample); make it faster, or use 5 workers" in words


def test_a_slow_network_is_told_from_a_slow_disk() -> None:
    words = judge(CASES[Kind.NETWORK]).sentence
    assert "wait for the network 85% of their time, with 200 requests in flight that take 130 ms each, 1,500 objects/s, 170.0 MB/s" in words
    assert (
        "and 12 retries so far; use 4 workers, which may have 512 requests in flight, or keep what was fetched for the next epochs by cache=" in words
    )


def cures(**changes: float) -> list[str]:
    given = NetworkStats(200, 1500.0, 170e6, 0.85, 12, 0, latency_ms=130.0, depth=256)
    return [words for words, _ in replace(given, **changes).cures(2, 4)]  # type: ignore[arg-type]


def test_what_would_help_against_a_slow_network_follows_from_what_is_seen() -> None:
    more, cache = "use 4 workers, which may have 512 requests in flight", "keep what was fetched for the next epochs by cache="
    assert cures() == [more, cache]
    assert cures(bytes_per_s=1500 * 12e3) == ["put many small objects into large files by source.pack()", more, cache]
    assert cures(in_flight=50) == ["have more samples fetched beforehand, by more slots (slots=) or a larger batch_size", cache]
    assert cures(in_flight=150) == [cache]
    assert cures(in_flight=64, depth=64) == [cache]  # more have been tried, and brought no more
    assert cures(hits=500, hit_ratio=0.3) == [more, "let the cache hold more, by a larger cache_bytes= or disk"]
    assert cures(hits=500, hit_ratio=0.9, in_flight=150) == []
    assert replace(CASES[Kind.NETWORK].network, in_flight=250).cures(2, 2)[0][0] == cache  # type: ignore[type-var, union-attr]


def remote_said(wait: float = 0.5, **changes: Any) -> tuple[str, float]:
    verdict = judge(replace(CASES[Kind.REMOTE], wait=wait, remote=replace(REMOTE, **changes)))
    return verdict.sentence.partition(" times as fast; ")[2], verdict.gain


def test_what_remote_workers_bring_is_said_with_what_keeps_them_from_bringing_more() -> None:
    assert remote_said() == ("remote workers bring 2.1 ×; all 8 that are allowed are busy; RayWorkers(max=24) would bring more", 2.0)
    words, gain = remote_said(bytes_per_s=1.125e9, work_ratio=0.35)
    assert words.startswith(
        "remote workers bring 2.1 ×; the network is the limit at 9 Gbit/s, since they work only 35% of the time in which they hold"
    )
    assert gain == 2.0
    words, _ = remote_said(bytes_per_s=4e5, work_ratio=0.35)
    assert "although little is sent (0.0032 Gbit/s): the network takes long to answer, or a machine lacks cores" in words
    words, _ = remote_said(bytes_per_s=2e9, work_ratio=0.35, gateway_ratio=0.97)
    assert "the process that receives what they make computes 97% of its time, at 16 Gbit/s; smaller samples" in words
    refused = NodeStats("10.0.0.9", 0, 0.0, 0.0, 0.0, 0.0, 0, 0, "it has NumPy 2.1.0, this machine 2.4.6")
    words, gain = remote_said(workers=3, nodes=[*NODES, refused])
    assert "; 3 of the 8 remote workers that are wanted are there; 10.0.0.9 is not used: it has NumPy 2.1.0, this machine 2.4.6" in words
    assert "the cluster has no place for more, or they are just starting" in remote_said(workers=0)[0]


def test_remote_workers_that_idle_or_of_which_more_may_come_are_not_the_trouble() -> None:
    for changes in ({"busy_ratio": 0.5}, {"most": 16}):
        assert judge(replace(CASES[Kind.REMOTE], remote=replace(REMOTE, **changes))).kind is Kind.CORES  # type: ignore[arg-type]
    assert judge(replace(USUAL, remote=replace(REMOTE, workers=0, wanted=0))).kind is Kind.WORKERS


def test_a_model_that_is_slower_is_told_what_remote_workers_bring() -> None:
    for kind in (Kind.MODEL, Kind.BALANCED):
        verdict = judge(replace(CASES[kind], remote=REMOTE))
        assert (verdict.kind, verdict.sentence.endswith("; remote workers bring 2.1 ×")) == (kind, True)
    assert judge(replace(CASES[Kind.BALANCED], remote=replace(REMOTE, busy_ratio=0.3))).kind is Kind.MODEL


@given(
    there=st.integers(0, 8),
    wait=st.floats(0.05, 1),
    brings=st.floats(1, 50),
    busy=RATIO,
    work=RATIO,
    gateway=RATIO,
)
def test_no_more_is_promised_of_remote_workers_than_data_that_are_always_there_would_bring(
    there: int, wait: float, brings: float, busy: float, work: float, gateway: float
) -> None:
    remote = replace(REMOTE, workers=there, brings=brings, busy_ratio=busy, work_ratio=work, gateway_ratio=gateway)
    verdict = judge(replace(CASES[Kind.REMOTE], wait=wait, remote=remote))
    assert 1.0 <= verdict.gain <= round(min(MOST_GAIN, 1 / max(1 - wait, 1e-9)), 1)


def test_a_network_that_nothing_would_help_against_is_said_to_be_slow() -> None:
    network = NetworkStats(150, 1500.0, 170e6, 0.85, 12, 500, latency_ms=130.0, depth=256, hit_ratio=0.9)
    verdict = judge(replace(CASES[Kind.NETWORK], network=network))
    assert "90% of the objects are in the cache; only a faster network would help" in verdict.sentence
    assert verdict.gain == 1.0


def test_decoding_is_not_taken_for_slow_storage() -> None:
    words = judge(CASES[Kind.DECODING]).sentence
    assert "decoding takes 90% of the workers' time (4.5 ms per sample); store the files as training takes them" in words
    assert "which may halve it, with which it would run about 1.8 times as fast" in words
    words = judge(replace(USUAL, computing=0.98, cores=8, stages=DECODE)).sentence
    assert "such as pictures no larger than needed, or use 5 workers" in words


def test_a_slow_model_is_told_how_much_the_workers_could_do_and_how_many_would_do() -> None:
    words = judge(replace(USUAL, wait=0.01, busy=(0.2,) * 4)).sentence
    assert words.startswith("the model is the slow part: it waits for data 1% of its time, the workers are busy 20% of theirs")
    assert "could deliver 5.0 times as much" in words
    assert words.endswith("1 of 4 workers would do")


def test_a_balanced_pair_is_told_to_change_nothing() -> None:
    verdict = judge(CASES[Kind.BALANCED])
    assert verdict.gain == 1.0
    assert "balanced" in verdict.sentence


def test_a_straggler_is_told_with_how_rare_and_how_slow_it_is() -> None:
    words = judge(CASES[Kind.STRAGGLER]).sentence
    assert "1 sample in 100 (sample 37 is one) takes 300 ms longer than usual, which is 60% of the workers' time" in words


def test_what_a_busy_machine_takes_away_is_no_straggler() -> None:
    assert judge(replace(CASES[Kind.STRAGGLER], queueing=0.4)).kind is not Kind.STRAGGLER


def test_workers_that_stand_in_line_for_the_cores_need_more_of_them() -> None:
    verdict = judge(replace(USUAL, busy=(0.95,) * 4, computing=0.5, queueing=0.45, cores=2))
    assert verdict.kind is Kind.CORES
    assert "stand in line for a core 45% of it" in verdict.sentence


def test_no_more_workers_are_proposed_than_the_cores_can_serve() -> None:
    words = judge(replace(USUAL, busy=(0.95,), computing=1.0, cores=2, wait=0.8, ceiling=16)).sentence
    assert "use 2 workers" in words


def test_at_the_ceiling_the_ceiling_is_named() -> None:
    assert "max_workers=2" in judge(replace(USUAL, ceiling=2)).sentence


def test_a_pause_of_the_trainer_does_not_make_the_workers_look_idle() -> None:
    assert judge(replace(CASES[Kind.TRANSFORMING], busy=(0.5, 0.5), nothing_to_fill=0.45)).kind is Kind.TRANSFORMING


def test_a_slow_reader_is_named_to_the_one_that_waits_for_it() -> None:
    verdict = judge(CASES[Kind.READER])
    assert "reader 2 (pid 4711) gets the same batches and takes 20 samples/s, without waiting for them" in verdict.sentence
    assert (verdict.gain, short("reader")) == (2.0, "a slow reader")
    assert judge(replace(CASES[Kind.READER], wait=0.01)).kind is Kind.TOO_MANY


def test_slots_to_fill_are_told_only_where_there_are_some() -> None:
    assert "have slots to fill" in judge(CASES[Kind.UNCLEAR]).sentence
    words = judge(replace(CASES[Kind.UNCLEAR], wait=0.14, nothing_to_fill=0.6)).sentence
    assert "busy only 25% of their time, and all slots are filled for 60% of the time" in words


@pytest.mark.parametrize(
    ("taking_s", "batches", "enough"),
    [(0.3, 1000, False), (1.0, 3, False), (1.0, 4, True), (4.9, 1, False), (5.0, 1, True), (5.0, 0, False)],
)
def test_until_it_knows_it_says_that_it_is_measuring(taking_s: float, batches: int, enough: bool) -> None:
    """Enough batches in enough time; where batches are slow, a longer time."""
    verdict = judge(replace(USUAL, taking_s=taking_s, batches=batches))
    assert (verdict.kind is not Kind.MEASURING) == enough
    if not enough:
        assert verdict.gain == 1.0
        assert verdict.sentence.startswith(f"still measuring: {batches:,} batch{'' if batches == 1 else 'es'} in {taking_s} s")


def test_nothing_is_said_to_be_taken_only_where_nothing_was_for_long_or_ever() -> None:
    nothing = replace(USUAL, delivered=False, taking_s=0.0, batches=0)
    assert judge(replace(nothing, elapsed_s=0.1)).kind is Kind.MEASURING
    assert judge(replace(nothing, elapsed_s=10.2)).sentence == "no batch was taken from the loader in the last 10 s"
    assert judge(replace(nothing, begun=False, elapsed_s=0.1)).sentence == "no batch was taken from the loader yet"


def test_who_stands_in_line_for_a_core_wants_to_compute_and_gains_nothing_from_more_workers() -> None:
    """On a busy machine, workers that do nothing but compute have a core half of the time."""
    seen = replace(USUAL, wait=0.99, computing=0.5, queueing=0.5, cores=2, stages=BLUR)
    assert (seen.load.helpful, replace(seen, queueing=0.0).load.helpful) == (2, 4)
    assert "workers, with which" not in judge(seen).sentence


def test_copies_show_that_slots_are_kept() -> None:
    assert judge(replace(USUAL, busy=(0.2, 0.3), copied=0.5)).kind is Kind.SLOTS
    assert judge(replace(USUAL, busy=(0.9, 0.9), copied=0.5)).kind is Kind.WORKERS


@pytest.mark.parametrize("computing", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("cores", [1, 2, 64])
@pytest.mark.parametrize("found", [(), BLUR, READ, EVEN])
def test_the_side_that_is_waited_for_is_the_slow_one(computing: float, cores: int, found: tuple[StageStats, ...]) -> None:
    for wait, share, count in itertools.product((0.0, 0.04, 0.13, 0.5, 1.0), (0.0, 0.3, 0.72, 1.0), (1, 2, 16)):
        seen = Measurements(wait=wait, busy=(share,) * count, computing=computing, cores=cores, ceiling=16, stages=found)
        verdict = judge(seen)
        if wait < 0.05:
            assert verdict.kind in (Kind.MODEL, Kind.TOO_MANY, Kind.BALANCED)
            assert verdict.gain == 1.0
        else:
            assert verdict.sentence.startswith("the loader is the slow part")


@pytest.mark.parametrize("kind", Kind)
def test_each_kind_has_a_short_form_for_a_table(kind: Kind) -> None:
    assert 0 < len(short(kind.value)) <= 20
    assert short("of another version") == ""


@given(
    st.builds(
        Measurements,
        begun=st.booleans(),
        delivered=st.booleans(),
        elapsed_s=st.floats(0, 11),
        taking_s=st.floats(0, 11),
        batches=st.integers(0, 10**6),
        inline=st.booleans(),
        wait=RATIO,
        step_s=st.floats(1e-6, 100),
        busy=st.lists(RATIO, max_size=16).map(tuple),
        work_s=st.floats(0, 10),
        computing=RATIO,
        queueing=RATIO,
        cores=st.integers(1, 256),
        ceiling=st.integers(1, 64),
        wanted=st.integers(0, 64),
        reduced_to=st.none() | st.integers(1, 64),
        nothing_to_fill=RATIO,
        slots=st.integers(0, 64),
        lent=st.floats(0, 64),
        copied=RATIO,
        slow_share=RATIO,
        slow_samples=RATIO,
        slow_ms=st.floats(0, 1e6),
        slow_sample=st.none() | st.integers(0, 10**9),
        stages=st.lists(st.builds(StageStats, st.sampled_from(["read", "decode", "write", "blur"]), RATIO, st.floats(1e-3, 1e5)), max_size=5).map(
            tuple
        ),
    )
)
def test_there_is_always_one_plain_sentence_and_a_gain_that_can_be_believed(seen: Measurements) -> None:
    verdict = judge(seen)
    assert verdict.sentence
    assert "\n" not in verdict.sentence
    assert not re.search(r"nan|inf\b|-\d", verdict.sentence)
    assert 1.0 <= verdict.gain <= MOST_GAIN
    if 1.0 < verdict.gain < MOST_GAIN:  # one number, rounded once
        assert f"{verdict.gain} times as fast" in verdict.sentence
    if found := re.search(r"use (\d+) workers", verdict.sentence):
        assert len(seen.busy) < int(found[1]) <= seen.ceiling


@given(busy=st.lists(RATIO, min_size=1, max_size=64))
def test_never_are_fewer_workers_proposed_than_the_work_needs(busy: list[float]) -> None:
    words = judge(replace(USUAL, wait=0.0, busy=tuple(busy))).sentence
    if found := re.search(r"(\d+) of (\d+) workers would do", words):
        needed, count = map(int, found.groups())
        assert count == len(busy)
        assert 1 <= needed < count
        assert busy_at_most(needed) >= sum(busy) - 1e-5
