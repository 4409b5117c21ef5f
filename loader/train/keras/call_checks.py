"""Arguments of `fit`, `evaluate` and `predict` that do not go with a Loader: errors and warnings where Keras would say nothing, or mislead.

Keras asks deep inside whether its data are a DataAdapter. What the user has given is in the frames above.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping
from types import FrameType
from typing import Any

from loader.errors import ConfigError
from loader.train.keras.feed import Feed

# Arguments of `fit`, `evaluate` and `predict` that Keras silently drops when it is given a DataAdapter, and where they belong.
_DROPPED = {
    "y": "the labels belong to the source",
    "sample_weight": "the weights belong to the source",
    "class_weight": "give it to the Loader: Loader(..., class_weight=...)",
    "batch_size": "it is a setting of the Loader: Loader(..., batch_size=...)",
    "validation_batch_size": "it is a setting of the Loader: Loader(..., batch_size=...)",
}

# The functions that ask first whether something is a DataAdapter, with their name for it; and how far above them `fit` is.
_ASKERS = {"get_data_adapter": "x", "unpack_x_y_sample_weight": "data"}
_CALLS = {"fit": "train_step", "evaluate": "test_step", "predict": "predict_step"}
_CALL_DEPTH = 5


def refuse_what_does_not_fit(loader: Feed, asker: FrameType) -> None:
    """Raise ConfigError if Keras is given a loader together with what it would ignore, or without what it needs."""
    asks = asker.f_code.co_name
    if asks not in _ASKERS or asker.f_locals.get(_ASKERS[asks]) is not loader:
        return
    call = _call_above(asker)
    if call is not None and call.f_code.co_name == "predict":
        _warn_of_other_rows(loader, call)
    validates = call is not None and call.f_code.co_name == "fit" and (asks != "get_data_adapter" or call.f_locals["x"] is not loader)
    ignored = [f"{name}: {_DROPPED[name]}" for name in _dropped(asker.f_locals, call if validates else None)]
    if call is not None and not validates:
        ignored += _beside_validation_loader(call)
    shuffle = None if call is None or validates else _given(call).get("shuffle")
    if shuffle is not None and bool(shuffle) != loader.shuffles:
        ignored.append(f"shuffle={shuffle!r}: the Loader decides the order: Loader(..., shuffle={bool(shuffle)})")
    if ignored:
        raise ConfigError("Keras would ignore these arguments, because its data is a Loader:\n  " + "\n  ".join(ignored))
    if call is not None and _needs_labels(call, validates) and len(loader.spec.parts) == 1:
        raise ConfigError(
            f"the model is compiled with a loss, which needs labels, and the samples of {loader.name} have none: {loader.spec}. "
            "Give them to the source: NpyArrays(x, y), NpyFiles(paths, labels=...). A model that learns its own input needs it twice: NpyArrays(x, x)"
        )


def _warn_of_other_rows(loader: Feed, call: FrameType) -> None:
    """Warn the caller of `predict` if row k of the predictions is not sample k of the source."""
    reasons = []
    if loader.shuffles:
        reasons.append("shuffle=True changes the order")
    elif loader.by_length:
        reasons.append("bucket_by puts samples of similar length together")
    if loader.left_out:
        reasons.append(f"{loader.left_out:,} samples are left out (drop_last, shards, or too long)")
    if not reasons:
        return
    level, frame = 1, sys._getframe()
    while frame is not call and frame.f_back is not None:
        level, frame = level + 1, frame.f_back
    warnings.warn(
        f"the rows of the predictions don't match the samples of {loader.name}: {' and '.join(reasons)}. To tell which row belongs to which sample, "
        "or to source.paths, predict with a Loader without these settings",
        RuntimeWarning,
        stacklevel=level + 2,  # above `predict` there is the wrapper that Keras has around it
    )


def _dropped(given: Mapping[str, Any], validation: FrameType | None) -> list[str]:
    """Return which of the arguments that Keras drops were given. For validation data, the batch size of training arrays is handed on to us."""
    names = [name for name in _DROPPED if given.get(name) is not None]
    if validation is None:
        return names
    own_size = ["validation_batch_size"] * (validation.f_locals.get("validation_batch_size") is not None)
    return own_size + [name for name in names if name != "batch_size"]


def _beside_validation_loader(call: FrameType) -> list[str]:
    """Return what stands beside a loader in `validation_data`. Keras itself looks at that after the first epoch only."""
    given = call.f_locals.get("validation_data")
    if not isinstance(given, tuple | list) or not given or not isinstance(given[0], Feed):
        return []
    beside = zip(("y", "sample_weight"), given[1:], strict=False)
    return [f"{name} in validation_data: {_DROPPED[name]}; validation_data=loader is enough" for name, value in beside if value is not None]


def _call_above(asker: FrameType) -> FrameType | None:
    """Return the frame of the `fit`, `evaluate` or `predict` of Keras that wants to know, if it is one of them."""
    frame: FrameType | None = asker
    for _ in range(_CALL_DEPTH):
        frame = frame and frame.f_back
        if frame is not None and frame.f_code.co_name in _CALLS and {"self", "x"} <= frame.f_locals.keys():
            return frame
    return None


def _given(call: FrameType) -> Mapping[str, Any]:
    """Return the arguments that were given to `fit`, without its defaults: those of the wrapper that Keras has around it."""
    wrapper = call.f_back
    around = wrapper.f_locals if wrapper is not None else {}
    if getattr(around.get("fn"), "__code__", None) is not call.f_code:
        return {}
    by_name: Mapping[str, Any] = around["kwargs"]
    return {**dict(zip(call.f_code.co_varnames, around["args"], strict=False)), **by_name}


def _needs_labels(call: FrameType, validates: bool) -> bool:
    """Return whether Keras itself computes a loss from labels: not in `predict`, nor without one, nor in steps of the model's own."""
    model = call.f_locals["self"]
    step = "test_step" if validates else _CALLS[call.f_code.co_name]
    own = [method for method in (step, "compute_loss") if not getattr(type(model), method).__module__.startswith("keras.")]
    return step != "predict_step" and getattr(model, "loss", None) is not None and not own
