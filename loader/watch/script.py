"""`SCRIPT:FUNCTION`: how the command line gets hold of what a training script makes."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import cloudpickle

from loader.train.loader import Loader


def function_of(target: str) -> Callable[[], Any]:
    """Import a script and return one of its functions.

    The script runs as a module, so that what it does under `if __name__ == "__main__"` does not happen. What it defines travels to the
    workers by value, as it does from a script that is run: they never import it.

    Args:
        target: such as "train.py:make_loader".

    Raises:
        click.UsageError: the form is wrong, or there is no such script or function.
    """
    script, separator, name = target.rpartition(":")
    path = Path(script)
    if not separator or not name.isidentifier():
        raise click.UsageError(f"{target!r}: give SCRIPT:FUNCTION, such as train.py:make_loader")
    if not path.is_file():
        raise click.UsageError(f"{target!r}: there is no file {script!r}")
    module_name = path.stem if path.stem.isidentifier() and path.stem not in sys.modules else f"_script_{abs(hash(path.resolve())):x}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise click.UsageError(f"{target!r}: {script!r} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    sys.path.insert(0, str(path.resolve().parent))
    spec.loader.exec_module(module)
    cloudpickle.register_pickle_by_value(module)
    found = getattr(module, name, None)
    if not callable(found):
        functions = sorted(key for key, value in vars(module).items() if callable(value) and getattr(value, "__module__", "") == module_name)
        raise click.UsageError(f"{target!r}: {script!r} has no function {name!r}; it has {', '.join(functions) or 'none'}")
    return found  # type: ignore[no-any-return]  # a script has no types


def loader_of(target: str) -> Loader:
    """Return the loader that `SCRIPT:FUNCTION` makes. Raises click.UsageError where it returns something else."""
    loader = function_of(target)()
    if not isinstance(loader, Loader):
        raise click.UsageError(f"{target!r} returned a {type(loader).__name__}; it must return a Loader")
    return loader
