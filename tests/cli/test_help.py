"""What `loader --help` says."""

from __future__ import annotations

import re

import pytest

from loader.watch.cli import main
from tests.cli.commands import run_here


def test_the_list_of_commands_has_whole_sentences(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """At 80 columns, what is longer would be cut by click."""
    monkeypatch.setenv("COLUMNS", "80")
    assert run_here("--help") == 0
    listed = dict(re.findall(r"^  (\w+) {2,}(.*)$", capsys.readouterr().out.split("Commands:\n")[1], re.MULTILINE))
    assert listed.keys() == main.commands.keys()
    assert all(sentence.endswith(".") and not sentence.endswith("..") for sentence in listed.values()), listed
