"""Where there is no pool, `workers=0` works and more workers are refused in words. Another system is played by taking away what it lacks."""

from __future__ import annotations

WITHOUT_POSIX = """
import os, select, sys
import numpy as np
for module in ("fcntl", "resource"):
    sys.modules[module] = None
for name in ("preadv", "pread", "memfd_create", "pidfd_open", "pipe2", "O_CLOEXEC", "sched_getaffinity", "posix_fallocate"):
    delattr(os, name)
del select.poll, select.epoll
sys.platform = "win32"
"""


def test_workers_0_works_and_a_pool_is_refused_without_linux(run_script, npy_folder) -> None:
    folder = npy_folder(10, classes=2)
    result = run_script(
        WITHOUT_POSIX
        + """
from loader import ConfigError, Loader, NpyArrays, NpyFiles, transforms as T
source = NpyFiles.from_folder(sys.argv[1])
for workers in (0, "auto"):
    batches = list(Loader(source, 4, shuffle=True, workers=workers, transforms=[T.Rescale(2.0)]))
    assert [len(x) for x, y in batches] == [4, 4, 2]
    assert sorted(float(x[0, 0]) for xs, _ in batches for x in xs) == [2.0 * i for i in range(10)]
first = source.name_of(0)
assert len(list(Loader(NpyArrays(first), 2, workers=0))) == 2
try:
    Loader(source, 4, workers=2)
except ConfigError as error:
    assert "workers=0" in str(error)
else:
    raise SystemExit("a pool was made")
""",
        folder,
    )
    assert result.returncode == 0, result.stderr
