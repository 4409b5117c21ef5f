"""`loader fetch` as it is typed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from loader import NpyFiles
from loader.data.remote.fetch_cache.fetch_cache import HEADER_BYTES
from loader.watch.fetch import fetch as fetch_command
from loader.watch.fetch import into
from tests.batches import assert_same, inline
from tests.cli.commands import COMMAND, run_here
from tests.conftest import ROOT, script_environment
from tests.processes import wait_until
from tests.servers.faults import Faults
from tests.servers.fronts import Front
from tests.servers.shared import Bucket

pytestmark = pytest.mark.usefixtures("what_obstore_keeps")


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_cache_is_filled_beforehand(npy_folder: Any, s3_bucket: Bucket, behind: Front, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, cache = npy_folder(12, classes=2), tmp_path / "cache"
    s3_bucket.put_folder(folder, "train/")
    url = f"{s3_bucket.url}/train"
    room = 7 * (HEADER_BYTES + 176) + 50
    assert run_here("fetch", url, str(cache), "--cache-bytes", str(room), "--json") == 0
    found = told(capsys)
    assert (found["objects"], found["there"], found["fetched"], found["full"], found["complete"]) == (12, 0, 7, True, False)
    assert run_here("fetch", url, str(cache)) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"12 of 12 objects are in {cache}: 7 were there, 5 were fetched, ")
    assert said.endswith(f"This reads them: NpyFiles({url!r}, cache={str(cache)!r}), or ByteFiles({url!r}, cache={str(cache)!r}, decode=...)\n")
    behind.forget()
    assert_same(inline(NpyFiles.from_folder(url, cache=cache), 4), inline(NpyFiles.from_folder(folder), 4))
    assert [asked for asked in behind.counts().asked if ".npy" in asked and "bytes=" not in asked] == []


def test_the_page_of_the_docs_runs_as_it_stands_there(npy_folder: Any, s3_bucket: Bucket, behind: Front, tmp_path: Path) -> None:
    s3_bucket.put_folder(npy_folder(6, classes=2), "train/")
    page = (ROOT / "docs" / "keep_what_was_fetched.md").read_text()
    snippet = page.split("```python\n")[1].split("```")[0].replace("s3://bucket", s3_bucket.url).replace("/data/fetched", str(tmp_path / "cache"))
    made: dict[str, Any] = {}
    exec(snippet.replace(", 64,", ", 3, workers=0,"), made)
    with made["train"] as train:
        assert len([batch for _ in range(2) for batch in train]) == 4
    assert [count for asked, count in behind.counts().asked.items() if ".npy" in asked and "bytes=" not in asked] == [1] * 6


def test_plain_files_are_written_whole(
    npy_folder: Any, s3_bucket: Bucket, behind: Front, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Objects of several parts, while requests fail; what has changed is fetched again."""
    monkeypatch.setattr(into, "PART_BYTES", 1000)
    folder, target = npy_folder(6, (30, 40)), tmp_path / "target"
    s3_bucket.put_folder(folder, "train/")
    behind.set_faults(Faults(seed=1, unavailable=0.1, short=0.1, reset=0.1, attempts=3, only="train/"))
    for fetched in (6, 0, 1):
        assert run_here("fetch", f"{s3_bucket.url}/train", str(target), "--files", "--json") == 0
        assert told(capsys)["fetched"] == fetched
        for path in folder.iterdir():
            assert (target / path.name).read_bytes() == path.read_bytes()
        if not fetched:
            path = folder / "000002.npy"
            path.write_bytes(path.read_bytes()[::-1])
            s3_bucket.put("train/000002.npy", path.read_bytes())
    assert sorted(os.listdir(target)) == [".fetched.jsonl", *sorted(os.listdir(folder))]


def test_of_a_file_of_which_a_part_does_not_come_nothing_after_it_is_written(
    npy_folder: Any, s3_bucket: Bucket, behind: Front, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same command goes on from there, also if the run before was killed in the middle of a line of the list."""
    monkeypatch.setattr(into, "PART_BYTES", 1000)
    monkeypatch.setattr(fetch_command, "_PATIENCE_S", 4.0)
    folder, target = npy_folder(3, (30, 40)), tmp_path / "target"
    s3_bucket.put_folder(folder, "train/")
    behind.set_faults(Faults(unavailable=1.0, only="/000001.npy bytes=2000-2999"))
    assert run_here("fetch", f"{s3_bucket.url}/train", str(target), "--files", "--json") == 1
    found = told(capsys)
    assert (found["there"] + found["fetched"], len(found["failed"]), found["complete"]) == (2, 1, False)
    (part,) = target.glob("000001.npy*")
    assert part.suffix == ".part"
    assert part.read_bytes() == (folder / "000001.npy").read_bytes()[:2000]
    with (target / ".fetched.jsonl").open("a") as file:
        file.write('{"name": "0000')
    behind.set_faults(Faults())
    for fetched in (1, 0):
        assert run_here("fetch", f"{s3_bucket.url}/train", str(target), "--files", "--json") == 0
        assert told(capsys)["fetched"] == fetched
        assert (target / "000001.npy").read_bytes() == (folder / "000001.npy").read_bytes()


@pytest.mark.parametrize("files", [False, pytest.param(True, marks=pytest.mark.thorough)])
def test_control_c_leaves_what_is_there_and_the_same_command_goes_on(
    npy_folder: Any, s3_bucket: Bucket, behind: Front, tmp_path: Path, files: bool
) -> None:
    folder, target = npy_folder(40), tmp_path / "target"
    s3_bucket.put_folder(folder, "train/")
    behind.set_faults(Faults(hang=1.0, only="/00003"))
    command = [*COMMAND, "fetch", f"{s3_bucket.url}/train", str(target), *["--files"] * files]
    with (tmp_path / "err").open("w") as err:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=err, env=script_environment(None), start_new_session=True)
    where = target if files else target / "files"
    wait_until(lambda: len([path for path in where.rglob("*") if path.is_file() and path.suffix != ".jsonl"]) >= 30, "some are there", 60)
    os.killpg(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert files or os.listdir(target / "claims") == []
    assert b"30 of 40 objects are in" in out
    assert "Interrupted. The same command goes on.\n" in (tmp_path / "err").read_text()
    behind.set_faults(Faults())
    done = subprocess.run([*command, "--json"], capture_output=True, env=script_environment(None), timeout=60, check=True)
    found = json.loads(done.stdout)
    assert (found["there"], found["fetched"], found["complete"]) == (30, 10, True)


def test_what_can_not_be_fetched_is_told(s3_bucket: Bucket, behind: Front, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here("fetch", str(tmp_path), str(tmp_path / "cache")) == 2
    assert "is no URL" in capsys.readouterr().err
    assert run_here("fetch", f"{s3_bucket.url}/none", str(tmp_path / "cache")) == 1
    assert "loader fetch: " in capsys.readouterr().err
    s3_bucket.put("train/x.npy", b"abc")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_text("")
    assert run_here("fetch", f"{s3_bucket.url}/train", str(tmp_path / "photos")) == 1
    assert "holds other files, such as 'cat.jpg'" in capsys.readouterr().err
