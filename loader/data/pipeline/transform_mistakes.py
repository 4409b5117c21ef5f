"""What a function of the user took a sample for, told from the error that it raised on the first one.

Half of all first transforms are written for one array: `f(x)`, or `sample / 255`. They fail at every sample, so none is to blame. Only errors
that mean this are recognised; with any other one the function may be right and the sample bad.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from types import CodeType
from typing import Any

from loader.data.spec import PART_NAMES, Sample
from loader.errors import in_words

_FORM = "A transform is called as f(sample, rng) and returns the sample"
_INSTEAD = "take its parts, change them, return the tuple:\n    def f(sample, rng):\n        {parts} = sample\n        return {result}"

# How Python says that something was done to a tuple that arrays can do.
_OF_A_TUPLE = re.compile(r"'tuple' object|'tuple' and|and 'tuple'|to tuple$|: 'tuple'$|tuple indices|multiply sequence by non-int|'tuple'\)")
_UNPACKED = re.compile(r"values to unpack|tuple index out of range")
_OLD_NAME = re.compile(r"Generator' object has no attribute '(\w+)'")
_GENERATOR = re.compile(r"Generator\(|'Generator'|numpy\.random\._generator\.Generator")
_OF_A_DICT = re.compile(r"'dict' object|'dict' and|and 'dict'|: 'dict'$")
_IN_PLACE = "Cannot cast ufunc"

# What the functions of `np.random` that most scripts use are called in a Generator.
_NEW_NAMES = {
    "rand": "rng.random((a, b))",
    "randn": "rng.normal(size=(a, b))",
    "randint": "rng.integers(low, high)",
    "random_sample": "rng.random(size)",
    "seed": "nothing: it is seeded for each sample",
}


def misunderstanding(function: Callable[..., Any], sample: Sample, error: Exception) -> str | None:
    """Return what `function` got wrong about a sample, to follow its name in a message; None if `error` does not tell.

    Args:
        function: called as `function(sample, rng)`.
        sample: what it was given.
        error: what it raised.
    """
    if not isinstance(sample, tuple):
        return f"raised {in_words(error)}. Likely cause: the transform before it returned x alone, so it did not get a tuple; return (x,) there"
    parts = f"({', '.join(PART_NAMES[: len(sample)])}{',' if len(sample) == 1 else ''})"
    if isinstance(error, TypeError) and not _fits(function):
        return f"can't be called: {in_words(error)}. {_FORM}; {_instead(sample)}"
    own = _is_raised_by(function, error)
    message = in_words(error)  # not str(): the error's class is the user's, and may fail at anything
    if own and isinstance(error, ValueError | IndexError) and _UNPACKED.search(message):
        return f"raised {in_words(error)}. Likely cause: it expects another number of parts; here a sample is {parts}, {len(sample)} of them"
    # NumPy says it, too, where it is given the tuple.
    on_tuple = own and isinstance(error, TypeError | AttributeError) and _OF_A_TUPLE.search(message)
    if on_tuple or (isinstance(error, ValueError) and re.search(rf"detected shape was \({len(sample)},.* inhomogeneous", message)):
        return (
            f"raised {in_words(error).rstrip('.')}. Likely cause: it treats the sample as an array, but that is a tuple, {parts}; {_instead(sample)}"
        )
    return _of_a_part(sample, error, message, own) or _of_the_generator(sample, error, message)


def _of_a_part(sample: Sample, error: Exception, message: str, own: bool) -> str | None:
    """Return what was wrong about a part of the sample."""
    dicts = [f"{name} is a dict with the keys {list(part)}" for name, part in zip(PART_NAMES, sample, strict=False) if isinstance(part, dict)]
    if own and dicts and isinstance(error, TypeError | AttributeError) and _OF_A_DICT.search(message):
        return f"raised {in_words(error)}. Likely cause: {' and '.join(dicts)}; handle each of its arrays"
    if own and isinstance(error, TypeError) and _IN_PLACE in message:
        return f"raised {in_words(error)}. Likely cause: it writes floats into an array of integers, as x /= 255 does; write x = x / 255"
    return None


def _of_the_generator(sample: Sample, error: Exception, message: str) -> str | None:
    """Return what was wrong about the second argument."""
    if isinstance(error, AttributeError) and (old := _OLD_NAME.search(message)):
        new = f": instead of {old[1]}, {_NEW_NAMES[old[1]]}" if old[1] in _NEW_NAMES else ""
        return f"raised {in_words(error)}. Likely cause: `rng` is a numpy.random.Generator, whose functions have other names than np.random's{new}"
    if isinstance(error, TypeError | ValueError | AttributeError) and _GENERATOR.search(message):
        return f"raised {in_words(error)}. Likely cause: its second argument is not an `rng`. {_FORM}; {_instead(sample)}"
    return None


def _instead(sample: Sample) -> str:
    names = PART_NAMES[: len(sample)]
    parts = ", ".join(names) + ("," if len(names) == 1 else "")
    return _INSTEAD.format(parts=parts, result=parts.replace("x", "change(x)", 1))


def _fits(function: Callable[..., Any]) -> bool:
    """Return whether a function can be called with two arguments, as far as that is known."""
    try:
        inspect.signature(function).bind(None, None)
    except TypeError:
        return False
    except ValueError:  # one that is written in C and does not tell
        return True
    return True


def _is_raised_by(function: Callable[..., Any], error: Exception) -> bool:
    """Return whether a line of the function itself raised the error, not something that it called."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_code is _code(function)


def _code(function: Any) -> CodeType | None:
    while isinstance(function, functools.partial):
        function = function.func
    for holder in (function, getattr(function, "__func__", None), type(function).__call__):
        code = getattr(holder, "__code__", None)
        if isinstance(code, CodeType):
            return code
    return None
