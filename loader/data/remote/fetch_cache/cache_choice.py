"""Where a source keeps what it fetches: `cache=` and `cache_bytes=` of the sources that read URLs."""

from __future__ import annotations

import os
from dataclasses import dataclass

from loader.config import parse_bytes
from loader.data.remote.fetch_cache.cache_folder import prepare_folder
from loader.data.remote.fetch_cache.fetch_cache import FetchCache
from loader.data.remote.options import StorageOptions
from loader.errors import ConfigError

# What says which store a URL means, beside the URL: as an option, and in the environment.
_PLACES = (
    (("endpoint", "endpoint_url", "aws_endpoint", "aws_endpoint_url"), ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")),
    (("account_name", "azure_storage_account_name"), ("AZURE_STORAGE_ACCOUNT_NAME",)),
)


@dataclass(frozen=True)
class CacheChoice:
    """A folder and its limit.

    Attributes:
        folder: absolute.
        max_bytes: that it may hold; None: as much as the disk has.
    """

    folder: str
    max_bytes: int | None

    @classmethod
    def of(cls, cache: str | os.PathLike[str] | None, cache_bytes: int | str | None, *, far: bool) -> CacheChoice | None:
        """Check what a user gave, and make the folder; None if there is to be no cache.

        Args:
            cache: folder; None for none.
            cache_bytes: its limit, such as "200GiB".
            far: whether the source reads URLs.

        Raises:
            ConfigError: the folder can't be used, or the two do not go together.
        """
        if cache is None:
            if cache_bytes is not None:
                raise ConfigError("cache_bytes= is the size of a cache; give cache=, its folder, too")
            return None
        if not isinstance(cache, (str, os.PathLike)) or not os.fspath(cache):
            raise ConfigError(f"cache= must be a folder, not {cache!r}")
        if not far:
            raise ConfigError(
                "cache= keeps what is fetched from URLs, and these files are on this machine. source.cache(folder) keeps decoded samples"
            )
        max_bytes = None if cache_bytes is None else parse_bytes(cache_bytes)
        if cache_bytes is not None and max_bytes is None:
            raise ConfigError(f'cache_bytes must be a number of bytes or a size such as "200GiB", not {cache_bytes!r}')
        folder = os.path.abspath(os.path.expanduser(os.fspath(cache)))
        prepare_folder(folder)
        return cls(folder, max_bytes)

    def open(self, options: StorageOptions) -> FetchCache:
        """Return the cache for this process; `options` are those of the store."""
        if not os.path.isdir(self.folder):  # deleted since the source was made
            prepare_folder(self.folder)
        return FetchCache(self.folder, self.max_bytes, _place(options))


def _place(options: StorageOptions) -> str:
    values = options.values()
    found = []
    for names, variables in _PLACES:
        given = [str(values[name]) for name in names if name in values] + [os.environ[name] for name in variables if name in os.environ]
        found.append(given[0].rstrip("/") if given else "")
    return "\n".join(found)
