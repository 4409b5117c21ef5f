"""What `loader metrics` tells, before it has a format."""

from __future__ import annotations

import re

import pytest

from loader.measure.kinds import Kind
from loader.watch.metrics.families import FAMILIES, Type
from loader.watch.metrics.figures import UP, Asked, figures
from tests.unit.watch.statuses import FAR, REMOTE, SHARED, status

TRAIN = {"loader": "train", "pid": "77"}


def told(*asked: Asked) -> dict[str, list[tuple[dict[str, str], float]]]:
    return {family.name: samples for family, samples in figures(asked or (Asked("train", "77", status()),))}


def test_names_and_sentences_follow_the_conventions() -> None:
    for family in (UP, *FAMILIES):
        assert re.fullmatch(r"loader_[a-z]+(_[a-z]+)*", family.name), family.name
        assert family.name.endswith("_total") == (family.type is Type.COUNTER), family.name
        assert family.name.endswith("_info") == (family.type is Type.INFO), family.name
        assert family.help.endswith("."), family.name
        assert not re.search(r"_(ms|mib|kb|percent|bytes_per_s|per_s)\b", family.name), family.name
    names = [family.name for family in (UP, *FAMILIES)]
    assert len(set(names)) == len(names)


def test_a_loader_that_answers_has_all_figures_but_those_of_what_it_does_not_do() -> None:
    found = told()
    assert {name for name, samples in found.items() if not samples} == {
        "loader_memory_allowed_workers",
        "loader_remote_workers",
        "loader_remote_workers_wanted",
        "loader_remote_workers_max",
        "loader_remote_work_ratio",
        "loader_gateway_cpu_seconds_total",
        "loader_node_workers",
        "loader_node_samples_total",
        "loader_node_tickets_total",
        "loader_node_ticket_seconds_total",
        "loader_node_ticket_work_seconds_total",
        "loader_node_received_bytes_total",
        "loader_node_hedged_tickets_total",
        "loader_node_workers_died_total",
        "loader_node_refused",
        "loader_reader_batches_delivered_total",
        "loader_reader_samples_delivered_total",
        "loader_reader_wait_seconds_total",
        "loader_reader_slow",
        "loader_fetch_requests_in_flight",
        "loader_fetched_objects_total",
        "loader_fetched_bytes_total",
        "loader_fetch_wait_seconds_total",
        "loader_fetch_retries_total",
        "loader_fetch_cache_hits_total",
    }
    assert found["loader_samples_delivered_total"] == [(TRAIN, 115_584.0)]
    assert found["loader_worker_busy_seconds_total"] == [(TRAIN | {"worker": "0"}, 1.5), (TRAIN | {"worker": "1"}, 2.5)]
    assert found["loader_stage_sample_seconds"][1] == (TRAIN | {"stage": "blur"}, 0.0025)
    assert found["loader_stage_batch_seconds"] == [(TRAIN | {"stage": "mixup"}, 0.016)]
    assert found["loader_workers_auto"] == [(TRAIN, 0.0)]
    assert (TRAIN | {"state": "ready"}, 3.0) in found["loader_slots"]
    assert found["loader_info"] == [(TRAIN | {"trainer_pid": "76", "script": "train.py"}, 1.0)]


def test_what_comes_from_afar_is_told_where_something_does() -> None:
    found = told(Asked("train", "77", status(network=FAR)))
    assert found["loader_fetched_bytes_total"] == [(TRAIN, 900.0)]
    assert found["loader_fetch_cache_hits_total"] == [(TRAIN, 9.0)]
    assert found["loader_fetch_requests_in_flight"] == [(TRAIN, 12.0)]


def test_workers_on_other_machines_are_labelled_with_them() -> None:
    found = told(Asked("train", "77", status() | REMOTE))
    assert found["loader_workers"] == [(TRAIN, 2.0)]
    assert found["loader_remote_workers"] == [(TRAIN, 2.0)]
    assert found["loader_worker_samples_total"][1:3] == [(TRAIN | {"worker": "1"}, 10.0), (TRAIN | {"worker": "16", "node": "10.0.0.7"}, 70.0)]
    assert found["loader_node_samples_total"] == [(TRAIN | {"node": "10.0.0.7"}, 700.0)]
    assert found["loader_node_ticket_seconds_total"] == [(TRAIN | {"node": "10.0.0.7"}, 2.94)]
    assert found["loader_node_refused"] == [(TRAIN | {"node": "10.0.0.7"}, 0.0), (TRAIN | {"node": "10.0.0.9"}, 1.0)]
    assert found["loader_gateway_cpu_seconds_total"] == [(TRAIN, 4.5)]


def test_each_reader_of_a_shared_loader_is_told() -> None:
    found = told(Asked("train", "77", status() | SHARED))
    assert found["loader_reader_samples_delivered_total"] == [(TRAIN | {"reader": "0"}, 640.0), (TRAIN | {"reader": "3"}, 320.0)]
    assert found["loader_reader_slow"] == [(TRAIN | {"reader": "0"}, 0.0), (TRAIN | {"reader": "3"}, 1.0)]


@pytest.mark.parametrize("kind", [*(kind.value for kind in Kind), "something_new"])
def test_one_verdict_is_given_also_one_that_a_newer_version_knows(kind: str) -> None:
    samples = told(Asked("train", "77", status(verdict_kind=kind)))["loader_verdict"]
    assert [labels["loader_verdict"] for labels, value in samples if value] == [kind]
    assert {labels["loader_verdict"] for labels, _ in samples} >= {known.value for known in Kind}


def test_a_loader_that_does_not_answer_is_down_and_has_no_other_figure() -> None:
    found = told(Asked("train", "77", None), Asked("val", "78", status()))
    assert found["loader_up"] == [(TRAIN, 0.0), ({"loader": "val", "pid": "78"}, 1.0)]
    assert all(labels["pid"] == "78" for name, samples in found.items() if name != "loader_up" for labels, _ in samples)


def test_loaders_of_one_name_are_told_apart_by_their_supervisors() -> None:
    found = told(Asked("train", "77", status()), Asked("train", "78", status()))
    assert [labels for labels, _ in found["loader_epoch"]] == [TRAIN, TRAIN | {"pid": "78"}]


def test_a_transform_that_is_there_twice_is_one_stage() -> None:
    blur = {"name": "blur", "share": 0.25, "ms_per_sample": 1.0, "ms_per_batch": None}
    found = told(Asked("train", "77", status(stages=[blur, blur])))
    assert found["loader_stage_time_ratio"] == [(TRAIN | {"stage": "blur"}, 0.5)]


def test_what_an_older_supervisor_does_not_say_is_left_out() -> None:
    old = status()
    for name in ("totals", "stages", "restarts", "seconds_since_last_batch", "verdict_kind"):
        del old[name]
    del old["workers"][0]["busy_s"]
    found = told(Asked("train", "77", old))
    assert found["loader_samples_delivered_total"] == found["loader_workers_died_total"] == found["loader_stage_time_ratio"] == []
    assert found["loader_worker_busy_seconds_total"] == [(TRAIN | {"worker": "1"}, 2.5)]
    assert sum(value for _, value in found["loader_verdict"]) == 0
