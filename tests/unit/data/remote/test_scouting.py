"""Asking a child about far data: how its end is told, and what is drawn while it works. Other programs take its place here."""

from __future__ import annotations

import io
import sys

import pytest

from loader.data.remote import scouting
from loader.data.remote.options import StorageOptions
from loader.data.remote.scouting import Scout
from loader.errors import FetchError

MANY = [f"s3://bucket/folder/object-{number:06d}" for number in range(20_000)]  # more than fits into a pipe


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("child", "words"),
    [
        ("raise SystemExit(1)", "it ended with status 1;"),  # before it has read the question
        ("import os, time; os.close(1); time.sleep(0.2); os._exit(3)", "it ended with status 3;"),
        ("import os; os.kill(os.getpid(), 9)", "it was killed by signal 9;"),
        ("import time; time.sleep(60)", "it hangs;"),
        ("import os, time; os.close(1); time.sleep(60)", "it hangs at its end;"),
    ],
)
def test_how_a_child_that_gives_no_answer_ended_is_told(monkeypatch: pytest.MonkeyPatch, child: str, words: str) -> None:
    monkeypatch.setattr(scouting, "_CHILD", child)
    if "hangs" in words:
        monkeypatch.setattr(scouting, "_DYING_S" if "close" in child else "_SILENCE_S", 0.2)
    with pytest.raises(FetchError, match=words):
        Scout(StorageOptions()).about(MANY)


def test_a_large_answer_ends_the_line_that_was_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    body = (
        "import os\n"
        "os.write(1, b'{\"known\": 7}\\n')\n"
        'rest = memoryview(b\'{"count": 0, "nbytes": 5000000}\\n\' + bytes(5_000_000))\n'
        "while rest: rest = rest[os.write(1, rest):]\n"
    )
    monkeypatch.setattr(scouting, "_CHILD", body)
    monkeypatch.setattr(scouting, "_SHOWN_AFTER_S", 0.0)
    monkeypatch.setattr(sys, "stderr", Terminal())
    Scout(StorageOptions()).about(MANY)
    assert isinstance(sys.stderr, Terminal)
    assert sys.stderr.getvalue() == "\rs3://bucket/folder/object-000000: 7 objects so far\n"
