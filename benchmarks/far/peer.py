"""PyTorch's DataLoader whose workers ask S3 by boto3, one object after the other, as its users do it. It is run by the Python of `make bench-peers`.

Imports nothing of the loader, which is not needed there. Arguments: a JSON object with `endpoint`, `folder`, `samples`, `batch_size`, `workers`.
Prints `samples_per_s` and a `checksum` of the first sample.

Each worker makes a whole batch and all begin together, so batches come in bursts of as many as there are workers, seconds apart. Whole bursts are
timed: a window of seconds would hold none of them, or one too many.
"""

from __future__ import annotations

import io
import json
import sys
import time
import zlib
from typing import Any

import boto3
import numpy as np
import torch
from botocore.config import Config
from torch.utils.data import DataLoader, Dataset, RandomSampler

_WARM_BURSTS = 2
_BURSTS = 4


class Objects(Dataset):
    """Objects of a bucket; each process has a client of its own."""

    def __init__(self, endpoint: str, folder: str, samples: int) -> None:
        self._endpoint, self._folder, self._samples = endpoint, folder, samples
        self._client: Any = None

    def __len__(self) -> int:
        return self._samples

    def __getitem__(self, index: int) -> torch.Tensor:
        if self._client is None:
            settings = Config(s3={"addressing_style": "path"})
            keys = {"aws_access_key_id": "none", "aws_secret_access_key": "none", "region_name": "us-east-1"}
            self._client = boto3.client("s3", endpoint_url=self._endpoint, config=settings, **keys)
        content = self._client.get_object(Bucket=self._folder, Key=f"{index:05d}.npy")["Body"].read()
        return torch.from_numpy(np.load(io.BytesIO(content)))


def main() -> None:
    """Measure."""
    asked = json.loads(sys.argv[1])
    objects = Objects(asked["endpoint"], asked["folder"], asked["samples"])
    endless = RandomSampler(objects, replacement=True, num_samples=10**6)  # at the end of an epoch, the workers would begin with empty hands
    batches = iter(DataLoader(objects, batch_size=asked["batch_size"], sampler=endless, num_workers=asked["workers"]))
    for _ in range(_WARM_BURSTS * asked["workers"]):
        next(batches)
    began, count = time.perf_counter(), _BURSTS * asked["workers"]
    for _ in range(count):
        next(batches)
    spent = time.perf_counter() - began
    print(json.dumps({"samples_per_s": count * asked["batch_size"] / spent, "checksum": zlib.crc32(objects[0].numpy()), "torch": torch.__version__}))


if __name__ == "__main__":
    main()
