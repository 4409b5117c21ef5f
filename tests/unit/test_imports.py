"""What is imported when: a script waits for each module that its first line loads."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import loader
from loader.data import decode, transforms

PACKAGES = [loader, decode, transforms]

# Of the standard library, what the modules behind `from loader import Loader, NpyFiles` import by themselves. Anything more takes time that every
# script pays: import it where it is used, or add it here with a measurement.
STANDARD = """
__future__ abc bisect codecs collections contextlib copy csv ctypes dataclasses datetime enum errno fnmatch functools glob importlib inspect io
itertools json logging math mmap numbers operator os pathlib random re signal stat string struct sys threading time traceback types typing warnings
weakref zlib
"""

# What is not loaded before something needs it.
LATER = """
loader.data.decode. loader.data.plans.bucket_batches loader.data.plans.longest_batches loader.data.sources.arrays.npy_arrays
loader.data.sources.cached loader.data.sources.lines loader.data.sources.objects loader.data.statistics loader.data.transforms.sound
loader.data.transforms.values loader.ipc.payload loader.measure.snapshot loader.measure.stats loader.measure.verdict loader.measure.window
loader.produce loader.supervise loader.train.pack loader.train.remote loader.train.shapes loader.train.show.sheet loader.watch
cloudpickle numpy.random psutil rich
"""

# What only some pipelines use, and what the trainer alone does.
NOT_IN_A_SUPERVISOR = """
loader.data.decode loader.data.sources.lines loader.data.transforms.sound loader.measure.stats loader.measure.verdict loader.train loader.watch
bz2 cloudpickle lzma psutil subprocess tempfile
"""


def loaded_by(code: str) -> list[str]:
    """Return what a fresh interpreter that has NumPy loads in addition."""
    script = f"import json, sys, numpy\nbefore = set(sys.modules)\n{code}\nprint(json.dumps(sorted(set(sys.modules) - before)))"
    return list(json.loads(subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60).stdout))


def tree_of(module: ModuleType) -> ast.Module:
    assert module.__file__
    return ast.parse(Path(module.__file__).read_text())


def imported_at_once(tree: ast.Module) -> set[str]:
    """Return the packages that a module imports when it is loaded: not in functions, and not for type checkers."""
    statements = [node for node in tree.body if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")]
    found = {alias.name for node in statements if isinstance(node, ast.Import) for alias in node.names}
    found |= {node.module or "" for node in statements if isinstance(node, ast.ImportFrom)}
    return {name.split(".")[0] for name in found}


def promised_to_type_checkers(package: ModuleType) -> dict[str, str]:
    """Return the module of each name that a package imports under `TYPE_CHECKING`."""
    return {
        alias.name: node.module or ""
        for block in tree_of(package).body
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def test_the_package_itself_loads_only_its_errors() -> None:
    ours = [name for name in loaded_by("import loader") if name.startswith("loader")]
    assert ours == ["loader", "loader.errors", "loader.lazy_names"]


def test_a_script_waits_for_nothing_that_it_does_not_use() -> None:
    loaded = loaded_by("from loader import Loader, NpyFiles")
    assert [name for name in loaded if name.startswith(tuple(LATER.split()))] == []
    ours = [name for name in loaded if name.split(".")[0] == "loader"]
    packages = set().union(*(imported_at_once(tree_of(importlib.import_module(name))) for name in ours))
    assert packages - {"loader", "numpy", *STANDARD.split()} == set()


def test_a_supervisor_does_not_load_what_only_other_pipelines_use() -> None:
    assert [name for name in loaded_by("import loader.supervise.boot") if name.startswith(tuple(NOT_IN_A_SUPERVISOR.split()))] == []


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_a_name_comes_from_where_type_checkers_look_for_it(package: ModuleType) -> None:
    promised = promised_to_type_checkers(package)
    assert promised
    for name, module in promised.items():
        found = getattr(package, name)
        assert found is getattr(importlib.import_module(module), name)
    assert set(package.__all__) <= set(dir(package))


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_no_module_has_the_name_of_something_that_is_imported_later(package: ModuleType) -> None:
    """Python makes a module an attribute of its package, which would then hide what is public under that name."""
    assert package.__file__
    beside = {path.stem for path in Path(package.__file__).parent.iterdir()}
    assert [name for name in promised_to_type_checkers(package) if name in beside] == []


def test_a_name_that_does_not_exist_is_an_attribute_error_and_an_import_error() -> None:
    with pytest.raises(AttributeError, match="module 'loader' has no attribute 'Lodaer'"):
        _ = loader.Lodaer  # type: ignore[attr-defined]
    with pytest.raises(ImportError, match="cannot import name 'Filp'"):
        from loader.data.transforms import Filp  # noqa: F401
