"""Lines of text files in real workers: the same batches for any number of them, and when one is killed."""

from __future__ import annotations

import itertools
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import Loader, PipelineError, SampleError, TextLines, decode
from tests.batches import assert_same, copied, inline, take

LINES = 500
SETTINGS: dict[str, Any] = {"shuffle": True, "seed": 4}
DECODERS = {"bytes": decode.text(None, 24), "words": decode.text(decode.vocabulary(["", "[UNK]", "line", "é"]), 8)}


@pytest.fixture(params=["bytes", "words", "csv"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> TextLines:
    rng = np.random.default_rng(2)
    lines = [f"line {number} " + "é" * int(rng.integers(0, 20)) for number in range(LINES)]
    if request.param == "csv":
        rows = [f'{number % 3},"{line},\nmore"' for number, line in enumerate(lines)]
        (tmp_path / "a.csv").write_text("\n".join(["label,text", *rows]))
        return TextLines(tmp_path / "a.csv", decode=DECODERS["words"], label_columns="label")
    (tmp_path / "a.txt").write_text("\n".join(lines[:200]))
    (tmp_path / "b.txt").write_text("\r\n".join(lines[200:]))
    return TextLines(tmp_path, decode=DECODERS[request.param])


@pytest.mark.parametrize("workers", [1, 3])
def test_batches_are_the_same_with_any_number_of_workers(source: TextLines, workers: int) -> None:
    with Loader(source, 32, workers=workers, **SETTINGS) as loader:
        assert_same(take(loader, 2), inline(source, 32, 2, **SETTINGS))


def test_a_killed_workers_lines_are_read_again(source: TextLines) -> None:
    expected = inline(source, 16, 2, **SETTINGS)
    with Loader(source, 16, workers=2, slots=2, **SETTINGS) as loader:
        found = []
        for number, batch in enumerate(itertools.islice(loader.batches(), len(expected))):
            if number in (3, 20):
                os.kill(loader.stats().workers[0].pid, signal.SIGKILL)
            found.append(copied(batch))
            del batch
        assert_same(found, expected)


def test_another_loader_goes_on_where_the_first_one_was(source: TextLines) -> None:
    expected = inline(source, 16, 2, **SETTINGS)
    with Loader(source, 16, workers=2, **SETTINGS) as first:
        stream = first.batches()
        assert_same([copied(next(stream)) for _ in range(7)], expected[:7])
        state = first.state_dict()
    with Loader(source, 16, workers=1, **SETTINGS) as second:
        second.load_state_dict(state)
        assert_same([copied(batch) for batch in itertools.islice(second.batches(), len(expected) - 7)], expected[7:])


def test_a_file_that_has_grown_since_is_an_error_of_the_loader(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("a\nb\n")
    source = TextLines(path, decode=DECODERS["bytes"])
    path.write_text("a\nb\nc\n")
    with pytest.raises((SampleError, PipelineError), match="had 4 bytes when its lines were found, now it has 6"):
        list(Loader(source, 2, workers=1))
