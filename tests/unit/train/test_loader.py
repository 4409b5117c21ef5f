"""The arguments of a Loader are the settings, and what is said of them is what they are."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re

import numpy as np
import pytest

from loader import Loader, NpyArrays
from loader.config import Config

# What the settings are applied to; they are no settings themselves.
APPLIED_TO = {"self", "source", "transforms", "batch_transforms"}


def arguments() -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(Loader.__init__).parameters
    return {name: parameter for name, parameter in parameters.items() if name not in APPLIED_TO}


def test_a_loader_takes_each_setting_by_its_name_and_with_its_default() -> None:
    required = inspect.Parameter.empty
    defaults = {name: None if parameter.default is required else parameter.default for name, parameter in arguments().items()}
    assert defaults == {setting.name: setting.default for setting in dataclasses.fields(Config)}


def test_a_loader_annotates_each_argument_as_its_setting_is() -> None:
    annotations = {setting.name: setting.type for setting in dataclasses.fields(Config)}
    annotations["shard"] = "tuple[int, int] | Literal['local']"  # what "local" stands for is not for users
    annotations["bucket_by"] = "Buckets | Sequence[int] | None"  # a class that settings, which know nothing of data, can't name
    assert {name: parameter.annotation for name, parameter in arguments().items()} == annotations


def test_the_docstring_names_each_argument_once_and_in_order() -> None:
    (section,) = re.findall(r"^Args:\n(.*?)\n\n", inspect.getdoc(Loader) or "", re.MULTILINE | re.DOTALL)
    named = re.findall(r"^    (\w+): ", section, re.MULTILINE)
    assert named == [name for name in inspect.signature(Loader.__init__).parameters if name != "self"]


@pytest.mark.parametrize("name", ["seed", "batch_size"])
def test_a_state_is_plain_whatever_the_numbers_were(name: str) -> None:
    numbers = {"batch_size": 4, "seed": 3}
    source = NpyArrays(np.arange(20))
    with Loader(source, **{**numbers, name: np.int64(numbers[name])}, workers=0) as loader, Loader(source, **numbers, workers=0) as plain:
        assert json.dumps(loader.state_dict()) == json.dumps(plain.state_dict())
        assert [x.tolist() for (x,) in loader] == [x.tolist() for (x,) in plain]
