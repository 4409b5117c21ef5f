"""Asking a child about far data: how its end is told, and what is drawn while it works. Other programs take its place here."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from loader.data.remote.objects import UNKNOWN_VERSION, Copy
from loader.data.remote.options import StorageOptions
from loader.data.remote.scouting import scout, shown
from loader.data.remote.scouting.scout import Scout
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
    monkeypatch.setattr(scout, "_CHILD", child)
    if "hangs" in words:
        monkeypatch.setattr(scout, "_DYING_S" if "close" in child else "_SILENCE_S", 0.2)
    with pytest.raises(FetchError, match=words):
        Scout(StorageOptions()).about(MANY)


def test_a_large_answer_ends_the_line_that_was_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    body = (
        "import os\n"
        "os.write(1, b'{\"known\": 7}\\n')\n"
        'rest = memoryview(b\'{"count": 0, "nbytes": 5000000}\\n\' + bytes(5_000_000))\n'
        "while rest: rest = rest[os.write(1, rest):]\n"
    )
    monkeypatch.setattr(scout, "_CHILD", body)
    monkeypatch.setattr(shown, "_SHOWN_AFTER_S", 0.0)
    monkeypatch.setattr(sys, "stderr", Terminal())
    Scout(StorageOptions()).about(MANY)
    assert isinstance(sys.stderr, Terminal)
    assert sys.stderr.getvalue() == "\rs3://bucket/folder/object-000000: 7 objects so far\n"


def asked(question: dict[str, object]) -> subprocess.Popen[str]:
    """Return a child that has got a question and nobody who listens to it."""
    child = subprocess.Popen(
        [sys.executable, "-c", scout._CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdout.close()
    with child.stdin:
        child.stdin.write(f"{json.dumps(sys.path)}\n{json.dumps(question | {'options': {}, 'request_s': 10.0})}\n")
    return child


def test_a_child_ends_without_a_word_when_nobody_listens_any_more() -> None:
    url = "http://127.0.0.1:9/x"  # where nobody answers
    with asked({"what": "about", "given": [url]}) as child:
        assert child.stderr is not None
        assert child.stderr.read() == ""
    assert child.returncode == 1


def test_where_a_copy_can_not_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"content")
    with pytest.raises(FetchError, match=r"can't be written to /dev/full \(No space left on device\)"):
        Scout(StorageOptions()).bring([Copy(f"file://{tmp_path}/x", 7, UNKNOWN_VERSION, "/dev/full")])
