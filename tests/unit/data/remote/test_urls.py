"""What a URL is, and that none with a secret in it gets far."""

from __future__ import annotations

from pathlib import Path

import pytest

from loader import ConfigError, NpyFiles
from loader.data.remote.urls import Place, check_url, common_root, is_url, split


def test_a_url_is_told_from_a_path() -> None:
    assert all(map(is_url, ("s3://b/x", "gs://b", "https://h/x", "simplecache::s3://b/x", "zip://a.npy::file:///x.zip", "HTTP://h/x")))
    assert not any(map(is_url, ("/x", "x", "C://x", "a:b", "./s3://x", Path("x"), None, 3)))


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("s3://b/a/x.npy", Place("s3://b", "a/x.npy")),
        ("s3a://b/a b.npy", Place("s3://b", "a b.npy")),
        ("gcs://b", Place("gs://b", "")),
        ("https://host:8000/a%20b/x.npy", Place("https://host:8000", "a b/x.npy")),
        ("sftp://host/x.npy", Place("sftp://host", "sftp://host/x.npy")),
        ("zip://a/b.npy::file:///x.zip", Place("zip://::file:///x.zip", "zip://a/b.npy::file:///x.zip")),
        ("simplecache::sftp://host/x", Place("simplecache::sftp://host", "simplecache::sftp://host/x")),
        ("simplecache::zip://a::s3://b/x", Place("simplecache::zip://::s3://b/x", "simplecache::zip://a::s3://b/x")),
    ],
)
def test_a_url_has_a_store_and_a_key(url: str, place: Place) -> None:
    assert split(url) == place


@pytest.mark.parametrize(
    "url",
    [
        "https://h/x.npy?X-Amz-Signature=SECRET",
        "https://me:SECRET@h/x",
        "https://SECRET@h/x",
        "sftp://me:SECRET@h/x",
        "simplecache::sftp://me:SECRET@h/x",
        "zip://a.npy::https://h/a.zip?X-Amz-Signature=SECRET",
        "zip://a.npy::simplecache::https://h/a.zip?x=SECRET",
        "az://c/x.npy?sv=1&sig=SECRET",
        "abfs://c@a.dfs.core.windows.net/x.npy?sv=1&s%69g=SECRET",
        "s3://b/x.npy?AWSAccessKeyId=SECRET",
        "https://h/x.npy#a?sig=SECRET",
        "az://c/x.npy%3Fsig=SECRET",
        "http://me:SECRET@[h/x",
    ],
)
def test_a_url_with_credentials_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(ConfigError, match=r"storage_options=|credentials") as caught:
        check_url(url)
    assert "SECRET" not in str(caught.value)
    with pytest.raises(ConfigError) as caught:
        NpyFiles([url])
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["s3://b/?.npy", "s3://b/a?b&c=d.npy", "s3://b/x::y.npy", "abfs://c@a.dfs.core.windows.net/x", "zip://a.npy::file:///x.zip", "http://[::1]:80/x"],
)
def test_a_url_without_credentials_is_accepted(url: str) -> None:
    assert check_url(url) == url


@pytest.mark.parametrize(
    ("url", "meant"),
    [("S3://b/x/", "s3://b/x"), ("s3a://b//", "s3://b"), ("gcs://b/X", "gs://b/X"), ("HTTPS://H/x", "https://H/x"), ("file:///", "file:///")],
)
def test_a_scheme_is_written_in_one_way(url: str, meant: str) -> None:
    assert check_url(url) == meant


def test_mistakes_with_urls_are_explained() -> None:
    with pytest.raises(ConfigError, match="names no bucket"):
        NpyFiles("s3:///train")
    with pytest.raises(ConfigError, match="give URLs as str"):
        NpyFiles(Path("s3://bucket/train"))
    with pytest.raises(ConfigError, match="join two sources with"):
        NpyFiles(["s3://bucket/a.npy", "/b.npy"])
    with pytest.raises(ConfigError, match="Known are s3, gs, az"):
        NpyFiles("nonsense://bucket/train")
    with pytest.raises(ConfigError, match="must be a dict"):
        NpyFiles("s3://bucket/train", storage_options=["key"])  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="'session' is a object, but only text"):
        NpyFiles("s3://bucket/train", storage_options={"session": object()})


def test_the_common_root_is_a_folder() -> None:
    assert common_root(["s3://b/a/1.npy", "s3://b/a/2.npy"]) == "s3://b/a"
    assert common_root(["s3://b/a/1.npy", "s3://b/ab/2.npy"]) == "s3://b"
    assert common_root(["s3://b/a/1.npy", "s3://c/a/1.npy"]) == "s3://b/a"
    assert common_root(["https://h/1.npy"]) == "https://h"
