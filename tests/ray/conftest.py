"""A real Ray on this machine, for all tests of a process: `ray_address` is that of its head.

It has eight cores by name, so that eight actors find room on two. The supervisors of these tests start as users' do.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

HEAD = {"num_cpus": 8, "object_store_memory": 200 * 2**20, "include_dashboard": False, "dashboard_host": "127.0.0.1"}

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")


_MISSING = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed: pip install 'npy-loader[ray]'")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = str(Path(__file__).parent) + os.sep
    for item in items:
        if str(item.path).startswith(here):
            item.add_marker(pytest.mark.ray)
            item.add_marker(_MISSING)
            item.add_marker(pytest.mark.time_limit(240))


@pytest.fixture(scope="session")
def ray_address() -> Iterator[str]:
    """The address of a cluster of one node."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args=dict(HEAD))
    yield cluster.address
    cluster.shutdown()
