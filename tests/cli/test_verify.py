"""`loader inspect --verify` on real files of every kind of badness, killed readers and Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil

from loader.watch.verify_pool import Verifier
from tests.processes import wait_until

COMMAND = [sys.executable, "-m", "loader", "inspect", "--verify"]


def verify(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=90)


def spoil(path: Path, kind: str) -> None:
    raw = path.read_bytes()
    if kind == "missing link target":
        path.unlink()
        path.symlink_to(path.parent / "nowhere")
    elif kind == "objects":
        np.save(path, np.array([{}], object), allow_pickle=True)
    elif kind in ("dtype", "shape"):
        np.save(path, np.zeros((4, 3), "f8") if kind == "dtype" else np.zeros((4, 4), "f4"))
    else:
        changed = {"truncated": raw[:-3], "over-long": raw + b"x", "empty": b"", "text": b"1.0, 2.0\n", "header": b"\x93NUMPY\x02\x00" + b"\xff" * 60}
        path.write_bytes(changed[kind])


KINDS = {
    "truncated": "truncated",
    "over-long": "over-long",
    "empty": "0 bytes",
    "text": "but text",
    "header": "header",
    "objects": "Python objects",
    "dtype": "float64",
    "shape": "(4, 4)",
    "missing link target": "No such file",
}


def test_each_bad_file_is_named_with_what_is_wrong(npy_folder, tmp_path: Path) -> None:
    folder = npy_folder(30)
    for index, kind in enumerate(KINDS, 5):
        spoil(folder / f"{index:06d}.npy", kind)
    result = verify(folder, "--json", "--report", tmp_path / "bad.jsonl")
    assert result.returncode == 1, result.stderr
    found = json.loads(result.stdout)
    assert [(bad["index"], bad["path"]) for bad in found["bad"]] == [(index, str(folder / f"{index:06d}.npy")) for index in range(5, 14)]
    assert found["verified"] == 30
    for bad, words in zip(found["bad"], KINDS.values(), strict=True):
        assert words in bad["reason"]
    assert [json.loads(line) for line in (tmp_path / "bad.jsonl").read_text().splitlines()] == found["bad"]


def test_the_first_file_is_accused_where_it_is_the_odd_one(npy_folder) -> None:
    folder = npy_folder(8)
    np.save(folder / "000000.npy", np.zeros(2))
    assert [bad["index"] for bad in json.loads(verify(folder, "--json").stdout)["bad"]] == [0]


def test_byte_order_axis_order_and_nan_are_no_errors(npy_folder) -> None:
    folder = npy_folder(6)
    np.save(folder / "000001.npy", np.asfortranarray(np.full((4, 3), np.nan, "f4")))
    np.save(folder / "000002.npy", np.full((4, 3), np.inf, ">f4"))
    result = verify(folder)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "2 files hold 12 NaN and 12 infinite values" in result.stdout
    assert result.stderr == ""


def test_two_thousand_files_of_classes_and_at_most_twenty_lines(npy_folder, tmp_path: Path) -> None:
    folder = npy_folder(2000, classes=3)
    for number in range(0, 90, 3):
        (folder / "c0" / f"{number:06d}.npy").write_bytes(b"")
    result = verify(folder, "--report", tmp_path / "bad.jsonl")
    assert result.returncode == 1
    assert result.stdout.count("0 bytes") == 20
    assert "and 10 more" in result.stdout
    indices = [json.loads(line)["index"] for line in (tmp_path / "bad.jsonl").read_text().splitlines()]
    assert indices == sorted(indices)
    assert len(indices) == 30


def test_a_manifest_and_a_single_file(npy_folder, tmp_path: Path) -> None:
    folder = npy_folder(3)
    (folder / "list.csv").write_text("path,label\n000000.npy,1\n000001.npy,2\nmissing.npy,3\n")
    (folder / "x.npy").mkdir()
    assert [bad["index"] for bad in json.loads(verify(folder / "list.csv", "--json").stdout)["bad"]] == [2]
    (folder / "list.txt").write_text("000000.npy 1\nx.npy 2\n")
    assert "directory" in json.loads(verify(folder / "list.txt", "--json").stdout)["bad"][0]["reason"]
    np.save(tmp_path / "one.npy", np.zeros((1_000_000,), "c16"))
    assert json.loads(verify(tmp_path / "one.npy", "--json").stdout)["bytes"] == 16_000_000


def hanging(folder: Path) -> subprocess.Popen[str]:
    """Start the command on a folder in which one file, a pipe that nobody writes to, can't be opened."""
    (folder / "000002.npy").unlink()
    os.mkfifo(folder / "000002.npy")
    return subprocess.Popen([*COMMAND, str(folder), "--json", "--jobs", "2"], stdout=subprocess.PIPE, text=True, start_new_session=True)


def stuck_reader(command: int) -> int | None:
    """Return the reader that waits for the pipe, once it is the only one and has done nothing for half a second after it began."""
    before = [(reader.pid, sum(reader.cpu_times()[:2])) for reader in psutil.Process(command).children()]
    time.sleep(0.5)
    after = [(reader.pid, sum(reader.cpu_times()[:2])) for reader in psutil.Process(command).children()]
    return before[0][0] if before == after and len(after) == 1 and after[0][1] > 0.05 else None


def test_a_file_whose_readers_die_is_reported_and_all_others_are_read(npy_folder) -> None:
    process = hanging(npy_folder(8))
    killed: list[int] = []

    def another_is_stuck() -> bool:
        pid = stuck_reader(process.pid)
        if pid is None or pid in killed:
            return False
        os.kill(pid, signal.SIGKILL)
        killed.append(pid)
        return True

    for _ in range(3):
        wait_until(another_is_stuck, "a reader is stuck")
    out, _ = process.communicate(timeout=60)
    (bad,) = json.loads(out)["bad"]
    assert (bad["index"], process.returncode, json.loads(out)["verified"]) == (2, 1, 8)
    assert "SIGKILL" in bad["reason"]


def test_control_c_says_what_was_verified_so_far(npy_folder) -> None:
    process = hanging(npy_folder(8))
    wait_until(lambda: stuck_reader(process.pid), "a reader is stuck")
    os.killpg(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    found = json.loads(out)
    assert (process.returncode, found["interrupted"], found["verified"]) == (130, True, 7)


class Hanging:
    """Three items, of which the second one is never read."""

    noun = "items"

    def __len__(self) -> int:
        return 3

    def name_of(self, index: int) -> str | None:
        return None

    def check(self, index: int, advance: Callable[[int], None]) -> tuple[int, int]:
        while index == 1:
            time.sleep(1)
        return 0, 0


def test_a_file_that_hangs_is_said_to_hang_and_all_others_are_read() -> None:
    verifier = Verifier(Hanging(), jobs=1, stall_s=4.0)
    try:
        verifier.run(lambda: False, lambda found: None)
    finally:
        verifier.close()
    assert {index: entry.reason for index, entry in verifier.found.bad.items()} == {1: "the process that read it got no further for 4 s, 3 times"}
    assert verifier.found.files == 3
