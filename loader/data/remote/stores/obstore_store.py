"""The door to obstore: S3, Google Cloud Storage, Azure and web servers.

obstore works in threads of its own, which a fork does not have: what was made before a fork must not be used after it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

from loader.data.remote.objects import Facts, Fetched, Problem, version_of
from loader.data.remote.options import StorageOptions
from loader.data.remote.stores.refusals import problem_of_status
from loader.errors import ConfigError

# What users of pandas and s3fs know these options as.
_OTHER_NAMES = {"key": "access_key_id", "secret": "secret_access_key", "endpoint_url": "endpoint", "anon": "skip_signature", "region_name": "region"}
_CLIENT_NAMES = frozenset(
    ("allow_http", "allow_invalid_certificates", "connect_timeout", "default_headers", "proxy_url", "root_certificate", "user_agent")
)

# One thread takes the least CPU time per object (docs/measurements.md); those that wait for Python's lock need small stacks.
_ENVIRONMENT = {"TOKIO_WORKER_THREADS": "1", "RUST_MIN_STACK": "524288"}

_PAGE = 1000  # objects in one answer

# Of an object that is written.
_PART_BYTES = 8 * 2**20
_MOST_PARTS = 9_000  # S3 takes 10,000
_TRIES_OF_A_PART = 8
_TRIED_S = 180.0

_CONNECT_S = 10

_ENDPOINTS = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT", "AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT", "STORAGE_EMULATOR_HOST")
_STATUS = re.compile(r"status code: (\d{3})")
_KIND = re.compile(r"kind: (Connect|Timeout|Interrupted)\b")
_KINDS = {"Connect": "no connection", "Timeout": "no answer in time", "Interrupted": "the connection was cut off"}
_DNS = ("dns error", "failed to lookup address", "Name or service not known")
_METADATA = ("169.254.169.254", "metadata.google.internal", "/latest/api/token")


def check_obstore() -> None:
    """Raise ConfigError unless obstore can be imported."""
    try:
        import obstore  # noqa: F401  # imports with one thread; only its use starts others
    except ImportError as error:
        raise ConfigError(f"s3://, gs://, az:// and http(s):// need obstore: pip install 'npy-loader[remote]' ({error})") from None


class ObstoreStore:
    """One bucket or web server (`loader.data.remote.objects.Store`).

    Args:
        base: its URL.
        options: for it.
        patience_s: longest time that one request may take.

    Raises:
        ConfigError: obstore is missing, or does not know an option.
    """

    def __init__(self, base: str, options: StorageOptions, patience_s: float) -> None:
        check_obstore()
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        import obstore
        from obstore import store

        self._obstore = obstore
        self._base = base
        self._web = base.startswith("http")
        config, client = _config_of(options.values())
        client.setdefault("connect_timeout", timedelta(seconds=min(_CONNECT_S, patience_s)))
        client["timeout"] = timedelta(seconds=patience_s)
        if _is_plain(base, config):
            client.setdefault("allow_http", True)
        others = {} if self._web else {"config": config}

        def opened(tries: int, timeout_s: float) -> Any:
            retries: Any = {"max_retries": tries - 1, "retry_timeout": timedelta(seconds=timeout_s)}
            made = cast(Any, store.HTTPStore if self._web else store)
            return made.from_url(base, client_options=client, retry_config=retries, **others)

        self._opened = opened
        try:
            self._store = opened(1, patience_s)  # `gather` knows what else is on its way, and tries again
        except Exception as error:
            words = str(error).partition("\n")[0]
            raise ConfigError(
                f"{base} can't be opened: {words}. What to do: check storage_options= ({', '.join(options.values()) or 'none'})"
            ) from None

    async def fetch(self, key: str, start: int, end: int | None) -> Fetched:
        """Return a range of an object."""
        asked: Any = {} if end is None else {"range": (start, end)}
        result = await self._obstore.get_async(self._store, key, options=asked)
        meta = result.meta
        content = await result.bytes_async()
        return Fetched(content, meta["size"], version_of(meta["e_tag"], meta["last_modified"]))

    async def put(self, key: str, path: str) -> None:
        """Write a file as an object; a large one in parts, each of which is tried again if it fails."""
        part_bytes = max(_PART_BYTES, -(-os.path.getsize(path) // _MOST_PARTS))
        await self._obstore.put_async(self._opened(_TRIES_OF_A_PART, _TRIED_S), key, Path(path), chunk_size=part_bytes)

    async def facts(self, key: str) -> Facts:
        """Return what the store says of an object."""
        return _facts(await self._obstore.head_async(self._store, key))

    async def children(self, key: str) -> tuple[list[str], list[Facts]]:
        """Return the folders and the objects directly below a folder."""
        found = await self._obstore.list_with_delimiter_async(self._store, prefix=key or None)
        return list(found["common_prefixes"]), [_facts(meta) for meta in found["objects"]]

    async def tree(self, key: str) -> tuple[list[Facts], bool]:
        """Return objects below a folder, of the first page of the list, and whether these are all."""
        async for some in self._obstore.list(self._store, prefix=key or None, chunk_size=_PAGE):
            return list(map(_facts, some)), len(some) < _PAGE
        return [], True

    def problem(self, error: BaseException) -> Problem:
        """Return why a request failed.

        What obstore says may hold credentials, such as a signature in a URL: only words that are known are passed on.
        """
        if isinstance(error, FileNotFoundError):
            return problem_of_status(404)
        text = str(error)
        if (status := _STATUS.search(text)) is not None:
            return problem_of_status(int(status[1]))
        if type(error).__name__ == "NotSupportedError":
            listing = "list" in text.lower() or "PROPFIND" in text
            return Problem("the server " + ("can't list folders" if listing else "does not answer requests for a range of bytes"), passes=False)
        if any(place in text for place in _METADATA):
            return Problem(
                "there are no credentials. What to do: set them in the environment or by storage_options=; for public data: "
                'storage_options={"skip_signature": True}',
                passes=False,
            )
        if not text.startswith("Generic"):
            return Problem(text.partition("\n")[0].partition(": Error performing")[0], passes=False)
        if any(words in text for words in _DNS):
            return Problem("the name of the server is not known; check the URL and the network", passes=True)
        kind = _KIND.search(text)
        return Problem(_KINDS[kind[1]] if kind else "the request failed", passes=True)


def _facts(meta: Mapping[str, Any]) -> Facts:
    return Facts(meta["path"], meta["size"], version_of(meta["e_tag"], meta["last_modified"]))


def _is_plain(base: str, config: Mapping[str, Any]) -> bool:
    """Whether a store was asked for without encryption: by its URL, or by that of its endpoint, in the options or the environment."""
    endpoints = [base, str(config.get("endpoint")), *(os.environ.get(name, "") for name in _ENDPOINTS)]
    return any(endpoint.startswith("http://") for endpoint in endpoints)


def _config_of(values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a user's options as obstore takes them: of the store, and of the client of HTTP."""
    config = {_OTHER_NAMES.get(name, name): value for name, value in values.items()}
    client = {name: config.pop(name) for name in list(config) if name in _CLIENT_NAMES}
    return config, client
