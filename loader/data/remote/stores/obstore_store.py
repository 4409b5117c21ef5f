"""The door to obstore: S3, Google Cloud Storage, Azure and web servers.

obstore works in threads of its own, which a fork does not have: what was made before a fork must not be used after it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from loader.data.remote.objects import Facts, Fetched, Problem, version_of
from loader.data.remote.options import StorageOptions
from loader.data.remote.stores.obstore_errors import problem_of
from loader.data.remote.stores.pinned import Pinned
from loader.errors import ConfigError

# What users of pandas and s3fs know these options as.
_OTHER_NAMES = {"key": "access_key_id", "secret": "secret_access_key", "endpoint_url": "endpoint", "anon": "skip_signature", "region_name": "region"}
_CLIENT_NAMES = frozenset(
    ("allow_http", "allow_invalid_certificates", "connect_timeout", "default_headers", "proxy_url", "root_certificate", "user_agent")
)

# One thread takes the least CPU time per object (docs/measurements.md); those that wait for Python's lock need small stacks.
_ENVIRONMENT = {"TOKIO_WORKER_THREADS": "1", "RUST_MIN_STACK": "524288"}

_PAGE = 1000  # objects in one answer

# Of an object that is written: at 1.5 Mbit/s, the parts that are on their way together take as long as each of them may.
_PART_BYTES = 8 * 2**20
_MOST_PARTS = 9_000  # S3 takes 10,000
_PARTS_AT_ONCE = 4
_PART_S = 180.0
_TRIES_OF_A_PART = 8
_TRIED_S = 600.0

_CONNECT_S = 10
_WHOLE_BYTES = 16 * 2**20
_NO_RETRIES = {"max_retries": 0}  # `gather` knows what else is on its way, and tries again
_RETRIES_OF_A_PAGE = {
    "max_retries": 4,
    "retry_timeout": timedelta(seconds=45),
    "backoff": {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=1), "base": 2},
}
_NO_HEADERS: Mapping[str, str] = {}

# Where the environment has endpoints, which are URLs, by what a URL of the store begins with; and one that need not be.
_OF_AZURE = ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT")
_ENDPOINTS = {"s3": ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT"), "az": _OF_AZURE, "abfs": _OF_AZURE, "abfss": _OF_AZURE}
_EMULATOR = "STORAGE_EMULATOR_HOST"


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
        _check_endpoints(base, config)
        client.setdefault("connect_timeout", timedelta(seconds=min(_CONNECT_S, patience_s)))
        if _is_plain(base, config):
            client.setdefault("allow_http", True)
        others = {} if self._web else {"config": config}

        def opened(timeout_s: float = patience_s, retries: Any = _NO_RETRIES, headers: Mapping[str, str] = _NO_HEADERS) -> Any:
            asking = {**client, "timeout": timedelta(seconds=timeout_s), "default_headers": {**client.get("default_headers", {}), **headers}}
            made = cast(Any, store.HTTPStore if self._web else store)
            return made.from_url(base, client_options=asking, retry_config=retries, **others)

        self._opened = opened
        try:
            self._store = opened()
        except Exception as error:
            words = str(error).partition("\n")[0]
            raise ConfigError(
                f"{base} can't be opened: {words}. What to do: check its name, and storage_options= ({', '.join(options.values()) or 'none'})"
            ) from None
        self._pinned = Pinned(obstore, lambda headers: opened(headers=headers))

    @cached_property
    def _lists(self) -> Any:
        """The store that lists: a list of many pages would hardly come to its end if it began anew with each request that fails."""
        return self._opened(retries=_RETRIES_OF_A_PAGE)

    async def fetch(self, key: str, start: int, end: int | None) -> Fetched:
        """Return a range of an object."""
        if end is None:
            return await _fetched(await self._obstore.get_async(self._store, key))
        if (pinned := await self._pinned.fetch(key, start, end)) is not None:
            return pinned
        try:
            result = await self._obstore.get_async(self._store, key, options={"range": (start, end)})
        except self._obstore.exceptions.NotSupportedError:  # the server sends whole objects only: well for the beginning of a small one
            whole = None if start else await self._obstore.get_async(self._store, key)
            if whole is None or whole.meta["size"] > _WHOLE_BYTES:
                raise
            fetched = await _fetched(whole)
            return fetched._replace(content=memoryview(fetched.content)[:end])
        self._pinned.saw(key, result.meta)
        return await _fetched(result)

    async def put(self, key: str, path: str) -> None:
        """Write a file as an object; a large one in parts, each of which is tried again if it fails."""
        part_bytes = max(_PART_BYTES, -(-os.path.getsize(path) // _MOST_PARTS))
        store = self._opened(_PART_S, {"max_retries": _TRIES_OF_A_PART - 1, "retry_timeout": timedelta(seconds=_TRIED_S)})
        await self._obstore.put_async(store, key, Path(path), chunk_size=part_bytes, max_concurrency=_PARTS_AT_ONCE)

    async def facts(self, key: str) -> Facts:
        """Return what the store says of an object."""
        try:
            return _facts(await self._obstore.head_async(self._store, key))
        except self._obstore.exceptions.BaseError as error:
            if not problem_of(error).passes:  # an answer to HEAD has no body that says why; one to GET has
                await self._obstore.get_range_async(self._store, key, start=0, end=1)
            raise

    async def children(self, key: str) -> tuple[list[str], list[Facts]]:
        """Return the folders and the objects directly below a folder."""
        found = await self._obstore.list_with_delimiter_async(self._lists, prefix=key or None)
        return list(found["common_prefixes"]), [_facts(meta) for meta in found["objects"]]

    async def tree(self, key: str) -> tuple[list[Facts], bool]:
        """Return objects below a folder, of the first page of the list, and whether these are all."""
        async for some in self._obstore.list(self._lists, prefix=key or None, chunk_size=_PAGE):
            return list(map(_facts, some)), len(some) < _PAGE
        return [], True

    def problem(self, error: BaseException) -> Problem:
        """Return why a request failed."""
        return problem_of(error)


async def _fetched(result: Any) -> Fetched:
    meta = result.meta
    return Fetched(await result.bytes_async(), meta["size"], version_of(meta["e_tag"], meta["last_modified"]))


def _facts(meta: Mapping[str, Any]) -> Facts:
    return Facts(meta["path"], meta["size"], version_of(meta["e_tag"], meta["last_modified"]))


def _is_plain(base: str, config: Mapping[str, Any]) -> bool:
    """Whether a store was asked for without encryption: by its URL, or by that of its endpoint, in the options or the environment."""
    variables = [name for names in _ENDPOINTS.values() for name in names] + [_EMULATOR]
    endpoints = [base, str(config.get("endpoint")), *(os.environ.get(name, "") for name in variables)]
    return any(endpoint.startswith("http://") for endpoint in endpoints)


def _check_endpoints(base: str, config: Mapping[str, Any]) -> None:
    """Raise ConfigError for an endpoint that is no URL, at which obstore panics. It is not shown: it may hold a password."""
    given = {f"storage_options= ({name})": str(value) for name, value in config.items() if "endpoint" in name}
    given |= {name: os.environ[name] for name in _ENDPOINTS.get(base.partition("://")[0], ()) if os.environ.get(name)}
    for name, value in given.items():
        if not value.startswith(("http://", "https://")):
            raise ConfigError(f"the endpoint of {base}, given by {name}, is no URL. What to do: begin it with http:// or https://")


def _config_of(values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a user's options as obstore takes them: of the store, and of the client of HTTP."""
    config = {_OTHER_NAMES.get(name, name): value for name, value in values.items()}
    client = {name: config.pop(name) for name in list(config) if name in _CLIENT_NAMES}
    return config, client
