"""What launchers say of a process, and what is said where they say nothing, or nonsense."""

from __future__ import annotations

import pytest

from loader import ConfigError
from loader.launcher import Launched

TORCHRUN = {"LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "RANK": "3", "WORLD_SIZE": "4", "MASTER_PORT": "29500", "TORCHELASTIC_RUN_ID": "none"}
SRUN = {"SLURM_LOCALID": "1", "SLURM_STEP_TASKS_PER_NODE": "2(x3),1", "SLURM_PROCID": "5", "SLURM_STEP_NUM_TASKS": "7", "SLURM_JOB_ID": "88"}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        (TORCHRUN, Launched(1, 2, 3, 4, "29500.none")),
        ({"LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "3"}, Launched(0, 3, 0, 3, "")),
        ({f"HOROVOD_{name}": "1" for name in ("LOCAL_RANK", "RANK")} | {"HOROVOD_LOCAL_SIZE": "2", "HOROVOD_SIZE": "2"}, Launched(1, 2, 1, 2, "")),
        (
            {f"OMPI_COMM_WORLD_{name}": text for name, text in [("LOCAL_RANK", "0"), ("LOCAL_SIZE", "2"), ("RANK", "2"), ("SIZE", "4")]}
            | {"PMIX_NAMESPACE": "prterun-1@1"},
            Launched(0, 2, 2, 4, "prterun-1@1"),
        ),
        ({"MPI_LOCALRANKID": "0", "MPI_LOCALNRANKS": "1", "PMI_RANK": "0", "PMI_SIZE": "1"}, Launched(0, 1, 0, 1, "")),
        (SRUN, Launched(1, 2, 5, 7, "88")),
        (SRUN | TORCHRUN, Launched(1, 2, 3, 4, "29500.none.88")),
    ],
)
def test_each_launcher_is_understood(environment: dict[str, str], expected: Launched) -> None:
    assert Launched.here(environment) == expected


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, r"needs a launcher .* LOCAL_RANK \(torchrun\), .*SLURM_LOCALID \(srun\).*set LOCAL_RANK and LOCAL_WORLD_SIZE"),
        ({"LOCAL_RANK": "0"}, "LOCAL_WORLD_SIZE is not set"),
        (TORCHRUN | {"LOCAL_RANK": "x"}, "LOCAL_RANK='x' is no number"),
        (TORCHRUN | {"LOCAL_RANK": "-1"}, "LOCAL_RANK='-1' is no number"),
        (TORCHRUN | {"LOCAL_RANK": "2"}, "LOCAL_RANK=2, LOCAL_WORLD_SIZE=2, RANK=3, WORLD_SIZE=4 make no sense"),
        (TORCHRUN | {"RANK": "4"}, "make no sense together"),
        (TORCHRUN | {"WORLD_SIZE": "1"}, "make no sense together"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_to_do(environment: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Launched.here(environment)
