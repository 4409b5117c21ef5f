"""Several scripts read one pool: each gets each batch once, in order and bit for bit, whatever the others do."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from loader import AttachError, ConfigError, Loader, NpyArrays, NpyFiles, SupervisorDied
from loader.ipc import attachment
from loader.ipc.board import SupervisorCell
from loader.ipc.control_socket import SocketFolder, home
from loader.watch.client import loaders
from tests.batches import assert_same, copied, inline, take, take_until_replaced
from tests.conftest import script_environment
from tests.processes import only_free, open_files, supervisor_of, wait_until, workers_of

BATCHES = 30
SETTINGS: dict[str, Any] = {"shuffle": True, "seed": 3}
X = np.arange(BATCHES * 4 * 3000, dtype=np.float32).reshape(BATCHES * 4, 3000)
Y = np.arange(len(X), dtype=np.int32)
SOURCE = NpyArrays(X, Y)

READER = """
import json, sys, time
from loader import Loader
name, epochs, pause_s = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
train = Loader.attach(name, epoch=0)
for epoch in range(epochs):
    for x, y in train:
        print(json.dumps([int(y.sum()), float(x.sum(dtype="float64")), x.flags.writeable]), flush=True)
        time.sleep(pause_s)
"""


class Script:
    """A script that reads, in a process of its own."""

    def __init__(self, folder: Path, name: str, epochs: int, pause_s: float = 0.0) -> None:
        self.out = (folder / f"out{time.monotonic_ns()}").open("w+")
        command = [sys.executable, "-c", READER, name, str(epochs), str(pause_s)]
        self.process = subprocess.Popen(command, stdout=self.out, stderr=subprocess.STDOUT, env=script_environment(None))

    def lines(self) -> list[str]:
        return Path(self.out.name).read_text().splitlines()

    def batches(self) -> list[Any]:
        """Return what it says of all the batches that it got."""
        assert self.process.wait(60) == 0, self.lines()
        return [json.loads(line) for line in self.lines()]

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()
        self.out.close()


@pytest.fixture
def name() -> str:
    return f"shared-{os.getpid()}-{time.monotonic_ns() % 10**9}"


@pytest.fixture
def start(tmp_path: Path, name: str) -> Iterator[Any]:
    scripts: list[Script] = []

    def begin(epochs: int, pause_s: float = 0.0) -> Script:
        scripts.append(Script(tmp_path, name, epochs, pause_s))
        return scripts[-1]

    yield begin
    for script in scripts:
        script.end()


def said_of(batches: list[Any]) -> list[Any]:
    return [[int(y.sum()), float(x.sum(dtype="float64")), False] for x, y in batches]


@pytest.mark.parametrize("lag", ["split", "wait"])
def test_each_reader_gets_the_batches_that_a_loader_without_processes_makes(name: str, start: Any, lag: Any) -> None:
    expected = inline(SOURCE, 4, 2, **SETTINGS)
    with Loader(SOURCE, 4, **SETTINGS, workers=2, name=name, shared=True, lag=lag, slots=16) as loader:
        readers = [start(2), start(2, 0.003)]
        assert_same(take(loader, 2), expected)
        for reader in readers:
            assert reader.batches() == said_of(expected)


def test_several_scripts_read_far_data_through_one_pool_whatever_fails_on_the_way(name: str, start: Any, npy_folder: Any, front: Any) -> None:
    folder = npy_folder(120, (5, 4))
    served = front(folder, latency_s=0.005, server_error=0.05, hang=0.01, attempts=2)
    labels = np.arange(120)
    far = NpyFiles([f"{served.endpoint}/{path.name}" for path in sorted(folder.glob("*.npy"))], labels=labels)
    expected = inline(NpyFiles(folder, labels=labels), 4, **SETTINGS)
    with Loader(far, 4, **SETTINGS, workers=2, name=name, shared=True, slots=8) as loader:
        reader = start(1)
        with Loader.attach(name, epoch=0) as other:
            together = zip(loader, other, strict=True)
            for batch, (mine, theirs) in zip(expected, together, strict=True):
                assert_same([mine, theirs], [batch, batch])
        assert [sums for *sums, _ in reader.batches()] == [sums for *sums, _ in said_of(expected)]
        stats = loader.stats()
    assert stats.errors == 0
    assert stats.network is not None
    assert stats.network.retries > 0


def test_a_reader_attaches_at_a_position_and_saves_its_own(name: str) -> None:
    expected = inline(SOURCE, 4, 2, **SETTINGS)
    with Loader(SOURCE, 4, **SETTINGS, workers=1, name=name, shared=True) as loader:
        with Loader.attach(name, epoch=0, batch=7) as reader:
            batches = iter(reader)
            assert_same([copied(next(batches)) for _ in range(3)], expected[7:10])
            state = reader.state_dict()
            assert (state["epoch"], state["batch"], len(reader)) == (0, 10, BATCHES)
            assert reader.spec == loader.spec
            reader.load_state_dict({**state, "batch": 2})
            assert_same(take(reader), expected[2:BATCHES])
        loader.load_state_dict(state)
        assert_same(take(loader), expected[10:BATCHES])


def test_what_a_reader_is_handed_can_not_be_written_to(name: str) -> None:
    with Loader(SOURCE, 4, workers=1, name=name, shared=True) as loader, Loader.attach(name) as reader:
        for (x, _), who in [(next(iter(reader)), "reader"), (next(iter(loader)), "owner")]:
            with pytest.raises(ValueError, match="read-only"):
                x += 1
            assert not x.flags.writeable, who


def test_a_reader_with_other_settings_is_refused_with_what_differs(name: str) -> None:
    with Loader(SOURCE, 4, **SETTINGS, workers=1, name=name, shared=True) as loader:
        next(iter(loader))
        Loader.attach(name, batch_size=4, seed=3, transforms=[]).close()
        Loader.attach(name, epoch=np.int64(0), batch=np.uint8(1), batch_size=np.int32(4), seed=np.int64(3), shuffle=np.True_).close()
        with pytest.raises(AttachError, match=r"batch_size: 4 there, 8 here; seed: 3 there, 4 here"):
            Loader.attach(name, batch_size=8, seed=4, shuffle=True)
        with pytest.raises(AttachError, match=r"seed: 3 there, 'nan' here"):
            Loader.attach(name, seed=math.nan)
        with pytest.raises(AttachError, match=r"epoch must be a number from 0 and batch one from 0 to 29, not -1 and 0"):
            Loader.attach(name, epoch=-1)
        with pytest.raises(AttachError, match="epoch must be a number from 0"):
            Loader.attach(name, epoch=2**48 - 2)  # where it would end all workers
        with pytest.raises(ConfigError, match="name=None: must be the name of a shared loader"):
            Loader.attach(None)  # type: ignore[arg-type]
        with pytest.raises(AttachError, match="can't be asked for colour, only for batch_size"):
            Loader.attach(name, colour="red")
    with pytest.raises(AttachError, match="no shared loader of this user is called"):
        Loader.attach(name, timeout_s=0)
    with pytest.raises(ConfigError, match="others attach by name"):
        Loader(SOURCE, 4, shared=True)


def test_settings_too_long_to_be_sent_are_compared_as_well(name: str) -> None:
    weights = {label: 1.0 + label % 7 for label in range(20_000)}
    with Loader(SOURCE, 4, workers=1, name=name, shared=True, class_weight=weights) as loader:
        next(iter(loader))
        Loader.attach(name, class_weight={label: int(weights[label]) for label in reversed(weights)}).close()
        with pytest.raises(AttachError, match=r"class_weight: '.{60}… \([\d,]+ characters, SHA-256 \w{16}\)' there, .* here"):
            Loader.attach(name, class_weight={**weights, 9: 1.5})


def test_a_script_that_may_open_no_more_files_is_told_so_and_keeps_nothing_open(name: str) -> None:
    with Loader(SOURCE, 4, workers=1, name=name, shared=True) as loader:
        Loader.attach(name).close()
        before = open_files()
        refused = 0
        for spare in itertools.count():
            with only_free(spare):
                try:
                    Loader.attach(name, timeout_s=0).close()
                    break
                except AttachError as error:
                    said = str(error)
            assert f"can't attach to '{name}': Too many open files (this process may have" in said
            assert open_files() == before
            wait_until(lambda: not loader._board.supervisor[SupervisorCell.READERS_GAUGE], "the place of the one that was not able to")
            refused += 1
        assert refused > 5
        assert open_files() == before


def test_a_loader_that_is_not_shared_takes_nobody(name: str) -> None:
    with Loader(SOURCE, 4, workers=1, name=name) as loader:
        next(iter(loader))
        with pytest.raises(AttachError, match="no shared loader"):
            Loader.attach(name, timeout_s=0)


def test_there_are_only_as_many_readers_as_slots_allow(name: str) -> None:
    with Loader(SOURCE, 4, workers=1, name=name, shared=True, slots=4) as loader:
        next(iter(loader))
        refusal = pytest.raises(AttachError, match="its 4 slots are enough for the 2 readers that it has; make it with more: slots=8")
        with Loader.attach(name), refusal:
            Loader.attach(name)
        wait_until(lambda: _attaches(name), "the place of the one that has gone")


def test_a_script_waits_for_a_place_until_those_that_read_let_go_of_what_they_were_handed_before(name: str) -> None:
    with Loader(SOURCE, 4, workers=1, name=name, shared=True, slots=8) as loader, contextlib.ExitStack() as stack:
        readers = [loader.batches()]
        next(readers[0])
        wait_until(lambda: loader._board.supervisor[SupervisorCell.SLOTS_FILLED_GAUGE] == 8, "it has been handed as many as it may, alone")
        for _ in range(2):
            readers.append(stack.enter_context(Loader.attach(name, epoch=0)).batches())
            next(readers[-1])
        refusal = "the 3 readers that it has hold too many of its 8 slots at the moment, after 0 s; make it with more: slots="
        with pytest.raises(AttachError, match=refusal):
            Loader.attach(name, timeout_s=0)
        with ThreadPoolExecutor(1) as pool:
            last = pool.submit(Loader.attach, name)
            while not last.done():
                for batches in readers:
                    next(batches)
            last.result().close()


def _attaches(name: str) -> bool:
    try:
        Loader.attach(name).close()
    except AttachError:
        return False
    return True


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_reader_that_is_killed_or_stopped_holds_up_nobody(name: str, start: Any, how: signal.Signals) -> None:
    expected = inline(SOURCE, 4, 4, **SETTINGS)
    with Loader(SOURCE, 4, **SETTINGS, workers=2, name=name, shared=True, slots=6) as loader:
        reader = start(100, 0.001)
        wait_until(lambda: len(reader.lines()) > 3, "the reader reads")
        os.kill(reader.process.pid, how)
        assert_same(take(loader, 4), expected)
        os.kill(reader.process.pid, signal.SIGKILL)
        reader.process.wait()
        assert_same(take(loader), inline(SOURCE, 4, 5, **SETTINGS)[-BATCHES:])


def test_readers_go_on_where_they_were_when_the_supervisor_and_workers_are_killed(name: str, start: Any) -> None:
    expected = inline(SOURCE, 4, 4, **SETTINGS)
    with Loader(SOURCE, 4, **SETTINGS, workers=2, name=name, shared=True) as loader:
        reader = start(4, 0.005)
        batches, found = loader.batches(), []
        while len(reader.lines()) < 20:
            found.append(copied(next(batches)))
        os.kill(workers_of(loader, 2)[0], signal.SIGKILL)
        os.kill(supervisor_of(loader), signal.SIGKILL)
        with pytest.warns(RuntimeWarning, match="another one continues"):
            found += take_until_replaced(loader, batches)
        while reader.process.poll() is None:
            found.append(copied(next(batches)))
            time.sleep(0.001)
        assert reader.batches() == said_of(expected)
        assert_same(found[: 4 * BATCHES], expected[: len(found)])


def test_a_reader_whose_supervisor_was_killed_follows_its_own_script_and_no_other_one_of_the_same_name(name: str) -> None:
    expected = inline(SOURCE, 4, 20, **SETTINGS)
    with ThreadPoolExecutor(1) as thread, Loader(SOURCE, 4, **SETTINGS, workers=1, name=name, shared=True, slots=6) as loader:
        batches = loader.batches()
        with Loader.attach(name, epoch=0) as reader:
            os.kill(supervisor_of(loader), signal.SIGKILL)
            with Loader(NpyArrays(X + 1), 4, workers=1, name=name, shared=True) as other:
                next(iter(other))
                found = thread.submit(lambda: [copied(batch) for batch in itertools.islice(reader.batches(), 10 * BATCHES)])
                with pytest.warns(RuntimeWarning, match="another one continues"):
                    take_until_replaced(loader, batches)
                while not found.done():
                    next(batches)
                assert_same(found.result(), expected[: 10 * BATCHES])


def test_a_reader_that_is_slow_and_never_stops_gets_a_stream_of_its_own(name: str, start: Any) -> None:
    with Loader(SOURCE, 4, **SETTINGS, workers=2, name=name, shared=True, slots=9) as loader, Loader.attach(name, epoch=0) as slow:
        loader._producer.keep_for_others()
        quick = [start(10_000, 0.001) for _ in range(2)]
        wait_until(lambda: all(len(reader.lines()) > 3 for reader in quick), "both read")
        batches = slow.batches()

        def is_apart() -> bool:
            next(batches)
            time.sleep(0.2)
            shared = {reader.number: reader.shares_with for reader in slow.stats().readers}
            return shared == {1: [], 2: [3], 3: [2]}

        wait_until(is_apart, "it shares with nobody", 60)


OWNER = """
import signal, sys
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup would have it ignored
import numpy as np
from loader import Loader, NpyArrays
loader = Loader(NpyArrays(sys.argv[1], sys.argv[2]), 4, shuffle=True, seed=3, workers=1, name=sys.argv[3], shared=True)
kept = next(iter(loader))
before = [array.copy() for array in kept]
sys.stdin.readline()
loader.close()
sys.stdin.readline()
print(all((one == other).all() for one, other in zip(kept, before, strict=True)))
"""


@pytest.fixture
def owner(name: str, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A script that has made the pool, holds a batch of it, closes the loader at a first line, and ends at a second one."""
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", Y)
    command = [sys.executable, "-c", OWNER, str(tmp_path / "x.npy"), str(tmp_path / "y.npy"), name]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, env=script_environment(None), start_new_session=True, **pipes) as process:
        yield process
        process.kill()


def end_loader_of(owner: subprocess.Popen[str], how: str) -> None:
    if how == "closed":
        assert owner.stdin is not None
        owner.stdin.write("\n")
        owner.stdin.flush()
    else:
        os.killpg(owner.pid, signal.SIGHUP if how == "terminal closed" else signal.SIGINT)
        owner.wait(30)


@pytest.mark.parametrize("how", ["closed", "terminal closed", pytest.param("Ctrl-C", marks=pytest.mark.thorough)])
def test_a_pool_outlives_the_script_that_made_it_while_others_read(name: str, owner: Any, how: str) -> None:
    expected = inline(SOURCE, 4, 3, **SETTINGS)
    with Loader.attach(name, epoch=0) as reader:
        batches = reader.batches()
        found = [copied(next(batches)) for _ in range(4)]
        family = psutil.Process(owner.pid).children(recursive=True)
        end_loader_of(owner, how)
        wait_until(lambda: is_left(name), "it is left to its readers")
        with Loader.attach(name, epoch=0) as another:
            assert_same(take(another, 2), expected[: 2 * BATCHES])
            assert [reader["number"] for reader in another.stats().as_dict()["readers"]] == [1, 2]
        found += [copied(next(batches)) for _ in range(3 * BATCHES - 4)]
        assert_same(found, expected)
    if how == "closed":
        said, _ = owner.communicate("\n", timeout=30)
        assert (said, owner.returncode) == ("True\n", 0)  # what it kept of the pool has not changed
    assert not psutil.wait_procs(family, 60)[1]


def test_a_reader_is_told_when_a_supervisor_dies_that_nobody_replaces(name: str, start: Any, owner: Any) -> None:
    reader = start(1000, 0.001)
    wait_until(lambda: len(reader.lines()) > 3, "the reader reads")
    end_loader_of(owner, "closed")
    wait_until(lambda: is_left(name), "it is left to its readers")
    with Loader.attach(name) as late:
        os.kill(late.pid, signal.SIGKILL)
        with pytest.raises(SupervisorDied, match="has ended: its supervisor has died, and the script that made it"):
            take(late, 50)
    assert reader.process.wait(30) == 1
    assert f"SupervisorDied: the shared loader '{name}' has ended" in "\n".join(reader.lines())


def test_a_reader_of_a_supervisor_that_hangs_and_that_nobody_replaces_is_told(name: str, owner: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from loader.train.remote import attached

    monkeypatch.setattr(attached, "_SILENCE_S", 1.0)
    with Loader.attach(name, timeout_s=60) as reader:
        next(iter(reader))
        end_loader_of(owner, "closed")
        wait_until(lambda: is_left(name), "it is left to its readers")
        os.kill(reader.pid, signal.SIGSTOP)
        try:
            with pytest.raises(SupervisorDied, match=rf"so nobody replaces it. What to do: end it \(kill -9 {reader.pid}\)"):
                take(reader, 1000)
        finally:
            os.kill(reader.pid, signal.SIGCONT)


def test_a_pool_that_its_script_has_left_gives_way_to_another_one_of_its_name(name: str) -> None:
    with Loader(SOURCE, 4, workers=1, name=name, shared=True, slots=6) as first:
        next(iter(first))
        left = supervisor_of(first)
        reader = Loader.attach(name)
    with reader, Loader(NpyArrays(X + 1), 5, workers=1, name=name, shared=True, slots=4) as second:
        next(iter(second))
        with Loader.attach(name) as other:
            assert (other.pid, reader.pid) == (supervisor_of(second), left)
            with pytest.raises(AttachError, match="its 4 slots are enough for the 2 readers that it has"):  # the one that was left has more
                Loader.attach(name)
        with pytest.raises(AttachError, match="its settings differ: batch_size: 5 there, 4 here"):  # 4 in the one that was left
            Loader.attach(name, batch_size=4)
        os.kill(supervisor_of(second), signal.SIGSTOP)
        try:
            with pytest.raises(AttachError, match=r"other than one that its script has left, but the supervisor with pid .* does not answer"):
                Loader.attach(name, timeout_s=0.1)
        finally:
            os.kill(supervisor_of(second), signal.SIGCONT)
        assert_same(take(reader), inline(SOURCE, 4))
    wait_until(lambda: psutil.Process(left).status() == psutil.STATUS_ZOMBIE, "it has ended after its last reader")
    subprocess.run(["true"], check=True)  # starting anything
    assert not psutil.pid_exists(left)


def test_a_script_that_attaches_just_when_the_owner_leaves_reads_on(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known = os.pidfd_open

    def gone(pid: int, flags: int = 0) -> int:
        if pid == os.getpid():
            raise ProcessLookupError
        return known(pid, flags)

    with Loader(SOURCE, 4, workers=1, name=name, shared=True) as owner:
        next(iter(owner))
        with monkeypatch.context() as patch:
            patch.setattr(os, "pidfd_open", gone)
            reader = Loader.attach(name, epoch=0)
        with reader:
            assert_same(take(reader), inline(SOURCE, 4))


def is_left(name: str) -> bool:
    with loaders() as found:
        return any(one.name == name and one.status is not None and one.status["trainer_pid"] is None for one in found)


def test_garbage_from_a_reader_ends_only_its_own_reading(name: str) -> None:
    expected = inline(SOURCE, 4, 2, **SETTINGS)
    with Loader(SOURCE, 4, **SETTINGS, workers=1, name=name, shared=True) as loader:
        batches, found = loader.batches(), []
        found.append(copied(next(batches)))
        lacking = struct.pack("<IIQQQ", 2, 0, 0, 0, 99)  # a worker lacks something that there is not
        for raw in [lacking, b"\xff" * 32, b"abc", bytes(64)]:
            answer, given = attachment.attach(name, {"epoch": 0, "batch": 0, "settings": {}})
            os.write(given.inbox, raw)
            wait_until(lambda ready=given.ready: _at_end(ready), "the end of its pipe")
            given.close()
            assert answer["attached"] == 1
        while len(found) < 2 * BATCHES:
            found.append(copied(next(batches)))
        assert_same(found, expected)


def _at_end(ready: int) -> bool:
    return not os.read(ready, 65536)


def test_a_request_to_attach_that_makes_no_sense_is_refused_and_changes_nothing(name: str) -> None:
    with Loader(SOURCE, 4, workers=1, name=name, shared=True) as loader:
        next(iter(loader))
        folder = SocketFolder(home())
        address = folder.address(f"{loader.pid}.sock")
        for request in [
            {"epoch": "x"},
            {"epoch": 0, "batch": 10**30, "settings": {}},
            {"settings": [1]},
            {"epoch": 0, "batch": True, "settings": {}},
        ]:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(address)
                connection.sendall(json.dumps({"do": "attach", "name": name, **request}).encode() + b"\n")
                assert "error" in json.loads(connection.recv(65536))
        folder.close()
        assert len(take(loader)) == BATCHES


def test_a_closed_reader_whose_array_is_kept_is_one_until_that_is_let_go_and_no_longer(name: str) -> None:
    with Loader(SOURCE, 4, workers=1, name=name, shared=True, slots=6) as loader:
        readers = SupervisorCell.READERS_GAUGE
        reader = Loader.attach(name, epoch=0)
        kept = next(iter(reader))
        reader.close()
        take(loader, 3)
        assert loader._board.supervisor[readers] == 1
        del kept
        wait_until(lambda: not loader._board.supervisor[readers], "nobody reads")
        assert repr(reader) == f"<AttachedLoader {name}: closed>"


def test_a_supervisor_that_has_no_descriptor_for_a_connection_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attachment, "ANSWER_S", 0.2)
    with Loader(SOURCE, 4, workers=1, name=name, shared=True) as loader:
        take(loader)
        limits = resource.prlimit(loader.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(loader.pid, resource.RLIMIT_NOFILE, (3, limits[1]))
        with pytest.raises(AttachError, match=rf"is called '{name}', but .* pids? .*\b{loader.pid}\b.* not answer: .*without a descriptor"):
            Loader.attach(name, timeout_s=0)
        resource.prlimit(loader.pid, resource.RLIMIT_NOFILE, limits)
        with Loader.attach(name, timeout_s=60):
            assert len(loader.stats().readers) > 1


def test_a_reader_of_a_supervisor_that_hangs_while_its_owner_waits_for_nothing_is_told(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from loader.train.remote import attached

    monkeypatch.setattr(attached, "_SILENCE_S", 1.0)
    with Loader(SOURCE, 4, **SETTINGS, workers=1, name=name, shared=True, slots=4) as loader, Loader.attach(name, epoch=0) as reader:
        batches, supervisor = itertools.chain.from_iterable(itertools.repeat(reader)), loader.pid
        found: list[Any] = []
        os.kill(supervisor, signal.SIGSTOP)
        said = (
            rf"supervisor \(pid {supervisor}\) of the shared loader '{name}' has given no sign of life for \d+ s.*\(pid {os.getpid()}\) replaces it"
        )
        with pytest.raises(SupervisorDied, match=said):
            found.extend(map(copied, batches))
        assert reader._producer._supervisor.silence_s == 0  # type: ignore[attr-defined]
        os.kill(supervisor, signal.SIGCONT)
        monkeypatch.undo()  # a busy machine may take a second to continue it
        reader.load_state_dict(reader.state_dict())
        found += map(copied, reader)
        assert_same(found, inline(SOURCE, 4, len(found) // BATCHES, **SETTINGS))


def test_arrays_stay_valid_after_their_reader_has_been_closed(name: str) -> None:
    with Loader(SOURCE, 4, workers=1, name=name, shared=True, slots=6) as loader:
        reader = Loader.attach(name, epoch=0)
        kept = next(iter(reader))
        before = copied(kept)
        reader.close()
        take(loader, 3)
        assert_same([copied(kept)], [before])
