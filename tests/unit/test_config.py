from __future__ import annotations

import dataclasses
import json
import runpy
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import config as config_module
from loader.config import Config, brief_size, describe, mib, parse_bytes
from loader.errors import ConfigError
from loader.ray_workers import RayWorkers

WRONG: dict[str, list[Any]] = {
    "batch_size": [0, -1, 1.0, "8", True, [], [8, 0], (8, 1.0)],
    "bucket_by": [64, "64", 1.5, {64}],
    "shuffle": [0, 1, -2, 2.0, None, "yes", "block"],
    "seed": [-1, 2**64, 0.5, True, None],
    "drop_last": [0, None],
    "workers": [-1, 1.5, "all", None, True],
    "max_workers": [0, -1, 2.0, "auto"],
    "slots": [1, 0, 2.0, "3"],
    "memory_limit": [0, -5, "lots", "0GB", 0.25, True, float("nan"), float("inf"), "-1GiB", [1]],
    "on_error": ["ignore", None, True],
    "max_errors": [-1, True, "3", -0.1, 1.1, float("nan")],
    "quarantine": ["", 3, True],
    "io_retries": [-1, 0.5, None],
    "sample_timeout_s": [0, -1.0, "60", float("inf"), float("nan"), None],
    "shard": [(1, 1), (-1, 2), (0, 0), [0, 2], (0,), 0, (0, 1, 2), (0.0, 2), None],
    "class_weight": [[1.0, 2.0], 2.0, "equal"],
    "name": ["", "a b", "x" * 65, "a/b", 3],
    "shared": [1, None, "yes"],
    "lag": ["drop", None, True],
    "remote": [4, "ray", {"max": 4}],
}

RIGHT: dict[str, list[Any]] = {
    "batch_size": [1, 10**6, None],
    "bucket_by": [None, [64], [64, 128], (64, 128)],
    "shuffle": [True, False, "blocks", 2, 10**12],
    "seed": [0, 2**64 - 1],
    "drop_last": [True],
    "workers": [0, 1, 500, "auto"],
    "max_workers": [None, 1000],
    "slots": [None, 2, 100],
    "memory_limit": [None, 1, 1.5e9, "2GiB"],
    "on_error": ["raise", "substitute"],
    "max_errors": [None],
    "quarantine": [None, "bad.jsonl", Path("bad.jsonl")],
    "io_retries": [0, 10],
    "sample_timeout_s": [0.1, 5, 1e9],
    "shard": [(0, 1), (3, 4)],
    "class_weight": [None, {0: 1.0}, {}, "balanced"],
    "name": [None, "train", "val-2_b", "x" * 64],
    "shared": [False],
    "lag": ["split", "wait"],
    "remote": [None, RayWorkers(max=2)],
}


def made(**settings: Any) -> Config:
    return Config(**{"batch_size": 8, **settings})


def test_every_setting_is_tested_here() -> None:
    assert set(WRONG) == set(RIGHT) == {setting.name for setting in dataclasses.fields(Config)}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in RIGHT.items() for value in values])
def test_the_allowed_range_is_accepted_to_its_ends(name: str, value: Any) -> None:
    assert getattr(made(**{name: value}), name) == value


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_what_is_out_of_range_is_refused_with_the_value_and_what_is_allowed(name: str, value: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        made(**{name: value})
    assert str(caught.value).startswith(f"{name}={value!r}: must be {describe(name)['allowed']}")
    assert ("of type" in str(caught.value)) == (type(value) not in (int, float))


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("batch_size", np.int64(4), 4),
        ("batch_size", np.uint8(4), 4),
        ("seed", np.uint64(2**64 - 1), 2**64 - 1),
        ("workers", np.int32(0), 0),
        ("shuffle", np.bool_(True), True),
        ("sample_timeout_s", np.float32(0.5), 0.5),
        ("sample_timeout_s", Fraction(1, 2), 0.5),
        ("memory_limit", np.float64(1e9), 1e9),
        ("shard", (np.int64(1), np.int64(2)), (1, 2)),
    ],
)
def test_numbers_of_other_libraries_become_plain_ones(name: str, given: Any, value: Any) -> None:
    config = made(**{name: given})
    assert getattr(config, name) == value
    assert json.dumps(getattr(config, name)) == json.dumps(value)


@pytest.mark.parametrize("given", [np.int64(0), np.float64(4.0), np.bool_(True)])
def test_numbers_of_other_libraries_are_checked_like_plain_ones(given: Any) -> None:
    with pytest.raises(ConfigError, match=r"batch_size=.*must be 1 or more"):
        made(batch_size=given)


def test_a_value_that_looks_right_is_told_what_it_is() -> None:
    for value, kind in (("8", "str"), (np.array([8]), "ndarray"), (True, "bool")):
        with pytest.raises(ConfigError, match=f"must be 1 or more, or None; with bucket_by also a list, but it is of type {kind}"):
            made(batch_size=value)


def test_all_wrong_settings_are_in_one_message() -> None:
    with pytest.raises(ConfigError) as caught:
        Config(**{name: values[0] for name, values in WRONG.items()})
    first, *lines = str(caught.value).splitlines()
    assert first == "wrong settings:"
    assert sorted(line.split("=")[0].strip() for line in lines) == sorted(WRONG)


def test_more_workers_than_their_ceiling_is_refused() -> None:
    with pytest.raises(ConfigError, match="workers=5: more than max_workers=4"):
        made(workers=5, max_workers=4)
    assert made(workers=4, max_workers=4).worker_ceiling == 4


@pytest.mark.parametrize("bound", [0, 1, 10**9, 0.0, 0.01, 1.0])
def test_a_bound_of_errors_goes_with_substitution_only(bound: float) -> None:
    assert made(on_error="substitute", max_errors=bound).max_errors == bound
    with pytest.raises(ConfigError, match=r'max_errors=.*needs on_error="substitute"'):
        made(max_errors=bound)


@pytest.mark.parametrize(("cores", "limit", "workers"), [(4, None, 4), (4, 2, 2), (4, 9, 4), (1, None, 1), (64, None, 8)])
def test_auto_begins_with_one_worker_per_core_up_to_eight_or_the_ceiling(
    cores: int, limit: int | None, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config_module, "available_cores", lambda: cores)
    monkeypatch.setattr(sys, "platform", "linux")
    config = made(max_workers=limit)
    assert config.worker_count == workers <= config.worker_ceiling


def test_auto_is_no_pool_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert made().worker_count == 0
    assert made(workers=3).worker_count == 3


@pytest.mark.parametrize(("cores", "workers", "ceiling"), [(1, 2, 16), (4, 2, 32), (1, 40, 40)])
def test_the_ceiling_leaves_room_to_grow(cores: int, workers: int, ceiling: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config_module, "available_cores", lambda: cores)
    assert made(workers=workers).worker_ceiling == ceiling


@pytest.mark.parametrize("setting", dataclasses.fields(Config), ids=lambda setting: setting.name)
def test_every_setting_says_what_it_is(setting: Any) -> None:
    assert set(setting.metadata) == {"unit", "allowed", "why"}
    assert setting.metadata["allowed"]
    assert setting.metadata["why"]


def test_settings_are_given_by_name_and_stay() -> None:
    with pytest.raises(TypeError):
        Config(8)  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        made().seed = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("size", "nbytes"),
    [
        (1, 1),
        (2_000_000_000, 2_000_000_000),
        (1.5e9, 1_500_000_000),
        ("17", 17),
        ("10b", 10),
        ("2GiB", 2 * 2**30),
        ("2gib", 2 * 2**30),
        ("2Gi", 2 * 2**30),
        ("2GB", 2 * 10**9),
        ("2G", 2 * 10**9),
        ("500MB", 500 * 10**6),
        ("512 KiB", 512 * 2**10),
        (" 1.5G ", 1_500_000_000),
        ("0.5KiB", 512),
        ("3tib", 3 * 2**40),
        ("7k", 7_000),
    ],
)
def test_sizes_are_numbers_or_text_with_a_unit(size: int | str, nbytes: int) -> None:
    assert parse_bytes(size) == nbytes
    assert made(memory_limit=size).memory_limit_bytes == nbytes


@pytest.mark.parametrize("size", ["", "GiB", "2 Gigabytes", "2GiBs", "1e9", "-2GB", "2,5GB", "2iB", "0", "0.0001k", 0, -1, 0.3, True])
def test_what_is_no_size_is_none(size: Any) -> None:
    assert parse_bytes(size) is None


def test_the_page_of_settings_is_what_the_code_says() -> None:
    namespace = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "make_settings.py"))
    assert namespace["PAGE"].read_text() == namespace["page"](), "run `make docs`"


MIB = 2**20


@pytest.mark.parametrize(("nbytes", "words"), [(0, "0.0 KiB"), (1536, "1.5 KiB"), (MIB, "1.0 MiB"), (2_500 * MIB, "2,500.0 MiB")])
def test_sizes_in_words_can_be_added_up(nbytes: int, words: str) -> None:
    assert mib(nbytes) == words


@pytest.mark.parametrize(("nbytes", "words"), [(0, "0 MiB"), (38 * MIB, "38 MiB"), (1023 * MIB, "1023 MiB"), (2_500 * MIB, "2.4 GiB")])
def test_sizes_for_a_column_take_few_characters(nbytes: int, words: str) -> None:
    assert brief_size(nbytes) == words
