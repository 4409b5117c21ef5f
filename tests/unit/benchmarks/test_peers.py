"""The comparison with other loaders: what can be checked without them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.peers import __main__ as command
from benchmarks.peers import cells, draw, measure, plan, processes, run, tables
from benchmarks.peers.loaders.ours import Ours
from benchmarks.peers.loaders.peer import Peer
from benchmarks.peers.opened import Opened
from benchmarks.peers.plan import OURS
from benchmarks.peers.processes import Prepared
from benchmarks.peers.samples import dithered, padded
from benchmarks.peers.tasks import TASKS, Task
from benchmarks.workloads import Workload
from tests.conftest import ROOT

SMALL = Task("vol32", Workload("small", 60, (3, 2), "float32", one_file=False, batch_size=4), "small files", counts=(0,))
PEERS: dict[str, Peer] = {OURS: Ours(), "again": Ours()}


class Here:
    """Measures in this process, what `Prepared` does in one that has imported the peer."""

    asked: list[dict[str, Any]] = []  # noqa: RUF012

    def __init__(self, peer: str, data: Path, keras: bool) -> None:
        self._data = data

    def measure(self, alone: bool, **what: Any) -> dict[str, Any]:
        self.asked.append(what)
        return measure.run(what, Ours(), SMALL, self._data) | {"version": "1.2.0"}

    def close(self) -> None:
        pass


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Here]]:
    """Run small tasks in this process, as quickly as they allow."""
    for name, value in {"_WARM_S": 0.0, "_LEAST_BATCHES": 1, "_WATCHED_S": 0.0, "_QUIET_S": 0.0, "_BATCHES_OF_ORDER": 2}.items():
        monkeypatch.setattr(measure, name, value)
    monkeypatch.setattr(run, "Prepared", Here)
    monkeypatch.setitem(TASKS, "vol32", SMALL)
    Here.asked.clear()
    yield Here
    Here.asked.clear()


def found_by(folder: Path, found: dict[str, Any] | None = None, peers: dict[str, Peer] = PEERS) -> dict[str, Any]:
    found = found or {"machine": "a machine", "versions": {}, "tasks": {}}
    run.Run([SMALL], peers, found, folder / "found.json", folder, rounds=2, seconds=0.01).measure()
    return found


def test_what_is_measured_becomes_lines_tables_and_pictures(here: type[Here], tmp_path: Path) -> None:
    found = found_by(tmp_path)
    assert json.loads((tmp_path / "found.json").read_text()) == found
    assert "samples/s" in tables.as_lines(found, SMALL, PEERS)
    assert not cells.why_not(found["tasks"]["vol32"][OURS])
    text = tables.full(found, PEERS)
    assert "| samples/s | loader 1.2 | loader 1.2 |" in text
    assert "no worker processes" in text
    assert "small files" in tables.short(found, PEERS)
    drawn = draw.draw(found, PEERS, tmp_path / "pictures")
    assert [file.name for file in drawn] == ["peers-speed.png", "peers-cpu.png", "peers-memory.png"]
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in drawn)


def test_a_run_that_continues_measures_only_what_is_missing(here: type[Here], tmp_path: Path) -> None:
    found = found_by(tmp_path)
    del found["tasks"]["vol32"]["again"]["round 2"]
    here.asked.clear()
    found_by(tmp_path, found)
    assert [asked["kind"] for asked in here.asked] == ["speed"]


def test_a_run_that_is_interrupted_keeps_what_it_has(here: type[Here], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(measure, "speed", interrupted)
    with pytest.raises(KeyboardInterrupt):
        found_by(tmp_path)
    kept = json.loads((tmp_path / "found.json").read_text())
    assert set(kept["tasks"]["vol32"][OURS]) == {"outputs", "trial 0"}
    assert "not measured: interrupted" in tables.as_lines(kept, SMALL, PEERS)


def test_a_loader_whose_batches_differ_is_not_measured(here: type[Here], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "difference", lambda task, got, expected: "the batches have other bits" if got is not expected else "")
    found = found_by(tmp_path)
    assert "speed" in [asked["kind"] for asked in here.asked]
    assert set(found["tasks"]["vol32"]["again"]) == {"outputs"}
    assert "loader, small files: its batches are not the loader's" in tables.full(found, PEERS)


def test_outputs_that_differ_are_told_apart() -> None:
    expected = {"dtype": "uint8", "shape": [4, 3, 2], "checksum": 1, "means": [90.0], "random_mean": 100.0}
    assert not cells.difference(TASKS["vol32"], dict(expected), expected)
    assert not cells.difference(TASKS["jpeg"], expected | {"checksum": 2, "means": [91.0]}, expected)
    for task, wrong in (
        ("vol32", {"checksum": 2}),
        ("vol32", {"shape": [4, 6]}),
        ("vol32", {"dtype": "int8"}),
        ("jpeg", {"means": [95.0]}),
        ("augment", {"random_mean": 150.0}),
    ):
        assert cells.difference(TASKS[task], expected | wrong, expected)


def test_the_fastest_number_of_workers_counts_and_medians_are_of_the_rounds() -> None:
    cell = {
        "outputs": {},
        "trial 0": {"samples_per_s": 10.0, "checksum": 1},
        "trial 2": {"samples_per_s": 30.0, "checksum": 1},
        "trial 4": {"unsupported": "too many"},
        "round 1": {"samples_per_s": 31.0, "megabytes": 5.0},
        "round 2": {"samples_per_s": 33.0, "megabytes": 9.0},
        "round 3": {"samples_per_s": 90.0, "megabytes": 9.0},
    }
    assert cells.best_count(cell) == 2
    assert cells.median(cell, "samples_per_s") == 33
    assert cells.memory(cell) == 5
    assert cells.same_bits(cell)
    assert cells.same_bits(cell | {"trial 1": {"samples_per_s": 20.0, "checksum": 3}}) is False


def test_a_step_of_fit_is_divided_between_model_and_loader(tmp_path: Path) -> None:
    def steps(step_ms: float) -> dict[str, Any]:
        return {"outputs": {}, "trial 1": {"step_ms": step_ms}, "round 1": {"step_ms": step_ms, "seconds": 3.0, "loss": 0.25}}

    task = {OURS: steps(25.0), "again": steps(40.0), plan.BARE: {"round 1": {"step_ms": 20.0, "seconds": 2.5, "loss": 0.25}}}
    found = {"machine": "a machine", "versions": {}, "tasks": {"fit": task}}
    assert cells.fit_share(task[OURS], task[plan.BARE]) == pytest.approx(0.2)
    assert "| **20 %** | 50 % |" in tables.full(found, PEERS)
    assert [file.name for file in draw.draw(found, PEERS, tmp_path)] == ["peers-fit.png"]


def test_the_plan_compares_outputs_first_and_measures_rounds_by_turns() -> None:
    steps = [(step.peer, step.key) for step in plan.steps([SMALL], PEERS, rounds=2)]
    assert steps[0] == (OURS, "outputs")
    assert [step for step in steps if "round" in step[1]] == [(peer, f"round {number}") for number in (1, 2) for peer in PEERS]
    everything = list(plan.steps(list(TASKS.values()), PEERS, rounds=3))
    assert len({(step.task, step.peer, step.key) for step in everything}) == len(everything)
    assert all(step.seconds(1.0) > 0 for step in everything)


def test_tables_replace_what_stands_between_the_marks_of_both_pages(tmp_path: Path) -> None:
    for page in (ROOT / "README.md", ROOT / "benchmarks" / "README.md"):
        copy = tmp_path / "page.md"
        copy.write_text(page.read_text())
        tables.paste(copy, "| a table |")
        tables.paste(copy, "| another table |")
        assert "\n| another table |\n" in copy.read_text()
        assert "| a table |" not in copy.read_text()
    copy.write_text("no marks")
    with pytest.raises(ValueError, match="no place"):
        tables.paste(copy, "")


def test_our_own_batches_come_for_ever_in_the_order_of_the_samples(tmp_path: Path) -> None:
    SMALL.work.write(tmp_path, lambda text: None)
    samples = np.stack([np.load(path) for path in sorted(SMALL.work.path(tmp_path).iterdir())])
    with Ours().batches(SMALL, tmp_path, 0, shuffle=False) as batches:
        got = np.concatenate([np.array(next(batches)) for _ in range(30)])
    assert (got == np.concatenate([samples, samples])).all()


def test_files_that_are_opened_are_noticed_once(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).write_text(name)
    with Opened(tmp_path) as opened:
        for name in "aba":
            (tmp_path / name).read_text()
        list(tmp_path.iterdir())
        assert opened.names() == {b"a", b"b"}


def test_dithering_leaves_black_and_white_of_the_same_mean() -> None:
    grey = np.full((32, 32, 3), 100, np.uint8)
    black_and_white = dithered(grey)
    assert set(np.unique(black_and_white)) == {0, 255}
    assert abs(black_and_white.mean() - 100) < 5


def test_samples_are_padded_to_their_bucket() -> None:
    batch = padded([np.ones((2, 3), np.float32), np.ones((4, 3), np.float32)], 5)
    assert batch.shape == (2, 5, 3)
    assert batch.sum(axis=(1, 2)).tolist() == [6, 12]


def test_each_measurement_has_a_process_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    folder = tmp_path / "vol32"
    folder.mkdir()
    for number in range(128):
        np.save(folder / f"{number:03d}.npy", np.full((32, 32, 32, 1), number, np.float32))
    prepared = Prepared(OURS, tmp_path)
    try:
        got = [prepared.measure(task="vol32", kind="outputs", count=0) for _ in range(2)]
        assert got[0]["means"] == list(range(128))
        assert got[0] == got[1]
        with monkeypatch.context() as patched:
            patched.setattr(processes, "_MEASUREMENT_S", 0.0)
            assert prepared.measure(task="vol32", kind="outputs", count=0)["unsupported"] == "still running after 0 s"
        assert "workers=-1" in prepared.measure(task="vol32", kind="outputs", count=-1)["unsupported"]
    finally:
        prepared.close()


def test_a_peer_that_is_not_installed_is_said_not_to_be_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)
    assert "not installed" in Prepared("spdl", tmp_path).measure(task="vol32", kind="outputs", count=1)["unsupported"]


def test_help_names_tasks_and_peers_and_unknown_ones_are_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for word, said in (("-h", ", ".join(TASKS)), ("vol33", "unknown: vol33")):
        monkeypatch.setattr(sys, "argv", ["peers", word])
        with pytest.raises(SystemExit) as ended:
            command.main()
        assert said in " ".join(f"{ended.value.code} {capsys.readouterr().out}".split())
