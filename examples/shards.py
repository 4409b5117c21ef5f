"""Two processes of a data-parallel job share one epoch: `shard=(rank, world)`, and together they see each sample once.

The script starts itself once for each rank, as a launcher such as torchrun would. All ranks have the same source and the same seed, so they
agree on the order without communicating; `batch_size` is per rank. The script shows side by side what each rank saw. No framework is needed, and
it takes 3 s on two cores.

    python examples/shards.py --world 2
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from loader import Loader, NpyFiles

EPOCHS = 2
BATCH_SIZE = 8
SEED = 7


def write_samples(folder: str, count: int) -> None:
    """Write `<folder>/<number>.npy`, an array that is full of its number."""
    for number in range(count):
        np.save(Path(folder) / f"{number:04d}.npy", np.full((16, 16), number, np.int32))


def run_rank(folder: str, rank: int, world: int) -> None:
    """Go through all epochs as one rank; print each as a line of JSON, a list of batches of sample numbers."""
    with Loader(NpyFiles(folder), BATCH_SIZE, shuffle=True, seed=SEED, shard=(rank, world), workers=1) as train:
        for _ in range(EPOCHS):
            print(json.dumps([x[:, 0, 0].tolist() for (x,) in train]), flush=True)


def run_job(folder: str, world: int) -> list[list[list[list[int]]]]:
    """Run all ranks at the same time; return the batches that each of them saw: by rank, then by epoch."""
    command = [sys.executable, __file__, "--world", str(world), "--data", folder]
    ranks = [subprocess.Popen([*command, "--rank", str(rank)], stdout=subprocess.PIPE, text=True) for rank in range(world)]
    outputs = [process.communicate()[0] for process in ranks]
    if any(process.returncode for process in ranks):
        sys.exit(f"the ranks ended with {[process.returncode for process in ranks]}")
    return [[json.loads(line) for line in output.splitlines()] for output in outputs]


def report(epoch: int, shares: list[list[list[int]]], samples: int) -> None:
    """Print what the ranks saw in one epoch; `shares` are their batches."""
    for rank, batches in enumerate(shares):
        print(f"epoch {epoch}, rank {rank}: {sum(map(len, batches))} samples in {len(batches)} batches, the first is {batches[0]}")
    seen = [number for batches in shares for batch in batches for number in batch]
    print(f"epoch {epoch}, together: {len(seen)} samples, {len(set(seen))} different ones of {samples}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Share each epoch among the processes of a data-parallel job.")
    parser.add_argument("--samples", type=int, default=100, help="files to write; a multiple of the number of ranks (default: 100)")
    parser.add_argument("--world", type=int, default=2, help="number of ranks (default: 2)")
    parser.add_argument("--rank", type=int, help="be this rank only, as a launcher would start it; needs --data (default: start all)")
    parser.add_argument("--data", help="folder of samples for --rank")
    options = parser.parse_args()
    if options.rank is not None:
        run_rank(options.data, options.rank, options.world)
        return
    with tempfile.TemporaryDirectory(prefix="shards-") as folder:
        write_samples(folder, options.samples)
        by_rank = run_job(folder, options.world)
    for epoch in range(EPOCHS):
        report(epoch, [epochs[epoch] for epochs in by_rank], options.samples)


if __name__ == "__main__":
    main()
