"""A script that reads the loader of `tests.faults.trainer`: `python -m tests.faults.reader FOLDER HOW`, and FOLDER says how it went.

reading      it holds its second batch
continue     the conductor lets it leave its breakpoint
finished     it has taken all batches
read         JSON, at the end: digests of the batches, the error, and what was left behind
"""

from __future__ import annotations

import gc
import json
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.held import held
from loader import Loader, LoaderError
from tests.faults.stage import EPOCHS
from tests.faults.trainer import digest


def read(folder: Path, how: str) -> dict[str, Any]:
    """Take all batches of all epochs, and return what came."""
    found: list[list[str]] = [[] for _ in range(EPOCHS)]
    try:
        with Loader.attach("faults", epoch=0, timeout_s=30) as loader:
            for epoch in range(EPOCHS):
                for number, batch in enumerate(loader):
                    found[epoch].append(digest(batch))
                    if (epoch, number) == (0, 1):
                        (folder / "reading").mkdir()
                        while how == "reader in breakpoint" and not (folder / "continue").exists():
                            time.sleep(0.005)
                        assert digest(batch) == found[epoch][-1]
                del batch
            (folder / "finished").mkdir()
    except LoaderError as error:
        return {"batches": found, "error": [type(error).__name__, str(error)]}
    return {"batches": found, "error": None}


def main() -> None:
    """Read, and tell."""
    folder = Path(sys.argv[1])
    before = held()
    result = read(folder, sys.argv[2])
    gc.collect()
    (folder / "read.new").write_text(json.dumps(result | {"left": held() - before}))
    (folder / "read.new").rename(folder / "read")


if __name__ == "__main__":
    main()
