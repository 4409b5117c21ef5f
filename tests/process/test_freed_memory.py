"""Freed memory stays with the worker, which needs as much for the next sample; but not what one large sample has taken."""

from __future__ import annotations

import os
import resource
from typing import Any

import numpy as np
import pytest

from loader import Loader, NpyArrays
from tests.batches import take
from tests.processes import anonymous_bytes, wait_until, workers_of

pytestmark = pytest.mark.cold

_MIB = 2**20


def faults_with_frames(sample: tuple[Any, ...], rng: np.random.Generator) -> tuple[Any, ...]:
    """Fill three frames of 3 MiB, as a decoder does; return how many page faults that took."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    frames = [np.full(3 * _MIB, 1, np.uint8) for _ in range(3)]
    assert frames
    return (np.int64(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before),)


def faults(settings: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> int:
    """Return the median of the page faults of a sample, once the worker has had some."""
    for name in ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with Loader(NpyArrays(np.zeros((32, 1), np.uint8)), 8, transforms=[faults_with_frames], workers=1) as loader:
        return int(np.median(np.concatenate([x for (x,) in take(loader, 4)][2:])))


@pytest.mark.skipif(os.confstr("CS_GNU_LIBC_VERSION") is None, reason="another C library")
def test_frames_of_a_sample_cost_page_faults_once_unless_the_user_has_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    assert faults({}, monkeypatch) < 10
    pages = 3 * 3 * _MIB // 4096
    assert faults({"MALLOC_MMAP_THRESHOLD_": "131072"}, monkeypatch) > pages / 2


def large_at_first(sample: tuple[Any, ...], rng: np.random.Generator) -> tuple[Any, ...]:
    """Take 200 MiB for sample 0."""
    if sample[0] == 0:
        np.full(200 * _MIB, 1, np.uint8)
    return sample


def test_what_one_large_sample_took_goes_back() -> None:
    source = NpyArrays(np.minimum(np.arange(64), 1).astype(np.uint8).reshape(-1, 1))
    with Loader(source, 8, transforms=[large_at_first], workers=1) as loader:
        take(loader, 8)
        wait_until(lambda: anonymous_bytes(workers_of(loader, 1)[0]) < 100 * _MIB, "the memory is given back")
