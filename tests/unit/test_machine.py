from __future__ import annotations

import os
from pathlib import Path

import pytest

from loader import machine

V2_MOUNT = "30 23 0:26 {root} {mount} rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
V1_MOUNT = "31 23 0:27 {root} {mount} rw - cgroup cgroup rw,memory\n"


def proc(tmp_path: Path, groups: str, mounts: str) -> Path:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(groups)
    (tmp_path / "proc/self/mountinfo").write_text("22 1 8:1 / / rw - ext4 /dev/sda1 rw\n" + mounts)
    return tmp_path / "proc"


def group(path: Path, limit: object, used: int, *, inactive: int = 0, active: int = 0, kills: int = 0, version: int = 2) -> None:
    path.mkdir(parents=True, exist_ok=True)
    prefix = "" if version == 2 else "total_"
    v1, v2 = ("limit_in_bytes", "usage_in_bytes", "oom_control"), ("max", "current", "events")
    names = [f"memory.{name}" for name in (v2 if version == 2 else v1)]
    (path / names[0]).write_text(f"{limit}\n")
    (path / names[1]).write_text(f"{used}\n")
    (path / names[2]).write_text(f"low 0\noom 7\noom_kill {kills}\n")
    (path / "memory.stat").write_text(f"anon 5\n{prefix}inactive_file {inactive}\n{prefix}active_file {active}\n")


@pytest.mark.parametrize("version", [1, 2])
def test_the_own_group_and_those_above_it_count(version: int, tmp_path: Path) -> None:
    mount = tmp_path / "cgroup"
    line = (V2_MOUNT if version == 2 else V1_MOUNT).format(root="/", mount=mount)
    at = proc(tmp_path, "0::/user/job/step\n" if version == 2 else "5:cpu:/\n4:memory:/user/job/step\n", line)
    group(mount / "user/job/step", "max" if version == 2 else 2**63 - 4096, 100, kills=3, version=version)
    group(mount / "user/job", 1_000, 400, inactive=50, active=20, kills=5, version=version)
    group(mount / "user", 5_000, 400, version=version)
    assert min(machine.available_memory(at)) == 670
    assert 4_600 in machine.available_memory(at)
    assert machine.oom_kills(at) == 3


def test_a_container_that_sees_only_its_own_group_finds_it_at_the_mount(tmp_path: Path) -> None:
    mount = tmp_path / "cgroup"
    at = proc(tmp_path, "0::/docker/abc\n", V2_MOUNT.format(root="/docker/abc", mount=mount))
    group(mount, 1_000, 300)
    assert machine.available_memory(at) == [700]


@pytest.mark.parametrize("name", ["/docker/abc", "/../..", "/"])
def test_a_name_that_is_not_below_the_mount_means_its_root(name: str, tmp_path: Path) -> None:
    mount = tmp_path / "cgroup"
    at = proc(tmp_path, f"0::{name}\n", V2_MOUNT.format(root="/elsewhere", mount=mount))
    group(mount, 1_000, 300)
    assert machine.available_memory(at) == [700]


def test_without_groups_nothing_is_bounded_and_the_machines_counter_counts(tmp_path: Path) -> None:
    at = proc(tmp_path, "", "")
    (at / "vmstat").write_text("pgfault 12\noom_kill 4\n")
    assert machine.available_memory(at) == []
    assert machine.oom_kills(at) == 4
    assert machine.oom_kills(tmp_path / "nothing") == 0


@pytest.mark.parametrize(
    ("files", "most"),
    [
        ({"cpu.max": "150000 100000"}, 2),
        ({"cpu.max": "50000 100000"}, 1),
        ({"cpu.max": "max 100000"}, 10**6),
        ({"cpu.max": "nonsense"}, 10**6),
        ({"cpu.cfs_quota_us": "100000\n", "cpu.cfs_period_us": "100000\n"}, 1),
        ({"cpu.cfs_quota_us": "-1\n", "cpu.cfs_period_us": "100000\n"}, 10**6),
        ({}, 10**6),
    ],
)
@pytest.mark.parametrize("place", ["job/step", "job"])
def test_a_containers_share_of_the_cores_counts(
    files: dict[str, str], most: int, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The quota of the own group, or of one above it."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    mount = tmp_path / "cgroup"
    older = "cpu.cfs_quota_us" in files
    line = "31 23 0:27 / {mount} rw - cgroup cgroup rw,cpu,cpuacct\n" if older else V2_MOUNT.replace("{root}", "/")
    at = proc(tmp_path, "4:cpu,cpuacct:/job/step\n" if older else "0::/job/step\n", line.format(mount=mount))
    (mount / "job/step").mkdir(parents=True)
    for name, text in files.items():
        (mount / place / name).write_text(text)
    assert machine.available_cores(at) == min(most, 64)


def test_free_memory_is_what_the_system_says_is_available(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal:  4000 kB\nMemFree:   1000 kB\nMemAvailable:   3000 kB\nHugePages_Total:  0\n")
    assert machine.free_memory(tmp_path) == 3000 * 1024


def test_a_container_that_sees_more_available_than_it_has_gets_what_it_has(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal:  4000 kB\nMemAvailable:   9000 kB\n")
    assert machine.free_memory(tmp_path) == 4000 * 1024


def test_free_memory_is_known_where_there_is_no_proc(tmp_path: Path) -> None:
    assert 0 < machine.free_memory(tmp_path) <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
