"""What supervisor and workers log goes through the trainer's own `logging`, with the worker and the sample that it is about."""

from __future__ import annotations

import errno
import logging
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import Loader, NpyArrays, NpyFiles
from loader.ipc.line_file import LIMIT_BYTES
from tests.batches import assert_same, copied, inline, inline_first, take, take_until_replaced
from tests.processes import supervisor_of, wait_until, workers_of

SOURCE = NpyArrays(np.arange(100 * 30, dtype=np.float32).reshape(100, 30))
LARGE = NpyArrays(np.repeat(np.arange(100, dtype=np.float32) * 30, 50_000).reshape(100, 50_000))  # a slot holds one batch


def complains(sample: Any, rng: np.random.Generator) -> Any:
    import logging

    number = int(sample[0].flat[0]) // 30
    logging.getLogger("augment").info("saw %d", number, extra={"answer": 42})
    return sample


def once(marker: str) -> bool:
    """Return whether this is the first call with this path, of all processes."""
    try:
        os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def records_of(caplog: pytest.LogCaptureFixture, name: str) -> list[Any]:
    return [record for record in caplog.records if record.name == name]


def texts_of(caplog: pytest.LogCaptureFixture, name: str) -> list[str]:
    return [record.getMessage() for record in records_of(caplog, name)]


def test_what_a_transform_logs_comes_with_worker_and_sample(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with Loader(SOURCE, 10, workers=2, transforms=[complains], shuffle=True, name="train") as loader:
        assert_same(take(loader), inline(SOURCE, 10, transforms=[complains], shuffle=True))
        caplog.clear()  # what the inline one has logged, too
        assert_same(take(loader), inline(SOURCE, 10, 2, shuffle=True)[10:])
    records = [record for record in records_of(caplog, "augment") if record.worker is not None]
    assert {record.worker for record in records} <= {0, 1}
    assert len({record.process for record in records} - {os.getpid()}) == len({record.worker for record in records})
    for record in records:
        assert record.getMessage() == f"saw {record.sample}"
        assert record.processName == f"train worker {record.worker}"
        assert (record.answer, record.funcName, record.path) == (42, "complains", None)
        assert abs(record.created - time.time()) < 60


def test_no_record_is_lost_and_each_process_keeps_its_order(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with Loader(SOURCE, 10, workers=2, transforms=[complains]) as loader:
        take(loader)
    records = records_of(caplog, "augment")
    assert {record.getMessage() for record in records} == {f"saw {number}" for number in range(100)}
    assert all(record.getMessage() == f"saw {record.sample}" for record in records)
    assert {record.processName.split(" ", 1)[1] for record in records} <= {"first sample", "worker 0", "worker 1"}
    for worker in range(2):
        times = [record.created for record in records if getattr(record, "worker", None) == worker]
        assert times == sorted(times)


def test_the_path_of_a_file_is_in_the_record(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(6):
        np.save(tmp_path / f"{number}.npy", np.full(30, 30.0 * number))
    caplog.set_level(logging.INFO)
    with Loader(NpyFiles(str(tmp_path)), 2, workers=1, transforms=[complains]) as loader:
        take(loader)
    paths = {record.getMessage(): record.path for record in records_of(caplog, "augment") if record.worker == 0}
    assert paths == {f"saw {number}": str(tmp_path / f"{number}.npy") for number in range(6)}


def test_what_nobody_listens_to_is_not_made(caplog: pytest.LogCaptureFixture) -> None:
    def tells(sample: Any, rng: np.random.Generator) -> Any:
        import logging

        enabled = [logging.getLogger(name).isEnabledFor(logging.INFO) for name in ("augment", "augment.more", "other")]
        return (np.array(enabled),)

    caplog.set_level(logging.INFO, "augment")
    with Loader(SOURCE, 100, workers=1, transforms=[tells]) as loader:
        ((found,),) = take(loader)
    assert found.tolist() == [[True, True, logging.getLogger("other").isEnabledFor(logging.INFO)]] * 100
    assert not caplog.records


def test_a_loader_tells_of_its_life_at_debug(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "loader")
    with Loader(SOURCE, 10, workers=2, name="train") as loader:
        pids = workers_of(loader, 2)
        loader.resize(1)
        take(loader)
        wait_until(lambda: loader.stats() and "worker 1 was dismissed" in caplog.text, "a worker has gone")
    texts = texts_of(caplog, "loader.supervisor")
    assert texts[0].startswith("the supervisor is ready: 2 workers")
    assert {f"worker {number} started (pid {pid})" for number, pid in enumerate(pids)} <= set(texts)
    assert texts[-1] == "the supervisor ends"
    assert {record.processName for record in caplog.records} == {"train supervisor"}
    assert all(record.levelno == logging.DEBUG for record in caplog.records)


def test_a_killed_worker_is_a_warning_and_its_last_record_is_there(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def dies_once(sample: Any, rng: np.random.Generator) -> Any:
        if sample[0][0] == 30 * 60 and once(marker):
            logging.getLogger("augment").error("about to die")
            os.kill(os.getpid(), signal.SIGKILL)
        return sample

    marker = str(tmp_path / "died")
    with Loader(LARGE, 10, workers=2, transforms=[dies_once]) as loader:
        assert_same(take(loader), inline(LARGE, 10))
    said, died = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert (said.getMessage(), vars(said)["sample"]) == ("about to die", 60)
    assert (died.name, died.levelname) == ("loader.supervisor", "WARNING")
    assert re.match(rf"worker {vars(said)['worker']} \(pid {said.process}\) died, killed by SIGKILL.* again", died.getMessage())


def test_a_hanging_worker_is_a_warning_with_its_stack(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def hangs_once(sample: Any, rng: np.random.Generator) -> Any:
        if sample[0][0] == 30 * 60 and once(marker):
            time.sleep(1000)
        return sample

    marker = str(tmp_path / "hung")
    with Loader(LARGE, 10, workers=2, transforms=[hangs_once], sample_timeout_s=1.0) as loader:
        assert_same(take(loader), inline(LARGE, 10))
    (text,) = texts_of(caplog, "loader.supervisor")
    assert "killed for making no progress" in text
    assert "in hangs_once" in text


def test_records_of_a_killed_supervisor_are_handed_over_and_the_next_one_logs_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with Loader(LARGE, 10, workers=2, transforms=[complains], slots=3) as loader:
        batches = loader.batches()
        found = [copied(next(batches))]
        os.kill(supervisor_of(loader), signal.SIGKILL)
        with pytest.warns(RuntimeWarning, match="another one continues") as warned:
            found += take_until_replaced(loader, batches)
        found += [copied(next(batches)) for _ in range(len(loader))]
    assert_same(found, inline_first(LARGE, 10, len(found)))
    texts = texts_of(caplog, "augment")
    assert set(texts) == {f"saw {number}" for number in range(100)}
    assert len({record.process for record in records_of(caplog, "augment")}) > 2
    assert [warning.filename for warning in warned] == [take_until_replaced.__code__.co_filename]
    (replaced,) = texts_of(caplog, "loader.trainer")
    assert "killed by SIGKILL" in replaced


def test_a_substituted_sample_is_told_at_info(caplog: pytest.LogCaptureFixture) -> None:
    def fails(sample: Any, rng: np.random.Generator) -> Any:
        logging.getLogger("augment").info("saw %d", sample[0][0] // 30)
        if sample[0][0] in (30 * 20, 30 * 60):
            raise ValueError("too dark")
        return sample

    caplog.set_level(logging.INFO)
    with Loader(SOURCE, 10, workers=2, transforms=[fails], on_error="substitute") as loader, pytest.warns(RuntimeWarning, match="is bad"):
        take(loader, 2)
    texts = [text for text in texts_of(caplog, "loader.supervisor") if "another one" in text]
    assert [re.findall(r"sample (\d+) .*: ValueError: too dark", text) for text in sorted(texts)] == [["20"], ["60"]]
    seen = [record for record in records_of(caplog, "augment") if record.worker is not None]
    assert len(seen) > 200
    assert all(record.getMessage() == f"saw {record.sample}" for record in seen)  # also the one that takes another's place


def test_a_read_that_is_tried_again_is_told_at_info(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def fails_once(sample: Any, rng: np.random.Generator) -> Any:
        if sample[0][0] == 30 * 60 and once(marker):
            raise OSError(errno.ESTALE, "Stale file handle")
        return sample

    marker = str(tmp_path / "failed")
    caplog.set_level(logging.INFO)
    with Loader(LARGE, 10, workers=2, transforms=[fails_once]) as loader:
        assert_same(take(loader), inline(LARGE, 10))
    (text,) = texts_of(caplog, "loader.worker")
    assert text == "sample 60 could not be read, and is tried again in 0.05 s (retry 1): OSError: [Errno 116] Stale file handle"


def test_a_flood_neither_hangs_nor_gathers(caplog: pytest.LogCaptureFixture) -> None:
    def floods(sample: Any, rng: np.random.Generator) -> Any:
        import logging

        for number in range(300):
            logging.getLogger("augment").debug("%d %s", number, "x" * 1000)
        return sample

    caplog.set_level(logging.DEBUG)
    counted = Counting()
    logging.getLogger("augment").addHandler(counted)
    logging.getLogger("augment").propagate = False
    most = 0
    try:
        with Loader(SOURCE, 10, workers=2, transforms=[floods]) as loader:
            descriptor = loader._producer._relay.descriptors["logs"]
            for _ in loader:
                most = max(most, os.fstat(descriptor).st_blocks * 512)
            wait_until(lambda: loader.stats() and os.fstat(descriptor).st_blocks * 512 <= LIMIT_BYTES + (2 << 20), "the oldest has been dropped")
    finally:
        logging.getLogger("augment").removeHandler(counted)
        logging.getLogger("augment").propagate = True
    assert most < 100 << 20  # what two workers log within a tick
    assert "were dropped here: more than 8 MiB had gathered" in caplog.text
    assert 1000 < counted.count < 30_000


class Counting(logging.Handler):
    count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += 1


def test_a_record_appears_while_the_trainer_waits(tmp_path: Path) -> None:
    def tells_and_waits(sample: Any, rng: np.random.Generator) -> Any:
        import logging
        import os
        import time

        if sample[0][0] == 30 * 60:
            logging.getLogger("augment").warning("this takes a while")
            while not os.path.exists(file):
                time.sleep(0.01)
        return sample

    class Opens(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            open(file, "w").close()

    file, handler = str(tmp_path / "seen"), Opens()
    logging.getLogger("augment").addHandler(handler)
    try:
        with Loader(LARGE, 10, workers=2, transforms=[tells_and_waits]) as loader:
            assert len(take(loader)) == 10
    finally:
        logging.getLogger("augment").removeHandler(handler)


STEPS = """
import logging, os
log = logging.getLogger("steps")
handler = logging.StreamHandler()
handler.setFormatter(logging.Formatter("STEPS %(message)s"))
log.addHandler(handler)
log.propagate = False
log.setLevel(logging.INFO)
logging.basicConfig(format="ROOT %(message)s")

def step(sample, rng):
    if sample[0] == 7 and not os.path.exists("said"):
        open("said", "w").close()
        log.info("seven")
        logging.getLogger("others").warning("seven as well")
    return sample
"""
USES = """
import sys
import numpy as np
from loader import Loader, NpyArrays
sys.path.insert(0, ".")
import steps
with Loader(NpyArrays(np.arange(40)), 4, workers=1, transforms=[steps.step]) as loader:
    assert len(list(loader)) == 10
"""


def test_handlers_that_an_imported_module_sets_up_say_everything_once(run_script: Callable[..., Any]) -> None:
    result = run_script(f"open('steps.py', 'w').write({STEPS!r})\n{USES}")
    assert result.returncode == 0, result.stderr
    assert sorted(result.stderr.splitlines()) == ["ROOT seven as well", "STEPS seven"]


LAZY = """
import numpy as np
from loader import Loader, NpyArrays
def step(sample, rng):
    import logging, os
    log = logging.getLogger("late")
    if not log.handlers:
        log.addHandler(logging.StreamHandler())
    if sample[0] == 7 and not os.path.exists("said"):
        open("said", "w").close()
        log.warning("seven")
        logging.getLogger("others").warning("seven as well")
    return sample
with Loader(NpyArrays(np.arange(40)), 4, workers=1, transforms=[step]) as loader:
    assert len(list(loader)) == 10
"""


def test_without_handlers_the_last_resort_prints_warnings_and_nothing_twice(run_script: Callable[..., Any]) -> None:
    result = run_script(LAZY)
    assert result.returncode == 0, result.stderr
    assert sorted(result.stderr.splitlines()) == ["seven", "seven as well"]


def test_without_processes_records_are_made_here(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    inline(SOURCE, 10, transforms=[complains])
    assert {record.process for record in records_of(caplog, "augment")} == {os.getpid()}
