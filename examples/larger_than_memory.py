"""Read a file as if it were larger than memory: from the disk in every epoch, shuffled, with each sample once.

Recordings of one second, 22,050 numbers each, lie in one `.npy` file. Before each epoch the file is put out of the page cache, as happens by itself
where it does not fit. Three orders are compared: that of the file, mixed within windows, which are read in long pieces, and shuffled as a whole.
What the loader holds in memory does not grow with the file. Takes 5 s on two cores.

    python examples/larger_than_memory.py --samples 2000
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np

from loader import Loader, NpyArrays

LENGTH = 22_050
SEED = 7


def write_recordings(folder: Path, samples: int) -> Path:
    """Write `x.npy`, float32 of shape (samples, 22050), and the numbers of the samples as `y.npy`."""
    rng = np.random.default_rng(SEED)
    recordings = np.lib.format.open_memmap(folder / "x.npy", mode="w+", dtype=np.float32, shape=(samples, LENGTH))
    for first in range(0, samples, 500):
        recordings[first : first + 500] = rng.standard_normal((min(500, samples - first), LENGTH), np.float32)
    recordings.flush()
    np.save(folder / "y.npy", np.arange(samples, dtype=np.int32))
    print(f"wrote {samples:,} recordings, {recordings.nbytes / 1e6:.0f} MB", flush=True)
    return folder / "x.npy"


def put_out_of_memory(path: Path) -> None:
    """Put a file out of the page cache. That works where nobody has mapped it, so a loader that reads it must be closed before."""
    if hasattr(os, "posix_fadvise"):
        file = os.open(path, os.O_RDONLY)
        os.fsync(file)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(file)


def read(folder: Path, shuffle: bool | int) -> None:
    """Read one epoch, and print how fast it came and what it held."""
    put_out_of_memory(folder / "x.npy")
    with Loader(NpyArrays(folder / "x.npy", folder / "y.npy"), 32, shuffle=shuffle, seed=SEED) as loader:
        seen: list[np.ndarray] = []
        started = time.perf_counter()
        for _, numbers in loader:
            seen.append(numbers.copy())
        seconds = time.perf_counter() - started
        held = loader.stats().memory
    numbers = np.concatenate(seen)
    neighbours = np.mean(np.abs(np.diff(numbers)) == 1)
    print(
        f"shuffle={shuffle!s:<6} {len(numbers) / seconds:>8,.0f} recordings/s, {len(np.unique(numbers)):,} different ones of {len(numbers):,}, "
        f"{neighbours:.0%} next to a neighbour; memory {(held.arena_bytes + held.private_bytes) / 1e6:.0f} MB",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Read a file as if it were larger than memory.")
    parser.add_argument("--samples", type=int, default=2_000, help="recordings to write, 88 KB each (default: 2000)")
    parser.add_argument("--window", type=int, default=400, help="recordings in a window (default: 400)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="recordings-") as temporary:
        folder = Path(temporary)
        write_recordings(folder, options.samples)
        for shuffle in (False, options.window, True):
            read(folder, shuffle)


if __name__ == "__main__":
    main()
