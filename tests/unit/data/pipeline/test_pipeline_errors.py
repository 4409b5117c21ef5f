from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np
import pytest

from loader.data.class_weight import ClassWeight
from loader.data.pipeline import io_retries
from loader.data.pipeline import pipeline as pipeline_module
from loader.data.pipeline.pipeline import Pipeline
from loader.data.pipeline.segments import Transform
from loader.data.rows import BadSample
from loader.data.spec import Sample
from loader.data.transforms import Flip, OneHot, Rescale
from loader.errors import ConfigError, PipelineError, SampleError
from tests.unit.data.pictures import SEED, Pictures, add_noise, compiled, filled


def failing_at(bad: int, fail: Callable[[Sample], Any]) -> Transform:
    """Return a function that is harmless but for the sample whose image says that it is number `bad`."""
    marker = Pictures().sample(bad)[0]["image"].tobytes()

    def transform(sample: Sample, rng: np.random.Generator) -> Sample:
        result: Sample = fail(sample) if sample[0]["image"].tobytes() == marker else sample
        return result

    return transform


def raising(error: BaseException) -> Callable[[Sample], Any]:
    def fail(sample: Sample) -> Any:
        raise error

    return fail


FAILURES: dict[str, tuple[Callable[[Sample], Any], type[BaseException], str]] = {
    "raises": (raising(KeyError("no such label")), KeyError, "no such label"),
    "exits": (raising(SystemExit(3)), SystemExit, "3"),
    "other shape": (
        lambda sample: ({"image": sample[0]["image"][1:], "mask": sample[0]["mask"]}, sample[1]),
        PipelineError,
        r"x\['image'\] has shape \(3, 5, 3\)",
    ),
    "other dtype": (lambda sample: (sample[0], float(sample[1])), PipelineError, "y has shape .* dtype float32, but the first sample's .* int32"),
    "other parts": (lambda sample: sample[:1], PipelineError, "1 parts, but the first had 2"),
    "other keys": (lambda sample: ({"image": sample[0]["image"]}, sample[1]), PipelineError, "keys"),
    "text": (lambda sample: (sample[0], "cat"), PipelineError, "y is text"),
    "nothing": (lambda sample: None, PipelineError, "transform 0, .*failing_at.* returned None; it must return the sample"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_what_a_function_does_wrong_names_the_sample(name: str) -> None:
    fail, kind, message = FAILURES[name]
    pipeline = compiled(Pictures(), [failing_at(7, fail)])
    with pytest.raises(BadSample) as caught:
        filled(pipeline, [3, 9, 7, 1])
    assert caught.value.index == 7
    assert isinstance(caught.value.__cause__, kind)
    error = pipeline.error(caught.value)
    assert isinstance(error, PipelineError if kind is PipelineError else SampleError)
    if kind is PipelineError:
        assert str(error).endswith("\n  at sample 7 (picture 7)")
    else:
        assert str(error).startswith("sample 7 (picture 7): ")
    with pytest.raises(kind, match=message):
        raise caught.value.__cause__


@pytest.mark.parametrize("name", FAILURES)
def test_what_a_function_does_wrong_at_once_is_found_by_the_probe(name: str) -> None:
    fail, _, _ = FAILURES[name]
    pipeline = Pipeline(Pictures(), [failing_at(0, fail)], SEED)
    if name in ("raises", "exits", "nothing", "text"):
        with pytest.raises(BadSample) as caught:
            pipeline.probe()
        assert caught.value.index == 0
    else:
        pipeline.probe()  # it is what all samples will be compared with


def test_ctrl_c_is_no_bad_sample() -> None:
    pipeline = compiled(Pictures(), [failing_at(7, raising(KeyboardInterrupt()))])
    with pytest.raises(KeyboardInterrupt):
        filled(pipeline, range(12))


@pytest.mark.parametrize("chunk_bytes", [1, 2**20])
def test_a_label_that_is_no_class_names_its_sample(chunk_bytes: int) -> None:
    with mock.patch.object(pipeline_module, "_CHUNK_BYTES", chunk_bytes):
        pipeline = compiled(Pictures(), [OneHot(4)])
    with pytest.raises(BadSample) as caught:
        filled(pipeline, [2, 3, 9, 1])
    assert caught.value.index == 9
    assert (
        str(pipeline.error(caught.value))
        == "sample 9 (picture 9), y: RowError: OneHot(4): the label is 4, not a whole number from 0 to 3 (class numbers begin at 0)"
    )


@pytest.mark.parametrize("transforms", [[], [Rescale(0.5, fields="image")], [add_noise]], ids=["nothing", "built-in", "function"])
def test_a_source_that_fails_names_the_sample(transforms: list[Transform]) -> None:
    class Broken(Pictures):
        def sample(self, index: int) -> Sample:
            if index == 6:
                raise RuntimeError("torn")
            return super().sample(index)

    pipeline = compiled(Broken(), transforms)
    with pytest.raises(BadSample) as caught:
        filled(pipeline, [5, 6, 8])
    assert caught.value.index == 6
    assert str(caught.value.__cause__) == "torn"


def test_an_error_from_a_worker_carries_the_traceback_and_the_worker() -> None:
    pipeline = compiled(Pictures(), [failing_at(7, raising(KeyError("gone")))])
    with pytest.raises(BadSample) as caught:
        filled(pipeline, [7])
    error = pipeline.error(caught.value, worker=2)
    assert isinstance(error, SampleError)
    assert (error.index, error.name, error.worker, error.reason) == (7, "picture 7", 2, "KeyError: 'gone'")
    assert "raise error\nKeyError: 'gone'" in error.remote_traceback
    assert pipeline.error(caught.value).remote_traceback == ""  # type: ignore[attr-defined]


def test_transforms_that_do_not_fit_the_samples_are_a_wrong_setting() -> None:
    with pytest.raises(ConfigError, match="no axis 5"):
        Pipeline(Pictures(), [Flip(5, fields="image")], SEED).probe()
    with pytest.raises(ConfigError, match="class_weight needs"):
        Pipeline(Pictures(), [only_x], SEED, ClassWeight({0: 1.0})).probe()


def only_x(sample: Sample, rng: np.random.Generator) -> Sample:
    return sample[:1]


# Reads that fail now and then.


class Flaky(Pictures):
    """Fails with an OSError so many times before it gives a sample."""

    failures = 0

    def sample(self, index: int) -> Sample:
        if index == 4 and self.failures:
            self.failures -= 1
            raise OSError(5, "Input/output error")
        return super().sample(index)


def test_a_read_that_fails_is_tried_again_with_growing_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(io_retries.time, "sleep", pauses.append)
    source = Flaky()
    pipeline = compiled(source, [Rescale(0.5, fields="image"), add_noise], io_retries=3)
    source.failures = 3
    batch = filled(pipeline, range(6))
    assert pauses == pytest.approx([0.05, 0.2, 0.8])
    assert [leaf.tobytes() for leaf in batch] == [leaf.tobytes() for leaf in filled(pipeline, range(6))]


def test_a_read_that_goes_on_failing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(io_retries.time, "sleep", lambda _: None)
    source = Flaky()
    pipeline = compiled(source, io_retries=3)
    source.failures = 4
    with pytest.raises(BadSample) as caught:
        filled(pipeline, range(6))
    assert caught.value.index == 4
    assert source.failures == 0


class NoPicture(OSError):
    """As PIL's UnidentifiedImageError: an OSError that no call to the system gave."""


def behind(cause: Exception) -> OSError:
    """Return an error of a library for the web: an OSError without a number, with the cause behind it."""
    error = OSError("connection failed")
    error.__context__ = ValueError("between")
    error.__context__.__context__ = cause
    return error


LASTING = [
    ValueError("no"),
    OSError("no number"),
    NoPicture("cannot identify image file"),
    OSError(errno.ENOENT, "No such file or directory"),
    OSError(errno.EACCES, "Permission denied"),
    OSError(errno.EISDIR, "Is a directory"),
    OSError(errno.EMFILE, "Too many open files"),
    behind(OSError(errno.ENOENT, "No such file or directory")),
]
PASSING = [
    *(OSError(number, "for a moment") for number in (errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ECONNRESET, errno.EBUSY, errno.ENFILE)),
    TimeoutError("timed out"),
    ConnectionError("closed"),
    behind(OSError(errno.ENETUNREACH, "Network is unreachable")),
    behind(TimeoutError("timed out")),
]


@pytest.mark.parametrize(("error", "tries"), [*((error, 1) for error in LASTING), *((error, 4) for error in PASSING)], ids=repr)
def test_only_what_may_pass_is_tried_again(monkeypatch: pytest.MonkeyPatch, error: Exception, tries: int) -> None:
    monkeypatch.setattr(io_retries.time, "sleep", lambda _: None)
    calls: list[int] = []

    def fail(sample: Sample) -> Any:
        calls.append(1)
        raise error

    with pytest.raises(BadSample) as caught:
        filled(compiled(Pictures(), [failing_at(7, fail)], io_retries=3), [7])
    assert caught.value.__cause__ is error
    assert len(calls) == tries
