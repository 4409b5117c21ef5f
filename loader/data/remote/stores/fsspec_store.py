"""The door to fsspec: all that obstore does not read, such as sftp://, hf:// or hdfs://."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

from loader.data.remote.objects import UNKNOWN_SIZE, UNKNOWN_VERSION, Facts, Fetched, Problem, version_of
from loader.data.remote.options import StorageOptions
from loader.data.remote.stores.refusals import refusal
from loader.errors import ConfigError

_AT_ONCE = 32  # requests, each in a thread that waits for it: one of `concurrent.futures` would be waited for at the end of the process

_TAGS = ("ETag", "etag", "generation", "version_id", "sha256", "commit_hash")
_TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified", "created")
_LASTING = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, NotImplementedError, ValueError, TypeError, ImportError)

Result = TypeVar("Result")


def check_fsspec(url: str) -> None:
    """Raise ConfigError unless fsspec, and what it needs for a URL, can be imported."""
    scheme = url.partition("://")[0]
    try:
        import fsspec

        for each in scheme.split("::"):
            fsspec.get_filesystem_class(each)
    except ImportError as error:
        raise ConfigError(f"{scheme}:// needs fsspec: pip install 'npy-loader[remote]', and what fsspec needs for it ({error})") from None
    except ValueError as error:
        raise ConfigError(f"{url}: {error}. Known are s3, gs, az, http, https, and what fsspec knows") from None


class FsspecStore:
    """A file system of fsspec (`loader.data.remote.objects.Store`). Keys are whole URLs.

    Args:
        url: any one of it.
        options: for it.

    Raises:
        ConfigError: fsspec, or what it needs, is missing, or an option is not known.
    """

    def __init__(self, url: str, options: StorageOptions) -> None:
        check_fsspec(url)
        import fsspec

        try:
            self._system, _ = fsspec.core.url_to_fs(url, **options.values(), skip_instance_cache=True)
        except Exception as error:
            raise ConfigError(f"{url} can't be opened by fsspec: {type(error).__name__}. What to do: check storage_options=") from None
        self._scheme = url.partition("://")[0]
        self._tail = "::" + url.partition("::")[2] if "::" in url else ""
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def fetch(self, key: str, start: int, end: int | None) -> Fetched:
        """Return a range of an object."""
        content = await self._run(lambda: self._system.cat_file(self._path(key), start=start or None, end=end))
        ends_here = end is not None and len(content) < end - start  # or the answer is short
        return Fetched(content, (await self.facts(key)).size if ends_here else UNKNOWN_SIZE, UNKNOWN_VERSION)

    async def put(self, key: str, path: str) -> None:
        """Write a file; folders above it are made, where there are folders."""
        target = self._path(key)
        await self._run(lambda: self._system.makedirs(target.rpartition("/")[0], exist_ok=True))
        await self._run(lambda: self._system.put_file(path, target))

    async def facts(self, key: str) -> Facts:
        """Return what the file system says of an object."""
        info = await self._run(lambda: self._system.info(self._path(key)))
        if info.get("type") == "directory":
            raise FileNotFoundError(key)
        return self._facts(info)

    async def children(self, key: str) -> tuple[list[str], list[Facts]]:
        """Return the folders and the objects directly below a folder."""
        found = await self._run(lambda: self._system.ls(self._path(key), detail=True))
        folders = [self._url(str(info["name"])) for info in found if info.get("type") == "directory"]
        return folders, [self._facts(info) for info in found if info.get("type") != "directory"]

    async def tree(self, key: str) -> tuple[list[Facts], bool]:
        """Return all objects below a folder, and that these are all."""
        found = await self._run(lambda: self._system.find(self._path(key), detail=True))
        return [self._facts(info) for info in found.values()], True

    def problem(self, error: BaseException) -> Problem:
        """Return why a request failed. Messages of libraries may hold credentials, so they are not passed on."""
        if isinstance(error, FileNotFoundError):
            return refusal(404)
        if isinstance(error, PermissionError):
            return refusal(403)
        status = getattr(error, "status", getattr(error, "code", None))
        if isinstance(status, int) and 400 <= status < 600:
            return refusal(status)
        return Problem(f"fsspec raised {type(error).__name__}", passes=not isinstance(error, _LASTING))

    async def _run(self, call: Callable[[], Result]) -> Result:
        """Return what a call returns that blocks, from a thread of its own. One that hangs holds up neither others nor the end of the process."""
        async with self._turns:
            answer: Future[Result] = Future()
            answer.set_running_or_notify_cancel()  # whoever gives up waiting does not end the call
            threading.Thread(target=_answer, args=(call, answer), name="loader-fsspec", daemon=True).start()
            return await asyncio.wrap_future(answer)

    def _path(self, key: str) -> str:
        return next(link for link in key.split("::") if "://" in link)

    def _url(self, path: str) -> str:
        """Return a path of the file system as a URL, as users write it."""
        return path if "://" in path else str(self._system.unstrip_protocol(path)) + self._tail

    def _facts(self, info: Mapping[str, Any]) -> Facts:
        tag = next((str(info[name]) for name in _TAGS if info.get(name)), None)
        changed = next((info[name] for name in _TIMES if info.get(name)), None)
        size = info.get("size")
        return Facts(self._url(str(info["name"])), UNKNOWN_SIZE if size is None else int(size), version_of(tag, changed))


def _answer(call: Callable[[], Result], answer: Future[Result]) -> None:
    try:
        answer.set_result(call())
    except BaseException as error:
        answer.set_exception(error)
