"""The frame of benchmarks whose figures come from fresh processes: what to measure, children, lines of ratios, a file of figures."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from benchmarks.terminal import line, note

Measured = dict[str, Any]
Measure = Callable[[str], Measured]
"""Measures the row of this name, and prints its lines."""

_LIMIT_S = 900


class Benchmark:
    """A module with rows, each of which is measured in processes of its own.

    Args:
        module: its name, by which Python runs it.
        text: its docstring.
        rows: names of what can be measured.
        rounds, seconds: how often, and for how long, unless something else is asked for.
        quiet: whether what children write to stderr is shown only if they fail; then only one of them may run at a time.

    Attributes:
        parser: of the command line; takes more arguments.
    """

    def __init__(self, module: str, text: str | None, rows: Sequence[str], rounds: int, seconds: float, *, quiet: bool = False) -> None:
        self._module = module
        self._stderr = subprocess.PIPE if quiet else None
        self._rows = rows
        self.parser = argparse.ArgumentParser(prog=f"python -m {module}", description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
        self.parser.add_argument("names", nargs="*", help=f"what to measure; all by default: {', '.join(rows)}")
        self.parser.add_argument("--rounds", type=int, default=rounds, help=f"how often; the median counts (default: {rounds})")
        self.parser.add_argument("--seconds", type=float, default=seconds, help=f"length of one measurement (default: {seconds:g})")
        self.parser.add_argument("--json", type=Path, help="write the figures there")
        self.parser.add_argument("--single", help=argparse.SUPPRESS)

    def main(self, single: Callable[[Measured], Measured], measuring: Callable[[argparse.Namespace], AbstractContextManager[Measure]]) -> None:
        """Measure what was asked for.

        Args:
            single: does in a child what `start` was given, and returns what `end` returns.
            measuring: has around it what all rows need.
        """
        arguments = self.parser.parse_args()
        if arguments.single:
            print(json.dumps(single(json.loads(arguments.single))), flush=True)
            return
        if unknown := set(arguments.names) - set(self._rows):
            sys.exit(f"unknown: {', '.join(sorted(unknown))}; there are: {', '.join(self._rows)}")
        linux, cores = platform.release().split("-")[0], len(os.sched_getaffinity(0))
        machine = f"{platform.machine()}, {cores} cores, Linux {linux}, Python {platform.python_version()}"
        print(f"{machine}; {arguments.rounds} rounds of {arguments.seconds:g} s", flush=True)
        with measuring(arguments) as measure:
            found = {name: measure(name) for name in arguments.names or self._rows}
        if arguments.json:
            arguments.json.write_text(json.dumps({"machine": machine, "results": found}, indent=1) + "\n")

    def start(self, **what: Any) -> subprocess.Popen[str]:
        """Start a child that does `what`."""
        return subprocess.Popen(
            [sys.executable, "-m", self._module, "--single", json.dumps(what)], stdout=subprocess.PIPE, stderr=self._stderr, text=True
        )

    def end(self, child: subprocess.Popen[str]) -> Measured:
        """Return what a child has found."""
        printed, complaint = child.communicate(timeout=_LIMIT_S)
        if child.returncode:
            sys.exit(f"{child.args} failed:\n{complaint or 'see above'}")
        found: Measured = json.loads(printed.splitlines()[-1])
        return found

    def fresh(self, **what: Any) -> Measured:
        """Do `what` in a child; return what it has found."""
        return self.end(self.start(**what))


def rounds_of(name: str, arguments: argparse.Namespace) -> Iterator[int]:
    """Count the rounds of a row."""
    for number in range(arguments.rounds):
        note(f"{name}: round {number + 1} of {arguments.rounds}")
        yield number


def ratio_line(name: str, rounds: Sequence[tuple[float, float]], unit: str, other: str, wanted: str) -> Measured:
    """Print medians over the rounds of what was measured and of what it is compared with, and the ratio; return them."""
    ratios = [mine / theirs for mine, theirs in rounds]
    mine, theirs = (statistics.median(values) for values in zip(*rounds, strict=True))
    share = f"{statistics.median(ratios):6.1%} ({min(ratios):.1%} to {max(ratios):.1%})"
    line(name, f"{mine:>9,.0f} {unit}   {other} {theirs:>9,.0f}   {share}   {wanted}")
    return {"measured": mine, "other": theirs, "ratios": ratios}
