"""The versions that are installed for the tests, `constraints/*.txt`, against what pyproject.toml asks for."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent.parent
ENVIRONMENTS = {"tested": ".venv", "oldest": ".venv-oldest"}
FILES = tuple(ENVIRONMENTS)
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
LINE = re.compile(r'[a-z0-9-]+==[0-9][0-9a-z.]*(; python_version (<|>=) "3\.[0-9]+")?')

tomllib: Any = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
direct = [
    requirement
    for text in (*project["dependencies"], *(text for texts in project["optional-dependencies"].values() for text in texts))
    if (requirement := Requirement(text)).name != project["name"]  # an extra that is made of others
]
OLDEST_NOT_RUN = {"torch"}  # the oldest versions bring gigabytes of libraries for GPUs
each_file = pytest.mark.parametrize("name", FILES)
each_python = pytest.mark.parametrize("python", PYTHONS)


def lines(name: str) -> list[str]:
    return [line for line in (ROOT / "constraints" / f"{name}.txt").read_text().splitlines() if not line.startswith("#")]


def pins(name: str, python: str) -> dict[str, Version]:
    """Return the version of each package for a version of Python."""
    found: dict[str, Version] = {}
    for requirement in map(Requirement, lines(name)):
        if requirement.marker is None or requirement.marker.evaluate({"python_version": python}):
            assert requirement.name not in found, f"{requirement.name} is pinned twice"
            found[requirement.name] = Version(str(requirement.specifier).removeprefix("=="))
    return found


@each_file
def test_each_line_is_a_package_at_one_version_and_nothing_else(name: str) -> None:
    """No address, no path, no option: where packages come from is each machine's own affair."""
    assert [line for line in lines(name) if not LINE.fullmatch(line)] == []
    packages = [line.split("==")[0] for line in lines(name)]
    assert packages == sorted(packages)


@each_python
@each_file
def test_whatever_the_project_depends_on_is_pinned_within_its_bounds(name: str, python: str) -> None:
    pinned = pins(name, python)
    for requirement in direct:
        if name == "oldest" and requirement.name in OLDEST_NOT_RUN:
            continue
        assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), requirement


@each_python
def test_the_oldest_versions_are_the_lower_bounds(python: str) -> None:
    """The first release that a bound allows and that is still to be had: `2.16.1` for `>=2.16`, as there is no 2.16.0."""
    pinned = pins("oldest", python)
    for requirement in direct:
        if requirement.name in OLDEST_NOT_RUN:
            continue
        (bound,) = requirement.specifier
        lowest = Version(bound.version).release
        assert bound.operator == ">="
        assert pinned[canonicalize_name(requirement.name)].release[: len(lowest)] == lowest, requirement


@each_file
def test_whatever_was_installed_for_the_tests_is_pinned_as_it_is(name: str) -> None:
    if Path(sys.prefix).name != ENVIRONMENTS[name]:  # the newest versions may differ in no more than what nobody names
        pytest.skip(f"this is not {ENVIRONMENTS[name]}")
    pinned = pins(name, f"{sys.version_info.major}.{sys.version_info.minor}")
    found = {package: Version(version).public for package, version in installed()}
    assert {package: version for package, version in found.items() if version != str(pinned.get(package))} == {}


def installed() -> Iterator[tuple[str, str]]:
    """Yield name and version of all that is installed of the project's dependencies, and of theirs."""
    todo = [(requirement.name, requirement.extras) for requirement in direct]
    seen = set()
    while todo:
        name, extras = todo.pop()
        package = canonicalize_name(name)
        if package in seen:
            continue
        seen.add(package)
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        yield package, distribution.version
        for requirement in map(Requirement, distribution.requires or ()):
            if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
                todo.append((requirement.name, requirement.extras))
