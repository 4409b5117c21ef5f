"""The pool of either, its readers, and what they read: small `.npy` files in their order, as float32 × 1/255.

`python -m benchmarks.peers.sharing.pool '{"who": …, "role": "produce" | "read", …}'` is one process of it, until it is killed.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.workloads import SCALE, WORKLOADS
from loader import Loader, NpyFiles
from loader import transforms as T

WORK = WORKLOADS["img64"]
WORKERS = 2
COMPARED = 20

Batches = Iterator[tuple[Any, Any]]


class Ours:
    """This loader, kept by a process that reads nothing, as by `loader serve`. Readers copy each batch into a tensor, as Keras does on PyTorch."""

    def produce(self, data: Path, name: str, ports: list[int], setting: dict[str, Any]) -> None:
        from loader.train.remote.remote import Remote

        source = NpyFiles(str(WORK.path(data)), labels=np.arange(WORK.samples))
        with Loader(source, WORK.batch_size, transforms=[T.Rescale(SCALE)], workers=WORKERS, name=name, shared=True, drop_last=True) as loader:
            assert isinstance(loader._producer, Remote)
            loader._producer.keep_for_others()
            while True:
                loader._producer.watch()

    def batches(self, name: str, ports: list[int], setting: dict[str, Any]) -> Batches:
        import torch

        with Loader.attach(name, epoch=0, timeout_s=60) as loader:
            while True:
                for x, y in loader:
                    yield torch.tensor(x), torch.tensor(y)


class TensorSocket:
    """A producer around PyTorch's DataLoader, and consumers, as in its README. `setting`: of the producer, and `own`, see `pack_one`."""

    def produce(self, data: Path, name: str, ports: list[int], setting: dict[str, Any]) -> None:
        from tensorsocket import TensorProducer
        from torch.utils.data import DataLoader

        more = {"pack_fn": pack_one} if setting["own"] else {}
        loader = DataLoader(Files(data), WORK.batch_size, num_workers=WORKERS, persistent_workers=True, drop_last=True)
        producer = TensorProducer(loader, *ports[:2], heart_ports=tuple(ports[2:]), producer_batch_size=setting["producer_batch_size"], **more)
        while True:
            for _ in producer:
                pass

    def batches(self, name: str, ports: list[int], setting: dict[str, Any]) -> Batches:
        from tensorsocket import TensorConsumer

        consumer = TensorConsumer(*ports[:2], heart_ports=tuple(ports[2:]), batch_size=WORK.batch_size)
        while True:
            yield from consumer


class Files:
    """What DataLoader calls a map-style Dataset."""

    def __init__(self, data: Path) -> None:
        self._paths = sorted(map(str, WORK.path(data).iterdir()))

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        import torch

        return torch.from_numpy(np.load(self._paths[index])).to(torch.float32) * SCALE, index


def pack_one(data: tuple[Any, ...]) -> Any:
    """Prepare the tensors of a batch for sending, each in memory of its own.

    Without a GPU, TensorSocket 0.0.5 pickles the memory behind a tensor. A batch is a slice of `producer_batch_size` batches, which are all sent.
    """
    from tensorsocket.producer import pack

    return pack(tuple(tensor.clone() for tensor in data))


WHO: dict[str, Any] = {"loader": Ours(), "tensorsocket": TensorSocket()}


def read(batches: Batches, report: Path, step_s: float) -> None:
    """Take batches for ever; the file `report` has their number, and at first the fingerprints of those that are compared."""
    import hashlib

    fd = os.open(report, os.O_WRONLY | os.O_CREAT, 0o600)
    prints = []
    for number, (x, y) in enumerate(batches, 1):
        if number <= COMPARED:
            prints.append(hashlib.blake2b(x.numpy().tobytes() + y.numpy().tobytes(), digest_size=4).hexdigest())
        os.pwrite(fd, f"{number:12d} {' '.join(prints)}".encode() if number <= COMPARED else f"{number:12d}".encode(), 0)
        del x, y
        time.sleep(step_s)


def main() -> None:
    """Be what was asked for."""
    asked = json.loads(sys.argv[1])
    who, place = WHO[asked["who"]], (asked["name"], asked["ports"], asked["setting"])
    if asked["role"] == "produce":
        who.produce(Path(asked["data"]), *place)
    else:
        read(who.batches(*place), Path(asked["report"]), asked["step_s"])


if __name__ == "__main__":
    main()
