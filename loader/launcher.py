"""Which process of a data-parallel job this one is: what its launcher says in the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from loader.errors import ConfigError


class _Names(NamedTuple):
    """The variables of a launcher: the rank among those of this machine, and how many these are; the rank in the job, and how many ranks that has."""

    local_rank: str
    local_size: str
    rank: str
    size: str


# The first one whose local rank is set counts: torchrun may run within a job of Slurm, and Horovod be started by MPI.
_LAUNCHERS = {
    "torchrun": _Names("LOCAL_RANK", "LOCAL_WORLD_SIZE", "RANK", "WORLD_SIZE"),
    "Horovod": _Names("HOROVOD_LOCAL_RANK", "HOROVOD_LOCAL_SIZE", "HOROVOD_RANK", "HOROVOD_SIZE"),
    "Open MPI": _Names("OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    "MPICH and Intel MPI": _Names("MPI_LOCALRANKID", "MPI_LOCALNRANKS", "PMI_RANK", "PMI_SIZE"),
    "srun": _Names("SLURM_LOCALID", "SLURM_STEP_TASKS_PER_NODE", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),
}

# All processes of a job have the same values, and jobs of one user that run on a machine at the same time have different ones in some of them.
_JOB = (
    "MASTER_PORT",
    "TORCHELASTIC_RUN_ID",
    "TORCHELASTIC_RESTART_COUNT",
    "HOROVOD_GLOO_RENDEZVOUS_PORT",
    "PMIX_NAMESPACE",
    "SLURM_JOB_ID",
    "SLURM_STEP_ID",
)


@dataclass(frozen=True)
class Launched:
    """A process of a data-parallel job.

    Attributes:
        local_rank: its number among the processes of the job that run on this machine; the first one makes what they share.
        local_size: how many these are.
        rank: its number in the job.
        world: how many processes the job has.
        job: tells it from other jobs; "" if nothing does.
    """

    local_rank: int
    local_size: int
    rank: int
    world: int
    job: str

    @classmethod
    def here(cls, environment: Mapping[str, str] = os.environ) -> Launched:
        """Return what the launcher of this process says. Raises ConfigError if there is none, or what it says makes no sense."""
        names = next((names for names in _LAUNCHERS.values() if names.local_rank in environment), None)
        if names is None:
            known = ", ".join(f"{names.local_rank} ({launcher})" for launcher, names in _LAUNCHERS.items())
            raise ConfigError(
                f'shard="local" needs a launcher that says which rank this process is, but none of these variables is set: {known}. Likely cause: '
                "the script was started by itself. What to do: start it with torchrun, mpirun or srun; or set LOCAL_RANK and LOCAL_WORLD_SIZE for "
                "each process (0 and 1 for a single one); or give shard=(rank, world)"
            )
        local_rank, local_size = _number(names.local_rank, environment), _number(names.local_size, environment)
        alone = names.rank not in environment and names.size not in environment  # set by hand, for one machine
        rank, world = (local_rank, local_size) if alone else (_number(names.rank, environment), _number(names.size, environment))
        if not (local_rank < local_size <= world and rank < world):
            said = ", ".join(f"{name}={environment[name]}" for name in names if name in environment)
            raise ConfigError(f'shard="local": {said} make no sense together: ranks count from 0, and a machine has no more of them than the job')
        return cls(local_rank, local_size, rank, world, ".".join(environment[name] for name in _JOB if name in environment))


def _number(name: str, environment: Mapping[str, str]) -> int:
    """Return the number that a variable has; the largest of the list of numbers that Slurm has for all machines, such as "4(x2),3"."""
    text = environment.get(name)
    if text is None:
        raise ConfigError(
            f'shard="local": {name} is not set, though other variables of the same launcher are. What to do: set it, or give shard=(rank, world)'
        )
    if not re.fullmatch(r"\d+(\(x\d+\))?(,\d+(\(x\d+\))?)*", text):
        raise ConfigError(f'shard="local": {name}={text!r} is no number')
    return max(map(int, re.sub(r"\(x\d+\)", "", text).split(",")))
