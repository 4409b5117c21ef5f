"""What a benchmark says while it runs, and what it has found."""

from __future__ import annotations

import sys


def note(text: str) -> None:
    """Show what is being done, in the terminal's last line; nothing where there is no terminal."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def line(name: str, text: str) -> None:
    """Print what was found, in the place of the latest note."""
    note("")
    print(f"{name:<12}{text}", flush=True)
