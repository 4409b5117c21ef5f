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
        'os.write(1, b\'{"known": 7, "trouble": ""}\\n\')\n'
        'rest = memoryview(b\'{"count": 0, "nbytes": 5000000}\\n\' + bytes(5_000_000))\n'
        "while rest: rest = rest[os.write(1, rest):]\n"
    )
    monkeypatch.setattr(scout, "_CHILD", body)
    monkeypatch.setattr(shown, "_SHOWN_AFTER_S", 0.0)
    monkeypatch.setattr(sys, "stderr", Terminal())
    Scout(StorageOptions()).about(MANY)
    assert isinstance(sys.stderr, Terminal)
    assert sys.stderr.getvalue() == "\r\33[Ks3://bucket/folder/object-000000: 7 objects so far\n"


def test_why_nothing_comes_is_told_while_it_is_tried_again(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    body = """import os; os.write(1, b'{"known": 0, "trouble": "no connection"}\\n{"count": 0, "nbytes": 0}\\n')"""
    monkeypatch.setattr(scout, "_CHILD", body)
    monkeypatch.setattr(shown, "_SHOWN_AFTER_S", 0.0)
    with caplog.at_level("WARNING", logger="loader.data"):
        Scout(StorageOptions()).about(MANY[:1])
    assert [record.getMessage() for record in caplog.records] == [f"{MANY[0]}: 0 objects so far; no connection; it is tried again"]


def test_a_child_does_not_get_the_control_c_of_whoever_has_asked(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """It would print a traceback, and is ended anyway."""
    body = """import os; os.write(1, b'{"known": %d, "trouble": ""}\\n{"count": 0, "nbytes": 0}\\n' % (1 + (os.getsid(0) == os.getpid())))"""
    monkeypatch.setattr(scout, "_CHILD", body)
    monkeypatch.setattr(shown, "_SHOWN_AFTER_S", 0.0)
    with caplog.at_level("INFO", logger="loader.data"):
        Scout(StorageOptions()).about(MANY[:1])
    assert [record.getMessage() for record in caplog.records] == [f"{MANY[0]}: 2 objects so far"]


def asked(question: dict[str, object]) -> subprocess.Popen[str]:
    """Return a child that has got a question and nobody who listens to it."""
    child = subprocess.Popen([sys.executable, "-c", scout._CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
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
