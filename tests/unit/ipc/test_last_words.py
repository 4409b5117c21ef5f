"""How a process died, in words."""

from __future__ import annotations

import pytest

from loader.ipc import last_words


@pytest.mark.parametrize(
    ("code", "words"),
    [(7, "exited with status 7"), (-9, "killed by SIGKILL (perhaps out of memory?)"), (-11, "killed by SIGSEGV"), (-40, "killed by signal 40")],
)
def test_a_death_in_words(code: int, words: str) -> None:
    assert last_words.in_words(code) == words
