"""What a supervisor answers to `status`, for tests of what is made of it."""

from __future__ import annotations

from typing import Any


def status(workers: int = 2, **changes: Any) -> dict[str, Any]:
    each = [
        {"pid": 4000 + number, "number": number, "node": None, "state": "busy", "samples": 10 * number, "busy_ratio": 0.9, "memory_bytes": 12 * 2**20}
        | {"busy_s": 1.5 + number, "restarts": number % 2, "sample": f"/data/train/cats/{number:06}.npy"}
        for number in range(workers)
    ]
    known = {
        "name": "train",
        "epoch": 3,
        "batches_delivered": 3612,
        "samples_per_s": 1234.5,
        "trainer_wait_ratio": 0.42,
        "slots": {"free": 1, "filling": 2, "ready": 3, "lent": 1},
        "workers": each,
        "memory": {"arena_bytes": 2**30, "private_bytes": 2**28, "limit_bytes": 2**31, "limit_is_default": False, "replaced_workers": 0},
        "errors": 2,
        "supervisor_restarts": 1,
        "substituted": 4,
        "quarantined": 3,
        "verdict": "the loader is the slow part: the trainer waits for data 42% of its time; `blur` takes 60% of the workers' time",
        "verdict_kind": "transforming",
        "verdict_gain": 1.7,
        "stages": [
            {"name": "read", "share": 0.4, "ms_per_sample": 2.0, "ms_per_batch": None},
            {"name": "blur", "share": 0.5, "ms_per_sample": 2.5, "ms_per_batch": None},
            {"name": "mixup", "share": 0.1, "ms_per_sample": 0.5, "ms_per_batch": 16.0},
        ],
        "network": None,
        "remote": None,
        "pid": 77,
        "trainer_pid": 76,
        "script": "train.py",
        "started": 1.8e9,
        "batch": 612,
        "epoch_batches": 1000,
        "batch_size": 32,
        "mean_rows": 32.0,
        "auto": False,
        "wanted_workers": workers,
        "max_workers": 16,
        "restarts": 1,
        "seconds_since_last_batch": 0.0,
        "last_minute": {"step_s": 1.0, "samples_per_s": [1000.0] * 60, "trainer_wait_ratio": [0.5] * 60, "worker_wait_ratio": [0.0] * 60},
        "decisions": [{"ago_s": 12.4, "text": "2 → 4 workers: the trainer waits 40% of the time"}],
        "totals": {"batches": 3612, "samples": 115_584, "trainer_wait_s": 40.0, "copies": 1, "slots_full_s": 2.0}
        | {"fetched_objects": 7, "fetched_bytes": 900, "fetch_wait_s": 0.5, "gateway_s": None, "nodes": []},
    }
    return known | changes


READER = {"epoch": 3, "batch": 612, "samples_per_s": 600.0, "wait_ratio": 0.1, "shares_with": [], "state": "reads"}
SHARED = {
    "readers": [READER | {"number": 0, "pid": 76}, READER | {"number": 3, "pid": 80, "state": "slow"}],
    "totals": status()["totals"]
    | {
        "readers": [
            {"number": 0, "batches": 20, "samples": 640, "wait_s": 2.0},
            {"number": 3, "batches": 10, "samples": 320, "wait_s": 0.0},
        ]
    },
}
FAR = {"in_flight": 12, "objects_per_s": 5.0, "bytes_per_s": 1e6, "waiting": 0.6, "retries": 3, "hits": 9}
NODE = {"name": "10.0.0.7", "workers": 2, "samples_per_s": 800.0, "bytes_per_s": 120e6, "latency_ms": 42.0, "work_ms": 36.0, "hedges": 3, "deaths": 1}
REFUSED = {"name": "10.0.0.9", "workers": 0, "samples_per_s": 0.0, "bytes_per_s": 0.0, "latency_ms": 0.0, "work_ms": 0.0, "hedges": 0, "deaths": 0}
REMOTE = {
    "workers": status()["workers"]
    + [
        {"pid": 90, "number": 16 + number, "node": "10.0.0.7", "state": "busy", "samples": 70, "busy_ratio": 0.8, "memory_bytes": None}
        | {"busy_s": 9.5, "restarts": 0, "sample": "sample 7"}
        for number in range(2)
    ],
    "remote": {"workers": 2, "wanted": 3, "most": 8, "samples_per_s": 800.0, "bytes_per_s": 120e6, "brings": 2.1, "busy_ratio": 0.8}
    | {"work_ratio": 0.9, "gateway_ratio": 0.2}
    | {"nodes": [NODE | {"refused": None}, REFUSED | {"refused": "it has NumPy 2.1.0, this machine 2.4.6"}]},
    "totals": status()["totals"]
    | {"gateway_s": 4.5}
    | {"nodes": [{"node": "10.0.0.7", "samples": 700, "tickets": 70, "took_s": 2.94, "made_s": 2.5, "bytes": 10**8, "hedges": 3, "deaths": 1}]},
}
