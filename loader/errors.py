"""Every exception of the package: one tree under `LoaderError`.

Each also derives from the builtin that a caller would catch. The fields come first and the message is made from them, so that an error
crosses a process as plain data: `to_record` gives a JSON-able dict, `from_record` builds the same error again. No pickle is involved.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import Any, ClassVar

_LONGEST_MESSAGE = 2_000
_LONGEST_TRACEBACK = 16_000
_LONGEST_CHAIN = 20

_PACKAGE = __name__.partition(".")[0]


class LoaderError(Exception):
    """Base class of every error that this package raises."""

    registry: ClassVar[dict[str, type[LoaderError]]] = {}

    def __init_subclass__(cls) -> None:
        LoaderError.registry[cls.__name__] = cls

    def to_record(self) -> dict[str, Any]:
        """Return the error as a JSON-able dict, for `from_record` in another process."""
        return {"error": type(self).__name__, "message": str(self)}

    @classmethod
    def _from_record(cls, record: dict[str, Any]) -> LoaderError:
        return cls(record["message"])


class ConfigError(LoaderError, ValueError):
    """A setting is out of range, or settings contradict each other. Lists everything that is wrong, not only the first problem."""


class ArgumentError(ConfigError, TypeError):
    """An argument has an unknown name; the message suggests the name that was probably meant."""


class DataNotFoundError(ConfigError, FileNotFoundError):
    """Nothing exists at a path, or a folder or glob contains no file to read."""


class DecodeError(LoaderError, ValueError):
    """A file does not hold what it should. `path` says which file, `problem` what is wrong with it."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path
        self.problem = problem

    def __reduce__(self) -> tuple[type[DecodeError], tuple[str, str]]:
        return type(self), (self.path, self.problem)

    def to_record(self) -> dict[str, Any]:
        return super().to_record() | {"path": self.path, "problem": self.problem}

    @classmethod
    def _from_record(cls, record: dict[str, Any]) -> LoaderError:
        return cls(record["path"], record["problem"])


class NpyError(DecodeError):
    """A file is not the `.npy` file that it should be."""


class FetchError(DecodeError, OSError):
    """An object of a store or a web server could not be fetched. `path` is its URL."""


class LabelError(LoaderError, ValueError):
    """Labels do not match the samples: one is missing, the counts differ, or a value cannot be a label."""


class SampleError(LoaderError, RuntimeError):
    """One sample could not be produced; the error names it.

    Attributes:
        index: the sample's index in the source.
        name: its path or ID if the source has one, else None.
        reason: what went wrong, in words.
        worker: number of the worker that met it; None if there was no worker (`workers=0`).
        remote_traceback: traceback from the worker, as text; if the worker died, the stack that it left, if any.
        field: the part of the sample that failed, such as `x` or `y['mask']`, if known, else None.
    """

    def __init__(
        self, *, index: int, name: str | None, reason: str, worker: int | None = None, remote_traceback: str = "", field: str | None = None
    ) -> None:
        self.index = index
        self.name = name
        self.reason = reason
        self.worker = worker
        self.remote_traceback = remote_traceback
        self.field = field
        super().__init__(self._message())

    @property
    def which(self) -> str:
        """The sample in words: its number, its name, and the part that failed, as far as they are known."""
        return f"sample {self.index}" + (f" ({self.name})" if self.name else "") + (f", {self.field}" if self.field else "")

    def _message(self) -> str:
        where = "" if self.worker is None else f"\n  in worker {self.worker}"
        trace = f"\n\n{self.remote_traceback.rstrip()}" if self.remote_traceback else ""
        return f"{self.which}: {self.reason}{where}{trace}"

    def fields(self) -> dict[str, Any]:
        """Return the constructor's arguments, all JSON-able."""
        return {
            "index": self.index,
            "name": self.name,
            "reason": self.reason,
            "worker": self.worker,
            "remote_traceback": self.remote_traceback,
            "field": self.field,
        }

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.to_record(),)

    def to_record(self) -> dict[str, Any]:
        return {"error": type(self).__name__, "message": str(self), **self.fields()}

    @classmethod
    def _from_record(cls, record: dict[str, Any]) -> LoaderError:
        return cls(**{key: record[key] for key in ("index", "name", "reason", "worker", "remote_traceback", "field")})


class SampleTimeout(SampleError, TimeoutError):
    """A sample made no progress for `sample_timeout_s`, three times, while it was the only one in its ticket."""


class PipelineError(LoaderError, RuntimeError):
    """The source or a transform can't be sent to the workers, can't start there, does not return a sample, or changes its shape."""


class MemoryLimitError(LoaderError, MemoryError):
    """The configuration does not fit into the memory limit; the message shows the calculation."""


class StateError(LoaderError, ValueError):
    """A saved position belongs to other data or settings."""


class IterationError(LoaderError, RuntimeError):
    """An iterator was used after a newer iterator of the same loader had started its epoch, or by two threads at once."""


class LoaderClosed(LoaderError, RuntimeError):
    """The loader was used after `close()`."""


class SupervisorDied(LoaderError, RuntimeError):
    """The supervisor died, and so did those that replaced it; the message has the exit status and last words of the last one."""


class AttachError(LoaderError, RuntimeError):
    """There is no shared loader of that name, or it does not take this script as a reader; the message says why."""


class ProtocolError(LoaderError, RuntimeError):
    """A message or a change of state that does not fit what came before: a fault of this package. The message tells the history.

    It is no public name: nothing that a script does should lead to it, and `except LoaderError` catches it like the others.
    """


def from_record(record: dict[str, Any]) -> LoaderError:
    """Build the error that `to_record` described. An unknown name becomes a plain `LoaderError`."""
    return LoaderError.registry.get(record["error"], LoaderError)._from_record(record)


def _rebuild(record: dict[str, Any]) -> LoaderError:
    return from_record(record)


def chain_of(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and those that it was raised from, the innermost last; at most 20, as code of the user may chain errors in a ring."""
    for _ in range(_LONGEST_CHAIN):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__


def drop_own_frames(error: BaseException) -> None:
    """Let the traceback of an error, and of those that it was raised from, begin where this package called other code, such as the user's.

    Where no other code was called, it stays as it is.
    """
    for each in chain_of(error):
        before, trace = None, each.__traceback__
        while trace is not None and _is_own(trace):
            before, trace = trace, trace.tb_next
        if trace is not None and before is not None:
            each.with_traceback(before)


def _is_own(trace: TracebackType) -> bool:
    """Whether a frame is this package's, or of the cached properties in between."""
    module = str(trace.tb_frame.f_globals.get("__name__"))
    return module.partition(".")[0] == _PACKAGE or module == "functools"


def remote_traceback(error: BaseException) -> str:
    """Return the traceback of `error` as text, for an error that will be raised in another process; at most 16,000 characters, the last ones."""
    try:
        text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    except Exception as problem:  # the error's class is the user's, and may fail at anything
        return f"{type(error).__name__}, whose traceback can't be shown: {type(problem).__name__}\n"
    return text if len(text) <= _LONGEST_TRACEBACK else f"[…]\n{text[-_LONGEST_TRACEBACK:]}"


def in_words(error: BaseException) -> str:
    """Return the class and the message of an error; at most 2,000 characters of the message, the first ones."""
    try:
        message = str(error)
    except Exception as problem:
        message = f"(its message can't be shown: str() raises {type(problem).__name__})"
    if len(message) > _LONGEST_MESSAGE:
        message = f"{message[:_LONGEST_MESSAGE]} […] ({len(message):,} characters)"
    return f"{type(error).__name__}: {message}" if message else type(error).__name__
