"""`SCRIPT:FUNCTION`: how the command line gets what a training script makes."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import IO, Any

import click
import cloudpickle

from loader.errors import LoaderError
from loader.train.loader import Loader

_OURS = (str(Path(__file__).parent.parent), "<frozen importlib")


class ScriptError(click.ClickException):
    """The user's script raised something: its traceback is shown, without the frames of this package, and the exit status is 1."""

    def __init__(self, target: str, error: BaseException) -> None:
        super().__init__(f"{target!r} raised {type(error).__name__}")
        trimmed: traceback.TracebackException | None = traceback.TracebackException.from_exception(error)
        self._trace = trimmed
        while trimmed is not None:
            trimmed.stack = traceback.StackSummary.from_list([frame for frame in trimmed.stack if not frame.filename.startswith(_OURS)])
            trimmed = trimmed.__cause__ or trimmed.__context__

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the traceback on standard error."""
        assert self._trace is not None
        click.echo("".join(self._trace.format()), err=True, nl=False)


def call(target: str) -> Any:
    """Import a script, unless it was already; call one of its functions, without arguments; return what that returns.

    The script runs as a module, so that what it does under `if __name__ == "__main__"` does not happen. What it defines travels to the
    workers by value, as it does from a script that is run: they never import it.

    Args:
        target: such as "train.py:make_loader".

    Raises:
        click.UsageError: the form is wrong, or there is no such script or function.
        ScriptError: the script, or the function, raised something.
    """
    script, separator, name = target.rpartition(":")
    path = Path(script)
    if not separator or not name.isidentifier():
        raise click.UsageError(f"{target!r}: give SCRIPT:FUNCTION, such as train.py:make_loader")
    if not path.is_file():
        raise click.UsageError(f"{target!r}: there is no file {script!r}")
    try:
        module = _module(path.resolve())
        function = _function(module, name, target)
        return function()
    except (click.ClickException, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # user code, and the command line is its outermost caller
        raise ScriptError(target, error) from None


def make_loader(target: str) -> Loader:
    """Return the loader that `SCRIPT:FUNCTION` makes, closed: for its settings, and to make others like it.

    Open, it would take memory and workers from those that are measured.

    Raises:
        click.UsageError: there is no such function, or it returns something else.
        ScriptError: it raised something.
    """
    loader = call(target)
    if not isinstance(loader, Loader):
        raise click.UsageError(f"{target!r} returned {described(loader)}; it must return a Loader")
    with suppress(LoaderError):  # what fails in its processes fails again in the first loader that is measured, and is reported there
        loader.close()
    return loader


def described(thing: object) -> str:
    """Return what a function returned, in words."""
    return "None" if thing is None else f"an object of class {type(thing).__name__}"


def _module(path: Path) -> ModuleType:
    known = sys.modules.get(path.stem)
    if known is not None and getattr(known, "__file__", None) == str(path):
        return known
    name = path.stem if path.stem.isidentifier() and known is None else f"_script_{abs(hash(path)):x}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise click.UsageError(f"{str(path)!r} is not a Python file: its name must end with .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(path.parent))
    spec.loader.exec_module(module)
    cloudpickle.register_pickle_by_value(module)
    return module


def _function(module: ModuleType, name: str, target: str) -> Callable[[], Any]:
    found = getattr(module, name, None)
    if callable(found):
        return found  # type: ignore[no-any-return]  # a script has no types
    functions = sorted(key for key, value in vars(module).items() if callable(value) and getattr(value, "__module__", "") == module.__name__)
    raise click.UsageError(f"{target!r}: it has no function {name!r}; it has {', '.join(functions) or 'none'}")
