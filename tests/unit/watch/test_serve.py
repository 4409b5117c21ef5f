from __future__ import annotations

import pytest
from click.testing import CliRunner

from loader import RayWorkers
from loader.watch import serve


@pytest.mark.parametrize("option", [["--ray-max", "3"], ["--ray-address", "head:6379"]], ids=lambda option: option[0])
def test_what_is_said_about_ray_needs_ray(option: list[str]) -> None:
    result = CliRunner().invoke(serve.serve, ["data.py:make", "--name", "pool", *option])
    assert result.exit_code == 2
    assert "need --ray" in result.output


def test_what_is_not_said_is_as_by_default() -> None:
    assert serve._remote(None, None) == RayWorkers()
    assert serve._remote(8, "head:6379") == RayWorkers(max=8, address="head:6379")
