"""Packs at URLs: there as a whole or not at all, read back before they count, and continued where a call was interrupted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loader import ConfigError, DataNotFoundError, DecodeError, Loader, NpyArrays, NpyFiles
from loader.data.remote.scouting.scout import Scout
from loader.data.sources.arrays import far_array
from loader.errors import FetchError
from loader.train.packing import far_pack
from tests.batches import assert_same, inline, take
from tests.servers.faults import Faults
from tests.servers.fronts import Front
from tests.servers.shared import Bucket

pytestmark = pytest.mark.usefixtures("what_obstore_keeps")

StartFront = Callable[..., Front]


@pytest.fixture
def source(npy_folder: Any) -> NpyFiles:
    return NpyFiles.from_folder(npy_folder(30, classes=3))


@pytest.fixture
def bucket(tmp_path: Path, front: StartFront) -> Front:
    (tmp_path / "bucket").mkdir()
    return front(tmp_path / "bucket")


def pack(source: NpyFiles, url: str, scratch: Path) -> None:
    source.pack(url, workers=0, progress=False, scratch=scratch)


def test_a_pack_at_a_url_is_the_source(source: NpyFiles, s3_bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(far_array, "_AT_ONCE_BYTES", 0)
    for name, value in s3_bucket.environment.items():
        monkeypatch.setenv(name, value)
    pack(source, f"{s3_bucket.url}/packed/", tmp_path / "scratch")
    assert list((tmp_path / "scratch").iterdir()) == []
    packed = NpyArrays.from_pack(f"{s3_bucket.url}/packed", cache=tmp_path / "cache")
    assert (packed.spec, packed.ids(), packed.classes) == (source.spec, source.ids(), source.classes)
    with Loader(packed, 4, workers=1, shuffle=True) as loader:
        assert_same(take(loader), inline(source, 4, shuffle=True))
    with pytest.raises(ConfigError, match="has a pack already"):
        pack(source, f"{s3_bucket.url}/packed", tmp_path / "scratch")


@pytest.mark.thorough
def test_what_is_sent_wrong_is_noticed_and_sent_anew(source: NpyFiles, bucket: Front, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"{bucket.endpoint}/packed"
    send = Scout.send

    def send_damaged(self: Scout, files: list[tuple[str, str]]) -> None:
        send(self, files)
        if files[0][1].endswith("x.npy"):
            sent = tmp_path / "bucket" / "packed" / "x.npy"
            sent.write_bytes(sent.read_bytes()[:-1] + b"?")

    with monkeypatch.context() as patch:
        patch.setattr(Scout, "send", send_damaged)
        with pytest.raises(DecodeError, match="1 samples are not what was sent, such as 29"):
            pack(source, url, tmp_path / "scratch")
    with pytest.raises(DataNotFoundError, match="it is no pack"):
        NpyArrays.from_pack(url)
    pack(source, url, tmp_path / "scratch")
    assert_same(inline(NpyArrays.from_pack(url), 4), inline(source, 4))


def test_a_call_that_was_interrupted_goes_on_where_it_was(source: NpyFiles, bucket: Front, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"{bucket.endpoint}/packed"
    bucket.set_faults(Faults(unavailable=1.0, only="PUT /packed/y.npy"))
    with monkeypatch.context() as patch:
        patch.setattr(far_pack, "_SMALL_BYTES", 0)  # each file is sent by itself
        patch.setattr("loader.data.remote.scouting.scout._CHILD", CHILD_WITHOUT_PATIENCE)
        with pytest.raises(FetchError, match=r"y\.npy"):
            pack(source, url, tmp_path / "scratch")
    bucket.set_faults(Faults())
    bucket.forget()
    pack(source, url, tmp_path / "scratch")
    put = [asked.split()[1].rpartition("/")[2] for asked in bucket.counts().asked if asked.startswith("PUT")]
    assert sorted(put) == ["ids.txt", "index.json", "y.npy"]
    assert_same(inline(NpyArrays.from_pack(url), 4), inline(source, 4))


CHILD_WITHOUT_PATIENCE = """
import sys
import json
sys.path[:] = json.loads(sys.stdin.buffer.readline())
from loader.data.remote.scouting import child
from loader.data.remote.stores import obstore_store
obstore_store._TRIES_OF_A_PART = 1
child._PATIENCE_S = 3.0
child.answer()
"""


def test_options_of_urls_are_for_urls(source: NpyFiles, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="scratch= and storage_options= are for a target that is a URL"):
        source.pack(tmp_path / "packed", scratch=tmp_path)
    assert far_pack.scratch_folder("s3://a/b", None) != far_pack.scratch_folder("s3://a/c", None)


def test_who_has_no_home_is_asked_for_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container whose user is only a number: the pack would be made in a folder called ~."""
    for home in ("cache", "~/.cache"):
        monkeypatch.setenv("XDG_CACHE_HOME", home)
        with pytest.raises(ConfigError, match="give scratch="):
            far_pack.scratch_folder("s3://a/b", None)
    assert Path(far_pack.scratch_folder("s3://a/b", "here")).is_absolute()
