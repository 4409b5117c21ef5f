"""`loader pack` as it is typed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import NpyArrays, NpyFiles
from tests.batches import assert_same, inline
from tests.cli.commands import run_here
from tests.servers.fronts import Front
from tests.servers.shared import Bucket


def test_a_folder_of_classes_is_packed(npy_folder: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, target = npy_folder(8, classes=2), tmp_path / "packed"
    assert run_here("pack", str(folder), str(target), "--jobs", "0") == 0
    printed = capsys.readouterr().out
    assert f"{'x.npy':<16} {4096 + 8 * 48:>16,} bytes\n" in printed
    assert "8 samples, (x: (4, 3) float32, y: () int32), read back and compared, in " in printed
    assert printed.endswith(f"This loads it: NpyArrays.from_pack('{target}')\n")
    assert NpyArrays.from_pack(target).classes == ("c0", "c1")
    assert run_here("pack", str(folder), str(target), "--jobs", "0") == 1
    assert "loader pack: " in (said := capsys.readouterr().err)
    assert "is there already" in said


def test_what_a_glob_matches_is_packed(npy_folder: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, target = npy_folder(12), tmp_path / "packed"
    assert run_here("pack", f"{folder}/*1.npy", str(target), "--jobs", "0") == 0
    assert "2 samples, (x: (4, 3) float32), read back and compared" in capsys.readouterr().out
    assert [name[-1] for name in NpyArrays.from_pack(target).ids() or ()] == ["1", "1"]
    assert run_here("pack", f"{folder}/*.none", str(tmp_path / "other"), "--jobs", "0") == 1
    assert "matches no file" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_what_can_not_be_packed_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here("pack", str(tmp_path / "missing"), str(tmp_path / "packed")) == 2
    assert "does not exist" in capsys.readouterr().err
    for number, length in enumerate((3, 4)):
        (tmp_path / "files").mkdir(exist_ok=True)
        np.save(tmp_path / "files" / f"{number}.npy", np.zeros(length))
    assert run_here("pack", str(tmp_path / "files"), str(tmp_path / "packed"), "--jobs", "0") == 1
    said = capsys.readouterr().err
    assert "1.npy" in said
    assert "0.npy" in said


def test_a_pack_is_written_to_a_url(npy_folder: Any, front: Callable[..., Front], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bucket").mkdir()
    url = f"{front(tmp_path / 'bucket').endpoint}/packed"
    assert run_here("pack", str(npy_folder(8)), url, "--jobs", "0", "--scratch", str(tmp_path / "scratch")) == 0
    printed = capsys.readouterr().out
    assert f"{'x.npy':<16} {4096 + 8 * 48:>16,} bytes\n" in printed
    assert printed.endswith(f"This loads it: NpyArrays.from_pack('{url}')\n")
    assert len(NpyArrays.from_pack(url)) == 8


def test_what_lies_at_a_url_is_packed(
    npy_folder: Any, s3_bucket: Bucket, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3_bucket.environment.items():
        monkeypatch.setenv(name, value)
    folder = npy_folder(8, classes=2)
    s3_bucket.put_folder(folder, "train/")
    s3_bucket.put("texts/a.txt", b"a")
    assert run_here("pack", f"{s3_bucket.url}/train", str(tmp_path / "packed"), "--jobs", "0") == 0
    assert_same(inline(NpyArrays.from_pack(tmp_path / "packed"), 4), inline(NpyFiles.from_folder(folder), 4))
    assert run_here("pack", f"{s3_bucket.url}/train/*/*1.npy", str(tmp_path / "some"), "--jobs", "0") == 0
    assert "1 samples, (x: (4, 3) float32), read back" in capsys.readouterr().out
    assert run_here("describe", f"{s3_bucket.url}/train/c0/000000.npy", "--jobs", "0") == 0
    assert run_here("describe", f"{s3_bucket.url}/texts") == 2
    assert "holds text; how samples are made of them, SCRIPT:FUNCTION says: it returns a source of URLs" in capsys.readouterr().err
