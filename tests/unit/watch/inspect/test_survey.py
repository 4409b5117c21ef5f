"""What `loader inspect` finds at a path of every kind, and that the script which it prints runs as it is."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import Loader
from loader.errors import ConfigError, DataNotFoundError, DecodeError
from loader.watch.inspect.finding import Finding
from loader.watch.inspect.survey import survey

Make = Callable[[Path], Path]


def picture(path: Path, height: int = 20, width: int = 30, mode: str = "RGB") -> None:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.effect_noise((width, height), 50).convert(mode).save(path)


def sound(path: Path, rate: int = 8000, seconds: float = 0.25, channels: int = 1) -> None:
    import soundfile

    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.zeros((int(rate * seconds), channels), np.float32), rate)


def run(finding: Finding, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run the script of a finding as it is, in this process alone; return what it prints."""
    monkeypatch.setattr("loader.Loader", partial(Loader, workers=0))
    out = io.StringIO()
    with redirect_stdout(out):
        exec(compile(finding.snippet, "snippet", "exec"), {"__name__": "__main__"})
    return out.getvalue().strip()


def class_folders(tmp: Path) -> Path:
    for number in range(6):
        picture(tmp / f"{'cat' if number < 4 else 'dog'}/{number}.{'png' if number % 2 else 'jpg'}", 20 + number)
    return tmp


def flat_pictures(tmp: Path) -> Path:
    for number in range(3):
        picture(tmp / f"{number}.png", mode="L")
    (tmp / "notes.txt").write_text("hello")
    return tmp


def large_pictures(tmp: Path) -> Path:
    picture(tmp / "a.jpg", 300, 400)
    picture(tmp / "b.jpg", 500, 300)
    return tmp


def deep_grey(tmp: Path) -> Path:
    from PIL import Image

    Image.fromarray(np.arange(600, dtype=np.uint16).reshape(20, 30)).save(tmp / "a.png")
    return tmp


def sounds(tmp: Path) -> Path:
    sound(tmp / "yes/a.wav")
    sound(tmp / "no/b.flac", 16000, 0.5, 2)
    sound(tmp / "no/c.wav")
    return tmp


def csv_of_pictures(tmp: Path) -> Path:
    for number in range(4):
        picture(tmp / f"images/{number}.png")
    (tmp / "train.csv").write_text("id,file,species\n" + "".join(f"{n},{n}.png,{'ant' if n < 3 else 'bee'}\n" for n in range(4)))
    return tmp / "train.csv"


def csv_of_ids(tmp: Path) -> Path:
    for number in range(4):
        picture(tmp / f"train/{number:03}.jpg")
    (tmp / "labels.csv").write_text("id,breed\n" + "".join(f"{n:03},{'pug' if n < 3 else 'beagle'}\n" for n in range(4)))
    return tmp / "labels.csv"


def csv_of_targets(tmp: Path) -> Path:
    for number in range(3):
        sound(tmp / f"{number}.wav")
    (tmp / "m.csv").write_text("path,height,weight_kg\n" + "".join(f"{n}.wav,{n}.5,{n}\n" for n in range(3)))
    return tmp / "m.csv"


def jsonl_of_arrays(tmp: Path) -> Path:
    for number in range(3):
        np.save(tmp / f"{number}.npy", np.zeros(3))
    (tmp / "m.jsonl").write_text("".join(json.dumps({"path": f"{n}.npy", "label": n % 2, "weight": 0.5}) + "\n" for n in range(3)))
    return tmp / "m.jsonl"


def text_of_paths(tmp: Path) -> Path:
    for number in range(3):
        picture(tmp / f"{number}.png")
    (tmp / "list.txt").write_text("".join(f"{n}.png\n" for n in range(3)))
    return tmp / "list.txt"


def csv_of_texts(tmp: Path) -> Path:
    (tmp / "r.csv").write_text("review,stars\n" + "".join(f'"good, really {n}",{1 + 4 * (n % 2)}\n' for n in range(6)))
    return tmp / "r.csv"


def csv_of_numbers(tmp: Path) -> Path:
    (tmp / "n.csv").write_text("a,b,species\n" + "1.5,2,x\n2.5,3,y\n" * 3)
    return tmp / "n.csv"


def csv_without_header(tmp: Path) -> Path:
    (tmp / "n.csv").write_text("1.5,2.25\n2.5,3.5\n")
    return tmp / "n.csv"


def jsonl_of_texts(tmp: Path) -> Path:
    (tmp / "r.jsonl").write_text("".join(json.dumps({"text": f"line {n}", "label": "even" if n % 2 else "odd"}) + "\n" for n in range(4)))
    return tmp / "r.jsonl"


def jsonl_of_numbers(tmp: Path) -> Path:
    (tmp / "r.jsonl").write_text("".join(json.dumps({"a": n, "b": n / 2, "label": "xy"[n % 2]}) + "\n" for n in range(4)))
    return tmp / "r.jsonl"


def csv_with_semicolons(tmp: Path) -> Path:
    (tmp / "r.csv").write_text("a;b;kind\n" + "1;2.5;x\n3;4.5;y\n" * 2)
    return tmp / "r.csv"


def arrays_of_several_ranks(tmp: Path) -> Path:
    for number in range(4):
        np.save(tmp / f"{number}.npy", np.zeros((4, 3)))
    np.save(tmp / "9.npy", np.zeros((4, 3, 2)))
    return tmp


def lines(tmp: Path) -> Path:
    (tmp / "corpus.txt").write_text("a line\n\nanother, longer line\n")
    return tmp / "corpus.txt"


def texts(tmp: Path) -> Path:
    for name in ("pos/a", "pos/b", "neg/a"):
        (tmp / name).parent.mkdir(exist_ok=True)
        (tmp / f"{name}.txt").write_text("it was " + name)
    return tmp


def one_array(tmp: Path) -> Path:
    np.save(tmp / "x.npy", np.zeros((10, 3), np.uint8))
    return tmp / "x.npy"


def unlike_arrays(tmp: Path) -> Path:
    for number in range(1, 4):
        np.save(tmp / f"{number}.npy", np.zeros((4, number), np.float32))
    np.save(tmp / "9.npy", np.zeros((4, 3), np.float32))
    return tmp


def archive(tmp: Path) -> Path:
    np.savez(tmp / "mnist.npz", x_train=np.zeros((10, 4, 4)), y_train=np.zeros(10, int), x_test=np.zeros((2, 4, 4)), y_test=np.zeros(2, int))
    return tmp / "mnist.npz"


def archives(tmp: Path) -> Path:
    for number in range(3):
        np.savez(tmp / f"{number}.npz", image=np.zeros((4, 4), np.uint8), label=number)
    return tmp


def hdf5(tmp: Path) -> Path:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp / "d.h5", "w") as file:
        file["train/images"] = np.zeros((10, 4, 4), np.uint8)
        file["train/labels"] = np.arange(10) % 2
    return tmp / "d.h5"


def zarr_group(tmp: Path) -> Path:
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group(str(tmp / "d.zarr"), mode="w")
    make = getattr(group, "create_array", None) or group.create_dataset  # of Zarr 3, of Zarr 2
    make("x", shape=(10, 4), chunks=(5, 4), dtype="f4")
    return tmp / "d.zarr"


def raw_records(tmp: Path) -> Path:
    np.zeros((5, 28, 28), np.uint8).tofile(tmp / "images.bin")
    return tmp / "images.bin"


def raw_files(tmp: Path) -> Path:
    for number in range(3):
        np.zeros(10 + number, np.uint8).tofile(tmp / f"{number}.dat")
    return tmp


# What is made, what the script prints of a batch of it, and some of what is found.
CASES: dict[str, tuple[Make, str, dict[str, Any]]] = {
    "class folders": (
        class_folders,
        "(6, 22, 30, 3) uint8 (6,) int32",
        {"kind": "pictures", "formats": {"JPEG": 3, "PNG": 3}, "classes": ["cat", "dog"]},
    ),
    "flat pictures": (flat_pictures, "(3, 20, 30, 1) uint8", {"modes": {"L": 3}, "other kinds": {"text": 1}, "suggested size": None}),
    "large pictures": (large_pictures, "(2, 224, 224, 3) uint8", {"suggested size": [224, 224], "bytes of one sample": 224 * 224 * 3}),
    "16 bits": (deep_grey, "(1, 20, 30, 1) uint16", {"modes": {"I;16": 1}}),
    "sound": (
        sounds,
        "(3, 2000) float32 (3,) int32",
        {"sample rates": {"8000": 2, "16000": 1}, "classes": ["no", "yes"]},
    ),
    "a manifest beside a folder": (csv_of_pictures, "(4, 20, 30, 3) uint8 (4,) int32", {"path column": "file", "label columns": ["species"]}),
    "a manifest of IDs": (csv_of_ids, "(4, 20, 30, 3) uint8 (4,) int32", {"path column": "id", "class histogram": {"pug": 3, "beagle": 1}}),
    "a manifest of targets": (csv_of_targets, "(3, 2000) float32 (3, 2) float32", {"label columns": ["height", "weight_kg"]}),
    "JSON lines": (jsonl_of_arrays, "(3, 3) float64 (3,) int32 (3,) float32", {"kind": ".npy files", "missing files": 0}),
    "a list": (text_of_paths, "(3, 20, 30, 3) uint8", {"path column": "path", "label columns": []}),
    "rows of text": (csv_of_texts, "(6, 16) uint8 (6,) int32", {"text column": "review", "label column": "stars"}),
    "rows of numbers": (csv_of_numbers, "(6, 2) float32 (6,) int32", {"numbers": ["a", "b"], "label column": "species"}),
    "rows without names": (csv_without_header, "(2, 2) float32", {"numbers": [0, 1], "label column": None}),
    "JSON rows": (jsonl_of_texts, "(4, 8) uint8 (4,) int32", {"text column": "text", "label column": "label"}),
    "JSON rows of numbers": (jsonl_of_numbers, "(4, 2) float32 (4,) int32", {"numbers": ["a", "b"], "label column": "label"}),
    "rows with semicolons": (csv_with_semicolons, "(4, 2) float32 (4,) int32", {"columns": ["a", "b", "kind"]}),
    "arrays of several ranks": (arrays_of_several_ranks, "(5, 4, 3) float64", {"shape": [4, 3]}),
    "lines": (lines, "(2, 32) uint8", {"lines": 2, "bytes of a line": {"min": 6, "median": 13, "max": 20}}),
    "texts": (texts, "(3, 16) uint8 (3,) int32", {"kind": "text", "files": 3}),
    "one array": (one_array, "(10, 3) uint8", {"shape": [10, 3], "bytes of one sample": 3, "bytes of one batch": 192}),
    "arrays of several shapes": (unlike_arrays, "(4, 4, 3) float32", {"files": 4}),
    "one archive": (archive, "(10, 4, 4) float64 (10,) int64", {"class histogram": {"0": 10}}),
    "archives": (archives, "(3, 4, 4) uint8 (3,) int64", {"kind": ".npz files"}),
    "HDF5": (hdf5, "(10, 4, 4) uint8 (10,) int64", {"class histogram": {"0": 5, "1": 5}}),
    "Zarr": (zarr_group, "(10, 4) float32", {"kind": "Zarr folder"}),
    "raw records": (raw_records, "(5, 28, 28) uint8", {"bytes": 3920}),
    "files of any kind": (raw_files, "(3, 10) uint8", {"extensions": [".dat"]}),
}


@pytest.mark.filterwarnings("ignore:.*another one takes its place")  # of arrays that can't be made alike
@pytest.mark.parametrize("case", CASES)
def test_what_is_there_is_told_and_the_script_that_loads_it_runs(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make, printed, facts = CASES[case]
    (tmp_path / "data").mkdir()
    found = survey(str(make(tmp_path / "data")))
    told = json.loads(json.dumps(found.as_dict()))
    assert {name: told.get(name) for name in facts} == facts
    assert run(found, monkeypatch) == printed
    assert all(isinstance(line, str) and line for line in found.lines.values())


def test_what_would_not_load_is_named_and_the_script_runs_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(8):
        picture(tmp_path / f"{number}.jpg")
    whole = (tmp_path / "3.jpg").read_bytes()
    (tmp_path / "3.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "4.jpg").write_text("<html>not found</html>")
    (tmp_path / "5.jpg").write_bytes(b"")
    huge = bytearray((tmp_path / "6.jpg").read_bytes())
    at = huge.index(b"\xff\xc0") + 5
    huge[at : at + 4] = (50_000).to_bytes(2, "big") * 2
    (tmp_path / "6.jpg").write_bytes(huge)
    (tmp_path / "7.jpg").unlink()
    (tmp_path / "7.jpg").symlink_to(tmp_path / "nowhere")
    found = survey(str(tmp_path))
    problems = {Path(bad["path"]).name: bad["problem"] for bad in found.facts["unreadable"]}
    words = {"3.jpg": "middle of the picture", "4.jpg": "HTML page", "5.jpg": "0 bytes", "6.jpg": "50,000 × 50,000", "7.jpg": "No such file"}
    assert problems.keys() == words.keys()
    assert all(words[name] in problem for name, problem in problems.items())
    assert found.lines["not readable"] == "5 files of those read"
    assert 'on_error="substitute"' in found.snippet
    with pytest.warns(RuntimeWarning, match="takes its place"):
        assert run(found, monkeypatch) == "(8, 20, 30, 3) uint8"


def test_the_script_runs_if_the_first_files_are_bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("0[1].jpg", "1.jpg"):
        (tmp_path / name).write_text("<html>not found</html>")
    for number in range(2, 6):
        picture(tmp_path / f"{number}.jpg")
    (tmp_path / "m.csv").write_text("path\n1.jpg\n2.jpg\n")
    for path, count in ((tmp_path, 6), (tmp_path / "m.csv", 2)):
        with pytest.warns(RuntimeWarning, match="takes its place"):
            assert run(survey(str(path)), monkeypatch) == f"({count}, 20, 30, 3) uint8"


def test_a_table_of_texts_beside_a_folder_with_a_few_files_called_like_its_numbers_is_no_manifest(tmp_path: Path) -> None:
    (tmp_path / "npy").mkdir()
    for number in range(3):
        np.save(tmp_path / f"npy/{number}.npy", np.zeros(2))
    rows = "".join(f"{number},film {number} was good,{number % 2}\n" for number in range(10))
    (tmp_path / "reviews.csv").write_text(f"id,review,liked\n{rows}")
    assert "TextLines" in survey(str(tmp_path / "reviews.csv")).snippet


def test_sound_that_would_not_load_is_named(tmp_path: Path) -> None:
    sound(tmp_path / "a.wav")
    sound(tmp_path / "empty.wav", seconds=0)
    (tmp_path / "cut.wav").write_bytes((tmp_path / "a.wav").read_bytes()[:-100])
    (tmp_path / "text.wav").write_text("hello")
    problems = {Path(bad["path"]).name: bad["problem"] for bad in survey(str(tmp_path)).facts["unreadable"]}
    assert problems.keys() == {"empty.wav", "cut.wav", "text.wav"}
    assert "100 bytes or more" in problems["cut.wav"]
    assert "0 samples" in problems["empty.wav"]


def test_the_classes_of_a_folder_and_of_a_manifest_are_counted(tmp_path: Path) -> None:
    assert survey(str(class_folders(tmp_path / "a"))).histogram == {"cat": 4, "dog": 2}
    (tmp_path / "b").mkdir()
    assert survey(str(csv_of_pictures(tmp_path / "b"))).histogram == {"ant": 3, "bee": 1}
    (tmp_path / "c").mkdir()
    assert survey(str(csv_of_targets(tmp_path / "c"))).histogram == {}


def test_a_manifest_whose_files_are_missing_says_so_and_so_does_the_script(tmp_path: Path) -> None:
    path = csv_of_pictures(tmp_path)
    (tmp_path / "images/2.png").unlink()
    found = survey(str(path))
    assert found.facts["missing files"] == 1
    assert "1 file of 4" in found.lines["missing"]
    assert "until the manifest is corrected" in found.snippet
    (tmp_path / "gone.csv").write_text("path,label\nx/1.png,a\nx/2.png,b\n")
    assert survey(str(tmp_path / "gone.csv")).facts["missing files"] == 2


def test_a_manifest_without_names_of_columns_is_told_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        picture(tmp_path / f"{number}.png")
    (tmp_path / "m.csv").write_text("0.png,1\n1.png,0\n2.png,1\n")
    found = survey(str(tmp_path / "m.csv"))
    assert "put a line such as path,label before it" in found.lines["problem"]
    assert run(found, monkeypatch) == "(2, 20, 30, 3) uint8 (2,) int32"


def test_a_manifest_with_bad_lines_is_told_them(tmp_path: Path) -> None:
    path = csv_of_targets(tmp_path)
    path.write_text(path.read_text().replace("1.5", "tall"))
    assert "line 3" in survey(str(path)).lines["problem"]


def test_parts_of_a_data_set_are_looked_at_one_by_one(tmp_path: Path) -> None:
    picture(tmp_path / "train/cat/1.png")
    picture(tmp_path / "val/cat/1.png")
    with pytest.raises(ConfigError, match=f"loader inspect {tmp_path}/train"):
        survey(str(tmp_path))


def test_of_files_of_several_kinds_the_commonest_known_one_is_meant(tmp_path: Path) -> None:
    for number in range(2):
        picture(tmp_path / f"{number}.png")
        (tmp_path / f"{number}.xml").write_text("<a/>")
    (tmp_path / "extra.xml").write_text("<a/>")
    found = survey(str(tmp_path))
    assert (found.facts["kind"], found.facts["files"], found.facts["other kinds"]) == ("pictures", 2, {"other files": 3})


def test_files_beside_folders_are_no_classes(tmp_path: Path) -> None:
    picture(tmp_path / "1.png")
    picture(tmp_path / "more/2.png")
    found = survey(str(tmp_path))
    assert (found.facts["files"], found.facts["classes"]) == (2, [])


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.gz", b"\x1f\x8b" + bytes(20), "decompress"),
        ("a.parquet", b"PAR1" + bytes(20), "Parquet"),
        ("a.npz", b"PK\x03\x04cut", "damaged zip archive"),
        ("a.bin", b"", "0 bytes"),
        ("a.txt", b"", "0 bytes"),
        ("a.csv", b"", "0 bytes"),
        ("a.csv", b"\n\n", "no row"),
        ("a.csv", b'a,"b\n', "quote"),
        ("a.jsonl", b"{}\n", "no row"),
        ("a.jsonl", b"[1]\n", "JSON object"),
    ],
)
def test_what_nothing_here_can_load_is_an_error_that_says_what_it_is(name: str, content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DecodeError, match=words):
        survey(str(tmp_path / name))


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match="empty"):
        survey(str(tmp_path))


def test_a_picture_without_extension_is_known_by_its_first_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a")
    found = survey(str(tmp_path / "a"))
    assert (found.facts["kind"], run(found, monkeypatch)) == ("pictures", "(1, 20, 30, 3) uint8")


def test_a_glob_means_what_it_means_to_a_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        picture(tmp_path / f"pictures/{number}.jpg")
    picture(tmp_path / "pictures/0.png", mode="L")
    (tmp_path / "pictures/notes.txt").write_text("hello")
    for number in range(3):
        np.save(tmp_path / f"{number}.npy", np.zeros((2, number % 2 + 1)))
        (tmp_path / f"{number}.bin").write_bytes(bytes(12))
    monkeypatch.chdir(tmp_path)
    for pattern, printed in (
        ("pictures/*.jpg", "(5, 20, 30, 3) uint8"),
        ("**/*.jpg", "(5, 20, 30, 3) uint8"),
        ("pictures/*", "(6, 20, 30, 3) uint8"),
        ("*.npy", "(3, 2, 1) float64"),
        ("*.bin", "(3, 12) uint8"),
    ):
        found = survey(pattern)
        assert f'("{pattern}"' in found.snippet
        assert run(found, monkeypatch) == printed
    assert survey("pictures/*").lines["left out"] == "text (1)"
    assert 'NpyArrays("1.npy")' in survey("[1].npy").snippet
    assert 'ByteFiles("pictures"' in survey("pic*").snippet
    (tmp_path / "[1].npy").write_bytes((tmp_path / "2.npy").read_bytes())
    assert 'NpyArrays("[1].npy")' in survey("[1].npy").snippet


def test_a_glob_without_a_data_set_says_what_to_do(tmp_path: Path) -> None:
    for name in ("a", "b"):
        picture(tmp_path / name / "0.jpg")
        (tmp_path / f"{name}.csv").write_text("text,label\ngood,1\n")
    for pattern, words in (
        ("*.gif", "matches no file"),
        ("[ab]", r"only folders; for the files in them: .*/\[ab\]/\*"),
        ("*.csv", "holds 2 tables; give one of them"),
    ):
        with pytest.raises(ConfigError, match=words):
            survey(str(tmp_path / pattern))
