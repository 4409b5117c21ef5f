"""Files of fetched objects: whole, or not under their names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from loader.data.remote.objects import Fetched, Objects
from loader.data.sources.files.far_index import FarIndex
from loader.errors import PipelineError
from loader.watch.fetch import into
from loader.watch.fetch.into import IntoFiles


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> FarIndex:
    monkeypatch.setattr(into, "PART_BYTES", 10)
    return FarIndex(Objects(["s3://b/d/x.npy"], np.array([25]), np.array([7])), "s3://b/d")


def test_no_part_is_written_behind_one_that_is_missing(index: FarIndex, tmp_path: Path) -> None:
    files = IntoFiles(index, str(tmp_path))
    first, _, last = files.missing()
    files.put(first, Fetched(b"x" * 10, 25, 7))
    with pytest.raises(PipelineError, match="would have a hole before byte 20"):
        files.put(last, Fetched(b"x" * 5, 25, 7))
    files.close()
    assert files.done == 0
    assert [path.suffix for path in tmp_path.iterdir()] == [".part"]
    assert [span.start for span in IntoFiles(index, str(tmp_path)).missing()] == [10, 20]


@pytest.mark.parametrize("torn", [b'{"name": "y', b"[1]\n", b"{}\n", b"\xff\n"])
def test_a_line_that_is_no_record_is_skipped(index: FarIndex, tmp_path: Path, torn: bytes) -> None:
    (tmp_path / ".fetched.jsonl").write_bytes(torn)
    files = IntoFiles(index, str(tmp_path))
    for span in files.missing():
        files.put(span, Fetched(b"x" * ((span.end or 0) - span.start), 25, 7))
    again = IntoFiles(index, str(tmp_path))
    assert list(again.missing()) == []
    assert again.there == 1
