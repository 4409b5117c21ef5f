"""The supervisor is killed or stopped: another one continues, with the same batches, until that happens too often."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import Loader, NpyArrays, PipelineError, SupervisorDied
from loader.train.remote.restarts import MOST_RESTARTS, RestartLimit
from tests.batches import assert_same, assert_same_batch, copied, inline, inline_first, take, take_until_replaced
from tests.processes import alive, supervisor_of, wait_until, wait_until_gone, workers_of
from tests.scripts import Script

SOURCE = NpyArrays(np.arange(200 * 3000, dtype=np.float32).reshape(200, 3000))
TINY = NpyArrays(np.arange(3000, dtype=np.int32))


def replaced() -> Any:
    """Return the context that expects one restart."""
    return pytest.warns(RuntimeWarning, match="another one continues")


silently = pytest.mark.filterwarnings("ignore:the supervisor.* died:RuntimeWarning")


def slowly(sample: Any, rng: np.random.Generator) -> Any:
    import time

    time.sleep(0.002)
    return sample


def kill(loader: Loader, how: signal.Signals = signal.SIGKILL) -> int:
    """Kill the supervisor; return its pid when it is gone."""
    pid = loader._producer.pid
    os.kill(pid, how)
    wait_until_gone([pid])
    return pid


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_a_killed_supervisor_takes_its_workers_along_and_is_replaced(how: signal.Signals) -> None:
    with Loader(SOURCE, 5, workers=2, shuffle=True) as loader:
        batches = loader.batches()
        found = [copied(next(batches))]
        supervisor, workers = supervisor_of(loader), workers_of(loader, 2)
        os.kill(supervisor, how)
        wait_until_gone(workers)
        samples = sum(worker.samples for worker in loader.stats().workers)
        with pytest.warns(RuntimeWarning, match=rf"\(pid {supervisor}\) died: killed by {how.name}.*continues with batch \d+ of epoch") as caught:
            found += take_until_replaced(loader, batches)
        assert len(caught) == 1
        assert supervisor_of(loader) != supervisor
        workers_of(loader, 2)  # both are there again
        assert sum(worker.samples for worker in loader.stats().workers) >= samples
        assert loader.stats().batches_delivered == len(found)
        found += [copied(next(batches)) for _ in range(40)]
        assert_same(found, inline_first(SOURCE, 5, len(found), shuffle=True))


@silently
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.thorough)])
@pytest.mark.parametrize(("source", "batch_size"), [(SOURCE, 7), (TINY, 3)], ids=["large", "many batches in a slot"])
def test_batches_stay_the_same_through_kills_at_random_moments(source: NpyArrays, batch_size: int, seed: int) -> None:
    draw = random.Random(seed)
    expected = inline(source, batch_size, epochs=3, shuffle=True, seed=seed)
    at = sorted(draw.sample(range(len(expected) - 40), MOST_RESTARTS))
    found = []
    with Loader(source, batch_size, workers=2, shuffle=True, seed=seed) as loader:
        batches = loader.batches()
        for number in range(len(expected)):
            if number in at:
                time.sleep(draw.random() * 0.05)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(loader._producer.pid, signal.SIGKILL)  # it may be dead already, and the trainer not have noticed yet
            found.append(copied(next(batches)))
    assert_same(found, expected)


@silently
def test_a_trainer_that_waits_gets_its_batch_from_the_next_supervisor() -> None:
    with Loader(SOURCE, 5, workers=2, transforms=[slowly]) as loader:
        killer = threading.Timer(0.3, os.kill, (loader._producer.pid, signal.SIGKILL))
        killer.start()
        found = take(loader, epochs=2)
        killer.join()
    assert_same(found, inline(SOURCE, 5, epochs=2))


@silently
@pytest.mark.parametrize("delay_s", [0, 0.05, 0.15])
def test_a_supervisor_that_is_killed_while_it_boots_is_replaced(delay_s: float) -> None:
    with Loader(SOURCE, 5, workers=2) as loader:
        time.sleep(delay_s)
        kill(loader)
        assert loader.spec == SOURCE.spec
        assert_same(take(loader), inline(SOURCE, 5))


@pytest.mark.filterwarnings("ignore:all 3 slots hold batches that are still in use:RuntimeWarning")
def test_leases_on_all_slots_outlive_their_supervisor() -> None:
    expected = inline(SOURCE, 5)
    with Loader(SOURCE, 5, workers=2, slots=3, transforms=[slowly]) as loader:  # slow enough for one batch in a slot
        batches = iter(loader)
        kept = [next(batches) for _ in range(2)]
        wait_until(lambda: loader.stats().slots.ready == 1, "the third slot is filled")
        kill(loader)
        kept.append(next(batches))
        with replaced():
            kept.append(next(batches))
        kept.append(next(batches))
        assert_same(kept, expected[:5])
        kept[0][0][:] = 7  # the memory is still there, and nobody else's
        assert_same([copied(batch) for batch in batches], expected[5:])
        del batches
    assert_same(kept[1:], expected[1:5])
    assert kept[0][0].min() == kept[0][0].max() == 7


def test_the_old_arenas_memory_is_given_back_but_for_the_slots_that_are_lent() -> None:
    large = NpyArrays(np.ones((64, 1 << 18), np.float32))  # 8 MiB a batch
    with Loader(large, 8, workers=1, slots=4) as loader:
        batches = loader.batches()
        kept = next(batches)
        old = loader._producer._supervisor
        arena = os.dup(old._arena_fd)
        wait_until(lambda: os.fstat(arena).st_blocks * 512 >= 4 * kept[0].nbytes, "all pages are made")
        kill(loader)
        with replaced():
            take_until_replaced(loader, batches)
        assert (old.ended, old.arena) == (True, None)
        assert kept[0].nbytes <= os.fstat(arena).st_blocks * 512 <= kept[0].nbytes + 65536
        os.close(arena)
        assert kept[0].min() == kept[0].max() == 1


def test_the_next_supervisor_runs_as_many_workers_as_were_asked_for() -> None:
    with Loader(SOURCE, 5, workers=1, max_workers=4) as loader:
        batches = loader.batches()
        next(batches)
        loader.resize(3)
        workers_of(loader, 3)
        kill(loader)
        with replaced():
            take_until_replaced(loader, batches)
        assert len(workers_of(loader, 3)) == 3
        kill(loader)
        loader.resize(2)  # while there is none
        with replaced():
            take_until_replaced(loader, batches, times=2)
        assert len(workers_of(loader, 2)) == 2


@silently
def test_a_supervisor_that_dies_between_two_epochs_or_after_a_break_is_replaced() -> None:
    expected = inline(SOURCE, 5, epochs=3, shuffle=True)
    with Loader(SOURCE, 5, workers=2, shuffle=True) as loader:
        found = take(loader)
        kill(loader)
        for number, batch in enumerate(loader):
            found.append(copied(batch))
            if number == 30:
                break
        kill(loader)  # which has been told already that the epoch is over
        kept, found = found, take(loader)
    assert_same(kept, expected[: len(kept)])
    assert_same(found, expected[80:])


@silently
def test_an_epoch_that_is_only_looked_at_starts_again_after_the_supervisors_death() -> None:
    with Loader(SOURCE, 5, workers=2) as loader:
        looking = loader.epoch_iterator(leased=False, peek=True)
        first = copied(next(looking))
        kill(loader)
        second = copied(next(looking))
        looking.close()
        found = take(loader)
    assert_same(found, inline(SOURCE, 5))
    assert_same([first, second], found[:2])


def test_a_supervisor_without_a_sign_of_life_is_killed_and_replaced() -> None:
    with Loader(SOURCE, 5, workers=2) as loader:
        batches = loader.batches()
        next(batches)
        loader._producer._silence_s = 2.0  # it shows one each second
        supervisor = supervisor_of(loader)
        os.kill(supervisor, signal.SIGSTOP)
        with pytest.warns(RuntimeWarning, match=r"it gave no sign of life for \d+ s"):
            take_until_replaced(loader, batches)
        wait_until_gone([supervisor])
        following = copied(next(batches))
        assert_same_batch(following, inline_first(SOURCE, 5, loader.stats().batches_delivered)[-1])


def test_control_z_stops_all_of_them_and_is_no_reason_to_replace_anyone(start: Callable[[str], Script]) -> None:
    script = start(
        """
def slow(sample, rng):
    time.sleep(3 if sample[0][0] == 200 else 0)
    return sample
loader = Loader(source, 4, workers=2, transforms=[slow])
loader._producer._silence_s = 2.0
for number, batch in enumerate(loader):
    if number == 24:
        say("ready")
assert number == 249
"""
    )
    script.wait_until_ready()
    time.sleep(0.3)
    os.killpg(script.process.pid, signal.SIGSTOP)
    time.sleep(3)
    os.kill(script.process.pid, signal.SIGCONT)  # the trainer first
    time.sleep(0.2)
    os.killpg(script.process.pid, signal.SIGCONT)
    script.wait_until_gone()
    assert (script.process.returncode, script.stderr) == (0, "")


def test_a_stopped_supervisor_is_killed_by_close() -> None:
    loader = Loader(SOURCE, 5, workers=2)
    take(loader)
    pids = [supervisor_of(loader), *workers_of(loader, 2)]
    os.kill(pids[0], signal.SIGSTOP)
    loader.close()
    wait_until_gone(pids)


def test_a_dead_supervisor_is_not_replaced_by_close_nor_in_a_fork() -> None:
    loader = Loader(SOURCE, 5, workers=2)
    batches = iter(loader)
    next(batches)
    kill(loader)
    child = os.fork()
    if child == 0:
        try:
            list(batches)
        except BaseException as error:
            os._exit(3 if type(error).__name__ == "LoaderClosed" and loader._producer._supervisor._process.returncode is None else 4)
        os._exit(5)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loader.close()


@silently
def test_supervisors_that_keep_dying_are_an_error_with_their_last_words() -> None:
    def chatty(sample: Any, rng: np.random.Generator) -> Any:
        import sys
        import time

        time.sleep(0.001)
        print("sample", int(sample[0][0]), file=sys.stderr)
        return sample

    with Loader(SOURCE, 5, workers=2, transforms=[chatty]) as loader:
        batches = loader.batches()
        found = []
        for times in range(MOST_RESTARTS):
            found.append(copied(next(batches)))
            kill(loader)
            found += take_until_replaced(loader, batches, times + 1)
        found.append(copied(next(batches)))
        last = kill(loader)
        with pytest.raises(SupervisorDied, match=rf"pid {last}\) died: killed by SIGKILL.*3 others have died within 60 s") as caught:
            found.extend(map(copied, batches))
        assert "sample " in str(caught.value)
        assert str(caught.value).count("\n") <= 21
        for use in (lambda: take(loader), lambda: next(iter(loader))):
            with pytest.raises(SupervisorDied):
                use()
        assert loader.stats().supervisor_restarts == MOST_RESTARTS
        loader.resize(1)
        assert loader.spec == SOURCE.spec
    assert_same(found, inline_first(SOURCE, 5, len(found)))


@pytest.mark.parametrize(
    ("act", "death"),
    [
        ("print('no licence', file=sys.stderr)\n    os._exit(7)", r"exited with status 7(.|\n)*no licence"),
        ("ctypes.string_at(0)", r"killed by SIGSEGV(.|\n)*deadly_elsewhere\.py\", line 3"),
        ("os.abort()", r"killed by SIGABRT(.|\n)*deadly_elsewhere\.py\", line 3"),
    ],
    ids=["exit", "segfault", "abort"],
)
def test_a_module_that_ends_the_supervisor_is_an_error_at_once_that_says_where(
    act: str, death: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "deadly_elsewhere.py").write_text(
        f"import ctypes, os, sys\nif 'loader.supervise.boot' in sys.modules:\n    {act}\ndef step(sample, rng):\n    return sample\n"
    )
    (tmp_path / "imports_it.py").write_text("from deadly_elsewhere import step\n")
    (tmp_path / "imports_that.py").write_text("import imports_it\ndef step(sample, rng):\n    return imports_it.step(sample, rng)\n")
    monkeypatch.syspath_prepend(tmp_path)
    for module in ("deadly_elsewhere", "imports_it", "imports_that"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    import imports_that  # type: ignore[import-not-found]

    with warnings.catch_warnings(), Loader(SOURCE, 5, workers=1, transforms=[imports_that.step]) as loader:
        warnings.simplefilter("error")
        for _ in range(2):
            with pytest.raises(PipelineError, match=death):
                take(loader)
        assert not alive(loader._producer.pid)
        assert loader.stats().supervisor_restarts == 0


def test_what_fails_in_the_same_way_every_time_is_raised_without_a_restart() -> None:
    class Refuses:
        def __reduce__(self) -> Any:
            return (int, ("no number",))

    holder = Refuses()

    def step(sample: Any, rng: np.random.Generator) -> Any:
        return sample if holder else None

    with warnings.catch_warnings(), Loader(SOURCE, 5, workers=1, transforms=[step]) as loader:
        warnings.simplefilter("error")
        for _ in range(2):
            with pytest.raises(PipelineError, match="no number"):
                take(loader)
        assert loader.stats().supervisor_restarts == 0


def test_who_makes_errors_of_warnings_can_go_on_after_a_restart() -> None:
    with Loader(SOURCE, 5, workers=2) as loader:
        take(loader)
        kill(loader)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(RuntimeWarning, match="another one"):
                take(loader, epochs=40)  # first come those that the dead one had filled
        assert_same(take(loader), inline(SOURCE, 5))


@silently
def test_a_restart_for_want_of_descriptors_is_an_error_that_leaves_none_and_the_loader_can_go_on() -> None:
    def descriptors() -> list[int]:
        return sorted(map(int, os.listdir("/proc/self/fd")))

    with Loader(SOURCE, 5, workers=2) as loader:
        take(loader)
        running = len(descriptors())
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        kill(loader)
        for spare in range(1, 6):
            free = [number for number in range(descriptors()[-1] + 8) if number not in descriptors()]
            resource.setrlimit(resource.RLIMIT_NOFILE, (free[spare], before[1]))
            try:
                with pytest.raises(SupervisorDied, match=r"no other one can be started: .* Too many open files"):
                    take(loader, epochs=40)  # first come those that the dead one had filled
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, before)
            assert len(descriptors()) < running
            loader._producer._restarts = RestartLimit()
        assert_same(take(loader), inline(SOURCE, 5))


RESTARTING = """
import signal, warnings
warnings.simplefilter("ignore")
loader = Loader(source, 4, workers=2)
for batch in loader:
    pass
os.kill(loader._producer.pid, signal.SIGKILL)
time.sleep(0.1)
say("ready")
for batch in loader.batches():
    time.sleep(0.0005)
"""


@pytest.mark.cold  # a restart of usual length has more moments
def test_control_c_at_any_moment_of_a_restart_is_one_traceback_and_leaves_nothing(start: Callable[[str], Script]) -> None:
    for delay in (0, 0.03, 0.1, 0.2):
        script = start(RESTARTING)
        script.wait_until_ready()
        time.sleep(delay)
        script.stop()
