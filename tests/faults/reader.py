"""A script or rank that reads the loader of `tests.faults.trainer`: `python -m tests.faults.reader FOLDER HOW`, and FOLDER says how it went.

attached     it has its loader
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
from tests.faults.stage import EPOCHS, Gate, Stage, data
from tests.faults.table import HOWS, How
from tests.faults.trainer import digest, settings, steps


def join(folder: Path, how: How) -> Any:
    """Return the loader, as another script has it, or another rank."""
    if not how.ranks:
        return Loader.attach("faults", epoch=0, timeout_s=30)
    gate = Gate(folder, "", False)
    return Loader(Stage(data(folder / "data", False), gate), **settings(how), transforms=steps(gate, how))


def read(folder: Path, how: How) -> dict[str, Any]:
    """Take all batches of all epochs, and return what came."""
    found: list[list[str]] = [[] for _ in range(EPOCHS)]
    try:
        with join(folder, how) as loader:
            (folder / "attached").mkdir()
            for epoch in range(EPOCHS):
                for number, batch in enumerate(loader):
                    found[epoch].append(digest(batch))
                    if (epoch, number) == (0, 1):
                        (folder / "reading").mkdir()
                        while how.key == "reader in breakpoint" and not (folder / "continue").exists():
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
    result = read(folder, next(how for how in HOWS if how.key == sys.argv[2]))
    gc.collect()
    (folder / "read.new").write_text(json.dumps(result | {"left": held() - before}))
    (folder / "read.new").rename(folder / "read")


if __name__ == "__main__":
    main()
