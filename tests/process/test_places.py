"""A loader works wherever people train: in notebooks, archives, installed scripts, threads, other folders, and beside other loaders."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import subprocess
import sys
import threading
import zipapp
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import Loader, NpyArrays
from tests.batches import assert_same, assert_same_batch, copied, inline, take
from tests.conftest import script_environment
from tests.processes import family, wait_until_gone, workers_of

SOURCE = NpyArrays(np.arange(120 * 600, dtype=np.float32).reshape(120, 600))

START = """
import os
import sys
import numpy as np
from loader import Loader, NpyArrays, NpyFiles
"""
TENFOLD = "FACTOR = 10\ndef tenfold(sample, rng):\n    return (sample[0] * FACTOR,)\n"
MAKE = "loader = Loader(NpyArrays(np.arange(5)), 3, workers=2, transforms=[tenfold])\n"
CHECK = """
for epoch in range(2):
    found = [x.tolist() for (x,) in loader]
    if found != [[0, 10, 20], [30, 40]]:
        sys.exit(f"wrong batches: {found}")
loader.close()
print("as it should be")
"""

# --- notebooks ------------------------------------------------------------------------------------------------------------------------

# Runs the cells of a notebook with a kernel of its own and prints what each one gave. A cell that begins with `# interrupted` is interrupted as
# soon as it has made the file `waiting`.
NOTEBOOK = """
import asyncio, json, os, sys
import nbclient, nbformat.v4 as v4
how, *sources = json.loads(sys.argv[1])
cells = [v4.new_code_cell(source) for source in sources]
client = nbclient.NotebookClient(v4.new_notebook(cells=cells), kernel_name="here", allow_errors=True, timeout=60, shutdown_kernel=how)

async def run():
    async with client.async_setup_kernel():
        for number, cell in enumerate(cells):
            task = asyncio.ensure_future(client.async_execute_cell(cell, number))
            while cell.source.startswith("# interrupted") and not task.done():
                if os.path.exists("waiting"):
                    await client.km.interrupt_kernel()
                    break
                await asyncio.sleep(0.01)
            await task

asyncio.run(run())
print(json.dumps(["".join(output.get("text", output.get("ename", "")) for output in cell.outputs).strip() for cell in cells]))
"""
CELLS = {
    "define": """
import os, sys, time
import numpy as np
from loader import Loader, NpyArrays, Source

FACTOR = 10
def step(sample, rng):
    return (sample[0] * FACTOR,)

class Numbers(Source):
    def __init__(self, count):
        super().__init__()
        self.count = count
    def __len__(self):
        return self.count
    def sample(self, index):
        return (np.int64(index),)

def run(loader):
    print([x.tolist() for (x,) in loader])
""",
    "iterate": "loader = Loader(Numbers(5), 3, workers=2, transforms=[step])\nrun(loader)",
    "redefine": "def step(sample, rng):\n    return (sample[0] + 1,)\nrun(loader)",
    "iterate again": "loader = Loader(Numbers(5), 3, workers=2, transforms=[step])\nrun(loader)",
    "be interrupted": """# interrupted
RELEASE = os.path.abspath("release")
def wait(sample, rng):
    while sample[0] >= 3 and not os.path.exists(RELEASE):
        time.sleep(0.01)
    return sample

loader = Loader(Numbers(5), 3, workers=2, transforms=[wait])
for (x,) in loader:
    print(x.tolist())
    os.mkdir("waiting")  # Python loses a Ctrl-C that hits while it closes a file
""",
    "go on": "open('release', 'w').close()\nrun(loader)\nrun(loader)",
    "close": "loader.close()\nprint(loader)",
}
OUTPUTS = {
    "define": "",
    "iterate": "[[0, 10, 20], [30, 40]]",
    "redefine": "[[0, 10, 20], [30, 40]]",  # the workers have the function that was given
    "iterate again": "[[1, 2, 3], [4, 5]]",
    "be interrupted": "[0, 1, 2]\nKeyboardInterrupt",
    "go on": "[[0, 1, 2], [3, 4]]\n[[0, 1, 2], [3, 4]]",
}


@pytest.fixture
def run_notebook(run_script: Any, tmp_path: Path) -> Callable[..., list[str]]:
    """Return `run_notebook(*cells, how="graceful")`: what the cells printed, or the names of their errors."""
    spec = {"argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"], "display_name": "here", "language": "python"}
    folder = tmp_path / "jupyter" / "kernels" / "here"
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(json.dumps(spec))
    names = ("JUPYTER_PATH", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR")
    env = {name: str(tmp_path / "jupyter") for name in names}

    def run(*cells: str, how: str = "graceful") -> list[str]:
        result = run_script(NOTEBOOK, json.dumps([how, *cells]), env=env)
        assert result.returncode == 0, result.stderr
        outputs: list[str] = json.loads(result.stdout.splitlines()[-1])
        return outputs

    return run


def test_a_notebook_may_define_redefine_interrupt_and_go_on(run_notebook: Any) -> None:
    outputs = dict(zip(CELLS, run_notebook(*CELLS.values()), strict=True))
    assert "closed" in outputs.pop("close")
    assert outputs == OUTPUTS


LOGS = """
import logging
logging.basicConfig(stream=sys.stdout, format="%(message)s in %(processName)s")
def step(sample, rng):
    if sample[0] == 4:
        logging.getLogger("mine").warning("saw %d", sample[0])
    return sample
with Loader(NpyArrays(np.arange(5)), 5, workers=1, transforms=[step], name="train") as loader:
    list(loader)
"""


def test_a_notebook_shows_what_the_workers_log(run_notebook: Any) -> None:
    _, printed = run_notebook(CELLS["define"], LOGS)
    assert set(printed.splitlines()) == {"saw 4 in train worker 0"}


@pytest.mark.parametrize("how", ["graceful", "immediate"])
def test_a_notebook_that_never_closes_leaves_nothing_when_its_kernel_ends(how: str, run_notebook: Any) -> None:
    pids = "import psutil\nprint([process.pid for process in psutil.Process().children(recursive=True)])"
    *_, iterated, printed = run_notebook(CELLS["define"], CELLS["iterate"], pids, how=how)
    assert iterated == OUTPUTS["iterate"]
    assert len(json.loads(printed)) == 3  # a supervisor, two workers
    wait_until_gone(json.loads(printed))


# --- scripts of all kinds -------------------------------------------------------------------------------------------------------------


def script(*arguments: str, text: str = START + TENFOLD + MAKE + CHECK, name: str = "train.py") -> Callable[[Path], list[str]]:
    """Return what writes a script to a folder and returns the command that runs it."""

    def write(folder: Path) -> list[str]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
        (folder / name).with_name("steps.py").write_text(TENFOLD)
        return [sys.executable, *arguments, name]

    return write


def archive(folder: Path) -> list[str]:
    (folder / "app").mkdir()
    (folder / "app" / "__main__.py").write_text(START + "from steps import tenfold\n" + MAKE + CHECK)
    (folder / "app" / "steps.py").write_text(TENFOLD)
    zipapp.create_archive(folder / "app", folder / "app.pyz")
    return [sys.executable, "app.pyz"]


def installed(folder: Path) -> list[str]:
    """Write a package, and a command that finds it by a relative path and is started from yet another folder."""
    for name in ("bin", "lib/trainer", "elsewhere"):
        (folder / name).mkdir(parents=True)
    (folder / "lib" / "trainer" / "__init__.py").touch()
    (folder / "lib" / "trainer" / "steps.py").write_text(TENFOLD)
    (folder / "lib" / "trainer" / "command.py").write_text(
        START + "from .steps import tenfold\ndef main():\n" + "".join(f"    {line}\n" for line in (MAKE + CHECK).splitlines())
    )
    command = folder / "bin" / "train"
    command.write_text(f"#!{sys.executable}\nimport sys\nsys.path.append('../lib')\nfrom trainer.command import main\nsys.exit(main())\n")
    command.chmod(0o755)
    return ["env", "-C", "elsewhere", "../bin/train"]


def under_pytest(folder: Path) -> list[str]:
    tests = """
import pytest

@pytest.fixture(params=["function", "module"])
def loader(request):
    with Loader(NpyArrays(np.arange(5)), 3, workers=2, transforms=[tenfold]) as loader:
        yield loader

@pytest.fixture(scope="module")
def one_for_all():
    with Loader(NpyArrays(np.arange(5)), 3, workers=2, transforms=[tenfold]) as loader:
        yield loader

@pytest.mark.parametrize("epoch", range(2))
def test_batches(loader, one_for_all, epoch):
    for each in (loader, one_for_all):
        assert [x.tolist() for (x,) in each] == [[0, 10, 20], [30, 40]]

def test_end():
    print("as it should be")
"""
    (folder / "test_it.py").write_text(START + TENFOLD + tests)
    return [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", "-W", "error", "test_it.py"]


CHDIR = """
from pathlib import Path
for name in ("data", "gone"):
    os.mkdir(name)
for i in range(5):
    np.save(f"data/{i}.npy", i)
home = os.getcwd()
sys.path[0] = "."
from steps import tenfold
loader = Loader(NpyFiles("data/*.npy"), 3, workers=2, transforms=[tenfold])
"""
DELETED = """
home = os.getcwd()
os.mkdir("gone")
os.chdir("gone")
"""
DELETE = "os.rmdir(os.path.join(home, 'gone'))\n"

NAMESAKE = "os.mkdir('work')\nopen('work/json.py', 'w').write('raise ImportError')\nos.chdir('work')\n"
IGNORE = "import signal\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
DEBUG = "def step(sample, rng):\n    return (sample[0] * 10 + __debug__,)\n"
NO_DEBUG = f"open('mine.py', 'w').write({DEBUG!r})\nfrom mine import step as tenfold\n"
NOISY = """
DATA = np.arange(640).reshape(64, 10)
def noisy(sample, rng):
    try:
        os.write(1, b"x" * 100)
        os.write(2, b"x" * 100)
    except OSError:
        pass
    return sample
with Loader(NpyArrays(DATA), 8, workers=2, transforms=[noisy]) as loader:
    for batch, (x,) in enumerate(loader):
        if x.tolist() != DATA[8 * batch : 8 * batch + 8].tolist():
            sys.exit("wrong batches")
open("said", "w").write("as it should be")
"""


def without(streams):
    def write(folder):
        script(text=START + NOISY)(folder)
        return ["sh", "-c", f'"$0" train.py {streams}; cat said', sys.executable]

    return write


PLACES = {
    "a folder with a module like one of Python": script(text=START + TENFOLD + NAMESAKE + MAKE + CHECK),
    "a deleted folder, on the command line": lambda folder: [sys.executable, "-c", START + TENFOLD + DELETED + DELETE + MAKE + CHECK],
    "a trainer that ignores the end of its children": script(text=START + TENFOLD + IGNORE + MAKE + CHECK),
    "without assertions in modules": script("-O", text=START + NO_DEBUG + MAKE + CHECK),
    "without standard streams": without("<&- >&- 2>&-"),
    "an installed command": installed,
    "pytest": under_pytest,
    "without assertions": script("-O"),
    "with warnings as errors": script("-W", "error"),
    "a path with spaces and letters": script(text=START + "from steps import tenfold\n" + MAKE + CHECK, name="mes données/Übung №1 – 学习.py"),
    "a folder that is no text": script(text=START + "from steps import tenfold\n" + MAKE + CHECK, name=os.fsdecode(b"caf\xe9/train.py")),
    "another current folder after the start": script(text=START + CHDIR + "os.chdir('/')\n" + CHECK),
    "a current folder that is deleted before the start": script(text=START + TENFOLD + DELETED + DELETE + MAKE + CHECK),
}
PLACES_LIKE_THESE = {
    "without standard input": without("<&- >/dev/null 2>/dev/null"),
    "without standard output": without(">&- 2>/dev/null"),
    "without standard error": without("2>&- >/dev/null"),
    "an archive": archive,
    "without docstrings": script("-OO"),
    "in development mode": script("-X", "dev"),
    "another current folder between epochs": script(text=START + CHDIR + "next(iter(loader))\nos.chdir('/')\n" + CHECK),
    "a current folder that is deleted after the start": script(text=START + TENFOLD + DELETED + MAKE + DELETE + CHECK),
}


def ok(command: list[str], folder: Path) -> None:
    """Run a command in a folder and fail unless it said that all is well, and nothing else to its standard error."""
    result = subprocess.run(
        command, cwd=folder, env=script_environment(None), capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("as it should be") == 1, result.stdout + result.stderr
    assert not result.stderr, result.stderr


@pytest.mark.parametrize(
    "place",
    [
        *(pytest.param(place, id=name) for name, place in PLACES.items()),
        *(pytest.param(place, id=name, marks=pytest.mark.thorough) for name, place in PLACES_LIKE_THESE.items()),
    ],
)
def test_the_same_few_lines_work_in(place: Callable[[Path], list[str]], tmp_path: Path) -> None:
    ok(place(tmp_path), tmp_path)


# --- threads --------------------------------------------------------------------------------------------------------------------------


def in_a_thread(act: Callable[[], Any]) -> Any:
    """Run `act` in a thread of its own, wait until the thread has ended, and return or raise what it did."""
    results: list[Any] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(act())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def straight(act: Callable[[], Any]) -> Any:
    return act()


@pytest.mark.parametrize(
    ("make", "use", "close"),
    [(in_a_thread, straight, straight), (straight, in_a_thread, in_a_thread), (in_a_thread, in_a_thread, straight)],
    ids=["the thread that made it has ended", "used and closed in another one", "made and used in two that have ended"],
)
def test_threads_may_share_a_loader_one_after_the_other(make: Any, use: Any, close: Any) -> None:
    loader = make(lambda: Loader(SOURCE, 8, shuffle=True, workers=2))
    iterator = iter(loader)
    first = use(lambda: copied(next(iterator)))
    rest = use(lambda: [copied(batch) for batch in iterator])
    assert_same([first, *rest, *use(lambda: take(loader))], inline(SOURCE, 8, 2, shuffle=True))
    close(loader.close)


def test_a_thread_may_make_use_and_close_a_loader() -> None:
    def run() -> Any:
        with Loader(SOURCE, 8, shuffle=True, workers=2) as loader:
            return take(loader)

    assert_same(in_a_thread(run), inline(SOURCE, 8, shuffle=True))


# --- owners ---------------------------------------------------------------------------------------------------------------------------


def test_four_loaders_at_once_do_not_disturb_each_other() -> None:
    with contextlib.ExitStack() as stack:
        loaders = [stack.enter_context(Loader(SOURCE, 8 + seed, shuffle=True, seed=seed, workers=2)) for seed in range(4)]
        found: list[list[Any]] = [[] for _ in loaders]
        iterators: list[Iterator[Any]] = [loader.batches() for loader in loaders]
        for number in range(2 * max(map(len, loaders))):
            for seed, (loader, iterator) in enumerate(zip(loaders, iterators, strict=True)):
                if number < 2 * len(loader):
                    found[seed].append(copied(next(iterator)))
    for seed, batches in enumerate(found):
        assert_same(batches, inline(SOURCE, 8 + seed, 2, shuffle=True, seed=seed))


def test_batches_outlive_the_function_that_made_their_loader() -> None:
    pids: list[int] = []
    others = set(family(os.getpid()))  # a test before may have left a process that more tests use

    def first_batches() -> list[Any]:
        loader = Loader(SOURCE, 40, shuffle=True, workers=2)
        iterator = iter(loader)
        batches = [next(iterator), next(iterator)]
        pids.extend(set(family(os.getpid())) - others)
        return batches

    batches = first_batches()
    assert len(pids) >= 2
    wait_until_gone(pids)
    assert_same(batches, inline(SOURCE, 40, shuffle=True)[:2])
    batches[0][0][:] = -1  # writable, too, and nobody else's
    assert_same_batch(batches[1], inline(SOURCE, 40, shuffle=True)[1])


@pytest.mark.parametrize("managed", [False, True])
def test_a_generator_that_owns_a_loader_may_be_dropped_half_way(managed: bool) -> None:
    pids: list[int] = []

    def batches() -> Iterator[Any]:
        loader = Loader(SOURCE, 8, shuffle=True, workers=2)
        with loader if managed else contextlib.nullcontext():
            for batch in loader:
                pids.extend(set(workers_of(loader)) - set(pids))
                yield batch

    generator = batches()
    found = [copied(next(generator)) for _ in range(3)]
    kept = next(generator)
    del generator
    wait_until_gone(pids)
    assert_same([*found, kept], inline(SOURCE, 8, shuffle=True)[:4])


def test_a_loader_in_a_reference_cycle_ends_when_the_cycle_is_collected() -> None:
    class Trainer:
        def __init__(self) -> None:
            self.loader = Loader(SOURCE, 8, shuffle=True, workers=2)
            self.iterator = iter(self.loader)
            self.kept = [next(self.iterator), self]

    trainer = Trainer()
    trainer.loader.trainer = trainer  # type: ignore[attr-defined]
    pids = workers_of(trainer.loader, 2)
    batch = trainer.kept[0]
    del trainer
    gc.collect()
    wait_until_gone(pids)
    assert_same([batch], inline(SOURCE, 8, shuffle=True)[:1])
