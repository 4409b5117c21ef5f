"""Other forms of data than `.npy`: records without a header, windows over a series, sound. Each function runs in a process of its own.

Question: what does the form cost? `raw` and `windows` are compared with `NpyArrays` over a file of the same rows, `sound` with a bare loop of
soundfile and soxr in as many processes, each of which puts what it decodes into memory of its own.

    raw       600,000 records of (28, 28) uint8, batches of 1,024
    windows   400,000 windows of 64 steps over a series of 4 float32, 1 KB each, batches of 1,024
    sound     1,000 WAV files of 1 s at 44.1 kHz, 16 bit, to 16 kHz, batches of 32
"""

from __future__ import annotations

import os
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.workloads import SEED, WORKLOADS
from loader import ByteFiles, Loader, NpyArrays, RawArray, Source, Windows, decode

_CHECKED_BATCHES = 4
_WARM_S = 1.0
_STEPS, _FEATURES, _WINDOWS = 64, 4, 400_000
_SOUNDS, _RATE, _WANTED_RATE = 1_000, 44_100, 16_000


def write(form: str, data: Path, progress: Callable[[str], None]) -> None:
    """Write the files of a form, and those that it is compared with, unless they are there."""
    done = data / f"{form}.done"
    if done.exists():
        return
    data.mkdir(parents=True, exist_ok=True)
    progress(f"writing {form} ...")
    _WRITERS[form](data, progress)
    done.touch()


def measure(form: str, data: Path, workers: int, seconds: float) -> dict[str, Any]:
    """Return `samples_per_s` of a loader of this form, and a checksum of its first batches. `npy_` in front: of what it is compared with."""
    batch = 32 if form == "sound" else 1024
    checksum = 0
    with Loader(_SOURCES[form](data), batch, shuffle=True, seed=SEED, drop_last=True, workers=workers) as loader:
        batches = loader.batches()
        for _ in range(_CHECKED_BATCHES):
            checksum = zlib.crc32(next(batches)[0], checksum)
        _take(batches, _WARM_S)
        return {"samples_per_s": _take(batches, seconds) * batch, "checksum": checksum}


def bare_sound(data: Path, processes: int, seconds: float) -> dict[str, Any]:
    """Return `samples_per_s` of all processes together, and a checksum of the first batches in the order of the loader."""
    pipes = [_start(data, number, processes, seconds) for number in range(processes)]
    rates = [struct.unpack("<d", os.read(pipe, 8))[0] for pipe in pipes]
    for _ in pipes:
        os.wait()
    from loader.data.order import Order

    paths, checksum, out = _sounds(data), 0, np.empty((32, _WANTED_RATE), np.float32)
    for batch in Order(_SOUNDS, SEED, shuffle=True).indices(0, np.arange(32 * _CHECKED_BATCHES)).reshape(-1, 32):
        for row, index in zip(out, batch.tolist(), strict=True):
            _decode(paths[index], row)
        checksum = zlib.crc32(out, checksum)
    return {"samples_per_s": sum(rates), "checksum": checksum}


def _start(data: Path, number: int, processes: int, seconds: float) -> int:
    read, written = os.pipe()
    if os.fork() == 0:
        try:
            os.write(written, struct.pack("<d", _run(_sounds(data)[number::processes], seconds)))
        finally:
            os._exit(0)
    os.close(written)
    return read


def _run(paths: list[str], seconds: float) -> float:
    slots = np.zeros((96, _WANTED_RATE), np.float32)  # three batches, written to before they are timed
    order = np.random.default_rng(SEED).permutation(len(paths)).tolist()
    for turn in range(96):
        _decode(paths[order[turn % len(order)]], slots[turn])
    count, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        _decode(paths[order[count % len(order)]], slots[count % 96])
        count += 1
    return count / elapsed


def _decode(path: str, out: Any) -> None:
    import soundfile
    import soxr

    samples, rate = soundfile.read(path, dtype="float32")
    out[...] = soxr.resample(samples, rate, _WANTED_RATE)


def _take(batches: Any, seconds: float) -> float:
    count, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        next(batches)
        count += 1
    return count / elapsed


def _sounds(data: Path) -> list[str]:
    return sorted(map(str, (data / "sound").glob("*.wav")))


def _write_raw(data: Path, progress: Callable[[str], None]) -> None:
    WORKLOADS["mnist"].write(data, progress)
    np.load(data / "mnist.npy", mmap_mode="r").tofile(data / "mnist.bin")


def _write_windows(data: Path, progress: Callable[[str], None]) -> None:
    series = np.random.default_rng(SEED).random((_WINDOWS + _STEPS - 1, _FEATURES), np.float32)
    np.save(data / "series.npy", series)
    windows = np.lib.stride_tricks.sliding_window_view(series, _STEPS, axis=0).transpose(0, 2, 1)
    written = np.lib.format.open_memmap(data / "windows.npy", "w+", np.float32, windows.shape)
    for start in range(0, _WINDOWS, 10_000):
        written[start : start + 10_000] = windows[start : start + 10_000]
    written.flush()


def _write_sound(data: Path, progress: Callable[[str], None]) -> None:
    import soundfile

    (data / "sound").mkdir(exist_ok=True)
    rng = np.random.default_rng(SEED)
    for number in range(_SOUNDS):
        soundfile.write(data / "sound" / f"{number:04d}.wav", rng.uniform(-0.5, 0.5, _RATE).astype(np.float32), _RATE, subtype="PCM_16")


_WRITERS: dict[str, Callable[[Path, Callable[[str], None]], None]] = {"raw": _write_raw, "windows": _write_windows, "sound": _write_sound}

_SOURCES: dict[str, Callable[[Path], Source]] = {
    "raw": lambda data: RawArray(data / "mnist.bin", "uint8", (28, 28)),
    "npy_raw": lambda data: NpyArrays(data / "mnist.npy"),
    "windows": lambda data: Windows(data / "series.npy", _STEPS),
    "npy_windows": lambda data: NpyArrays(data / "windows.npy"),
    "sound": lambda data: ByteFiles(str(data / "sound"), decode=decode.audio(_WANTED_RATE, 1.0)),
}
