"""What takes a pass over all samples of a source: their statistics, their shapes, and packing them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from loader.data.rows import Indices
from loader.data.spec import Sample

if TYPE_CHECKING:
    from loader.data.statistics.statistics import Statistics


class WholePass:
    """The methods of a source that run a loader's pool over it. They run in the user's process."""

    def shapes(
        self, *, workers: int | Literal["auto"] = "auto", progress: bool = True, on_error: Literal["raise", "unknown"] = "raise"
    ) -> dict[str, Indices]:
        """Return the shapes of all samples, for samples that differ in size. Blocks until they are known.

        Headers tell them for `.npy`, `.npz`, picture and sound files; other samples are read once. What headers told is remembered for the next run,
        in `$XDG_CACHE_HOME/loader`; a file whose size or time of change is another one by then is looked at again.

        Args:
            workers: processes, for what would take this one more than some seconds; 0 does it all in this process.
            progress: draw a progress bar, if standard error is a terminal.
            on_error: "unknown": all lengths of a sample that can't be read are -1.

        Returns:
            By the name of each array of a sample, such as `"x"`: int64 of shape `(samples, axes)`.

        Raises:
            SampleError: samples can't be read, or have another number of axes than the first; names all of them.
            ConfigError: there are no samples.
        """
        from loader.data.sources.source import Source  # here, as it derives from this class
        from loader.train.shapes import scan  # a call from here to the trainer: the pool is his

        assert isinstance(self, Source)
        return scan(self, workers=workers, progress=progress, on_error=on_error)

    def statistics(
        self,
        transforms: Sequence[Callable[[Sample, np.random.Generator], Sample]] = (),
        *,
        seed: int = 0,
        workers: int | Literal["auto"] = "auto",
        progress: bool = True,
    ) -> Statistics:
        """Read all samples once, with the worker pool of a loader, and return what their values are like. Blocks until that is done.

        Mean, deviation, extremes, NaN and infinite values of each array of a sample; shapes; how often each label occurs. Arrays of three or more
        dimensions have figures for each index of their last axis, the channels. The result is the same, bit for bit, for any number of workers.

        Args:
            transforms: that the samples go through before, as in a Loader; samples may differ in size, with transforms and without.
            seed: of the transforms, which draw as in the first epoch.
            workers: processes; 0 does it all in this process.
            progress: draw a progress bar, if standard error is a terminal.

        Raises:
            SampleError: a sample can't be made, or has another dtype, number of dimensions or number of channels than the first.
            ConfigError: there are no samples, or their values are complex.
        """
        from loader.data.sources.source import Source
        from loader.train.statistics import measure

        assert isinstance(self, Source)
        return measure(self, transforms, seed=seed, workers=workers, progress=progress)

    def pack(
        self,
        target: str | os.PathLike[str],
        *,
        workers: int | Literal["auto"] = "auto",
        progress: bool = True,
        storage_options: Mapping[str, Any] | None = None,
        scratch: str | os.PathLike[str] | None = None,
    ) -> None:
        """Write all samples to a few large `.npy` files in a new folder: `NpyArrays.from_pack(target)` reads it. Blocks until that is done.

        Every sample is read back from the disk and compared. The folder appears when it is whole; until then it is called `TARGET.partial`, and a
        call that was interrupted is continued by the next one, unless the source has changed.

        Args:
            target: a folder that is not there yet, or its URL.
            workers: processes; 0 does it all in this process.
            progress: draw a progress bar, if standard error is a terminal.
            storage_options: if `target` is a URL: endpoint, region, credentials, ... of the store, beside what the environment says.
            scratch: if `target` is a URL: a folder where the files are made before they are sent, and from which an interrupted call goes on. None:
                `$XDG_CACHE_HOME/loader/packs`.

        Raises:
            ConfigError: the folder is there, or the disk has too little room.
            FetchError: a file can't be sent.
            SampleError: a sample can't be made, or has another shape or dtype than the first.
        """
        from loader.data.sources.source import Source
        from loader.train.packing.pack import pack

        assert isinstance(self, Source)
        pack(self, target, workers=workers, progress=progress, storage_options=storage_options, scratch=scratch)
