"""The supervisor is killed or stopped: an error that says so, and its workers end with it."""

from __future__ import annotations

import itertools
import os
import signal
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import Loader, NpyArrays, SupervisorDied
from tests.batches import assert_same, inline, take
from tests.processes import supervisor_of, wait_until_gone, workers_of

SOURCE = NpyArrays(np.arange(200 * 3000, dtype=np.float32).reshape(200, 3000))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_a_killed_supervisor_is_an_error_and_takes_its_workers_along(how: signal.Signals) -> None:
    with Loader(SOURCE, 5, workers=2) as loader:
        iterator = iter(loader)
        kept = next(iterator)
        supervisor, workers = supervisor_of(loader), workers_of(loader, 2)
        os.kill(supervisor, how)
        wait_until_gone(workers)
        with pytest.raises(SupervisorDied, match=f"killed by signal {how.value}") as caught:
            list(itertools.chain(iterator, loader.batches()))  # what was ready comes first
        assert str(supervisor) in str(caught.value)
        for use in (lambda: take(loader), lambda: next(iter(loader))):
            with pytest.raises(SupervisorDied):
                use()
        assert loader.stats().batches_delivered >= 1
        loader.resize(1)
        assert_same([kept], inline(SOURCE, 5)[:1])


def test_a_trainer_that_waits_hears_of_the_supervisors_death() -> None:
    def hang(sample: Any, rng: np.random.Generator) -> Any:
        import time

        time.sleep(1000 if sample[0][0] >= 30_000 else 0.001)
        return sample

    with Loader(SOURCE, 5, workers=2, transforms=[hang]) as loader:
        iterator = iter(loader)
        next(iterator)
        supervisor = supervisor_of(loader)
        killer = threading.Timer(0.3, os.kill, (supervisor, signal.SIGKILL))
        killer.start()
        with pytest.raises(SupervisorDied, match="signal 9"):
            list(iterator)
        killer.join()


def test_a_supervisor_that_dies_while_it_boots_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deadly_elsewhere.py").write_text(
        "import os, sys\nif 'loader.supervise.boot' in sys.modules:\n    os._exit(7)\ndef step(sample, rng):\n    return sample\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import deadly_elsewhere  # type: ignore[import-not-found]

    with Loader(SOURCE, 5, workers=1, transforms=[deadly_elsewhere.step]) as loader, pytest.raises(SupervisorDied, match="status 7"):
        take(loader)
