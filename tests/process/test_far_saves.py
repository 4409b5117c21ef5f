"""What is written to stores: saves of training, and reports. A front takes objects as a store does."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader.data.remote.options import StorageOptions
from loader.data.remote.scouting.scout import Scout
from loader.errors import FetchError
from loader.train.keras.far_saves import FarSaves
from tests.cli.commands import COMMAND, run_here
from tests.conftest import script_environment
from tests.servers.fronts import Front
from tests.servers.shared import Bucket

StartFront = Callable[..., Front]


def save(saves: FarSaves, text: str) -> None:
    with saves.new() as folder:
        (folder / "model").mkdir()
        (folder / "model" / "weights").write_text(text)
        (folder / "loader.json").write_text(json.dumps(text))


def newest(url: str) -> str | None:
    with FarSaves(url, None).newest() as folder:
        if folder is None:
            return None
        text = (folder / "model" / "weights").read_text()
        assert json.loads((folder / "loader.json").read_text()) == text
    assert not folder.exists()
    return text


def test_a_save_counts_when_all_of_it_is_there(front: StartFront, tmp_path: Path) -> None:
    served = front(tmp_path, seed=2, unavailable=0.2, reset=0.1, attempts=2)
    url = f"{served.endpoint}/runs/a"
    assert newest(url) is None
    saves = FarSaves(url, None)
    for number in range(3):
        save(saves, f"save {number}")
        assert newest(url) == f"save {number}"
    another = FarSaves(url, None)  # of a script that was started again
    with another.newest():
        pass
    save(another, "save 3")
    assert newest(url) == "save 3"
    assert sorted(path.name for path in (tmp_path / "runs" / "a").iterdir()) == ["a", "b", "newest.json"]


def test_a_large_file_of_a_save_comes_in_parts(s3_bucket: Bucket, front: StartFront, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that no request has to bring all of it in its time."""
    served = front(s3_bucket)
    for name, value in (s3_bucket.environment | {"AWS_ENDPOINT_URL": served.endpoint}).items():
        monkeypatch.setenv(name, value)
    content = np.random.default_rng(0).bytes(20 * 2**20 + 7)
    saves = FarSaves(f"{s3_bucket.url}/runs", None)
    with saves.new() as folder:
        (folder / "weights").write_bytes(content)
        (folder / "empty").touch()
    served.forget()
    with saves.newest() as newest:
        assert newest is not None
        assert (newest / "weights").read_bytes() == content
        assert (newest / "empty").read_bytes() == b""
    ranges = [asked.partition("bytes=")[2].split("-") for asked in served.counts().asked if asked.startswith("GET") and "weights" in asked]
    assert sorted(int(last) - int(first) + 1 for first, last in ranges) == [4 * 2**20 + 7, 8 * 2**20, 8 * 2**20]
    s3_bucket.put("runs/a/weights", content + b"more")
    with pytest.raises(FetchError, match="is not the object of 20,971,527 bytes"), saves.newest():
        pass


@pytest.mark.parametrize(
    "text",
    [
        '{"save": "a", "files": {"../../stolen": 1}}',
        '{"save": "../a", "files": {"x": 1}}',
        '{"save": "a", "files": ["x"]}',
        '{"save": "a", "fi',
        "[]",
    ],
)
def test_a_list_that_is_none_of_a_save_is_refused(front: StartFront, tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "runs" / "a").mkdir(parents=True)
    (tmp_path / "temp" / "folder").mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temp" / "folder"))
    for path in (tmp_path / "runs" / "newest.json", tmp_path / "runs" / "a" / "x", tmp_path / "stolen"):
        path.write_text(text)
    with pytest.raises(FetchError, match="does not say which save counts"), FarSaves(f"{front(tmp_path).endpoint}/runs", None).newest():
        pass
    assert [path.name for path in (tmp_path / "temp").rglob("*")] == ["folder"]


def test_a_store_that_fails_later_ends_no_training(front: StartFront, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served = front(tmp_path)
    saves = FarSaves(f"{served.endpoint}/runs", None)
    save(saves, "first")

    def unreachable(*given: object) -> None:
        raise FetchError("http://store/runs", "no connection")

    with monkeypatch.context() as patch:
        patch.setattr(Scout, "send", unreachable)
        with pytest.warns(RuntimeWarning, match=r"a save could not be sent, and the one before it counts: .*no connection"):
            save(saves, "second")
        with pytest.raises(FetchError):
            save(FarSaves(f"{served.endpoint}/others", None), "first")
    assert newest(f"{served.endpoint}/runs") == "first"
    save(saves, "third")
    assert newest(f"{served.endpoint}/runs") == "third"


def test_a_save_that_counts_is_not_written_over_if_the_answer_about_it_got_lost(
    front: StartFront, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a script that is killed then leaves files of two saves as one."""
    url = f"{front(tmp_path).endpoint}/runs"
    saves = FarSaves(url, None)
    save(saves, "save 1")
    send = Scout.send

    def deaf(scout: Scout, files: list[tuple[str, str]]) -> None:
        send(scout, files)
        if files[0][1].endswith("newest.json"):
            raise FetchError(url, "no answer in time")

    with monkeypatch.context() as patch:
        patch.setattr(Scout, "send", deaf)
        with pytest.warns(RuntimeWarning, match="no answer in time"):
            save(saves, "save 2")
    assert newest(url) == "save 2"

    def killed(scout: Scout, files: list[tuple[str, str]]) -> None:
        send(scout, files[:1])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Scout, "send", killed)
        with pytest.raises(KeyboardInterrupt):
            save(saves, "save 3")
    assert newest(url) == "save 2"
    save(saves, "save 4")
    assert newest(url) == "save 4"


def test_buckets_are_written_to(s3_bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3_bucket.environment.items():
        monkeypatch.setenv(name, value)
    saves = FarSaves(f"{s3_bucket.url}/runs", None)
    for text in ("first", "second"):
        save(saves, text)
        assert newest(f"{s3_bucket.url}/runs") == text
    (tmp_path / "large").write_bytes(np.random.default_rng(0).bytes(12_000_000))  # in parts
    Scout(StorageOptions()).send([(str(tmp_path / "large"), f"{s3_bucket.url}/large")])
    assert Scout(StorageOptions()).about([f"{s3_bucket.url}/large"]).sizes[0] == 12_000_000
    with pytest.raises(FetchError, match="403"):
        Scout(StorageOptions({"secret": "wrong"})).send([(str(tmp_path / "large"), f"{s3_bucket.url}/large")])


def test_what_fsspec_knows_is_written_to(tmp_path: Path) -> None:
    save(FarSaves(f"file://{tmp_path}/runs", None), "first")
    assert newest(f"file://{tmp_path}/runs") == "first"


def test_a_report_goes_to_a_url(npy_folder: Any, front: StartFront, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = npy_folder(5)
    (folder / "000003.npy").write_bytes(b"no array")
    (tmp_path / "store").mkdir()
    served = front(tmp_path / "store")
    command = [*COMMAND, "inspect", str(folder), "--verify", "--jobs", "1", "--report", f"{served.endpoint}/reports/bad.jsonl"]
    assert subprocess.run(command, env=script_environment(None), capture_output=True).returncode == 1
    (line,) = (tmp_path / "store" / "reports" / "bad.jsonl").read_text().splitlines()
    assert json.loads(line)["path"].endswith("000003.npy")
    assert run_here("inspect", str(folder), "--verify", "--report", "nothing://there/bad.jsonl") == 1
    assert "nothing://there/bad.jsonl" in capsys.readouterr().err
