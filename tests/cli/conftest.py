"""Supervisors of the tests in this folder have done their imports when they start; those of scripts start as users' do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from loader import Loader
from tests.batches import take
from tests.cli.served import SOURCE
from tests.warm_starts import warm_interpreters, warm_starts

__all__ = ["warm_interpreters", "warm_starts"]


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder for control sockets in which there are those of this test alone."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


@pytest.fixture
def train(own_folder: None) -> Iterator[Loader]:
    """A loader that has delivered an epoch of 50 batches."""
    with Loader(SOURCE, 8, workers=2, max_workers=4, name="train") as loader:
        take(loader)
        yield loader
