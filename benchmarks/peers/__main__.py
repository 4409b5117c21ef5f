"""`make bench-peers`: the same work by this loader and by others, each as its own documentation would have it.

Every figure comes from a fresh process. The outputs are compared first: those of `.npy` files bit for bit, pictures by the means of their samples.
Then each peer is measured with each of its numbers of workers or threads; rounds with the fastest follow, by turns with the others, and the medians
count. Last, a worker is killed. Ctrl-C ends it all and keeps what was measured; `--resume` continues.

`make bench-peers BENCH_ARGS=shared` is another comparison: several scripts read one pool.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.peers import cells, draw, tables
from benchmarks.peers.loaders.dali import Dali
from benchmarks.peers.loaders.grain_loader import Grain
from benchmarks.peers.loaders.ours import Ours
from benchmarks.peers.loaders.peer import Peer
from benchmarks.peers.loaders.spdl_loader import Spdl
from benchmarks.peers.loaders.tf_data import TfData, TfFunction, TfGenerator
from benchmarks.peers.loaders.torch_loader import TorchDataLoader
from benchmarks.peers.plan import OURS
from benchmarks.peers.processes import serve
from benchmarks.peers.run import Run
from benchmarks.peers.sharing import compare
from benchmarks.peers.tasks import TASKS

PEERS: dict[str, Peer] = {
    OURS: Ours(),
    "torch": TorchDataLoader(),
    "grain": Grain(),
    "tf.data": TfData(),
    "tf.function": TfFunction(),
    "tf.generator": TfGenerator(),
    "dali": Dali(),
    "spdl": Spdl(),
}
_ROOT = Path(__file__).parent.parent.parent


def main() -> None:
    """Run what was asked for."""
    if sys.argv[1:2] == ["shared"]:
        compare.main(sys.argv[2:])
        return
    arguments = _parser().parse_args()
    if arguments.serve:
        asked = json.loads(arguments.serve)
        serve(PEERS[asked["peer"]], arguments.data, asked["keras"])
        return
    unknown = [name for name in [*arguments.tasks, *arguments.peers] if name not in TASKS and name not in PEERS]
    if unknown:
        sys.exit(f"unknown: {', '.join(unknown)}; tasks: {', '.join(TASKS)}; peers: {', '.join(PEERS)}")
    file = arguments.json or arguments.data / "peers.json"
    found = _begun(file, arguments)
    peers = {name: peer for name, peer in PEERS.items() if name in {OURS, *arguments.peers}}
    run = Run([TASKS[name] for name in arguments.tasks], peers, found, file, arguments.data, arguments.rounds, arguments.seconds)
    print(found["machine"], f"about {_minutes(run.estimate_s())}; {file} keeps what is measured", sep="\n", flush=True)
    began, interrupted = time.monotonic(), False
    try:
        run.measure()
    except KeyboardInterrupt:
        interrupted = True
    said = "interrupted, --resume continues; after" if interrupted else "took"
    print(f"\n{tables.full(found, peers)}\n\n{said} {_minutes(time.monotonic() - began)}")
    _publish(arguments, found, peers)
    wrong = [cell["outputs"]["differs"] for task in found["tasks"].values() for cell in task.values() if cell.get("outputs", {}).get("differs")]
    sys.exit(130 if interrupted else "\n".join(wrong) or 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", default=list(TASKS), help=f"what to do; all by default: {', '.join(TASKS)}")
    parser.add_argument("--peers", nargs="+", default=list(PEERS), help=f"who does it, beside the loader; all by default: {', '.join(PEERS)}")
    parser.add_argument("--rounds", type=int, default=3, help="how often the fastest of each peer is measured; the median counts (default: 3)")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of one measurement (default: 1)")
    parser.add_argument("--data", type=Path, default=Path(tempfile.gettempdir()) / "loader-bench", help="folder of the data, kept (3 GB)")
    parser.add_argument("--json", type=Path, help="keep the figures there (default: peers.json in the folder of the data)")
    parser.add_argument("--resume", action="store_true", help="continue with what that file has, and measure only what is missing")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="draw what was measured there")
    parser.add_argument(
        "--write", action="store_true", help="write the tables into README.md and benchmarks/README.md, the pictures to docs/pictures"
    )
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    return parser


def _begun(file: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what the file has, if that is to be continued; else keep it under another name."""
    begun: dict[str, Any] = {"machine": _machine(arguments), "versions": {}, "tasks": {}}
    if arguments.resume and file.exists():
        before: dict[str, Any] = json.loads(file.read_text())
        return before
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.exists():
        file.replace(file.with_suffix(".before.json"))
    return begun


def _machine(arguments: argparse.Namespace) -> str:
    cores = len(os.sched_getaffinity(0))
    system = f"Linux {platform.release().split('-')[0]}, Python {platform.python_version()}"
    rounds = f"medians of {arguments.rounds} rounds of {arguments.seconds:g} s"
    return f"{_processor()}, {cores} cores, {system}, {time.strftime('%B %Y')}; {rounds}"


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def _processor() -> str:
    """Return the name of the processor, where the system tells it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _publish(arguments: argparse.Namespace, found: dict[str, Any], peers: dict[str, Peer]) -> None:
    if arguments.pictures:
        print("drawn:", *draw.draw(found, peers, arguments.pictures))
    if not arguments.write:
        return
    missing = [name for name in TASKS if not cells.rounds_of(found["tasks"].get(name, {}).get(OURS, {}))]
    if missing or len(peers) < len(PEERS):
        sys.exit(f"nothing is written: it would be a part of the table only; missing: {', '.join(missing) or 'peers'}")
    print("drawn:", *draw.draw(found, peers, _ROOT / "docs" / "pictures"))
    tables.paste(_ROOT / "README.md", tables.short(found, peers))
    tables.paste(_ROOT / "benchmarks" / "README.md", tables.full(found, peers))
    print("written: README.md, benchmarks/README.md")


if __name__ == "__main__":
    main()
