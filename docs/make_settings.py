"""Writes `docs/settings.md` from `loader.config.Config`, where each setting is declared. `make docs`; a test compares."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from loader.config import Config

PAGE = Path(__file__).parent / "settings.md"

HEAD = """# Settings

`Loader(source, batch_size, *, transforms=(), …)` takes these by name. One `ConfigError` reports all wrong ones. This page is made from
`loader/config.py` by `make docs`.

| setting | default | unit | allowed | what it is |
|---|---|---|---|---|
"""


def page() -> str:
    """Return the text of the page."""
    rows = []
    for setting in dataclasses.fields(Config):
        default = "" if setting.name == "batch_size" else f"`{setting.default!r}`"
        about = setting.metadata
        rows.append(f"| `{setting.name}` | {default} | {about['unit']} | {about['allowed']} | {about['why']} |\n")
    return HEAD + "".join(rows)


if __name__ == "__main__":
    PAGE.write_text(page())
