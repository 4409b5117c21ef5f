"""`loader serve --ray`: the pool that scripts attach to has workers on other machines."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from loader import Loader, NpyArrays
from tests.batches import assert_same, inline, take
from tests.cli.commands import COMMAND
from tests.conftest import script_environment
from tests.ray.remotely import made_remotely, wait_for

SCRIPT = """
import time
import numpy as np
from loader import Loader, NpyArrays
def slow(sample, rng):
    time.sleep(0.01)
    return sample
def make_loader():
    return Loader(NpyArrays(np.arange(600.0).reshape(200, 3)), 20, transforms=[slow], shuffle=True, workers=1)
"""


@pytest.mark.thorough
def test_scripts_that_attach_read_batches_that_actors_have_made(ray_address: str, tmp_path: Path) -> None:
    (tmp_path / "data.py").write_text(SCRIPT)
    name = f"served-by-ray-{os.getpid()}"
    words = [*COMMAND, "serve", "data.py:make_loader", "--name", name, "--ray", "--ray-max", "2", "--ray-address", ray_address]
    expected = inline(NpyArrays(np.arange(600.0).reshape(200, 3)), 20, 1, shuffle=True)
    with subprocess.Popen(words, cwd=tmp_path, env=script_environment(None), stdout=subprocess.DEVNULL) as server:
        try:
            with Loader.attach(name, epoch=0, timeout_s=60) as reader:
                assert_same(take(reader), expected)
                wait_for(lambda: bool(take(reader)) and made_remotely(reader) > 0, "actors have made something")
        finally:
            server.kill()
