"""What a URL is, and what may not be in one: URLs are named in logs and errors, so credentials have no place there."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import NamedTuple

from loader.errors import ConfigError

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+(?:::[A-Za-z][A-Za-z0-9+.-]*)*://")  # two letters at least: C:// is a drive
_FLATTENED = re.compile(r"(?:[a-z][a-z0-9+.-]+/)?(s3a?|gs|gcs|az|abfss?|https?):/[^/]")  # what pathlib makes of one
_LINKS = re.compile(r"::(?=[A-Za-z][A-Za-z0-9+.-]*(?:::|://))")  # what joins URLs, and not the colons of an IPv6 address
_WEB = ("http", "https")
# Names that only a query with credentials has. Any other `?` is part of a name, or of a pattern, where the store is none of the web.
_SIGNATURE = re.compile(r"[?&](?:[\w.-]*(?:signature|token|credential|secret|password|accesskeyid|accessid)|sig|api_?key)=", re.IGNORECASE)

OBJECT_STORES = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "az": "az", "abfs": "abfs", "abfss": "abfss", "http": "http", "https": "https"}
"""Schemes that obstore reads, and what it calls them; all others are for fsspec."""


class Place(NamedTuple):
    """Where an object is.

    Attributes:
        base: URL of the bucket, the server or the archive, without a slash at its end.
        key: of the object there; of what fsspec reads, its whole URL.
    """

    base: str
    key: str


def is_url(path: object) -> bool:
    """Whether a path is a URL, as text."""
    return isinstance(path, str) and _URL.match(path) is not None


def is_web(url: str) -> bool:
    """Whether a URL is one of a web server, which can't list what it has."""
    return url.partition("://")[0].lower() in _WEB


def check_url(url: str) -> str:
    """Return a URL without slashes at its end, and with the scheme that lists of its store have.

    Raises:
        ConfigError: it holds credentials or, of a web server, a query; it is not shown.
    """
    for link in _LINKS.split(url):
        _check_link(link)
    scheme, _, rest = url.partition("://")
    rest = rest.rstrip("/") if rest.strip("/") else rest
    return f"{OBJECT_STORES.get(scheme.lower(), scheme)}://{rest}"


def _check_link(url: str) -> None:
    """Check one of the URLs that `::` joins: the file in an archive, the archive, and so on."""
    from urllib.parse import unquote, urlsplit

    try:
        parts = urlsplit(url)
    except ValueError:
        raise ConfigError("a URL can't be read as one; it is not shown, since there may be credentials in it. Its server's name is wrong") from None
    web = parts.scheme.lower() in _WEB
    shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    if (web and parts.query) or _SIGNATURE.search(unquote(url)):
        raise ConfigError(
            f"{re.split('[?&]', unquote(shown))[0]}?...: the query of a URL, such as the signature of a presigned one, is not supported, "
            "since URLs are named in logs and errors. What to do: give the URL without it, and credentials by storage_options= or the environment"
        )
    if parts.password is not None or (web and parts.username is not None):
        raise ConfigError(
            f"{shown}: the URL holds a user name or a password, which would be shown in logs and errors. What to do: give them by storage_options= "
            "or the environment"
        )
    if not parts.netloc and parts.scheme.lower() in OBJECT_STORES:
        raise ConfigError(f"{url!r} names no {'server' if web else 'bucket'}; a URL reads {parts.scheme}://{'server' if web else 'bucket'}/path")


def check_no_flattened(path: object) -> None:
    """Raise ConfigError for a URL that was made a `pathlib.Path`, which takes one of its two slashes away."""
    if isinstance(path, os.PathLike) and (found := _FLATTENED.match(os.fsdecode(path))):
        raise ConfigError(f"{os.fsdecode(path)!r} was a URL, {found[1]}://..., before pathlib took a slash away; give URLs as str")


def split(url: str) -> Place:
    """Return where an object is."""
    from urllib.parse import unquote

    scheme, _, rest = url.partition("://")
    known = OBJECT_STORES.get(scheme.lower())
    host, _, key = rest.partition("/")
    if known is None:
        return Place(_base_of_chain(url) if "::" in url else f"{scheme}://{host}", url)
    return Place(f"{known}://{host}", unquote(key) if known in _WEB else key)


def _base_of_chain(url: str) -> str:
    """Return what all objects of one archive, or of what else is read by way of another URL, have in common."""
    links = url.split("::")
    here = next(number for number, link in enumerate(links) if "://" in link)  # those before it, such as simplecache, have the same path
    scheme, _, rest = links[here].partition("://")
    server = rest.partition("/")[0] if here == len(links) - 1 else ""  # of a path in an archive, the first folder is none
    return "::".join([*links[:here], f"{scheme}://{server}", *links[here + 1 :]])


def common_root(urls: Sequence[str]) -> str:
    """Return the folder that all URLs lie in; that of the first one if they have none in common."""
    first, last = min(urls), max(urls)
    length = next((place for place, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), min(len(first), len(last)))
    shared = first[:length].rpartition("/")[0]
    return shared if "://" in shared and not shared.endswith(":/") else first.rpartition("/")[0]
