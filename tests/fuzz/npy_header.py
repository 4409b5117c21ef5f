"""Damaged and hostile `.npy` files against the reader: `make fuzz`, or `python -m tests.fuzz.npy_header CASES --seed N`.

What holds for every file, whatever its bytes:

    errors     nothing but NpyError
    time       less than LIMIT_S of processor time
    memory     no more than the file's own size justifies: address space is limited, and every sixteenth case is measured
    code       none is compiled, run or imported, as Python's audit events tell
    numpy      what numpy reads, is read alike: dtype, shape, order and values; or refused by one of the rules of `refusal`.
               What numpy refuses, is refused, but for the rules of `leniency`

The case of a number follows from the seed and that number alone: `--only NUMBER` repeats one.
"""

# ruff: noqa: E501  the tables of odd words

from __future__ import annotations

import argparse
import ast
import io
import os
import random
import re
import resource
import sys
import tempfile
import time
import tracemalloc
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import numpy as np

from loader.data.npy.header import MAX_HEADER_BYTES, NpyHeader, inspect_file, parse_header, read_array
from loader.data.npy.reader import NpyReader
from loader.data.rows import BadSample
from loader.data.sources.arrays.stored_array import StoredArray
from loader.errors import NpyError

LIMIT_S = 0.5
SPARE_BYTES = 256 << 20  # address space that a run may take on top of what it has at its start
COMPARED_BYTES = 8_000  # of longer headers numpy takes seconds; it refuses those of more than 10,000 bytes unless told otherwise
SMALL_BYTES = 1 << 20  # what a case may allocate beside a few copies of its file: error messages, parsed entries
EVENTS = ("compile", "exec", "import", "os.system", "os.exec", "os.fork", "os.posix_spawn", "subprocess.Popen", "pickle.find_class")
MAGIC = b"\x93NUMPY"

DTYPES = ["<f4", ">f4", "<f8", "|u1", "|i1", "|b1", "<i8", ">i2", "<u4", "<c8", "<c16", "<f2", "<f16", "=f4", "f4"]
ODD_DTYPES = [
    "|O", "O", "|S5", "<U3", "|V8", "<M8[ns]", "<m8[s]", "<M8[0s]", "<M8[foo]", "<m8[25s]", "<M8[s/7]", "<f3", "<f٤", "<i４", "f999999999", "<S999999999", "<U999999999",
    "<f4,<f4", "(3,)<f4", "2f4", "i", "float32", "", " ", "<", "|", "?", "<?", "b", "<f4 ", " <f4", "<f04", "<g", "<G", "|b4", "<f-4", "<f4\\x00", "\\x3cf4", "<f4\x00",
    "l", "<l", "<q", "e", "V", "V0", "S0", "U0", "datetime64", "c", "p", "<P", "T", "<n",
]  # fmt: skip
DESCRS = [
    "[('a', '<f4')]", "[('a', '<f4', (2, 3)), ('b', '|O')]", "('<f4', (2,))", "('<f4', (999999999, 999999999))", "[]", "()", "None", "3", "b'<f4'", "'<' 'f4'", "{}",
    "{'names': ['a'], 'formats': ['<f4']}", "__import__('os').system('false')", "'<f4'.__class__", "r'<f4'", "u'<f4'", "f'<f4'", "'''<f4'''", "lambda: 0",
]  # fmt: skip
DIMENSIONS = [
    "0", "1", "2", "3", "7", "00", "03", "-1", "-0", "+3", "3L", "0L", "3l", "True", "False", "None", "1e3", "1.0", "1j", "0x3", "0b11", "1_0", "'3'", "2**62", "3*4", "...",
    "9223372036854775807", "9223372036854775808", "4611686018427387904", "4294967296", "65536", "1" * 19, "9" * 40, "9" * 5000, "٣", "３", "\xb2", "(3,)", "[3]", "()", "3 4",
    "__import__('os').system('false')", "(lambda: 3)()", "3 # ", "3\n", "\x0c3", "\xa03", " 3",
]  # fmt: skip
FLAGS = ["True", "False", "0", "1", "None", "true", "'True'", "True or False", "not True", "(True)", "True,", "-1"]
PIECES = [
    b"{", b"}", b"(", b")", b"[", b"]", b",", b":", b"'", b'"', b"\\", b"\0", b"\n", b"#", b" ", b"L", b"0", b"9", b"-", b"True", b"False", b"u", b"'shape'", b"'descr'", b"'x': 1, ",
    b"'fortran_order': True, ", b"'shape': (2,), ", b"'descr': '<f8', ", b"\xff", b"\xc3\xa9", b"\xd9\xa3", b"\xc2\xa0", b"\xe2\x80\x8b", b"\x1c", b"\x85", b"__import__('os').system('false')",
]  # fmt: skip
TRIMMINGS = ["", " ", "\n", "\t", "  ", "\r\n", "\x0b", "\x0c", "\xa0", "\x1c", "\x85", "\0", "#\n"]


def make_case(seed: int, number: int) -> bytes:
    """Return the file of a number."""
    rng = random.Random(f"{seed}/{number}")
    raw = _whole(rng, _text(rng))
    for _ in range(rng.choice((0, 0, 1, 1, 2, 5))):
        raw = rng.choice(CHANGES)(rng, raw)
    return raw


def _text(rng: random.Random) -> str:
    """Return a header's text: mostly one that could have been written, with one or two entries that could not."""
    odd = rng.random() < 0.6
    descr = repr(rng.choice(DTYPES)) if not odd or rng.random() < 0.6 else rng.choice(DESCRS) if rng.random() < 0.4 else f"'{rng.choice(ODD_DTYPES)}'"
    flag = rng.choice(FLAGS) if odd and rng.random() < 0.3 else rng.choice(("True", "False"))
    entries = [f"'descr': {descr}", f"'fortran_order': {flag}", f"'shape': {_shape(rng, odd)}"]
    if odd:
        if rng.random() < 0.3:
            rng.shuffle(entries)
        if rng.random() < 0.1:
            entries.append(rng.choice([*entries, "'more': 1", "'shape': (3,)", "'descr': '<f8'"]))
        if rng.random() < 0.1:
            del entries[rng.randrange(len(entries))]
        if rng.random() < 0.1:
            entries = [entry.replace("'", '"') for entry in entries]
    space = rng.choice(TRIMMINGS) if odd and rng.random() < 0.3 else " "
    end = rng.choice((", }", "}", ",}", ",,}", "", "})", "}}", "} }", "}\0", "};"))
    text = "{" + f",{space}".join(entries) + (end if odd else ", }")
    if odd and rng.random() < 0.2:
        text = rng.choice(TRIMMINGS) + text + rng.choice(TRIMMINGS)
    if rng.random() < 0.02:
        text = _deep(rng)
    return text


def _shape(rng: random.Random, odd: bool) -> str:
    if odd and rng.random() < 0.05:
        return rng.choice(
            ("3", "None", "[2, 3]", "{}", "(2, 3), (4,)", "(2, 3) + (4,)", "(" * 50 + ")" * 50, "((2, 3))", "(3)", "(,)", "(3,,)", "tuple()")
        )
    count = rng.choice((0, 1, 1, 2, 2, 3, 3, 5, 31, 32, 33, 64, 65, 2000)) if odd and rng.random() < 0.2 else rng.randrange(4)
    chosen = [rng.choice(DIMENSIONS) if odd and rng.random() < 0.3 else str(rng.randrange(5) if count < 8 else 1) for _ in range(count)]
    return "(" + ", ".join(chosen) + ("," if count == 1 or (odd and rng.random() < 0.1) else "") + ")"


def _deep(rng: random.Random) -> str:
    """Return brackets in brackets, or one thing over and over: what a parser would recurse or backtrack into."""
    piece = rng.choice(("{", "(", "[", "{'descr':", "((", "'", "'a':", "-", "not ", "1,", "1+", " ", "\n", "{'shape': (", ",", "'a' ", "u'"))
    text = (piece * 65_000)[: rng.choice((100, 5_000, 65_000))]
    return rng.choice((text, "{'shape': (" + text + ")}", "{" + text + "}", "{'descr': '" + text + "'}", "{'descr': " + text))[:65_500]


def _whole(rng: random.Random, text: str) -> bytes:
    """Return the text as a file, with the data that it means where that can be found out, or something near that."""
    version = rng.choice((1, 1, 1, 2, 3))
    content = text.encode("utf-8" if version == 3 else "latin-1", "replace")
    start = len(MAGIC) + (4 if version == 1 else 6)
    if rng.random() < 0.8:
        content += b" " * (-(start + len(content) + 1) % 64) + b"\n"
    if rng.random() < 0.01:
        content += b" " * rng.choice((1_000, MAX_HEADER_BYTES - len(content) - start, MAX_HEADER_BYTES, MAX_HEADER_BYTES + 1))
    length = len(content) if len(content) < 65_536 or version > 1 else 65_535
    raw = MAGIC + bytes([version, 0]) + length.to_bytes(2 if version == 1 else 4, "little") + content
    want = _data_bytes(raw)
    size = want if want is not None and want <= 4096 else rng.randrange(100)
    return raw + rng.randbytes(size)


def _data_bytes(raw: bytes) -> int | None:
    try:
        return parse_header(raw, "").nbytes
    except Exception:  # judged when the case is checked, not here
        return None


def _flip(rng: random.Random, raw: bytes) -> bytes:
    changed = bytearray(raw)
    if changed:
        changed[rng.randrange(min(len(changed), 200))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _insert(rng: random.Random, raw: bytes) -> bytes:
    place = rng.randrange(min(len(raw), 140) + 1)
    return raw[:place] + (rng.choice(PIECES) if rng.random() < 0.8 else rng.randbytes(rng.randrange(1, 5))) + raw[place:]


def _replace(rng: random.Random, raw: bytes) -> bytes:
    place = rng.randrange(min(len(raw), 140) + 1)
    piece = rng.choice(PIECES)
    return raw[:place] + piece + raw[place + len(piece) :]


def _delete(rng: random.Random, raw: bytes) -> bytes:
    place = rng.randrange(min(len(raw), 140) + 1)
    return raw[:place] + raw[place + rng.choice((1, 1, 1, 2, 5, 20)) :]


def _version(rng: random.Random, raw: bytes) -> bytes:
    return raw[:6] + bytes([rng.choice((0, 1, 2, 3, 4, 255)), rng.choice((0, 0, 0, 1))]) + raw[8:]


def _length(rng: random.Random, raw: bytes) -> bytes:
    """Say another length of the header."""
    width = 4 if len(raw) > 6 and raw[6] in (2, 3) else 2
    said = int.from_bytes(raw[8 : 8 + width], "little")
    other = rng.choice((0, 1, said - 1, said + 1, said + 10, said * 2, 65_535, 65_536, 65_537, 2**31, 2**32 - 1, rng.randrange(300)))
    return raw[:8] + (max(other, 0) % 256**width).to_bytes(width, "little") + raw[8 + width :]


def _cut(rng: random.Random, raw: bytes) -> bytes:
    return raw[: rng.randrange(len(raw) + 1)]


def _append(rng: random.Random, raw: bytes) -> bytes:
    return raw + rng.randbytes(rng.choice((1, 1, 8, 500)))


CHANGES: list[Callable[[random.Random, bytes], bytes]] = [_flip, _flip, _insert, _replace, _delete, _version, _length, _cut, _append]


class Watch:
    """Python's audit events while a case runs: whether something was evaluated. A hook stays as long as the process."""

    def __init__(self) -> None:
        self.seen: list[str] | None = None
        sys.addaudithook(self._hook)

    def _hook(self, event: str, _: object) -> None:
        if self.seen is not None and event.startswith(EVENTS):
            self.seen.append(event)

    @contextmanager
    def looking(self) -> Iterator[list[str]]:
        self.seen = events = []
        try:
            yield events
        finally:
            self.seen = None


class Checker:
    """Runs cases through all ways into the reader. `path` is written for each."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.watch = Watch()
        self.counts: Counter[str] = Counter()
        for kind in ("<f4", "<M8[s]", "?"):  # what is imported or compiled at the first use is not the files'
            np.dtype(kind)
        self._measured(b"", False)

    def check(self, raw: bytes, measure: bool) -> str | None:
        """Return what is wrong with the way that a file was read, or None."""
        self.path.write_bytes(raw)
        before = time.thread_time()
        problem, found = self._measured(raw, measure)
        took = time.thread_time() - before
        if problem is None and took > LIMIT_S:
            problem = f"took {took:.3f} s"
        return problem or self._compare(raw, found)

    def _measured(self, raw: bytes, measure: bool) -> tuple[str | None, Any]:
        if measure:
            tracemalloc.start()
        try:
            with self.watch.looking() as events:
                found = self._read(raw)
            problem = f"ran something: {events}" if events else None
            if measure and (peak := tracemalloc.get_traced_memory()[1]) > SMALL_BYTES + 16 * len(raw):
                problem = problem or f"allocated {peak:,} bytes for a file of {len(raw):,}"
        except Exception as error:
            return f"raised {type(error).__name__}: {error}"[:300], None
        finally:
            if measure:
                tracemalloc.stop()
        return problem, found

    def _read(self, raw: bytes) -> tuple[NpyHeader | None, Any]:
        """Read the file in each way that there is. Returns the header and the array, either None where it was refused."""
        path = str(self.path)
        header = _or_refused(parse_header, raw, path)
        inspected = _or_refused(inspect_file, path)
        if (inspected and inspected[0]) != header:
            raise AssertionError(f"parse_header gives {header}, inspect_file {inspected}")
        array = _or_refused(read_array, path)
        stored = _or_refused(lambda: StoredArray.of_file(path).map())
        if (stored is None) != (array is None) or (array is not None and not _same(array, stored)):
            raise AssertionError(f"read_array gives {array!r}, the mapping {stored!r}")
        if header is not None and header.nbytes <= len(raw):
            rows = np.zeros((2, *header.shape), header.native)
            try:
                NpyReader(header.shape, header.native, path).read(np.arange(2), [os.fsencode(path)] * 2, rows)
            except BadSample as bad:
                if not isinstance(bad.__cause__, NpyError) or array is not None:
                    raise bad.__cause__ or bad from None
            else:
                if array is None or not _same(rows[:1].reshape(array.shape), array) or not _same(rows[1:].reshape(array.shape), array):
                    raise AssertionError(f"NpyReader gives {rows!r}, read_array {array!r}")
        return header, array

    def _compare(self, raw: bytes, found: tuple[NpyHeader | None, Any]) -> str | None:
        header, array = found
        if len(raw) > COMPARED_BYTES:
            self.counts["not compared: long"] += 1
            return None
        theirs = _numpys_header(raw)
        if theirs is None:
            self.counts["both refuse" if header is None else "only numpy refuses"] += 1
            return None if header is None or leniency(raw) else f"numpy refuses what we read as {header}"
        shape, fortran, dtype, offset = theirs
        if header is None:
            rule = refusal(raw, shape, dtype, offset)
            self.counts[f"only we refuse: {rule}"] += 1
            return None if rule else f"we refuse what numpy reads as {theirs}"
        if (header.shape, header.fortran_order, header.dtype, header.offset) != theirs:
            return f"we read {header!r}, numpy {theirs}"
        self.counts["both read"] += 1
        if array is None:
            return f"a file of the right size is refused: {header!r}" if len(raw) == header.offset + header.nbytes else None
        values = np.ndarray(shape, dtype, raw, offset, order="F" if fortran else "C")
        return None if _same(array, values) else "other values than numpy's"


def refusal(raw: bytes, shape: tuple[Any, ...], dtype: np.dtype[Any], offset: int) -> str | None:
    """Return by which rule we refuse a header that numpy reads, or None if there is none."""
    text = raw[10 if raw[6] == 1 else 12 : offset].decode("utf-8" if raw[6] == 3 else "latin-1")
    if dtype.kind not in "biufc" or dtype.subdtype is not None:
        return "dtype"
    if len(shape) > 32:
        return "more than 32 dimensions"
    if any(isinstance(length, bool) or length < 0 for length in shape):
        return "a length that is negative or a bool"
    if np.prod([length for length in shape if length], dtype=object) * dtype.itemsize > 2**47:
        return "more bytes than there are addresses"
    if len(text) > MAX_HEADER_BYTES:
        return "header too long"
    # What numpy's writer never writes: it writes `repr` of a dict of a string, a bool and a tuple of ints.
    if not re.fullmatch(
        r"""\s*\{(\s*u?('[^'\\]*'|"[^"\\]*")\s*:\s*(u?('[<>=|]?[biufc?]\d*'|"[<>=|]?[biufc?]\d*")|True|False|\([\d\sL,]*\))\s*,?){3}\s*\}\s*""",
        text,
        re.A,
    ):
        return "not as numpy writes it"
    return None


def leniency(raw: bytes) -> str | None:
    """Return by which rule we read a header that numpy refuses, or None: white space of other kinds, leading zeros, the L of Python 2."""
    start = 10 if raw[6] == 1 else 12
    text = raw[start : start + int.from_bytes(raw[8:start], "little")].decode("latin-1")
    text = re.sub(r"(?<![\d'<>=|\w])0+(?=\d)", "", re.sub(r"(?<=\d)L", "", re.sub(r"[ \t\n\r\f\v]+", " ", text)))
    try:
        found = ast.literal_eval(text.strip(" "))
    except Exception:
        return None
    return "space, zeros, L" if isinstance(found, dict) and set(found) == {"descr", "fortran_order", "shape"} else None


def _numpys_header(raw: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any], int] | None:
    """Return shape, order, dtype and offset as numpy reads them, None where it refuses."""
    file = io.BytesIO(raw)
    try:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0), (3, 0)):
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if version == (3, 0):  # numpy has no public reader for it: it is 2.0 in UTF-8
                return _numpys_header_3(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = read(file, max_header_size=1 << 30)
            np.empty(0, dtype)
    except Exception:  # numpy's reader raises what Python's parser does
        return None
    return shape, fortran, dtype, file.tell()


def _numpys_header_3(file: io.BytesIO) -> tuple[tuple[int, ...], bool, np.dtype[Any], int] | None:
    """Read a header of format 3.0 as numpy does; but white space around the text is no error, as it is none in 1.0 and 2.0."""
    length = int.from_bytes(file.read(4), "little")
    raw = file.read(length)
    found = ast.literal_eval(raw.decode().strip())
    fits = isinstance(found, dict) and set(found) == {"descr", "fortran_order", "shape"}
    if len(raw) < length or not fits or type(found["shape"]) is not tuple or type(found["fortran_order"]) is not bool:
        return None
    if not all(isinstance(number, int) for number in found["shape"]):
        return None
    return found["shape"], found["fortran_order"], np.lib.format.descr_to_dtype(found["descr"]), file.tell()


def _or_refused(call: Callable[..., Any], *arguments: object) -> Any:
    try:
        return call(*arguments)
    except NpyError:
        return None


def _same(one: Any, other: Any) -> bool:
    """Whether two arrays have the same values, bit for bit; of long doubles, those bytes that count."""
    other = np.array(other, other.dtype.newbyteorder("="), order="C")
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if one.dtype.char in "gG":
        ours, theirs = (np.ascontiguousarray(side).reshape(-1).view(np.uint8).reshape(-1, 16)[:, :10] for side in (one, other))
        return bool((ours == theirs).all())
    return bool(np.ascontiguousarray(one).tobytes() == other.tobytes())


def run(cases: int, seed: int, first: int = 0, *, bar: bool = False) -> tuple[list[str], Counter[str]]:
    """Check cases; return what is wrong, each with its number, and how many were read or refused by whom."""
    findings = []
    with tempfile.TemporaryDirectory() as folder:
        checker = Checker(Path(folder) / "a.npy")
        with click.progressbar(
            range(first, first + cases), label="fuzzing", file=sys.stderr if bar else io.StringIO(), update_min_steps=1000
        ) as numbers:
            for number in numbers:
                raw = make_case(seed, number)
                if problem := checker.check(raw, measure=number % 16 == 0):
                    findings.append(f"case {number}: {problem}\n    {raw[:300]!r}")
                    if len(findings) >= 200:
                        break
    return findings, checker.counts


def main() -> None:
    parser = argparse.ArgumentParser(description="Feed damaged .npy files to the reader.")
    parser.add_argument("cases", type=int, nargs="?", default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="number of the one case to repeat")
    arguments = parser.parse_args()
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + SPARE_BYTES, resource.getrlimit(resource.RLIMIT_AS)[1]))
    if arguments.only is not None:
        findings, counts = run(1, arguments.seed, arguments.only)
    else:
        findings, counts = run(arguments.cases, arguments.seed, bar=sys.stderr.isatty())
    for outcome, count in counts.most_common():
        print(f"{count:>9,}  {outcome}")
    print("\n".join(findings) or "nothing found")
    sys.exit(bool(findings))


if __name__ == "__main__":
    main()
