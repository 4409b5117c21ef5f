"""The shape of the house, checked on the text of the files: who may import whom, how large things may get, what is public."""

from __future__ import annotations

import ast
import functools
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import loader

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "loader"
FILES = sorted(PACKAGE.rglob("*.py"))
FOLDERS = sorted(path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__")

LINES_OF_A_FILE = 300
LINES_OF_A_FUNCTION = 50
FILES_OF_A_FOLDER = 15
FRAMEWORKS = {"tensorflow", "tf_keras", "keras", "jax", "torch"}
EVERYWHERE = {"config", "errors", "launcher", "lazy_names", "machine", "ray_workers"}
TORCHVISION = "data/transforms/libraries/torchvision_pipeline.py"
ASKING_BELOW = {
    "data/sources/whole_pass.py": {"train"},  # `source.statistics()` and `source.shapes()`, in the user's process only
    "data/remote/scouting/scout.py": {"ipc"},  # memory files are made there only
    "data/sources/cached/cache_memory.py": {"ipc"},  # the same
}


@functools.cache
def imports(path: Path) -> set[str]:
    """Return the dotted names that a file imports, anywhere in it: `a.b` for `import a.b`, `a.b` and `a.b.c` for `from a.b import c`."""
    return imported_names(parse(path), path)


def imported_names(tree: ast.Module, path: Path) -> set[str]:
    package = path.relative_to(ROOT).parent.parts
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*above, *filter(None, [node.module])])
            found.update({module}, (f"{module}.{alias.name}" for alias in node.names))
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("importlib.import_module", "import_module", "__import__"):
            found.update(argument.value for argument in node.args[:1] if isinstance(argument, ast.Constant))
    return found


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def in_package(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def folder_of(path: Path) -> str:
    """Return the folder of `loader/` that a file lies in, or `""` for one directly in it."""
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else ""


def importers(*packages: str) -> set[str]:
    """Return the files, relative to `loader/`, that import one of these packages."""
    return {in_package(path) for path in FILES if {name.split(".")[0] for name in imports(path)} & set(packages)}


def test_the_folders_are_those_of_the_design() -> None:
    assert FOLDERS == ["data", "ipc", "measure", "produce", "supervise", "train", "watch"]


def test_a_folder_is_read_at_a_glance() -> None:
    counts = Counter(path.parent.relative_to(ROOT).as_posix() for path in FILES)
    assert {folder: count for folder, count in counts.items() if count > FILES_OF_A_FOLDER} == {}


def test_every_room_says_what_it_is_for() -> None:
    assert [str(path) for path in FILES if path.name == "__init__.py" and not ast.get_docstring(parse(path))] == []


def test_a_module_imports_from_its_own_folder_and_from_folders_above_it() -> None:
    others = {in_package(path): folders_imported(path) - folders_allowed(path) for path in FILES}
    assert {name: found for name, found in others.items() if found} == {}


def folders_imported(path: Path) -> set[str]:
    return {name.split(".")[1] for name in imports(path) if name.startswith("loader.")}


def folders_allowed(path: Path) -> set[str]:
    if folder_of(path):
        return EVERYWHERE | {folder for folder in FOLDERS if folder <= folder_of(path)} | ASKING_BELOW.get(in_package(path), set())
    below = {
        "errors.py": set[str](),
        "lazy_names.py": set[str](),
        "machine.py": set[str](),
        "config.py": {"errors", "machine", "ray_workers"},
        "ray_workers.py": {"errors"},
        "launcher.py": {"errors"},
    }
    return below.get(path.name, folders_imported(path))


def test_no_files_import_each_other_in_a_ring() -> None:
    modules = {name_of(path): path for path in FILES}
    assert rings({name: imports_when_loaded(path) & modules.keys() - {name} for name, path in modules.items()}) == []


def test_no_rooms_of_a_folder_import_each_other_in_a_ring() -> None:
    def place(name: str) -> str:
        return ".".join(name.split(".")[:3])

    modules = {name_of(path): path for path in FILES if folder_of(path)}
    graph: dict[str, set[str]] = {}
    for name, path in modules.items():
        others = {place(other) for other in imports_when_loaded(path) & modules.keys()}
        graph.setdefault(place(name), set()).update(others - {place(name)})
    assert rings(graph) == []


def name_of(path: Path) -> str:
    """Return a file's name as a module."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def imports_when_loaded(path: Path) -> set[str]:
    """Return what a file imports outside of functions, at run time or for the type checker; an import inside a function closes no ring."""
    tree = parse(path)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [ast.Pass()]
    return imported_names(tree, path)


def rings(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return the names that can be reached from themselves, ring by ring."""
    reached = {name: {name} for name in graph}
    for _ in graph:
        grown = {name: found.union(*(graph[other] for other in found)) for name, found in reached.items()}
        if grown == reached:
            break
        reached = grown
    together = [sorted(other for other in graph if other in reached[name] and name in reached[other]) for name in graph]
    return sorted({tuple(ring): ring for ring in together if len(ring) > 1}.values())


def test_a_file_is_at_most_300_lines_long() -> None:
    lengths = {in_package(path): len(path.read_text().splitlines()) for path in FILES}
    assert {name: length for name, length in lengths.items() if length > LINES_OF_A_FILE} == {}


def test_a_function_is_at_most_50_lines_long() -> None:
    lengths = {f"{in_package(path)}: {name}": length for path in FILES for name, length in functions(path)}
    assert {name: length for name, length in lengths.items() if length > LINES_OF_A_FUNCTION} == {}


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Yield each function's name and the lines of its body, its docstring not counted."""
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            yield node.name, (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_public_names_are_those_that_the_readme_lists() -> None:
    section = re.search(r"^## Public names\n(.*?)(?=^## |\Z)", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert section, "README.md has no section 'Public names'"
    documented = {name for row in re.findall(r"^\| ([^|]+) \|", section[1], re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    assert documented == set(loader.__all__) - {"__version__"}


def test_every_public_name_exists_and_says_what_it_is() -> None:
    undocumented = [name for name in loader.__all__ if not name.startswith("__") and not (getattr(loader, name).__doc__ or "").strip()]
    assert not undocumented


def test_frameworks_are_imported_in_the_trainers_adapters_only_and_pytorch_where_a_pipeline_of_torchvision_is_called() -> None:
    assert {name if name.startswith("data") else name.split("/")[0] for name in importers(*FRAMEWORKS)} == {TORCHVISION, "train"}
    assert importers("torchvision") == {TORCHVISION}
    assert not importers("albumentations", "audiomentations")


def test_images_are_decoded_and_transformed_behind_one_door_for_each_library() -> None:
    assert importers("cv2") == {"data/decode/image_decoder.py", "data/transforms/opencv.py"}
    assert importers("PIL") == {"data/decode/pillow_pictures.py", "train/show/sheet.py"}


def test_files_of_hdf5_are_opened_in_one_place_and_looked_into_in_another() -> None:
    assert importers("h5py", "zarr", "datasets", "grain") == {"ipc/payload/hdf5.py", "watch/inspect/kinds/stores.py"}


def test_volumes_are_moved_behind_one_door() -> None:
    assert importers("scipy") == {"data/transforms/volumes/volume_affine.py"}


def test_sound_is_decoded_behind_one_door() -> None:
    assert importers("soundfile", "soxr") == {"data/decode/audio_decoder.py"}


def test_data_that_is_far_away_comes_by_one_door_for_each_library() -> None:
    assert importers("obstore") == {"data/remote/stores/obstore_store.py"}
    assert importers("fsspec") == {"data/remote/stores/fsspec_store.py"}


def test_other_machines_are_reached_by_one_door() -> None:
    assert importers("ray") == {"produce/remote/cluster/cluster.py"}


def test_figures_go_to_prometheus_by_one_door() -> None:
    assert importers("prometheus_client") == {"watch/metrics/prometheus.py"}


def test_other_systems_are_asked_for_their_memory_in_one_place() -> None:
    assert importers("psutil") == {"machine.py"}


def test_memory_files_are_made_in_ipc_only() -> None:
    makers = {folder_of(path) for path in FILES for node in ast.walk(parse(path)) if getattr(node, "attr", "") == "memfd_create"}
    assert makers <= {"ipc"}
