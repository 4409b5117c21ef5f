"""Workers on other machines: a Ray cluster takes over samples that this machine is too slow for.

With a cluster (`ray start --head` here, `ray start --address=...` on other machines), its machines are used. Without one, the script starts a cluster
of this machine alone, which shows how it works and makes nothing faster than it could be: samples that wait, as those of a slow store do, stand for
the work of other machines. They come when the loop has waited for a while. It takes some 25 s on two cores.

    pip install 'npy-loader[ray]'
    python examples/ray_workers.py
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np

from loader import Loader, NpyArrays, RayWorkers

BATCH_SIZE = 32
SAMPLES = 480
HERE = 2  # workers on this machine


def slow_to_make(sample: tuple[np.ndarray, ...], rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Return the sample with some noise, after as long as it takes to decode a large picture."""
    time.sleep(0.02)
    return (sample[0] + rng.normal(0, 0.1, sample[0].shape).astype(np.float32),)


RAY = [sys.executable, "-m", "ray.scripts.scripts"]


def is_there() -> bool:
    """Return whether there is a cluster."""
    return subprocess.run([*RAY, "status"], capture_output=True).returncode == 0


@contextlib.contextmanager
def cluster(cores: int) -> Iterator[None]:
    """Use the cluster that is there; else, have one of this machine alone, which ends with its head. (`ray stop` would end others as well.)"""
    if is_there():
        yield
        return
    print("there is no cluster: one is started on this machine", flush=True)
    options = ["--head", "--block", f"--num-cpus={cores}", "--include-dashboard=false", "--disable-usage-stats"]
    with subprocess.Popen([*RAY, "start", *options], stdout=subprocess.DEVNULL) as head:
        try:
            deadline = time.monotonic() + 60
            while not is_there():
                if head.poll() is not None or time.monotonic() > deadline:
                    sys.exit("Ray started no cluster within a minute. Try `ray start --head`, which says why")
                time.sleep(0.5)
            yield
        finally:
            head.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--max", type=int, default=8, help="most workers on the cluster")
    most = parser.parse_args().max

    source = NpyArrays(np.random.default_rng(0).random((SAMPLES, 64), np.float32))
    settings = {"transforms": [slow_to_make], "shuffle": True, "workers": HERE, "remote": RayWorkers(max=most)}
    with cluster(most), Loader(source, BATCH_SIZE, **settings) as train:
        epoch = with_others = 0
        while with_others < 3:  # they come after some seconds, while the workers of this machine have begun
            begun = time.perf_counter()
            count = sum(len(x) for (x,) in train)
            workers = len(train.stats().workers)
            print(f"epoch {epoch}: {count / (time.perf_counter() - begun):,.0f} samples/s with {workers} workers", flush=True)
            with_others += workers > HERE
            epoch += 1


if __name__ == "__main__":
    main()
