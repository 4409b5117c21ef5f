"""The sample that shows shapes and dtypes: the first one; with `on_error="substitute"`, if that is bad, one of some others."""

from __future__ import annotations

import logging
from collections.abc import Callable

from loader.data.pipeline.pipeline import Pipeline
from loader.data.pipeline.told_specs import FirstSample
from loader.data.rows import BadSample
from loader.data.sources.examples import places_of_examples
from loader.errors import PipelineError

_log = logging.getLogger("loader")


def first_good(pipeline: Pipeline, substitute: bool, trying: Callable[[int], None]) -> FirstSample:
    """Run the first sample, or if that is bad and may be, others, until one is good; return what it told (`Pipeline.probe`).

    Which ones are tried depends on the number of samples alone, so each process finds the same one. Bad ones are not counted here: they are met
    again in their own places.

    Args:
        pipeline: not compiled yet.
        substitute: whether bad samples are replaced, so that the first one may be bad.
        trying: is told each sample before it is tried.

    Raises:
        BadSample: the first one failed, and so did all others that were tried.
        ConfigError: the transforms do not fit the samples.
    """
    first: BadSample | None = None
    for index in _places(pipeline, substitute):
        trying(index)
        if index != pipeline.source._example:
            pipeline.source.learn_from(index)
        try:
            found = pipeline.probe(index)
        except BadSample as bad:
            if isinstance(bad.__cause__, PipelineError):  # it is the source or a transform that is wrong, about all samples
                raise
            first = first or bad
        else:
            if first is not None:
                _log.info("sample %d is bad, so shapes and dtypes are learned from sample %d: %s", first.index, index, pipeline.sample_error(first))
            return found
    assert first is not None
    raise first


def must_be_good(pipeline: Pipeline, substitute: bool) -> str:
    """Return what to say of the sample that `first_good` raised, to follow what was wrong with it."""
    others = len(_places(pipeline, substitute)) - 1
    if not others:
        return ". The first sample must be good, since shapes and dtypes are learned from it"
    tried = "the other one is bad, too" if others == 1 else f"{others} others that were tried, spread over the source, are bad, too"
    return f". Shapes and dtypes are learned from a good sample, and {tried}"


def _places(pipeline: Pipeline, substitute: bool) -> list[int]:
    return places_of_examples(len(pipeline.source)) if substitute else [0]
