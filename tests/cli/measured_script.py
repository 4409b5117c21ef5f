"""A script as `loader tune` and `loader bench` take it: its loaders wait for each sample, so that more workers help on any machine."""

from __future__ import annotations

import time

import numpy as np

from loader import Loader, MapSource, NpyArrays

SOURCE = NpyArrays(np.arange(160, dtype="f4").reshape(80, 2), np.zeros(80, "i4"))


def waits(sample: tuple, rng: np.random.Generator) -> tuple:
    time.sleep(0.01)
    return sample


def broken(sample: tuple, rng: np.random.Generator) -> tuple:
    if sample[0][0] == 30:
        raise ArithmeticError("sample of all evil")
    return sample


def make() -> Loader:
    return Loader(SOURCE, 8, transforms=[waits])


def make_small() -> Loader:
    return Loader(SOURCE, 8, transforms=[waits], workers=0, max_workers=2)


def make_four() -> Loader:
    return Loader(SOURCE, 8, transforms=[waits], workers=4)


def make_broken() -> Loader:
    return Loader(SOURCE, 8, transforms=[broken], workers=1)


def make_substituting() -> Loader:
    return Loader(SOURCE, 8, transforms=[broken], workers=1, on_error="substitute", quarantine="bad.jsonl")


def make_nothing() -> None:
    return None


def raises() -> Loader:
    raise ZeroDivisionError("made by the script")


def not_found() -> Loader:
    from loader import NpyFiles

    return Loader(NpyFiles("no/such/folder"), 8)


def step_of_1_ms() -> object:
    def step(batch: tuple) -> None:
        assert batch[0].shape == (8, 2)
        time.sleep(0.001)

    return step


def step_that_fails() -> object:
    def step(batch: tuple) -> None:
        raise ZeroDivisionError("made by the step")

    return step


def step_until_told() -> object:
    def step(batch: tuple) -> None:
        with open("called", "w"):
            time.sleep(1)

    return step


def broken_source() -> object:
    return MapSource([np.zeros(3), np.full(3, np.nan), "text", np.zeros(4), np.zeros(3)])
