"""Whether a node makes the samples that this machine makes: the versions of what decides about them, the files, and the bytes of the first sample."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from loader.data.pipeline.pipeline import Pipeline
from loader.data.remote.urls import is_url
from loader.data.rows import BadSample, Indices
from loader.data.sources.arrays.stored_array import StoredArray
from loader.data.sources.files.path_index import PathIndex
from loader.data.sources.lines.line_index import LineIndex
from loader.data.sources.source import with_members
from loader.errors import in_words

_NAMES = {
    "numpy": "NumPy",
    "loader": "npy-loader",
    "cv2": "OpenCV",
    "PIL": "Pillow",
    "soundfile": "soundfile",
    "soxr": "soxr",
    "scipy": "SciPy",
    "h5py": "h5py",
    "zarr": "zarr",
    "tokenizers": "tokenizers",
    "datasets": "datasets",
    "grain": "grain",
    "albumentations": "albumentations",
    "audiomentations": "audiomentations",
    "torch": "PyTorch",
    "torchvision": "torchvision",
    "polars": "polars",
}
"""Modules whose version may change what a sample is, by the names that people know."""

_FILES = 64
_DEPTH = 4
_NOT_THERE = "not there"


def deciding_modules() -> list[str]:
    """Return those of the modules whose versions matter that this process has imported. Runs in: the gateway, before it imports Ray."""
    return [name for name in _NAMES if name in sys.modules]


@dataclass(frozen=True)
class Facts:
    """What is compared.

    Attributes:
        versions: by the name of a library.
        files: sizes of some of the source's files, or what is wrong with one, by path.
        first: a digest of the first sample, or why it can't be made.
    """

    versions: Mapping[str, str]
    files: Mapping[str, str]
    first: str

    @classmethod
    def here(cls, pipeline: Pipeline, modules: Sequence[str]) -> Facts:
        """Find out what is so on this machine. Makes the first sample."""
        python = ".".join(map(str, sys.version_info[:2]))
        return cls({"Python": python} | {_NAMES[name]: _version(name) for name in modules}, _files(pipeline), _first(pipeline))

    def differences(self, there: Facts) -> list[str]:
        """Return in words what is otherwise on another machine, versions first: they explain what follows."""
        versions = [f"{name} {there.versions.get(name, _NOT_THERE)}, this machine {own}" for name, own in self.versions.items()]
        found = [words for words, name in zip(versions, self.versions, strict=True) if self.versions[name] != there.versions.get(name)]
        changed = [path for path, own in self.files.items() if there.files.get(path) != own]
        if changed:
            more = f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
            found.append(f"other data: {changed[0]} has {there.files.get(changed[0], _NOT_THERE)}, this machine {self.files[changed[0]]}{more}")
        if not found and there.first != self.first:
            if not there.first.startswith("#"):
                return [f"a first sample that can't be made: {there.first}"]
            found.append(
                "another first sample: its bytes differ, although libraries and files do not; likely cause: other data, or code that draws "
                "from a generator of its own"
            )
        return found


def _version(name: str) -> str:
    try:
        return str(getattr(importlib.import_module(name), "__version__", "of unknown version"))
    except Exception as error:
        return f"not to be imported ({in_words(error)})"


def _files(pipeline: Pipeline) -> dict[str, str]:
    """Return the sizes of at most `_FILES` files of the source, spread over all of them."""
    paths: list[str | bytes] = []
    for member in with_members(pipeline.source):
        _add_paths(member, paths, _DEPTH)
    found: dict[str, str] = {}
    for place in _spread(len(paths)).tolist():
        path = os.fsdecode(paths[place])
        try:
            found[path] = f"{os.stat(path).st_size:,} bytes"
        except OSError as error:
            found[path] = str(error.strerror)
    return found


def _add_paths(value: object, paths: list[str | bytes], depth: int) -> None:
    """Add the paths of files of this machine that a part of a source reads, as far as they are where this package keeps them."""
    if isinstance(value, StoredArray):
        paths.extend([] if is_url(value.path) else [value.path])
    elif isinstance(value, PathIndex):
        paths.extend([] if value.far else value.raw_paths(_spread(len(value))))
    elif isinstance(value, LineIndex):
        paths.extend(path for path in value.paths if not is_url(path))
    elif depth and isinstance(value, dict | list | tuple):
        for item in [*(value.values() if isinstance(value, dict) else value)][:_FILES]:
            _add_paths(item, paths, depth - 1)
    elif depth and type(value).__module__.startswith("loader."):
        for item in getattr(value, "__dict__", {}).values():
            _add_paths(item, paths, depth - 1)


def _spread(count: int) -> Indices:
    """Return at most `_FILES` of so many numbers, from the first to the last."""
    return np.unique(np.linspace(0, max(0, count - 1), min(count, _FILES)).round().astype(np.int64))


def _first(pipeline: Pipeline) -> str:
    out = [np.zeros((1, *leaf.shape), leaf.dtype) for leaf in pipeline.spec.leaves]
    try:
        pipeline.fill(np.array([pipeline.source._example], np.int64), 0, out, np.zeros(1, np.int64).data)
    except BadSample as bad:
        return str(pipeline.error(bad))
    digest = blake2b(digest_size=16)
    for array in out:
        digest.update(array.reshape(-1).view(np.uint8).data)
    return f"#{digest.hexdigest()}"
