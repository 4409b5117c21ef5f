"""Small rows of arrays are read together for a function that gets each by itself; it can't tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader.data.rows import BadSample
from loader.data.sources.arrays.column_source import gathers_rows
from loader.data.sources.arrays.npy_arrays import NpyArrays
from loader.data.sources.source import Source
from loader.data.spec import Sample
from tests.unit.data.pictures import Pictures, compiled, filled

ROWS = 20
ORDER = [7, 3, 3, 0, 19, 12]


def arrays() -> NpyArrays:
    x = np.arange(ROWS * 6, dtype=np.float32).reshape(ROWS, 2, 3)
    return NpyArrays({"turned": np.asfortranarray(x), "swapped": x.astype(">f8")}, np.arange(ROWS, dtype=np.int16), np.ones((ROWS, 1)))


class Doubled(NpyArrays):
    """Rows that are made from those of the array."""

    def sample(self, index: int) -> Sample:
        (x,) = super().sample(index)
        return (2 * x,)


def forms(sample: Sample) -> list[Any]:
    x, *rest = sample
    found = []
    for value in (*x.values(), *rest):
        if isinstance(value, np.ndarray):
            found.append((value.tolist(), value.dtype, value.shape, value.flags.c_contiguous, value.flags.writeable, value.flags.owndata))
        else:
            found.append((value, type(value)))
    return found


@pytest.mark.parametrize("chosen", [arrays(), arrays().subset(range(ROWS)), arrays() + arrays()], ids=["arrays", "subset", "sum"])
def test_a_function_gets_what_it_would_get_of_a_single_row(chosen: Source) -> None:
    seen: list[Any] = []

    def note(sample: Sample, rng: np.random.Generator) -> Sample:
        seen.append(forms(sample))
        return sample

    pipeline = compiled(chosen, [note])
    assert gathers_rows(chosen)
    seen.clear()
    batch = filled(pipeline, ORDER, cuts=[2])
    assert seen == [forms(chosen.sample(index)) for index in ORDER]
    assert batch[2].tolist() == ORDER


def test_a_function_may_keep_its_rows() -> None:
    kept: list[Any] = []

    def keep(sample: Sample, rng: np.random.Generator) -> Sample:
        kept.append(sample[0].copy() if not kept else sample[0])
        return (sample[0] + 1,)

    x = np.arange(ROWS * 2.0).reshape(ROWS, 2)
    filled(compiled(NpyArrays(x), [keep]), range(ROWS))
    assert np.array_equal(kept[1:], x)
    assert len({row.__array_interface__["data"][0] for row in kept}) == len(kept)


@pytest.mark.parametrize(
    "source",
    [
        Pictures(),
        Doubled(np.ones((4, 2))),
        NpyArrays(np.ones((4, 2))) + NpyArrays(np.ones((4, 3))),
        NpyArrays(np.ones((4, 3)), np.ones((4, 2_000))),
        NpyArrays(np.ones((4, 2))) + Pictures(),
    ],
    ids=["other-samples", "own-sample", "unlike", "large", "partly"],
)
def test_other_samples_are_asked_for_one_by_one(source: Source) -> None:
    assert not gathers_rows(source)


def test_a_source_that_makes_its_own_samples_is_asked_for_them() -> None:
    (batch,) = filled(compiled(Doubled(np.ones((4, 2))), [lambda sample, rng: sample]), range(4))
    assert batch.tolist() == [[2.0, 2.0]] * 4


def test_a_file_that_became_too_short_names_its_row(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.npy" for number in range(2)]
    for number, path in enumerate(paths):
        np.save(path, np.full((4, 3), number))
    source = NpyArrays([str(path) for path in paths])
    pipeline = compiled(source, [lambda sample, rng: sample])
    source._columns[0]._known.clear()
    vars(source._columns[0]).pop("_adjoined", None)
    paths[1].write_bytes(paths[1].read_bytes()[:-1])
    with pytest.raises(BadSample) as caught:
        filled(pipeline, [0, 1, 5, 6])
    assert caught.value.index == 5
