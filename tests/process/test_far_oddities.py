"""Stores and web servers that answer in another way than they should, and what people get wrong about them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from loader import ByteFiles, ConfigError, FetchError, Loader, NpyArrays, NpyFiles, SampleError, TextLines, decode
from loader.data.remote.options import StorageOptions
from loader.data.remote.stores.obstore_store import ObstoreStore
from loader.data.sources.arrays import far_array
from tests.batches import assert_same, inline, take
from tests.servers.fronts import Front
from tests.servers.odd import Quiet, answering, serving

pytestmark = pytest.mark.usefixtures("what_obstore_keeps")

KEYS = {"key": "some", "secret": "thing", "region": "us-east-1"}


class WholeObjects(SimpleHTTPRequestHandler):
    """What `python -m http.server` does: it sends whole files, whatever range is asked for."""

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


def test_a_server_that_sends_no_ranges_does_for_files(npy_folder: Any) -> None:
    folder: Path = npy_folder(6)
    (folder / "lines.txt").write_text("one\ntwo\nthree\n")
    with serving(partial(WholeObjects, directory=str(folder))) as url:  # type: ignore[arg-type]
        far = NpyFiles([f"{url}/{path.name}" for path in sorted(folder.glob("*.npy"))])
        with Loader(far, 4, workers=0) as loader:
            assert_same(take(loader), inline(NpyFiles(folder), 4))
        assert len(TextLines(f"{url}/lines.txt", decode=decode.text(None, 80))) == 3


def test_rows_of_an_array_need_ranges(npy_folder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(far_array, "_AT_ONCE_BYTES", 0)
    folder: Path = npy_folder(1, (50, 30))
    with serving(partial(WholeObjects, directory=str(folder))) as url:  # type: ignore[arg-type]
        far = NpyArrays(f"{url}/000000.npy")
        with Loader(far, 8, workers=0) as loader, pytest.raises(SampleError, match=r"whole objects only.*download it to this machine"):
            take(loader)


def test_a_server_that_sends_from_one_address_to_the_next_is_an_error_at_once() -> None:
    with serving(answering(302, Location="/x.npy")) as url, pytest.raises(FetchError, match="from one address to the next, without end"):
        NpyFiles([f"{url}/x.npy"])


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (403, "RequestTimeTooSkewed", r"the clock of this machine is wrong"),
        (404, "NoSuchBucket", r"there is no such bucket"),
        (400, "ExpiredToken", r"token has expired"),
    ],
)
def test_what_a_store_says_when_it_is_asked_for_a_list_is_told(status: int, code: str, words: str) -> None:
    said = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>...</Message></Error>"
    with serving(answering(status, said, Content_Type="application/xml")) as url, pytest.raises((FetchError, FileNotFoundError), match=words):
        NpyFiles("s3://bucket/train", storage_options=KEYS | {"endpoint": url})


@pytest.mark.parametrize("place", ["endpoint", "endpoint_url", "environment"])
def test_an_endpoint_that_is_no_url_is_an_error_that_does_not_show_it(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    options = dict(KEYS)
    if place == "environment":
        monkeypatch.setenv("AWS_ENDPOINT_URL", "user:word@host:9000")
    else:
        options[place] = "user:word@host:9000"
    with pytest.raises(ConfigError, match=r"is no URL.*begin it with http://") as caught:
        NpyFiles("s3://bucket/train", storage_options=options)
    assert "word" not in str(caught.value)


def test_of_a_long_list_only_the_page_that_fails_is_asked_for_again() -> None:
    asked: list[str] = []
    pages = 5

    class Pages(Quiet):
        def do_GET(self) -> None:  # its name is given
            if self.command == "HEAD":  # there is no object of the folder's name
                self.send_error(404)
                return
            page = int(parse_qs(urlsplit(self.path).query).get("continuation-token", ["0"])[0])
            asked.append(f"{page}")
            body = b""
            if asked.count(f"{page}") > 1:
                entry = f"<Key>train/{page}.npy</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>x</ETag><Size>176</Size>"
                more = f"<NextContinuationToken>{page + 1}</NextContinuationToken>" if page + 1 < pages else ""
                body = f"<ListBucketResult><Name>b</Name><Contents>{entry}</Contents>{more}</ListBucketResult>".encode()
            self.send_response(200 if body else 503)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with serving(Pages) as url:
        found = ByteFiles("s3://bucket/train", decode=decode.raw("uint8", (4,)), storage_options=KEYS | {"endpoint": url})
        assert len(found) == pages
    assert asked[-2 * pages :] == [str(page) for page in range(pages) for _ in range(2)]


def test_what_is_written_may_take_longer_than_what_is_read(front: Callable[..., Front], tmp_path: Path) -> None:
    (tmp_path / "served").mkdir()
    (tmp_path / "file").write_bytes(b"content")
    served = front(tmp_path / "served", latency_s=0.6)
    store = ObstoreStore(served.endpoint, StorageOptions(), 0.2)
    asyncio.run(store.put("target", str(tmp_path / "file")))
    assert (tmp_path / "served" / "target").read_bytes() == b"content"
    with pytest.raises(Exception, match="Timeout"):
        asyncio.run(store.fetch("target", 0, 3))
