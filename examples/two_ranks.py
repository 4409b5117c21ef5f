"""Two processes train one model on halves of the same batches, which one pool of workers makes for both: `shard="local"`.

The script starts itself once for each rank, with the variables that a launcher such as torchrun sets, unless a launcher has started it. The process
with local rank 0 makes the pool, and the others attach to it. So the data are indexed once, decoded by one set of workers, and lie in one piece of
shared memory. The model is a softmax regression in NumPy; after each step the ranks exchange their gradients, as data-parallel training does.
No framework is needed, and it takes 3 s on two cores.

    python examples/two_ranks.py
    torchrun --nproc-per-node 2 examples/two_ranks.py
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from multiprocessing.connection import Client, Connection, Listener

import numpy as np

from loader import Loader, NpyArrays
from loader import transforms as T

BATCH_SIZE = 32  # on each rank
CLASSES = 4
RATE = 0.5
SEED = 7


def make_points(count: int) -> NpyArrays:
    """Return samples `(x, y)`: a point around the centre of its class, float32 of shape (16,), and the number of that class."""
    rng = np.random.default_rng(SEED)
    y = rng.integers(CLASSES, size=count).astype(np.int32)
    x = rng.normal(0, 1, (CLASSES, 16))[y] + rng.normal(0, 0.8, (count, 16))
    return NpyArrays(x.astype(np.float32), y=y)


class Ranks:
    """The other ranks, to agree with on a mean. Stands for what a framework has for it, such as `torch.distributed.all_reduce`."""

    def __init__(self, rank: int, world: int) -> None:
        address = os.path.join(tempfile.gettempdir(), f"two-ranks-{os.getppid()}.sock")  # the launcher is the parent of all
        if rank == 0:
            with Listener(address, "AF_UNIX") as listener:
                self._others = [listener.accept() for _ in range(world - 1)]
        else:
            self._others = [_connected(address)]
        self._rank = rank

    def mean(self, value: np.ndarray) -> np.ndarray:
        """Return the mean of what all ranks call this with."""
        if self._rank:
            self._others[0].send(value)
            return self._others[0].recv()
        mean = np.mean([value, *(other.recv() for other in self._others)], axis=0)
        for other in self._others:
            other.send(mean)
        return mean


def _connected(address: str) -> Connection:
    while True:
        try:
            return Client(address, "AF_UNIX")
        except OSError:  # rank 0 is not there yet
            time.sleep(0.02)


def train(samples: int, epochs: int) -> None:
    """Train as one rank of several."""
    local_rank, world = int(os.environ["LOCAL_RANK"]), int(os.environ["LOCAL_WORLD_SIZE"])
    ranks = Ranks(local_rank, world)
    weights = np.zeros((16, CLASSES), np.float32)
    one_hot = [T.OneHot(CLASSES)]
    with Loader(make_points(samples), BATCH_SIZE, shuffle=True, seed=SEED, transforms=one_hot, shard="local", name="two-ranks", workers=2) as data:
        print(f"rank {local_rank}: {len(data)} batches of {data.batch_size}, from the pool of process {data.pid}", flush=True)
        for epoch in range(epochs):
            right = rows = 0
            for x, y in data:
                scores = np.exp(x @ weights)
                gradient = x.T @ (scores / scores.sum(axis=1, keepdims=True) - y) / len(x)
                weights -= RATE * ranks.mean(gradient)
                right, rows = right + int((scores.argmax(axis=1) == y.argmax(axis=1)).sum()), rows + len(x)
            accuracy = float(ranks.mean(np.array(right / rows)))
            if local_rank == 0:
                print(f"epoch {epoch + 1}: accuracy: {accuracy:.4f}, each of {world} ranks saw {rows} of {samples} samples", flush=True)
        ranks.mean(np.zeros(1))  # rank 0, whose pool it is, ends last


def start_ranks(world: int) -> None:
    """Start this script once for each rank, as a launcher does, and wait for all of them."""
    said = [{"LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(world), "MASTER_PORT": str(os.getpid())} for rank in range(world)]
    processes = [subprocess.Popen([sys.executable, *sys.argv], env={**os.environ, **variables}) for variables in said]
    ended = [process.wait() for process in processes]
    if any(ended):
        sys.exit(f"the ranks ended with {ended}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Train one model with two processes that share one pool.")
    parser.add_argument("--samples", type=int, default=8192, help="points to make (default: 8192)")
    parser.add_argument("--epochs", type=int, default=3, help="passes over them (default: 3)")
    parser.add_argument("--world", type=int, default=2, help="ranks to start, where no launcher has done that (default: 2)")
    options = parser.parse_args()
    if "LOCAL_RANK" in os.environ:
        train(options.samples, options.epochs)
    else:
        start_ranks(options.world)


if __name__ == "__main__":
    main()
