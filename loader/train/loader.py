"""The `Loader`: what a training script holds."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Literal

from loader.config import Config, LocalShard, plain
from loader.data.class_weight import ClassWeight
from loader.data.named_arguments import NamedArguments
from loader.data.pipeline.batch_transforms import BatchTransform
from loader.data.pipeline.pipeline import Pipeline
from loader.data.pipeline.segments import Transform
from loader.data.plans.epoch_plan import EpochPlan
from loader.data.plans.plan_facts import PlanFacts
from loader.data.sources.source import Source
from loader.errors import AttachError, ConfigError
from loader.ipc.board import MOST_READERS
from loader.ipc.loader_identity import default_name, set_name
from loader.ipc.quarantine import make_report
from loader.launcher import Launched
from loader.train.attached_loader import AttachedLoader, shared_settings
from loader.train.checks import (
    apart_from_padding,
    check_platform,
    check_remote,
    checked_batch_transforms,
    checked_plan,
    checked_source,
    checked_transforms,
    settings_for,
)
from loader.train.handle import Handle
from loader.train.inline import Inline
from loader.train.producer import Producer
from loader.train.show.showing import Showing
from loader.train.state import State, files_in_words, fingerprint

if TYPE_CHECKING:
    from loader.data.plans.buckets import Buckets
    from loader.ray_workers import RayWorkers

# The process that makes a pool for others may first have to list and index the data.
_POOL_S = 900.0


class Loader(Handle, Showing, NamedArguments):
    """Batches of samples, made by a pool of worker processes and handed out without a copy.

    Returns at once: the supervisor and its workers start in the background, and the first use raises what went wrong there. Pass it to
    `model.fit`, or iterate over it: each `for` loop is one epoch, and the next epoch is already being filled meanwhile.

    Args:
        source: where the samples come from: `NpyFiles`, `NpyArrays`, `MapSource`, `IterSource`, `Zip`, or a sum, subset or split of them.
        batch_size: rows per batch, for each rank; a list has them for each bucket. None: each file is a batch, with its own number of rows
            (`NpyArrays` of several files).
        transforms: from `loader.transforms`, or functions `f(sample, rng) -> sample`; applied in this order.
        batch_transforms: functions `f(batch, rng) -> batch` of finished batches, such as mixup; docs/mix_samples.md.
        shuffle: a new order in every epoch; of the files, where these are batches. A number, or "blocks": a new order within windows of about so
            many samples, or of 256 MiB, that are read in long pieces; for disks that seek slowly, and data that do not fit in memory.
        seed: of the order and of all random draws. The same seed gives the same batches, bit for bit, for any number of workers.
        drop_last: leave out the last batch if it is not full, of each bucket.
        bucket_by: for samples that differ in length: lengths such as `[64, 128, 256]`. Batches have samples of similar length, each padded to the
            first of these that is long enough. `Buckets(...)` says more: axis, arrays, mask, what is too long.
        workers: processes; 0 runs everything in this process. "auto" begins with one per core, at most 8, and finds the fewest with which the trainer
            does not wait. It exceeds the number of cores only if reads wait for storage. `resize` ends auto.
        max_workers: most workers that `resize` and "auto" may ask for; by default 16, or 8 per core if that is more.
        slots: places for batches in shared memory; by default, as many as keep all workers busy.
        memory_limit: bytes, or text such as "2GiB": limit of the loader's memory, checked before anything is allocated and enforced while running.
            The default is half of what the machine and the control group leave at the start; more, up to all of it, if the settings need
            more with 256 MiB for each worker.
        on_error: what happens with a bad sample: "raise" raises its error when its batch is due, "substitute" puts another sample in its place.
        max_errors: with "substitute": how many different samples may be bad, a count or (float) a share of the source; None: any number.
        quarantine: file to which a JSON line is appended for each bad sample, once per loader.
        io_retries: how often a read is tried again after an error that may go away (EIO, ESTALE, ECONNRESET, ...), with growing pauses.
        sample_timeout_s: a worker that makes no progress for this long is replaced; three times in a row on one sample raises SampleTimeout.
        shard: `(rank, world)` of this process in a data-parallel job. "local": as the launcher says (torchrun, mpirun, srun), and all ranks on
            this machine share one pool, which needs a `name`.
        class_weight: weight by class number; the batch becomes `(x, y, weight)`. "balanced" gives each class the same weight in all, by
            the labels of the whole source: samples / (classes × samples of the class).
        name: of the loader in `stats()` and in messages.
        shared: other scripts of this user may read the same batches, by `Loader.attach(name)`, also when this one has ended. The arrays are then
            read-only.
        lag: what happens with a slow reader: "split" makes its batches once more for it alone, "wait" lets all go in step.
        remote: `RayWorkers(max=32)` adds workers on the machines of a Ray cluster; docs/workers_on_other_machines.md.

    Raises:
        ConfigError: settings are out of range (one message lists all), or there would be no batch.
        PipelineError: the source or a transform can't be sent to the workers; the message names the attribute.

    Example:
        >>> import numpy as np
        >>> from loader import Loader, NpyArrays
        >>> with Loader(NpyArrays(np.arange(10)), batch_size=4, workers=0) as loader:
        ...     [x.tolist() for (x,) in loader]
        [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    """

    plan: EpochPlan

    def __init__(
        self,
        source: Source,
        batch_size: int | Sequence[int] | None,
        *,
        transforms: Sequence[Transform] = (),
        batch_transforms: Sequence[BatchTransform] = (),
        shuffle: bool | int | Literal["blocks"] = False,
        seed: int = 0,
        drop_last: bool = False,
        bucket_by: Buckets | Sequence[int] | None = None,
        workers: int | Literal["auto"] = "auto",
        max_workers: int | None = None,
        slots: int | None = None,
        memory_limit: int | str | None = None,
        on_error: Literal["raise", "substitute"] = "raise",
        max_errors: int | float | None = None,
        quarantine: str | os.PathLike[str] | None = None,
        io_retries: int = 3,
        sample_timeout_s: float = 60.0,
        shard: tuple[int, int] | Literal["local"] = (0, 1),
        class_weight: Mapping[int, float] | Literal["balanced"] | None = None,
        name: str | None = None,
        shared: bool = False,
        lag: Literal["split", "wait"] = "split",
        remote: RayWorkers | None = None,
    ) -> None:
        given = locals()
        config = Config(**{setting.name: given[setting.name] for setting in fields(Config)})
        launched = Launched.here() if config.shard == "local" else None
        if launched is not None:
            config = replace(config, shard=(launched.rank, launched.world))
        self.source = checked_source(source)
        self.transforms, pad = apart_from_padding(checked_transforms(transforms))
        self.batch_transforms = checked_batch_transforms(batch_transforms)
        self._config = config = replace(settings_for(source, config, pad), quarantine=make_report(config.quarantine))
        self.plan = checked_plan(self.source, config)
        weights = ClassWeight.of(config.class_weight, source)
        source.be_patient(config.sample_timeout_s)
        pipeline = Pipeline(source, self.transforms, config.seed, weights, config.io_retries, config.bucket_by, self.batch_transforms)
        pipeline.check_sums()
        producer = self._producer_for(pipeline, launched)
        set_name(producer.cells, producer.pid)
        self.name = config.name or default_name(producer.pid) + ("" if config.worker_count else f"-{id(self):x}")
        self._open(producer)

    def _producer_for(self, pipeline: Pipeline, launched: Launched | None) -> Producer:
        """Return who makes the batches: this process, a pool of its own, or the pool of the first rank on this machine."""
        config = self._config
        if config.worker_count == 0 and config.remote is None:
            return Inline(pipeline, config, self.plan)
        check_platform()
        check_remote(config)
        from loader.train.remote.remote import Remote  # can be imported where there is a pool only

        if launched is None:
            return Remote(pipeline, config, told=self._told() if config.shared else None)
        if launched.local_size > MOST_READERS + 1:
            raise ConfigError(
                f'shard="local": {launched.local_size} ranks run on this machine, and {MOST_READERS + 1} can share one pool. '
                "What to do: shard=(rank, world), with which each has its own; or fewer ranks"
            )
        shared = replace(config, shard=LocalShard(launched.rank, launched.world, launched.local_size), shared=True)
        if launched.local_rank:
            return self._attached_to_first_rank(launched, functools.partial(Inline, pipeline, config, self.plan))
        return Remote(pipeline, shared, told={**self._told(), "job": launched.job})

    def _attached_to_first_rank(self, launched: Launched, spare: Callable[[], Producer]) -> Producer:
        from loader.train.remote.attached import Attached

        own = self._told()
        who = {"rank": launched.rank, "world": launched.world, "job": launched.job}
        settings = {name: value for name, value in own["settings"].items() if name != "shard"}
        producer = Attached(str(self._config.name), 0, 0, settings, _POOL_S, who, spare)
        there, here = producer.told["state"], own["state"]
        if different := [f"{name}: {there[name]!r} there, {here[name]!r} here" for name in here if there[name] != here[name]]:
            producer.close()
            raise AttachError(
                f"the pool of {self._config.name!r}, which the first rank on this machine has made, has other data than rank {launched.rank} has: "
                f"{'; '.join(different)}. What to do: have all ranks make the same loader"
            )
        return producer

    @staticmethod
    def attach(
        name: str,
        *,
        rank: int | None = None,
        world: int | None = None,
        epoch: int | None = None,
        batch: int = 0,
        timeout_s: float = 10.0,
        **settings: Any,
    ) -> AttachedLoader:
        """Read the batches of a loader that another script of this user has made with `shared=True`: docs/many_trainers_one_pool.md.

        Args:
            name: of that loader.
            rank: of this process in a data-parallel job, if it is to read the part of that rank; by default, what the loader's own script gets.
            world: number of ranks; the loader must have been made for so many, by `shard=`.
            epoch: to begin with; by default, the one in which its readers are.
            batch: of that epoch.
            timeout_s: how long to wait for that loader, which may be starting.
            settings: of that loader, such as `batch_size=64`, that this script relies on.

        Raises:
            AttachError: there is no such loader, it has no room, or its settings are others.
            ConfigError: only one of `rank` and `world` is given.
        """
        check_platform()
        if not isinstance(name, str):
            raise ConfigError(f"name={name!r}: must be the name of a shared loader")
        if (rank is None) != (world is None):
            raise ConfigError(f"rank={rank}, world={world}: give both, or neither")
        return AttachedLoader(
            name, plain(epoch), plain(batch), settings, timeout_s, {} if rank is None else {"rank": plain(rank), "world": plain(world)}
        )

    def _told(self) -> dict[str, Any]:
        """Return what other scripts that attach are told."""
        return {
            "plan": PlanFacts.of(self.plan).to_dict(),
            "state": self._state_of(0, 0, "").to_dict(),
            "settings": shared_settings(self._config, self.transforms, self.batch_transforms),
        }

    @property
    def shuffles(self) -> bool:
        """Whether the order is new in every epoch."""
        return self._config.shuffle is not False

    @property
    def worker_ceiling(self) -> int:
        """Most workers that `resize` may ask for."""
        return self._config.worker_ceiling

    def _state_at(self, epoch: int, batch: int) -> State:
        return self._state_of(epoch, batch, str(self.spec))

    def _state_of(self, epoch: int, batch: int, spec: str) -> State:
        return State(
            epoch=epoch,
            batch=batch,
            samples=self.plan.samples,
            ids=self._ids,
            spec=spec,
            seed=self._config.seed,
            shuffle=self._config.shuffle,
            global_batch=self.plan.batch_size * self.plan.world,
            drop_last=self.plan.drop_last,
            files=files_in_words(self.plan),
            buckets=self.plan.fingerprint,
        )

    @functools.cached_property
    def _ids(self) -> str | None:
        return fingerprint(self.source)

    # Control.

    def with_settings(self, **changes: Any) -> Loader:
        """Return a new loader over the same source and transforms, with `changes`, which are arguments of `Loader`, and a name of its own."""
        given = {setting.name: getattr(self._config, setting.name) for setting in fields(Config)} | {"name": None, "shared": False}
        return Loader(self.source, **(given | {"transforms": self.transforms, "batch_transforms": self.batch_transforms} | changes))

    def __repr__(self) -> str:
        count = "1 batch" if len(self) == 1 else f"{len(self):,} batches"
        state = "closed" if self._closed else f"{count} of {'' if isinstance(self._config.batch_size, int) else 'up to '}{self.batch_size}"
        return f"<Loader {self.name}: {self.source!r}, {state}>"
