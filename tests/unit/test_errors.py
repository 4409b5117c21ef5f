from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Iterator

import pytest

import loader
from loader import errors
from loader.errors import DecodeError, LoaderError, PipelineError, SampleError, SampleTimeout, from_record, remote_traceback

BUILTINS: dict[str, type[BaseException]] = {
    "ConfigError": ValueError,
    "ArgumentError": TypeError,
    "DataNotFoundError": FileNotFoundError,
    "DecodeError": ValueError,
    "FetchError": OSError,
    "NpyError": ValueError,
    "LabelError": ValueError,
    "SampleError": RuntimeError,
    "SampleTimeout": TimeoutError,
    "PipelineError": RuntimeError,
    "MemoryLimitError": MemoryError,
    "StateError": ValueError,
    "IterationError": RuntimeError,
    "LoaderClosed": RuntimeError,
    "SupervisorDied": RuntimeError,
    "AttachError": RuntimeError,
    "ProtocolError": RuntimeError,
}
INTERNAL = {"ProtocolError"}


def ours() -> list[type[LoaderError]]:
    return [kind for kind in LoaderError.registry.values() if kind.__module__ == errors.__name__]


def examples() -> Iterator[LoaderError]:
    """Yield one or more errors of every class."""
    yield LoaderError("something")
    for kind in ours():
        if issubclass(kind, SampleError):
            yield kind(index=7, name="a/b.npy", reason="ValueError: torn", worker=2, remote_traceback="Traceback:\n  line 1\n")
            yield kind(index=0, name=None, reason="it died")
        elif issubclass(kind, DecodeError):
            yield kind("/data/ä.npy", "no magic")
        else:
            yield kind("what, how much, why perhaps, what to do")


def same(one: BaseException, other: BaseException) -> bool:
    return (type(one), str(one), one.args, vars(one)) == (type(other), str(other), other.args, vars(other))


EXAMPLES = list(examples())
each = pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)


@each
def test_an_error_survives_pickling(error: LoaderError) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert same(pickle.loads(pickle.dumps(error, protocol)), error)


@each
def test_an_error_survives_copying(error: LoaderError) -> None:
    assert same(copy.deepcopy(error), error)


@each
def test_an_error_survives_the_way_through_json(error: LoaderError) -> None:
    assert same(from_record(json.loads(json.dumps(error.to_record()))), error)


def test_every_error_is_caught_as_the_builtin_that_it_is() -> None:
    assert {kind.__name__ for kind in ours()} == set(BUILTINS)
    for kind in ours():
        assert issubclass(kind, BUILTINS[kind.__name__])
        assert issubclass(kind, LoaderError)


def test_every_error_that_a_script_can_cause_is_public_and_says_what_it_means() -> None:
    for kind in [LoaderError, *ours()]:
        assert (getattr(loader, kind.__name__, None) is kind) == (kind.__name__ not in INTERNAL)
        assert kind.__doc__
        assert "__doc__" in vars(kind)


def test_an_error_of_a_class_that_is_not_known_here_is_still_a_loader_error() -> None:
    error = from_record({"error": "FromTheFuture", "message": "hm"})
    assert type(error) is LoaderError
    assert str(error) == "hm"


def test_a_sample_error_names_sample_file_worker_and_cause() -> None:
    error = SampleError(index=7, name="a/b.npy", reason="ValueError: torn", worker=2, remote_traceback="Traceback …\nValueError: torn\n")
    assert str(error) == "sample 7 (a/b.npy): ValueError: torn\n  in worker 2\n\nTraceback …\nValueError: torn"
    assert str(SampleError(index=7, name=None, reason="it died")) == "sample 7: it died"


def test_a_sample_error_with_the_worker_numbered_zero_says_so() -> None:
    assert "in worker 0" in str(SampleTimeout(index=7, name=None, reason="slow", worker=0))


def test_a_remote_traceback_shows_the_line_and_the_cause() -> None:
    def outer() -> None:
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise PipelineError("outer") from error

    with pytest.raises(PipelineError) as caught:
        outer()
    text = remote_traceback(caught.value)
    assert 'raise KeyError("inner")' in text
    assert "The above exception was the direct cause" in text
    assert text.rstrip().endswith("PipelineError: outer")
