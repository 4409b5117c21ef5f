"""What a Loader checks of its arguments before anything starts."""

from __future__ import annotations

import importlib.util
import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace

from loader.config import Config, plain
from loader.data.pipeline.batch_transforms import BatchTransform
from loader.data.pipeline.segments import Transform
from loader.data.plans.batch_lengths import BatchLengths
from loader.data.plans.buckets import Buckets
from loader.data.plans.choice import plan_of
from loader.data.plans.epoch_plan import EpochPlan
from loader.data.sources.source import Source, is_in_order
from loader.data.sources.source_mistakes import instead_of, instead_of_sequence
from loader.data.transforms import Batch, From, LeafTransform, Map, Pad
from loader.errors import ConfigError


def checked_source(source: object) -> Source:
    """Return a source, or raise a ConfigError that says how to make one of what was given."""
    if isinstance(source, Source):
        return source
    remedy = instead_of(source) or instead_of_sequence(source)
    raise ConfigError(f"source is {'None' if source is None else f'of type {type(source).__name__}'}, not a source; {remedy}")


def settings_for(source: Source, config: Config, pad: Pad | None = None) -> Config:
    """Return the settings: with the lengths of all samples, if these differ; and for one process only where the source is read in its own order.

    Args:
        source: of the samples.
        config: as the user gave it.
        pad: pads each batch to its longest sample; None if nothing does.

    Raises:
        ConfigError: they ask for another order, or more processes; the message lists all that do.
    """
    if not is_in_order(source):
        if pad is not None:
            return _with_batch_lengths(source, config, pad)
        return config if config.bucket_by is None else _with_lengths(source, config)
    wrong = {
        f"workers={config.workers}": config.workers not in ("auto", 0, 1),
        f"shuffle={config.shuffle!r}": bool(config.shuffle),
        f"shard={config.shard}": config.rank_and_world[1] > 1,
        f"on_error={config.on_error!r}": config.on_error != "raise",
        f"bucket_by={config.bucket_by!r}": config.bucket_by is not None,
        BatchLengths.setting: pad is not None,
        f"remote={config.remote!r}": config.remote is not None,
    }
    found = [setting for setting, is_wrong in wrong.items() if is_wrong]
    if found:
        raise ConfigError(
            f"{source!r} is read from start to end by one process, and can't be used with {', '.join(found)}. What to do: leave that out; "
            "or, if the data can be asked for sample i, give an object with __len__ and __getitem__: MapSource(obj)"
        )
    return replace(config, workers=min(config.worker_count, 1), max_workers=1)


def _with_batch_lengths(source: Source, config: Config, pad: Pad) -> Config:
    if config.bucket_by is not None:
        raise ConfigError(f"bucket_by={config.bucket_by!r} pads samples, too; leave out {BatchLengths.setting}, or that")
    if config.batch_size is None:
        raise ConfigError(f"batch_size=None: must be a number with {BatchLengths.setting}; where files are batches, their samples have one shape")
    return replace(config, bucket_by=BatchLengths.of_pad(pad, source, config.workers, config.on_error == "substitute"))


def _with_lengths(source: Source, config: Config) -> Config:
    buckets = Buckets.of(config.bucket_by)
    size = config.batch_size
    if isinstance(buckets, BatchLengths):  # of a loader whose settings are changed
        if not isinstance(size, int):
            raise ConfigError(f"batch_size={size!r}: must be one number with {BatchLengths.setting}")
        return config
    if not isinstance(size, int) and size is not None and len(size) != len(buckets.edges):
        raise ConfigError(f"batch_size={list(size)} has {len(size)} numbers, but there are {len(buckets.edges)} buckets: {list(buckets.edges)}")
    if buckets.weights and config.class_weight is not None:
        raise ConfigError("class_weight is one number for each sample, and Buckets(weights=True) makes one for each step; leave out one of them")
    return replace(config, bucket_by=buckets.known(source, config.workers, config.on_error == "substitute"))


def checked_batch_transforms(transforms: object) -> Sequence[BatchTransform]:
    """Return a list of functions of a batch, or raise a ConfigError that names the first thing that is none."""
    if not isinstance(transforms, Sequence):
        raise ConfigError(f"batch_transforms is a {type(transforms).__name__}; give a list of functions f(batch, rng) -> batch")
    for place, transform in enumerate(transforms):
        if isinstance(transform, LeafTransform | Batch | Map | From):
            raise ConfigError(f"batch transform {place} is {transform!r}, which takes samples; put it into transforms")
        if not callable(transform) or isinstance(transform, type):
            raise ConfigError(f"batch transform {place} is {transform!r}; give a function f(batch, rng) -> batch")
    return transforms


def checked_transforms(transforms: object) -> Sequence[Transform]:
    """Return a list of callables, or raise a ConfigError that names the first thing that is not callable."""
    if not isinstance(transforms, Sequence):
        raise ConfigError(f"transforms is a {type(transforms).__name__}; give a list of them")
    wrong = [place for place, transform in enumerate(transforms) if not callable(transform) or isinstance(transform, type)]
    if wrong:
        given = transforms[wrong[0]]
        raise ConfigError(f"transform {wrong[0]} is {given!r}; give a callable f(sample, rng) -> sample, or an instance such as Rescale(1 / 255)")
    return transforms


def apart_from_padding(transforms: Sequence[Transform]) -> tuple[Sequence[Transform], Pad | None]:
    """Return what is done to each sample, and what pads each batch to its longest sample. Raises ConfigError if that is not the last one."""
    places = [place for place, transform in enumerate(transforms) if isinstance(transform, Pad) and transform.longest is not None]
    if not places:
        return transforms, None
    last = len(transforms) - 1
    if places != [last]:
        raise ConfigError(f"transform {places[0]} is {transforms[places[0]]!r}, which must be the last one; put the others before it")
    padding = transforms[last]
    assert isinstance(padding, Pad)
    return transforms[:last], padding


def checked_workers(given: object, ceiling: int) -> int:
    """Return a number of workers from 1 to `ceiling`, or raise ConfigError."""
    workers = plain(given)
    if isinstance(workers, bool) or not isinstance(workers, int) or not 1 <= workers <= ceiling:
        raise ConfigError(f"workers={workers!r}: must be from 1 to {ceiling} (max_workers)")
    return workers


def checked_plan(source: Source, config: Config) -> EpochPlan:
    """Return the batches of an epoch. Raises ConfigError if there are none, and warns of samples that no rank delivers."""
    if not len(source):
        raise ConfigError("the source has no samples")
    plan = plan_of(source, config)
    world = plan.world
    ordered = f"{plan.shared} {plan.unit}"
    if not plan.batches:
        share = f" on each of {world} ranks" if world > 1 else ""
        settings = f"batch_size={config.batch_size}{share} and drop_last={config.drop_last}"
        raise ConfigError(f"{settings} leave no batch of {ordered}; give a smaller {'batch_size' if plan.unit == 'samples' else 'number of ranks'}")
    if plan.dropped:
        problem = f"{plan.dropped} of {plan.samples} samples are longer than the last bucket"
        warnings.warn(f"{problem} and are left out of every epoch (longer='drop')", RuntimeWarning, stacklevel=3)
    if plan.left_out > plan.dropped and not config.drop_last:
        problem = f"the last {plan.left_out - plan.dropped} of {ordered} can't be shared equally by {world} ranks"
        warnings.warn(f"{problem} and are left out of every epoch", RuntimeWarning, stacklevel=3)  # the caller of Loader(...)
    return plan


def check_platform() -> None:
    """Raise ConfigError where there is no pool."""
    if sys.platform != "linux":
        raise ConfigError(f"the worker pool needs Linux, but this is {sys.platform}; use workers=0, which runs everything in this process")


def check_remote(config: Config) -> None:
    """Raise ConfigError if remote workers are asked for and Ray is not installed. Does not import it."""
    if config.remote is not None and importlib.util.find_spec("ray") is None:
        raise ConfigError(
            "remote=RayWorkers(...) needs Ray, not installed here. What to do: pip install 'npy-loader[ray]', on all nodes of the cluster"
        )
