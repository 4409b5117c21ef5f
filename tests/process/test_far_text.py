"""Text files in object stores: the same samples as from files of this machine, by ranges or from a copy in a cache."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from loader import ByteFiles, ConfigError, DataNotFoundError, DecodeError, LabelError, Loader, SampleError, TextLines, decode
from loader.data.sources.lines import far_text
from loader.train.state import fingerprint
from tests.batches import assert_same, inline, take
from tests.servers.faults import Faults
from tests.servers.fronts import Front
from tests.servers.shared import Bucket

pytestmark = pytest.mark.usefixtures("what_obstore_keeps")

LINES = 60

StartFront = Callable[..., Front]


@pytest.fixture(autouse=True)
def nothing_is_remembered_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "remembered"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "texts"
    made.mkdir()
    words = [f"{'word ' * (number % 9)}{number}" for number in range(LINES)]
    (made / "a.txt").write_text("\ufeff" + "\r\n".join(words[:40]) + "\r\n")
    (made / "b.txt").write_text("\n\n".join(words[40:]))
    (made / "t.csv").write_text("text,class,size\n" + "".join(f'"{word},\n{word}",c{number % 3},{number}\n' for number, word in enumerate(words)))
    (made / "t.jsonl").write_text("".join(f'{{"text": "{word}", "class": {number % 3}}}\n' for number, word in enumerate(words)))
    return made


def texts_in(place: str, **options: Any) -> dict[str, Callable[[], TextLines]]:
    codes = decode.text(lambda text: [ord(sign) for sign in text], 20)
    return {
        "bytes of two files": lambda: TextLines([f"{place}/a.txt", f"{place}/b.txt"], decode=decode.text(None, 30), **options),
        "a function": lambda: TextLines(f"{place}/b.txt", decode=lambda line: np.frombuffer(line.ljust(60), np.uint8), **options),
        "CSV with a class": lambda: TextLines(f"{place}/t.csv", decode=codes, text_column="text", label_columns="class", **options),
        "CSV with numbers": lambda: TextLines(f"{place}/t.csv", decode=codes, text_column=0, label_columns=["size", 2], **options),
        "JSON": lambda: TextLines(f"{place}/t.jsonl", decode=codes, text_column="text", label_columns="class", **options),
    }


def gets(served: Front) -> int:
    return sum(count for asked, count in served.counts().asked.items() if asked.startswith("GET"))


def test_lines_of_objects_make_the_batches_of_files(folder: Path, front: StartFront) -> None:
    near = texts_in(str(folder))
    for what, make in texts_in(front(folder).endpoint).items():
        source, expected = make(), near[what]()
        assert (len(source), source.classes) == (len(expected), expected.classes), what
        assert "lines of http://127.0.0.1:" in repr(source)
        with Loader(source, 8, workers=2 if what == "bytes of two files" else 0, shuffle=True, seed=2) as loader:
            assert_same(take(loader, 2), inline(expected, 8, 2, shuffle=True, seed=2))
        assert_same([source[7]], [expected[7]])


@pytest.mark.parametrize("what", [pytest.param("bytes of two files", marks=pytest.mark.thorough), "CSV with a class"])
def test_what_was_found_out_is_remembered_until_an_object_changes(folder: Path, front: StartFront, what: str) -> None:
    served = front(folder)
    far, near = texts_in(served.endpoint)[what], texts_in(str(folder))[what]
    first = far()
    served.forget()
    again = far()
    assert fingerprint(again) == fingerprint(first)
    assert gets(served) == 0  # it was asked about, by HEAD
    assert again.classes == first.classes == near().classes
    assert_same([again[number] for number in range(5)], [near()[number] for number in range(5)])
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes().replace(b"word", b"text"))  # of the same length
        os.utime(path, ns=(1, 1))
    changed = far()
    assert fingerprint(changed) != fingerprint(first)  # a run can't be resumed on it
    assert_same([changed[number] for number in range(5)], [near()[number] for number in range(5)])


def test_rows_that_follow_one_another_come_together(folder: Path, front: StartFront) -> None:
    served = front(folder)
    source = TextLines(f"{served.endpoint}/a.txt", decode=decode.text(None, 30))
    served.forget()
    with Loader(source, 20, workers=0) as loader:
        take(loader)
    assert gets(served) <= 4


@pytest.mark.parametrize("what", ["bytes of two files", pytest.param("CSV with a class", marks=pytest.mark.thorough)])
def test_a_copy_in_the_cache_serves_every_run(folder: Path, front: StartFront, tmp_path: Path, what: str) -> None:
    served = front(folder)
    far, near = texts_in(served.endpoint, cache=tmp_path / "cache")[what], texts_in(str(folder))[what]
    far()
    shutil.rmtree(tmp_path / "remembered")
    served.forget()
    source = far()
    assert source.rows_at_once == 0  # it is as near as a file
    with Loader(source, 8, workers=1, shuffle=True) as loader:
        assert_same(take(loader), inline(near(), 8, shuffle=True))
    assert gets(served) == 0


def test_a_whole_object_in_the_cache_is_a_copy_whoever_has_brought_it(folder: Path, front: StartFront, tmp_path: Path) -> None:
    served = front(folder)
    url = f"{served.endpoint}/a.txt"
    whole = ByteFiles([url], decode=lambda content: np.frombuffer(content, np.uint8), cache=tmp_path / "cache")
    with Loader(whole, 1, workers=0) as loader:
        take(loader)
    served.forget()
    assert len(TextLines(url, decode=decode.text(None, 30), cache=tmp_path / "cache")) == 40
    assert gets(served) == 0


def test_a_cache_without_room_or_that_is_damaged_or_deleted_changes_no_bit(folder: Path, front: StartFront, tmp_path: Path) -> None:
    served = front(folder)
    both = [f"{served.endpoint}/a.txt", f"{served.endpoint}/b.txt"]
    near = TextLines([folder / "a.txt", folder / "b.txt"], decode=decode.text(None, 30))
    room = (folder / "b.txt").stat().st_size + 100
    source = TextLines(both, decode=decode.text(None, 30), cache=tmp_path / "cache", cache_bytes=room)
    with Loader(source, 8, workers=0, shuffle=True) as loader:
        assert_same(take(loader), inline(near, 8, shuffle=True))
    (kept,) = [path for path in (tmp_path / "cache" / "files").rglob("*") if path.is_file()]
    kept.write_bytes(kept.read_bytes()[:-1] + b"?")
    source = TextLines(both, decode=decode.text(None, 30), cache=tmp_path / "cache")
    shutil.rmtree(tmp_path / "cache")
    with Loader(source, 8, workers=1, shuffle=True) as loader:
        assert_same(take(loader), inline(near, 8, shuffle=True))


def test_faults_change_no_bit_of_lines(folder: Path, front: StartFront) -> None:
    served = front(folder)
    source = TextLines(f"{served.endpoint}/a.txt", decode=decode.text(None, 30))
    served.set_faults(Faults(seed=2, unavailable=0.1, reset=0.1, short=0.1, attempts=2))
    with Loader(source, 4, workers=2, shuffle=True) as loader:
        assert_same(take(loader, 2), inline(TextLines(folder / "a.txt", decode=decode.text(None, 30)), 4, 2, shuffle=True))
        assert loader.stats().errors == 0


def test_an_object_that_changes_is_an_error_that_names_it(folder: Path, front: StartFront) -> None:
    source = TextLines(f"{front(folder).endpoint}/a.txt", decode=decode.text(None, 30))
    with Loader(source, 8, workers=0, shuffle=True) as loader:
        next(iter(loader))
        (folder / "a.txt").write_text("another text\n" * 40)
        with pytest.raises(SampleError, match=r"a\.txt.*has changed since"):
            take(loader, 2)


def test_bad_rows_are_named_by_url_and_line(folder: Path, front: StartFront) -> None:
    served = front(folder)
    (folder / "bad.csv").write_text("text,class\na,1\nb,2\nc,\n")
    with pytest.raises(LabelError, match=rf"{served.endpoint}/bad\.csv, line 4: has no label"):
        TextLines(f"{served.endpoint}/bad.csv", decode=decode.text(None, 3), text_column="text", label_columns="class")
    (folder / "stray.csv").write_text('text,class\na,1\nb",2\n"c,3\nd,4\n')
    with pytest.raises(DecodeError, match=rf"{served.endpoint}/stray\.csv: line 3: .*up to line 4"):
        TextLines(f"{served.endpoint}/stray.csv", decode=decode.text(None, 3), text_column="text", label_columns="class")
    (folder / "zip.txt").write_bytes(b"\x1f\x8b\x08 packed")
    with pytest.raises(DecodeError, match=rf"{served.endpoint}/zip\.txt: .*gzip"):
        TextLines(f"{served.endpoint}/zip.txt", decode=decode.text(None, 3))


def test_what_can_not_be_is_refused(folder: Path, front: StartFront, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served, codes = front(folder), decode.text(None, 3)
    with pytest.raises(DataNotFoundError, match=r"gone\.txt"):
        TextLines(f"{served.endpoint}/gone.txt", decode=codes)
    with pytest.raises(ConfigError, match=r"has URLs, such as .* and files; join two sources"):
        TextLines([f"{served.endpoint}/a.txt", str(folder / "b.txt")], decode=codes)
    with pytest.raises(ConfigError, match="these files are on this machine"):
        TextLines(folder / "a.txt", decode=codes, cache=tmp_path / "cache")
    monkeypatch.setattr(far_text, "brief_size", str)
    monkeypatch.setattr(far_text.os, "fstatvfs", lambda fd: SimpleNamespace(f_bavail=1, f_frsize=4096))
    (folder / "large.txt").write_text("line\n" * 1000)
    with pytest.raises(ConfigError, match=r"large\.txt: to find the lines, 5000 of text are brought to this machine, and 4096 are free"):
        TextLines(f"{served.endpoint}/large.txt", decode=codes)


def test_patterns_and_folders_in_a_bucket(folder: Path, s3_bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    s3_bucket.put_folder(folder, "texts/")
    for name, value in s3_bucket.environment.items():
        monkeypatch.setenv(name, value)
    place = f"{s3_bucket.url}/texts"
    for paths in (f"{place}/*.txt", [f"{place}/a.txt", f"{place}/b*"], [f"{place}/a.txt", f"{place}/b.txt"]):
        source = TextLines(paths, decode=decode.text(None, 30))
        with Loader(source, 7, workers=0, shuffle=True) as loader:
            assert_same(take(loader), inline(TextLines(f"{folder}/*.txt", decode=decode.text(None, 30)), 7, shuffle=True))
    (folder / "t.csv").unlink()
    (folder / "t.jsonl").unlink()
    s3_bucket.put_folder(folder, "only/")
    assert len(TextLines(f"{s3_bucket.url}/only", decode=decode.text(None, 30))) == LINES
