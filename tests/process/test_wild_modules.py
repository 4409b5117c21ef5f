"""Modules of the user that do more than define something when they are imported: in the supervisor, that is where the pipeline is unpickled."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import Loader, NpyArrays, PipelineError
from tests.batches import assert_same, inline, take
from tests.processes import alive, supervisor_of

SOURCE = NpyArrays(np.arange(40))
MODULE = """
import signal, sys, time
if "loader.supervise.boot" in sys.modules:
    ACT
def step(sample, rng):
    if sample[0] == 0:
        time.sleep(0.3)
    return sample
"""


@pytest.fixture
def step_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function from what a module does when it is imported elsewhere, to a transform in it."""

    def make(act: str) -> Any:
        (tmp_path / "wild_module.py").write_text(MODULE.replace("ACT", act))
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "wild_module", raising=False)
        import wild_module  # type: ignore[import-not-found]

        return wild_module.step

    return make


@pytest.mark.parametrize("name", ["SIGCHLD", "SIGALRM", "SIGINT"])
@pytest.mark.parametrize("handler", ["SIG_IGN", "SIG_DFL"])
def test_a_module_that_sets_signals_changes_nothing(step_of: Any, name: str, handler: str) -> None:
    step = step_of(f"signal.signal(signal.{name}, signal.{handler}); time.sleep({0.5 if name == 'SIGALRM' else 0})")
    with Loader(SOURCE, 4, workers=2, transforms=[step]) as loader:
        batches = iter(loader)
        first = next(batches)
        supervisor = supervisor_of(loader)
        os.kill(supervisor, signal.SIGINT)
        time.sleep(0.2)
        assert alive(supervisor)
        assert_same([first, *batches, *take(loader, 3)], inline(SOURCE, 4, 4))
        assert not loader.stats().supervisor_restarts


def test_a_module_that_exits_when_imported_again_is_an_error_at_the_first_use(step_of: Any) -> None:
    with Loader(SOURCE, 4, workers=1, transforms=[step_of("sys.exit(3)")]) as loader:
        for _ in range(2):
            with pytest.raises(PipelineError, match="SystemExit: 3"):
                take(loader)
