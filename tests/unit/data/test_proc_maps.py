from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np
import pytest

from loader.data import proc_maps
from loader.data.proc_maps import Mappings, Region

MAPS = b"""\
1000-3000 r--s 00000000 08:01 11 /tmp/a b.npy
3000-4000 r--s 00002000 08:01 11 /tmp/a b.npy
4000-5000 r--s 00008000 08:01 11 /tmp/a b.npy
5000-6000 r--s 00000000 08:01 12 /tmp/gone.npy (deleted)
6000-7000 rw-p 00000000 08:01 13 /tmp/private.npy
7000-8000 rw-s 00000000 00:01 14
8000-9000 rw-p 00000000 00:00 0 [heap]
9000-a000 rw-s 00001000 08:01 15 /tmp/line\\012break.npy
"""


def test_a_region_is_found_by_address_whole_though_the_system_has_split_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "maps").write_bytes(MAPS)
    monkeypatch.setattr(proc_maps, "_MAPS", str(tmp_path / "maps"))
    monkeypatch.setattr(proc_maps.os.path, "isfile", lambda path: True)
    found = Mappings()
    assert found.find(0x1000, 0x4000) == found.find(0x3FFF, 0x4000) == Region(0x1000, 0x4000, 0, "/tmp/a b.npy")
    assert found.find(0x4000, 0x4001) == Region(0x4000, 0x5000, 0x8000, "/tmp/a b.npy")
    assert found.find(0x9000, 0xA000) == Region(0x9000, 0xA000, 0x1000, "/tmp/line\nbreak.npy")
    for low, high in ((0, 0x1001), (0x3FFF, 0x4001), (0x5000, 0x5001), (0x6000, 0x6001), (0x7000, 0x7001), (0x8000, 0x8001), (0xA000, 0xA001)):
        assert found.find(low, high) is None


def test_a_file_that_can_not_be_opened_by_its_name_is_none(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(10_000))
    with path.open("rb") as opened:
        mapping = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
    address = int(np.frombuffer(mapping, np.uint8).__array_interface__["data"][0])
    seen = Mappings()
    assert seen.find(address, address + 10_000) == Region(address, address + 12_288, 0, str(path))
    path.unlink()
    assert seen.find(address, address + 10_000) is None
    assert Mappings().find(address, address + 10_000) is None


def test_only_what_can_be_read_is_cut_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(1000))
    inode = path.stat().st_ino
    maps = tmp_path / "maps"
    monkeypatch.setattr(proc_maps, "_MAPS", str(maps))
    maps.write_text(f"1000-4000 ---p 00000000 fe:00 {inode} {path}\n")
    assert proc_maps.cut_short() == []
    maps.write_text(f"1000-4000 r--s 00000000 fe:00 {inode} {path}\n")
    assert [text.split(" has ")[0] for text in proc_maps.cut_short()] == [str(path)]


def test_other_systems_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proc_maps, "_MAPS", "/no/such/file")
    assert Mappings().find(0, 1) is None
