"""`loader inspect URL`: what is in a bucket, from a list of it and the beginnings of objects."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from loader import Loader
from loader.watch.inspect import far, reach
from loader.watch.inspect.finding import Finding
from loader.watch.inspect.survey import survey
from tests.cli.commands import COMMAND, run_here
from tests.servers.faults import Faults
from tests.servers.fronts import Front
from tests.servers.shared import Bucket

pytestmark = pytest.mark.usefixtures("what_obstore_keeps")

StartFront = Callable[..., Front]
_NO_PATHS = ("path", "first file", "forms", "snippet", "unreadable")


def printed_by(finding: Finding, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run the script of a finding as it is, but without workers; return what it prints."""
    monkeypatch.setattr("loader.Loader", partial(Loader, workers=0))
    out = io.StringIO()
    with redirect_stdout(out):
        exec(compile(finding.snippet, "snippet", "exec"), {"__name__": "__main__"})
    return out.getvalue().strip()


def without_paths(finding: Finding) -> dict[str, Any]:
    return {key: value for key, value in finding.as_dict().items() if key not in _NO_PATHS}


def noisy_picture(path: Path, side: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(side).integers(0, 256, (side, side + 10, 3), np.uint8)).save(path, quality=95)


def test_a_folder_is_described_as_its_copy_here_is(
    npy_folder: Any, s3_bucket: Bucket, behind: Front, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = npy_folder(7, classes=3)
    (folder / "c1" / "bad.npy").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "c1" / "cut.npy").write_bytes(next((folder / "c1").glob("*.npy")).read_bytes()[:-1])
    s3_bucket.put_folder(folder, "train/")
    url = f"{s3_bucket.url}/train"
    found = survey(url)
    assert without_paths(found) == without_paths(survey(str(folder)))
    assert [bad["path"] for bad in found.facts["unreadable"]] == [f"{url}/c1/bad.npy", f"{url}/c1/cut.npy"]
    assert found.facts["unreadable"][0]["problem"].startswith("is not a .npy file but a PNG image")
    assert f'source = NpyFiles.from_folder("{url}")' in found.snippet
    assert printed_by(found, monkeypatch) == "(9, 4, 3) float32 (9,) int32"
    assert run_here("inspect", url) == 0
    assert f"path                 {url}\nfiles                9\nclasses              3: c0, c1, c2\n" in capsys.readouterr().out
    assert run_here("inspect", f"{url}/c0/*.npy", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["files"], told["classes"], told["path"]) == (3, [], f"{url}/c0/*.npy")


def test_of_large_pictures_only_beginning_and_end_are_fetched(s3_bucket: Bucket, behind: Front, tmp_path: Path) -> None:
    noisy_picture(tmp_path / "photos" / "large.jpg", 700)
    noisy_picture(tmp_path / "photos" / "large.png", 500)
    noisy_picture(tmp_path / "photos" / "small.png", 20)
    whole = (tmp_path / "photos" / "large.jpg").read_bytes()
    (tmp_path / "photos" / "cut.jpg").write_bytes(whole[:-1000])
    assert len(whole) > reach._WHOLE_BYTES
    s3_bucket.put_folder(tmp_path)
    behind.forget()
    found = survey(f"{s3_bucket.url}/photos")
    assert without_paths(found) == without_paths(survey(str(tmp_path / "photos")))
    assert [bad["path"] for bad in found.facts["unreadable"]] == [f"{s3_bucket.url}/photos/cut.jpg"]
    asked = [asked for asked in behind.counts().asked if "/large." in asked or "/cut." in asked]
    assert {each.partition(" bytes=")[0].rpartition("/")[2] for each in asked} == {"large.jpg", "large.png", "cut.jpg"}
    assert all(" bytes=" in each for each in asked)


def test_of_large_files_of_text_and_of_numbers_only_beginning_and_end_are_fetched(s3_bucket: Bucket, behind: Front, tmp_path: Path) -> None:
    for name, content in (("texts/0.md", b"a line\n" * 50_000), ("numbers/0.bin", bytes(400_000))):
        assert len(content) > reach._WHOLE_BYTES
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(content)
        url = s3_bucket.put(name, content).rpartition("/")[0]
        behind.forget()
        assert without_paths(survey(url)) == without_paths(survey(str(tmp_path / name).rpartition("/")[0]))
        assert all(" bytes=" in asked for asked in behind.counts().asked if name in asked)


def test_a_table_comes_in_parts(npy_folder: Any, s3_bucket: Bucket, behind: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "_PART_BYTES", 30)
    s3_bucket.put_folder(npy_folder(4), "train/")
    url = s3_bucket.put("train/labels.csv", b"path,label\n" + b"".join(b"00000%d.npy,%d\n" % (number, number % 2) for number in range(4)))
    behind.forget()
    assert survey(url).facts["columns"] == ["path", "label"]
    parts = sorted(asked.partition(" bytes=")[2] for asked in behind.counts().asked if "labels.csv bytes=" in asked)
    assert parts[:3] == ["0-29", "30-59", "60-62"]


def test_of_very_many_objects_some_are_looked_at(npy_folder: Any, s3_bucket: Bucket, behind: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    s3_bucket.put_folder(npy_folder(9), "train/")
    monkeypatch.setattr(reach, "MOST_OBJECTS", 3)
    found = survey(f"{s3_bucket.url}/train")
    assert (found.facts["files"], found.facts["headers read"], found.facts["forms"][0]["files"]) == (9, 3, 3)
    assert found.lines["headers read"] == "3 of 9, spread evenly"


def test_files_of_many_kinds_are_described_at_urls_of_a_web_server(front: StartFront, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "x.npy", np.arange(300_000, dtype=np.float32).reshape(100, 3000))
    (tmp_path / "lines.txt").write_text("a line\n" * 1000)
    (tmp_path / "rows.csv").write_text("text,label\n" + "a text,cat\nanother,dog\n" * 20)
    (tmp_path / "raw.bin").write_bytes(bytes(28 * 28 * 5))
    noisy_picture(tmp_path / "photo.jpg", 30)
    server = front(tmp_path)
    server.forget()
    x = survey(f"{server.endpoint}/x.npy")
    assert [asked for asked in server.counts().asked if asked.startswith("GET")] == [f"GET /x.npy bytes=0-{far._HEAD_BYTES - 1}"]
    assert (x.facts["path"], x.facts["shape"], x.facts["bytes"]) == (f"{server.endpoint}/x.npy", [100, 3000], 1_200_128)
    assert printed_by(x, monkeypatch) == "(64, 3000) float32"
    server.forget()
    lines = survey(f"{server.endpoint}/lines.txt")
    assert {asked: count for asked, count in server.counts().asked.items() if asked.startswith("GET")} == {"GET /lines.txt": 1}
    assert (lines.facts["lines"], lines.facts["all lines read"]) == (1000, True)
    assert printed_by(lines, monkeypatch) == "(64, 8) uint8"
    monkeypatch.setattr(far, "_TABLE_BYTES", 1000)
    monkeypatch.setattr(far, "_TEXT_BYTES", 100)
    begun = survey(f"{server.endpoint}/lines.txt")
    assert begun.lines["lines"] == "14 in the first 98 of 7,000 bytes"
    rows = survey(f"{server.endpoint}/rows.csv")
    assert (rows.facts["columns"], rows.facts["label column"]) == (["text", "label"], "label")
    raw, photo = survey(f"{server.endpoint}/raw.bin"), survey(f"{server.endpoint}/photo.jpg")
    assert raw.facts["bytes"] == 28 * 28 * 5
    assert f'RawArray("{server.endpoint}/raw.bin", ' in raw.snippet
    assert (photo.facts["heights"]["max"], photo.facts["widths"]["max"]) == (30, 40)
    for found in (x, lines, begun, rows, raw, photo):
        assert "/tmp" not in found.snippet + json.dumps(found.as_dict())


def test_a_manifest_in_a_bucket_names_its_objects(
    npy_folder: Any, s3_bucket: Bucket, behind: Front, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = npy_folder(4)
    names = sorted(path.name for path in folder.glob("*.npy"))
    table = "name,kind\n" + "".join(f"{name},{'cat' if number % 2 else 'dog'}\n" for number, name in enumerate(names))
    s3_bucket.put_folder(folder, "train/")
    url = s3_bucket.put("train/labels.csv", table.encode())
    found = survey(url)
    assert (found.facts["path column"], found.facts["label columns"], found.facts["shape"]) == ("name", ["kind"], [4, 3])
    assert found.histogram == {"dog": 2, "cat": 2}
    assert printed_by(found, monkeypatch) == "(4, 4, 3) float32 (4,) int32"
    s3_bucket.put("train/labels.csv", (table + "gone.npy,cat\n").encode())
    assert f"{s3_bucket.url}/train/gone.npy" in survey(url).lines["problem"]


def test_a_zarr_folder_is_named_so_and_what_is_advised_brings_it(
    s3_bucket: Bucket, behind: Front, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of version 2, whose metadata has hidden names."""
    form = {"zarr_format": 2, "shape": [4, 3], "chunks": [4, 3], "dtype": "<f4", "compressor": None, "fill_value": 0, "order": "C", "filters": None}
    s3_bucket.put("store/x/.zarray", json.dumps(form).encode())
    s3_bucket.put("store/x/0.0", np.arange(12, dtype=np.float32).tobytes())
    s3_bucket.put("store/.zgroup", b'{"zarr_format": 2}')
    s3_bucket.put("store/.DS_Store", b"")
    for url in (f"{s3_bucket.url}/store", f"{s3_bucket.url}/store/x"):
        assert run_here("inspect", url) == 1
        assert f"(loader fetch {url} FOLDER --files)" in capsys.readouterr().err
    near = tmp_path / "near"
    assert run_here("fetch", f"{s3_bucket.url}/store", str(near), "--files") == 0
    assert sorted(path.name for path in near.rglob("*")) == [".fetched.jsonl", ".zarray", ".zgroup", "0.0", "x"]
    told = subprocess.run([*COMMAND, "inspect", near], capture_output=True, text=True, check=True).stdout  # the threads of zarr would stay here
    assert "Zarr folder" in told
    assert "x: (4, 3) float32" in " ".join(told.split()).replace("x (", "x: (")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("none/at/all", "has no object at all"),
        ("none/*.npy", "matches no object"),
        ("store", "Zarr"),
        ("arrays.npz", "are read from this machine only"),
        ("nonsense.npy", "nonsense.npy: is not a .npy file but"),
        ("set", "are parts of a data set: loader inspect s3://"),
    ],
)
def test_what_can_not_be_described_is_an_error_in_one_line(
    path: str, words: str, s3_bucket: Bucket, behind: Front, capsys: pytest.CaptureFixture[str]
) -> None:
    s3_bucket.put("store/zarr.json", b"{}")
    s3_bucket.put("arrays.npz", b"PK\3\4")
    s3_bucket.put("nonsense.npy", b"PK\3\4" + bytes(100))
    s3_bucket.put("set/train/0.npy", b"")
    s3_bucket.put("set/test/0.npy", b"")
    assert run_here("inspect", f"{s3_bucket.url}/{path}") == 1
    told = capsys.readouterr().err
    assert words.lower() in told.lower()
    assert len(told.splitlines()) == 1


def test_no_credential_is_shown(s3_bucket: Bucket, behind: Front, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    s3_bucket.put("x.npy", b"")
    for arguments in (["s3://key:hidden@bucket/x.npy"], ["s3://key:hidden@bucket/x.npy", "--verify"]):
        assert run_here("inspect", *arguments) != 0
        assert "hidden" not in capsys.readouterr().err
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
    assert run_here("inspect", f"{s3_bucket.url}/x.npy") == 1
    told = capsys.readouterr().err
    assert "check both for a missing character" in told
    assert "hidden" not in told


def test_where_nothing_comes_it_is_said_after_the_first_objects(
    npy_folder: Any, s3_bucket: Bucket, behind: Front, capsys: pytest.CaptureFixture[str]
) -> None:
    s3_bucket.put_folder(npy_folder(9), "train/")
    behind.set_faults(Faults(hang=1.0, only="GET /" + s3_bucket.name + "/train/"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reach, "_PATIENCE_S", 0.5)
        assert run_here("inspect", f"{s3_bucket.url}/train") == 1
    assert "did not come within" in capsys.readouterr().err
