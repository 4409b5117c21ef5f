"""`loader inspect` says what is there, for people and for programs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from loader.watch.inspect.survey import survey
from tests.conftest import script_environment


def loader(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "loader", *map(str, arguments)], capture_output=True, text=True, timeout=60)


def test_a_file_is_described_from_its_header(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((1200, 3), ">f8"))
    result = loader("inspect", tmp_path / "x.npy")
    assert result.returncode == 0, result.stderr
    assert ">f8" in result.stdout
    assert "[1200, 3]" in result.stdout
    assert json.loads(loader("inspect", tmp_path / "x.npy", "--json").stdout)["bytes"] == 1200 * 24 + 128


def test_a_folder_of_folders_is_described_as_classes(npy_folder) -> None:
    folder = npy_folder(7, classes=3)
    found = json.loads(loader("inspect", folder, "--json").stdout)
    assert (found["files"], found["classes"], found["shape"]) == (7, ["c0", "c1", "c2"], [4, 3])


def test_a_folder_is_described_by_the_headers_of_all_its_files(npy_folder, tmp_path: Path) -> None:
    folder = npy_folder(7)
    result = loader("inspect", folder)
    assert "files                7\nheaders read         all\n" in result.stdout
    assert "[4, 3]" in result.stdout
    np.save(folder / "odd.npy", np.zeros((5, 3)))
    (folder / "bad.npy").write_bytes(b"\x89PNG\r\n\x1a\n")
    result = loader("inspect", folder)
    assert result.returncode == 0, result.stderr
    assert "forms         2; " in result.stdout
    assert "7 files" in result.stdout
    assert f"1 file <f8 [5, 3] C, the first {folder / 'odd.npy'}" in result.stdout
    assert f"{folder / 'bad.npy'}: is not a .npy file but a PNG image" in result.stdout
    found = json.loads(loader("inspect", folder, "--json").stdout)
    assert (found["files"], found["headers read"], found["shape"], len(found["unreadable"])) == (9, 9, [4, 3], 1)
    assert [form["files"] for form in found["forms"]] == [7, 1]


def test_of_very_many_files_the_headers_that_are_read_are_spread_evenly(npy_folder) -> None:
    found = survey(str(npy_folder(9)), most=3)
    assert (found.facts["files"], found.facts["headers read"], found.facts["forms"][0]["files"]) == (9, 3, 3)
    assert found.lines["headers read"] == "3 of 9, spread evenly; --verify reads all"


def test_a_hidden_folder_is_no_class(npy_folder) -> None:
    folder = npy_folder(7)
    (folder / ".ipynb_checkpoints").mkdir()
    found = json.loads(loader("inspect", folder, "--json").stdout)
    assert (found["files"], found["classes"]) == (7, [])


def test_what_is_no_npy_file_is_an_error_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_bytes(b"\x89PNG\r\n\x1a\n" + b"0" * 100)
    result = loader("inspect", tmp_path / "x.npy")
    assert result.returncode == 1
    assert "PNG" in result.stderr
    assert "Traceback" not in result.stderr


def test_help_lists_the_commands_and_the_version_is_that_of_the_package() -> None:
    assert "inspect" in loader("--help").stdout
    assert "0.1.0" in loader("--version").stdout


def test_the_script_runs_in_a_process_of_its_own_and_each_class_has_a_bar(tmp_path: Path) -> None:
    for number in range(6):
        (tmp_path / f"photos/{'dog' if number % 3 else 'cat'}").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (30, 20 + number)).save(tmp_path / f"photos/{'dog' if number % 3 else 'cat'}/{number}.png")
    told = loader("inspect", tmp_path / "photos").stdout
    assert "kind                 pictures\n" in told
    assert "bytes of one batch   " in told
    cat, dog = (line for line in told.splitlines() if line.startswith(("cat", "dog")))
    assert (cat.split()[1], dog.split()[1]) == ("2", "4")
    assert dog.count("█") == 2 * cat.count("█")
    (tmp_path / "load.py").write_text(told.split("This loads it:\n\n")[1])
    result = subprocess.run([sys.executable, tmp_path / "load.py"], capture_output=True, text=True, timeout=60, env=script_environment(None))
    assert (result.stdout, result.stderr) == ("(6, 22, 30, 3) uint8 (6,) int32\n", "")
