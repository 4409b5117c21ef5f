"""Many small files become a few large ones: whole, the same, and whatever happens on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import ConfigError, DataNotFoundError, DecodeError, IterSource, Loader, MapSource, NpyArrays, NpyFiles, SampleError, Source
from loader.train.packing import pack as packing
from loader.train.state import fingerprint
from tests.batches import assert_same, inline
from tests.conftest import script_environment
from tests.processes import family, wait_until, wait_until_gone


@pytest.mark.parametrize("workers", [0, 2])
def test_a_pack_is_the_source_in_few_files(npy_folder: Any, tmp_path: Path, workers: int) -> None:
    source = NpyFiles.from_folder(npy_folder(30, classes=3), classes=("c0", "c1", "c2", "c3"))
    source.pack(tmp_path / "packed", workers=workers, progress=False)
    packed = NpyArrays.from_pack(tmp_path / "packed")
    assert sorted(os.listdir(tmp_path / "packed")) == ["ids.txt", "index.json", "x.npy", "y.npy"]
    assert not (tmp_path / "packed.partial").exists()
    assert (packed.spec, packed.ids(), packed.classes) == (source.spec, source.ids(), source.classes)
    assert fingerprint(packed) == fingerprint(source)
    np.testing.assert_array_equal(packed.labels(), source.labels())
    for one, other in zip(packed.split(0.3), source.split(0.3), strict=True):
        assert one.ids() == other.ids()
    assert_same(inline(packed, 4, shuffle=True), inline(source, 4, shuffle=True))
    np.testing.assert_array_equal(np.load(tmp_path / "packed/x.npy")[7], source[7][0])


def test_dicts_weights_and_sources_without_ids_are_packed(tmp_path: Path) -> None:
    samples = [({"a/b": np.full((2, 3), n, np.int8), "c": np.float64(n)}, n, n / 2) for n in range(7)]
    MapSource(samples).pack(tmp_path / "packed", workers=0)
    packed = NpyArrays.from_pack(tmp_path / "packed")
    assert packed.ids() is None
    assert packed.classes == ()
    assert (tmp_path / "packed/x-a%2Fb.npy").exists()
    assert_same(inline(packed, 7), inline(MapSource(samples), 7))


def differing(folder: Path) -> Source:
    for number in range(20):
        np.save(folder / f"{number:02d}.npy", np.zeros(4 if number == 13 else 3))
    return NpyFiles(folder)


def test_samples_that_differ_are_named_and_put_right(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "files").mkdir()
    source = differing(tmp_path / "files")
    with pytest.raises(SampleError, match=r"13.npy.*shapes and dtypes of the first one, .*00.npy: \(x: \(3,\) float64\)"):
        source.pack(tmp_path / "packed", workers=0)
    np.save(tmp_path / "files/13.npy", np.ones(3))
    caplog.set_level("INFO", "loader")
    source.pack(tmp_path / "packed", workers=0)
    assert [message for message in caplog.messages if "begins anew" in message and "13.npy has changed" in message]
    assert np.load(tmp_path / "packed/x.npy").sum() == 3


def test_what_can_not_be_packed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = MapSource([np.zeros(4)] * 5)
    (tmp_path / "there").mkdir()
    with pytest.raises(ConfigError, match="is there already"):
        source.pack(tmp_path / "there")
    with pytest.raises(ConfigError, match=r"there is no folder .*nowhere"):
        source.pack(tmp_path / "nowhere" / "packed")
    with pytest.raises(ConfigError, match="has no samples"):
        source.subset([]).pack(tmp_path / "packed")
    with pytest.raises(ConfigError, match="read from start to end"):
        IterSource(lambda: iter([1])).pack(tmp_path / "generator")
    bfloat16 = np.dtype(pytest.importorskip("ml_dtypes").bfloat16)
    with pytest.raises(ConfigError, match="hold no bfloat16"):
        MapSource([np.zeros(2, bfloat16)]).pack(tmp_path / "bfloat16", workers=0)
    monkeypatch.setattr(os, "statvfs", lambda path: type("Free", (), {"f_bavail": 1, "f_frsize": 100}))
    with pytest.raises(ConfigError, match=r"5 samples of 32 bytes take .* free in"):
        source.pack(tmp_path / "packed")
    assert not (tmp_path / "packed").exists()


def test_a_folder_that_is_no_pack_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match=r"holds no index.json"):
        NpyArrays.from_pack(tmp_path)
    MapSource([np.zeros(4)] * 5).pack(tmp_path / "packed", workers=0)
    index = json.loads((tmp_path / "packed/index.json").read_text())
    for wrong, words in (({"samples": 6}, "tells of 6 samples, but the arrays have 5"), ({"format": 2}, "has format 2")):
        (tmp_path / "packed/index.json").write_text(json.dumps(index | wrong))
        with pytest.raises(ConfigError, match=words):
            NpyArrays.from_pack(tmp_path / "packed")
    (tmp_path / "packed/index.json").write_text("{")
    with pytest.raises(ConfigError, match="is damaged"):
        NpyArrays.from_pack(tmp_path / "packed")


def test_what_the_disk_has_changed_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = packing._check_written

    def damaged(partial: str, *rest: Any) -> None:
        with open(f"{partial}/x.npy", "r+b") as file:
            file.seek(-1, os.SEEK_END)
            file.write(b"\xff")
        real(partial, *rest)

    monkeypatch.setattr(packing, "_check_written", damaged)
    with pytest.raises(DecodeError, match="1 samples are not what was written, such as 4"):
        MapSource([np.zeros(4)] * 5).pack(tmp_path / "packed", workers=0)
    assert not (tmp_path / "packed").exists()
    monkeypatch.undo()
    MapSource([np.zeros(4)] * 5).pack(tmp_path / "packed", workers=0)  # it is made again
    assert not np.load(tmp_path / "packed/x.npy").any()


SCRIPT = """
import time
import numpy as np
from loader import ByteFiles
def decode(content):
    with open("log", "ab", buffering=0) as log:
        log.write(b".")
    time.sleep(0.003)
    return np.frombuffer(content, np.uint8)
def make_source():
    return ByteFiles("files", decode=decode)
"""


def test_a_pack_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    for number in range(400):
        (tmp_path / f"files/{number:03d}.bin").write_bytes(bytes([number % 251]) * 99)
    (tmp_path / "script.py").write_text(SCRIPT)
    log = tmp_path / "log"
    command = [sys.executable, "-m", "loader", "pack", "script.py:make_source", "packed", "--jobs", "2", "--json"]
    start: Callable[[], subprocess.Popen[str]] = lambda: subprocess.Popen(  # noqa: E731
        command, cwd=tmp_path, env=script_environment(None), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    for made in (60, 160):
        run = start()
        wait_until(lambda: log.exists() and log.stat().st_size >= made, "some samples are made")  # noqa: B023
        pids = family(run.pid)
        run.send_signal(signal.SIGKILL)
        run.communicate()
        wait_until_gone(pids)
        assert not (tmp_path / "packed").exists()
    out, err = start().communicate(timeout=60)
    told = json.loads(out)
    assert (told["samples"], told["target"], err) == (400, "packed", "")
    assert told["files"] == {"x.npy": 4096 + 400 * 99}
    assert log.stat().st_size < 400 + 40  # those in hand when it was killed, and the first one of each run
    np.testing.assert_array_equal(np.load(tmp_path / "packed/x.npy"), np.repeat(np.arange(400) % 251, 99).reshape(400, 99))


def test_two_packs_at_once_are_refused(tmp_path: Path) -> None:
    with packing.alone(str(tmp_path / "packed.partial")), pytest.raises(ConfigError, match="another process packs into"):
        MapSource([np.zeros(4)]).pack(tmp_path / "packed")


def test_a_pack_trains_like_the_files(npy_folder: Any, tmp_path: Path) -> None:
    source = NpyFiles(npy_folder(12))
    source.pack(tmp_path / "packed", workers=0)
    with Loader(NpyArrays.from_pack(tmp_path / "packed"), 4, workers=2, shuffle=True, seed=3) as loader:
        assert_same([(x.copy(),) for (x,) in loader], inline(source, 4, shuffle=True, seed=3))
