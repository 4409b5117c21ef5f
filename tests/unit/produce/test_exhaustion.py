from __future__ import annotations

import errno

import numpy as np
import pytest

from loader.ipc.records import Resource
from loader.produce.failures import exhaustion


class Cv2Error(Exception):
    """What OpenCV raises looks like this."""


def raised_from(cause: BaseException) -> BaseException:
    try:
        raise RuntimeError("the picture could not be decoded") from cause
    except RuntimeError as error:
        return error


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        Cv2Error("(-4:Insufficient memory) Failed to allocate 9000 bytes in function 'OutOfMemoryError'"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        RuntimeError("can't start new thread"),
        raised_from(MemoryError()),
    ],
)
def test_what_means_that_there_is_no_memory(error: BaseException) -> None:
    assert exhaustion(error) is Resource.MEMORY


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EMFILE, "Too many open files"),
        OSError(errno.ENFILE, "Too many open files in system"),
        raised_from(OSError(errno.EMFILE, "Too many open files")),
        RuntimeError("unable to open file (errno = 24, error message = 'Too many open files')"),
    ],
)
def test_what_means_that_there_is_no_descriptor(error: BaseException) -> None:
    assert exhaustion(error) is Resource.DESCRIPTORS


@pytest.mark.parametrize("error", [ValueError("no"), OSError(errno.EIO, "Input/output error"), raised_from(KeyError("x")), KeyboardInterrupt()])
def test_what_does_not(error: BaseException) -> None:
    assert exhaustion(error) is None


def test_numpys_own_kind_counts() -> None:
    with pytest.raises(MemoryError) as caught:
        np.empty(2**60, np.uint8)
    assert exhaustion(caught.value) is Resource.MEMORY
