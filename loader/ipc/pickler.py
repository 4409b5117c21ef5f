"""The pickler that the pipeline travels with: cloudpickle's, which takes functions and classes of a script by value, and what it leaves out."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from types import CodeType
from typing import IO, Any

import cloudpickle


class Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # it has no types
    """Pickles by value what the user's script defines.

    Attributes:
        code_files: names of the files that the code in the pickle was written in.
    """

    def __init__(self, file: IO[bytes], buffer_callback: Callable[[pickle.PickleBuffer], Any]) -> None:
        super().__init__(file, protocol=5, buffer_callback=buffer_callback)
        self.code_files: set[str] = set()

    def reducer_override(self, value: Any) -> Any:
        """Say how `value` is pickled; called by pickle for whatever it has no way of its own for."""
        if isinstance(value, CodeType):
            # cloudpickle 3.1.3 calls the file of all code "<dynamic-code>", and a traceback then shows neither file nor line.
            self.code_files.add(value.co_filename)
            build, arguments, *_ = self.dispatch_table[CodeType](value)
            return _code_of_file, (value.co_filename, build, arguments)
        return super().reducer_override(value)


def dumps(value: Any) -> tuple[bytes, list[pickle.PickleBuffer], set[str]]:
    """Return the pickle of `value`, the buffers of arrays that are not in it, and the names of the files that its code was written in."""
    buffers: list[pickle.PickleBuffer] = []
    with io.BytesIO() as file:
        pickler = Pickler(file, buffers.append)
        pickler.dump(value)
        return file.getvalue(), buffers, pickler.code_files


def _code_of_file(name: str, build: Callable[..., CodeType], arguments: tuple[Any, ...]) -> CodeType:
    return build(*arguments).replace(co_filename=name)
