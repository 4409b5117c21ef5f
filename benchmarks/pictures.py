"""JPEGs in files: how the loader and the bare loop decode them, and what it is worth to decode a large one at a smaller scale.

jpeg        640 files of 500 × 375, about 70 KB each, as (224, 224, 3) uint8
jpeg_large  in one process: 24 files of 2000 × 1500 as (224, 224, 3), against decoding each whole and resizing it then
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.workloads import SEED, Workload
from loader import ByteFiles, Loader, decode

_QUALITY = 90
_LARGE = (1500, 2000)
_LARGE_FILES = 24
_SIZE = 224
_ROUNDS = 5
_MOST_DIFFERENCE = 3.0  # on average, of 255


@dataclass(frozen=True)
class PictureWorkload(Workload):
    """JPEGs of one size, decoded to another.

    Attributes:
        height, width: of the files.
    """

    height: int = 375
    width: int = 500

    def write(self, data: Path, progress: Callable[[str], None]) -> None:
        write_pictures(self.path(data), self.samples, self.height, self.width, progress)

    def loader(self, data: Path, workers: int) -> Loader:
        source = ByteFiles(str(self.path(data)), decode=decode.image(size=self.shape[:2]))  # type: ignore[arg-type]
        return Loader(source, self.batch_size, shuffle=True, seed=SEED, drop_last=True, workers=workers)

    def filler(self, data: Path) -> Any:
        """Return what fills a batch without any loader: read, decode, resize into its row."""
        cv2.setNumThreads(0)
        paths = sorted(os.fsencode(path) for path in self.path(data).iterdir())
        height, width, _ = self.shape

        def read(indices: Any, out: Any) -> None:
            for row, index in enumerate(indices.tolist()):
                fd = os.open(paths[index], os.O_RDONLY)
                content = os.read(fd, 1 << 20)
                os.close(fd)
                picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)
                cv2.resize(picture, (width, height), dst=out[row], interpolation=cv2.INTER_AREA)

        return read


def write_pictures(folder: Path, count: int, height: int, width: int, progress: Callable[[str], None]) -> None:
    """Write JPEGs that compress as photographs do, unless they are there: gradients, with noise of several scales on them."""
    done = folder.with_suffix(".done")
    if done.exists():
        return
    progress(f"writing {folder.name} ...")
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(SEED)
    for number in range(count):
        picture = np.linspace(30, 190, width, dtype=np.float32)[None, :, None] * np.ones((height, 1, 3), np.float32)
        for scale, strength in ((16, 110), (4, 50), (1, 26)):
            noise = rng.random((height // scale + 1, width // scale + 1, 3), np.float32) - 0.5
            picture += strength * cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"{number:04d}.jpg"), picture.clip(0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    done.touch()


def large(data: Path) -> dict[str, Any]:
    """Return how many times as fast the decoder is as decoding whole, and the milliseconds of both; CPU time, by turns, medians."""
    folder = data / "jpeg_large"
    write_pictures(folder, _LARGE_FILES, *_LARGE, progress=lambda text: None)
    files = [path.read_bytes() for path in sorted(folder.iterdir())]
    decoder = decode.image(size=_SIZE)
    decoder.open()
    spec = decoder.known_spec()
    assert spec is not None
    out = np.empty((2, _SIZE, _SIZE, 3), np.uint8)

    def ours(content: bytes) -> None:
        decoder.decode_into(memoryview(content), [out[0]], spec)

    def whole(content: bytes) -> None:
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)
        cv2.resize(picture, (_SIZE, _SIZE), dst=out[1], interpolation=cv2.INTER_AREA)

    difference = 0.0
    for content in files:
        ours(content)
        whole(content)
        difference = max(difference, float(np.abs(out[0].astype(int) - out[1]).mean()))
    assert difference < _MOST_DIFFERENCE, difference
    rounds = [(_ms(ours, files), _ms(whole, files)) for _ in range(_ROUNDS)]
    mine, theirs = (statistics.median(values) for values in zip(*rounds, strict=True))
    return {"ratio": statistics.median(other / one for one, other in rounds), "ms": mine, "whole_ms": theirs, "difference": difference}


def _ms(function: Callable[[bytes], None], files: list[bytes]) -> float:
    started = time.process_time()
    for content in files:
        function(content)
    return (time.process_time() - started) / len(files) * 1e3


PICTURES = {workload.name: workload for workload in (PictureWorkload("jpeg", 640, (_SIZE, _SIZE, 3), "uint8", one_file=False, target=0.92),)}
