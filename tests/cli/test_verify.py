"""`loader inspect --verify` on real files of every kind of badness, with killed workers and Ctrl-C."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import psutil
import soundfile
from PIL import Image

from tests.conftest import script_environment
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


def test_files_that_differ_on_purpose_are_good_and_it_is_said_what_they_need(npy_folder) -> None:
    folder = npy_folder(20)
    for number in range(5, 20):
        np.save(folder / f"{number:06d}.npy", np.zeros((number, 3), np.float32))
    (folder / "000019.npy").write_bytes(b"")
    result = verify(folder)
    assert result.returncode == 1
    assert "20 of 20 files verified" in result.stdout
    assert ": 1 bad" in result.stdout
    assert "Remark: many files differ in shape or dtype" in result.stdout
    assert "SCRIPT:FUNCTION" in result.stdout


def test_byte_order_axis_order_and_nan_are_no_errors(npy_folder) -> None:
    folder = npy_folder(6)
    np.save(folder / "000001.npy", np.asfortranarray(np.full((4, 3), np.nan, "f4")))
    np.save(folder / "000002.npy", np.full((4, 3), np.inf, ">f4"))
    result = verify(folder)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "2 files contain 12 NaN and 12 infinite values" in result.stdout
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


HANGING = """
import os, time
import numpy as np
from loader import Loader, NpyArrays

def hang(sample, rng):
    if sample[0] == 2:
        open(f"{os.getpid()} hangs", "w").close()
    while sample[0] == 2:
        time.sleep(1)
    return sample

def make():
    return Loader(NpyArrays(np.arange(8)), 8, transforms=[hang], workers=0)
"""


def hanging(folder: Path, stderr: int | None = None) -> subprocess.Popen[str]:
    """Start the command on eight samples of which one hangs."""
    (folder / "train.py").write_text(HANGING)
    words = [*COMMAND, "train.py:make", "--json", "--jobs", "2"]
    environment = script_environment(None)
    return subprocess.Popen(words, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=stderr, text=True, start_new_session=True)


def stuck_workers(command: int, folder: Path) -> set[int]:
    """Return the workers, once one of them hangs and the other one has no work: then neither has done anything for half a second."""
    before = workers_of(command)
    time.sleep(0.5)
    after = workers_of(command)
    hangs = any((folder / f"{pid} hangs").exists() for pid in after)
    return set(after) if hangs and before == after and len(after) == 2 else set()


def workers_of(command: int) -> dict[int, float]:
    """Return the workers of the command, with the CPU time of each."""
    try:
        supervisors = psutil.Process(command).children()
        return {worker.pid: sum(worker.cpu_times()[:2]) for supervisor in supervisors for worker in supervisor.children()}
    except psutil.NoSuchProcess:
        return {}


def test_a_sample_whose_makers_die_is_reported_and_all_others_are_read(tmp_path: Path) -> None:
    process = hanging(tmp_path)

    def ends() -> bool:
        for pid in stuck_workers(process.pid, tmp_path):
            os.kill(pid, signal.SIGKILL)
        return process.poll() is not None

    wait_until(ends, "enough workers have died of it", 60)
    assert process.stdout is not None
    found = json.load(process.stdout)
    (bad,) = found["bad"]
    assert (bad["index"], process.returncode, found["verified"]) == (2, 1, 8)
    assert "SIGKILL" in bad["reason"]


def test_control_c_says_what_was_verified_so_far(tmp_path: Path) -> None:
    process = hanging(tmp_path)
    wait_until(lambda: stuck_workers(process.pid, tmp_path), "a worker is stuck")
    workers = workers_of(process.pid)
    os.killpg(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    found = json.loads(out)
    assert (process.returncode, found["interrupted"], found["bad"]) == (130, True, [])
    assert found["verified"] in (6, 7)  # the stuck worker may hold a ticket more
    assert not any(map(psutil.pid_exists, workers))


def test_all_files_may_be_bad(npy_folder) -> None:
    folder = npy_folder(300)
    for path in folder.iterdir():
        path.write_bytes(b"")
    found = json.loads(verify(folder, "--json").stdout)
    assert ([bad["index"] for bad in found["bad"]], found["verified"]) == (list(range(300)), 300)


def test_the_bar_moves_while_a_worker_hangs(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    process = hanging(tmp_path, stderr=theirs)
    os.close(theirs)
    shown = b""
    while not re.search(rb"[67] of 8", shown):
        shown += os.read(ours, 65536)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(30) == 130
    assert b"samples/s" in shown
    os.close(ours)


def test_pictures_of_a_folder_and_sound_of_a_manifest_are_decoded_to_their_end(tmp_path: Path) -> None:
    for number in range(6):
        (tmp_path / f"photos/c{number % 2}").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (30 + number, 20)).save(tmp_path / f"photos/c{number % 2}/{number}.png")
        soundfile.write(tmp_path / f"{number}.wav", np.zeros(800 + number, np.float32), 8000)
    raw = bytearray((tmp_path / "photos/c1/3.png").read_bytes())
    raw[-20] ^= 1  # of the checksum: the header is good
    (tmp_path / "photos/c1/3.png").write_bytes(raw)
    found = json.loads(verify(tmp_path / "photos", "--json").stdout)
    assert (found["verified"], [Path(bad["path"]).name for bad in found["bad"]]) == (6, ["3.png"])
    (tmp_path / "2.wav").write_text("not a sound")
    (tmp_path / "list.csv").write_text("path,label\n" + "".join(f"{number}.wav,{number % 2}\n" for number in (0, 1, 2, 3, 9)))
    found = json.loads(verify(tmp_path / "list.csv", "--json").stdout)
    assert (found["verified"], [Path(bad["path"]).name for bad in found["bad"]]) == (5, ["2.wav", "9.wav"])
    (tmp_path / "x.bin").write_bytes(bytes(100))
    refused = verify(tmp_path / "x.bin")
    assert refused.returncode == 2
    assert "SCRIPT:FUNCTION" in refused.stderr


def test_the_chunks_of_hdf5_and_zarr_are_read_and_the_bad_ones_named(tmp_path: Path) -> None:
    path, folder = tmp_path / "a.h5", tmp_path / "a.zarr"
    with h5py.File(path, "w") as file:
        x = file.create_dataset("train/x", data=np.full((60, 50_000), np.inf), chunks=(10, 50_000), fletcher32=True)
        file["y"], file["scale"], file["names"] = np.arange(60), 2.0, np.array([b"a", b"bc"])
        place = x.id.get_chunk_info(3).byte_offset
    make = f"import zarr\nzarr.open({str(folder)!r}, mode='w', shape=(20, 2), chunks=(5, 2), dtype='f4')[:] = float('nan')"
    subprocess.run([sys.executable, "-c", make], check=True)  # its threads and sockets would stay here
    found = json.loads(verify(path, "--json").stdout)
    assert (found["pieces"], found["bad"], found["not finite"]["infinite"]) == (6, [], 3_000_000)
    raw = bytearray(path.read_bytes())
    raw[place + 1000] ^= 1
    path.write_bytes(raw)
    result = verify(path)
    assert result.returncode == 1
    assert re.search(r"a\.h5, train/x, rows 20 to 39: can't be read: .*\n6 of 6 pieces verified", result.stdout), result.stdout
    assert "1 pieces contain 40 NaN" in verify(folder).stdout


def test_the_rows_of_tables_are_verified(tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    table.write_text("a,b,c\n" + "".join(f"{number},{2 * number},{number}.5\n" for number in range(20)) + "1,2\n")
    result = verify(table)
    assert (result.returncode, result.stdout.splitlines()[0]) == (1, f"{table}, line 22: has 2 columns, of 3 of the first row")
    table.write_text("review,liked\n" + "".join(f"good {number},{number % 2}\n" for number in range(20)) + "bad\n")
    result = verify(table)
    assert (result.returncode, "line 22: has 1 columns" in result.stderr) == (1, True)


def test_what_has_nothing_to_be_checked_by_is_said_to_need_a_source(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(bytes(range(256)))
    result = verify(tmp_path / "a.bin")
    assert result.returncode == 2
    assert "nothing can be checked. Give SCRIPT:FUNCTION, which returns a source such as RawArray(path, dtype, sample_shape)" in result.stderr


def test_a_glob_is_verified_and_a_bad_picture_is_named_once(tmp_path: Path) -> None:
    for number in range(4):
        Image.new("RGB", (20, 10)).save(tmp_path / f"{number}.jpg")
    Image.new("RGB", (20, 10)).save(tmp_path / "x.png")
    (tmp_path / "3.jpg").write_bytes((tmp_path / "3.jpg").read_bytes()[:300])
    result = verify(tmp_path / "*.jpg")
    lines = result.stdout.splitlines()
    assert lines[0].startswith(f"{tmp_path}/3.jpg: ends in the middle")
    assert lines[1].startswith("4 of 4 samples verified")
    result = verify(tmp_path / "0.jpg", tmp_path / "1.jpg")
    assert (result.returncode, "A pattern has to be in quotes" in result.stderr) == (2, True)
    result = verify(tmp_path / "*.gif")
    assert (result.returncode, "matches no file" in result.stderr) == (1, True)
