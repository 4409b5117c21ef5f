"""How many examples hypothesis tries of what, in proportion: `make test` tries a third of all."""

from __future__ import annotations

from typing import Any

from hypothesis import settings

ALL = 100


def examples(count: int, **more: Any) -> settings:
    """Return settings for so many examples, or its part of them where the profile in use has less than all.

    Args:
        count: of all.
        more: other settings.
    """
    return settings(max_examples=-(-count * settings.default.max_examples // ALL), **more)
