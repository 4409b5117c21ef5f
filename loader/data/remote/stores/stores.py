"""The stores of one process, each made when it is first needed."""

from __future__ import annotations

from loader.data.remote.objects import Store
from loader.data.remote.options import StorageOptions
from loader.data.remote.stores.fsspec_store import FsspecStore
from loader.data.remote.stores.obstore_store import ObstoreStore
from loader.data.remote.urls import OBJECT_STORES, Place, split


class Stores:
    """Finds the store of a URL.

    Args:
        options: for all of them.
        patience_s: longest time that one request may take.
    """

    def __init__(self, options: StorageOptions, patience_s: float) -> None:
        self._options = options
        self._patience_s = patience_s
        self._known: dict[str, Store] = {}

    def find(self, url: str) -> tuple[Store, Place]:
        """Return the store of a URL, and the place there. Raises ConfigError."""
        place = split(url)
        store = self._known.get(place.base)
        if store is None:
            if place.base.partition("://")[0] in OBJECT_STORES.values():
                store = ObstoreStore(place.base, self._options, self._patience_s)
            else:
                store = FsspecStore(url, self._options)
            self._known[place.base] = store
        return store, place
