"""`loader status` and `loader set`, as they are typed beside a loader that runs."""

from __future__ import annotations

import json
import os
import re
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from loader import Loader
from tests.batches import take
from tests.cli.commands import run_here
from tests.cli.served import SOURCE
from tests.cli.test_inspect import loader as command
from tests.processes import supervisor_of, wait_until, workers_of

pytestmark = pytest.mark.usefixtures("own_folder")


def test_without_a_loader_it_says_so() -> None:
    result = command("status")
    assert (result.returncode, result.stderr) == (0, "")
    assert "no loader of yours is running" in result.stdout
    assert json.loads(command("status", "--json").stdout) == []
    assert command("status", "train").returncode == 1


def test_each_loader_has_a_line_that_fits_a_terminal(train: Loader) -> None:
    with Loader(SOURCE, 8, workers=1) as other:
        take(other)
        result = command("status")
        head, *lines = result.stdout.splitlines()
        assert head.split() == ["NAME", "PID", "SAMPLES/S", "WAITS", "WORKERS", "MEMORY", "VERDICT"]
        assert [line.split()[:2] for line in lines] == [[loader.name, str(supervisor_of(loader))] for loader in (other, train)]
        assert max(map(len, [head, *lines])) <= 80
        listed = json.loads(command("status", "--json").stdout)
        assert [one["name"] for one in listed] == [other.name, "train"]
        assert set(train.stats().as_dict()) <= set(listed[1])


def test_one_loader_is_shown_in_detail_by_name_or_pid(train: Loader) -> None:
    by_name = command("status", "train")
    assert by_name.returncode == 0, by_name.stderr
    assert all(word in by_name.stdout for word in ("verdict", f"worker {workers_of(train)[0]}", f"trainer {os.getpid()}", "slots"))
    assert "delivered      50 batches" in command("status", supervisor_of(train)).stdout
    (only,) = json.loads(command("status", "train", "--json").stdout)
    assert only["name"] == "train"


def test_training_that_takes_nothing_is_said_to(train: Loader, capsys: pytest.CaptureFixture[str]) -> None:
    wait_until(lambda: run_here("status") == 0 and "no batch taken for" in capsys.readouterr().out, "it has been still for long enough")
    assert re.search(r"^training +no batch taken for \d+ s$", command("status", "train").stdout, re.MULTILINE)


def test_an_unknown_name_is_answered_with_the_known_ones(train: Loader) -> None:
    for words in (("status", "tarin"), ("set", "tarin", "workers=3")):
        result = command(*words)
        assert (result.returncode, result.stdout) == (1, "")
        assert f"train (pid {supervisor_of(train)})" in result.stderr


def test_a_loader_that_does_not_answer_is_shown_as_such(train: Loader) -> None:
    with Loader(SOURCE, 8, workers=1, name="other") as other:
        take(other)
        pid = supervisor_of(train)
        os.kill(pid, signal.SIGSTOP)
        with ThreadPoolExecutor() as side_by_side:  # each waits for seconds
            everything, one, change = side_by_side.map(lambda words: command(*words), [("status",), ("status", pid), ("set", pid, "workers=3")])
        os.kill(pid, signal.SIGCONT)
        shown = everything.stdout.splitlines()
        assert any(line.startswith("other") for line in shown)
        assert any(str(pid) in line and line.endswith("does not answer") for line in shown)
        assert "does not answer" in one.stdout
        assert (change.returncode, "does not answer" in change.stderr) == (1, True)


def test_set_prints_what_changed(train: Loader) -> None:
    result = command("set", "train", "workers=4")
    assert (result.returncode, result.stdout) == (0, "train: workers 2 → 4\n")
    assert command("set", "train", "workers=4").stdout == "train: workers is 4 already\n"
    wait_until(lambda: len(workers_of(train)) == 4, "4 workers run")


def test_nonsense_is_refused_with_what_is_allowed(train: Loader, capsys: pytest.CaptureFixture[str]) -> None:
    cases: list[tuple[list[str], int, str]] = [
        (["train", "workers=99"], 1, "workers=99: must be from 1 to 4"),
        (["train", "workers=many"], 1, "must be from 1 to 4"),
        (["train", "workers=" + "9" * 5000], 1, "must be from 1 to 4"),
        (["train", "batch_size=3"], 1, "what can: workers"),
        (["train", "workers"], 2, "SETTING=VALUE"),
        (["train", "=3"], 2, "SETTING=VALUE"),
        (["train"], 2, "SETTING=VALUE"),
        ([], 2, "NAME"),
    ]
    for words, status, said in cases:
        assert run_here("set", *words) == status
        shown = capsys.readouterr().err
        assert (said in shown, "Traceback" in shown) == (True, False), (words, shown)
    assert len(workers_of(train)) == 2


def test_of_two_with_one_name_set_wants_a_pid(train: Loader) -> None:
    with Loader(SOURCE, 8, workers=1, name="train") as other:
        take(other)
        result = command("set", "train", "workers=3")
        assert (result.returncode, str(supervisor_of(other)) in result.stderr) == (1, True)
        assert command("set", supervisor_of(other), "workers=3").returncode == 0


@pytest.mark.parametrize("name", ["status", "set", "top", "metrics", "tune", "bench", "inspect"])
def test_help_has_examples_each_in_a_line_of_its_own(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here(name, "--help") == 0
    text = capsys.readouterr().out
    examples = text.partition("Examples:\n")[2].partition("\n\n")[0].splitlines()
    assert len(examples) >= 2
    assert all(line.lstrip().startswith(("loader ", "watch ")) for line in examples)
    assert "\\b" not in text
