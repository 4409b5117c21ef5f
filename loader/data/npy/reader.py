"""Many small `.npy` files, one after the other, straight into the rows of an array. This loop sets the speed of `NpyFiles`.

Per file: `open`, one `preadv`, `close`, and nothing else that the kernel sees. The `preadv` has three targets:

    header   as many bytes as the last file's header had; compared as bytes, parsed only when they differ
    row      the data, in place
    extra    one byte that must stay unread: it finds over-long files without `fstat`

Files of one data set nearly always share one header. Another header is not an error: it is parsed once, remembered, and if it says the
same shape and dtype in another byte order or axis order, the row is turned round in place after reading.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from loader.data.npy.file_io import OPEN_FLAGS, preadv
from loader.data.npy.header import CONVERT, NpyHeader, as_stored, header_bounds, name_path, parse_header, read_into, read_raw_header
from loader.data.rows import BadSample, Indices, RowGauge, gauge_of
from loader.data.spec import MAKE_ALIKE, Array
from loader.errors import NpyError

_FIRST_BYTES = 64  # tell how long a header is
_MAX_FORMS = 256  # headers remembered; a data set has one to four, only a hostile one has more


@dataclass(frozen=True)
class _Form:
    """What all files with one and the same header have in common.

    Attributes:
        raw: the header's bytes.
        target: as long; the header of the next file is read into it and compared with `raw`.
        file_bytes: of header and data together.
        header: as parsed.
    """

    raw: bytes
    target: bytearray
    file_bytes: int
    header: NpyHeader


class NpyReader:
    """Reads files of one shape and dtype into rows. One thread at a time; not picklable: each process makes its own.

    Args:
        shape: that each file must have.
        dtype: that each file must have, in either byte order.
        first: path of the file that set shape and dtype, to be named where another file differs.
    """

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any], first: str) -> None:
        self._expected = NpyHeader(dtype, shape, False, 0)
        self._first = first
        self._forms: dict[bytes, _Form] = {}
        self._form = _Form(b"", bytearray(), -1, self._expected)  # no file has -1 bytes: the first one takes the slow path

    def read(self, indices: Indices, paths: Sequence[bytes], out: Array, places: Sequence[int] | None = None, gauge: RowGauge | None = None) -> None:
        """Read the files `paths` into rows of `out`.

        Args:
            indices: number of each file in the source, to name the one that fails.
            paths: of the files, encoded for the file system.
            out: of shape `(n, *shape)`, C-contiguous, of the reader's dtype.
            places: the row of each file, as Python integers; None: one after the other.
            gauge: shows which one it is at; 0.03 µs a file (docs/measurements.md).

        Raises:
            BadSample: from the NpyError or OSError that says what is wrong with the file. The rows before it are written.
        """
        open_file, read_at, close = os.open, preadv, os.close  # local names: the loop looks them up for every file
        rows = memoryview(out.reshape(-1).view(np.uint8))
        form, nbytes, extra = self._form, self._expected.nbytes, bytearray(1)
        raw, target, file_bytes, direct = form.raw, form.target, form.file_bytes, form.header.direct
        places = range(len(paths)) if places is None else places
        cell, first = gauge or gauge_of([out])
        try:
            for path, place in zip(paths, places, strict=True):
                cell[0] = first + place
                start = place * nbytes
                data = rows[start : start + nbytes]
                fd = open_file(path, OPEN_FLAGS)
                try:
                    got = read_at(fd, [target, data, extra], 0) if raw else 0  # the first file's data would come to the wrong place
                    if got != file_bytes or target != raw:
                        form = self._read_unlike(fd, path, got, data)
                        raw, target, file_bytes, direct = form.raw, form.target, form.file_bytes, form.header.direct
                finally:
                    close(fd)
                if not direct:
                    out[place] = as_stored(np.frombuffer(data.tobytes(), np.uint8), form.header)
        except NpyError as error:
            raise BadSample(int(indices[places.index(place)])) from error
        except OSError as error:
            raise BadSample(int(indices[places.index(place)])) from name_path(error, os.fsdecode(path))

    def put(self, content: memoryview, path: str, out: Array, place: int) -> None:
        """Write a whole file that is in memory to row `place` of `out`. Raises NpyError."""
        form = self._form
        header = form.raw
        if len(content) != form.file_bytes or content[: len(header)] != header:
            _, end = header_bounds(bytes(content[:_FIRST_BYTES]), path)
            header = bytes(content[:end])
            form = self._form = self._forms.get(header) or self._learn(header, path)
            form.header.check_size(len(content), path)
        data = np.frombuffer(content, np.uint8, offset=len(header))
        if form.header.direct:
            nbytes = self._expected.nbytes
            memoryview(out.reshape(-1).view(np.uint8))[place * nbytes : (place + 1) * nbytes] = data.data
        else:
            out[place] = as_stored(data, form.header)

    def _read_unlike(self, fd: int, encoded_path: bytes, got: int, data: memoryview) -> _Form:
        """Read a file that is not like the last one, another header, another size, the first of all; or the rest of one that came in part.

        One call brings at most 2 GiB (read(2)), or less where a network file system was interrupted: then the header is known and what has been
        read is in place.

        Args:
            fd: the open file.
            encoded_path: its path.
            got: bytes that were read under the assumption that it is like the last one.
            data: the row that it belongs to.

        Returns:
            Its form, which the next file is assumed to have.
        """
        form = self._forms.get(bytes(self._form.target))
        if form is None or got != form.file_bytes:  # else: known, and its header as long as the last one: the data are in place
            path = os.fsdecode(encoded_path)
            if form is None or got < len(form.raw):
                header_bytes = read_raw_header(fd, path)
                form = self._forms.get(header_bytes) or self._learn(header_bytes, path)
                got = form.header.offset
            form.header.check_size(os.fstat(fd).st_size, path)
            form.header.check_size(got + read_into(fd, data[got - form.header.offset :], got), path)
        self._form = form
        return form

    def _learn(self, raw: bytes, path: str) -> _Form:
        """Parse a header seen for the first time; refuse it unless shape and dtype are the expected ones."""
        header, expected = parse_header(raw, path), self._expected
        if header.shape != expected.shape or header.native != expected.dtype:
            remedy = CONVERT if header.native != expected.dtype or len(header.shape) != len(expected.shape) else f"What to do: {MAKE_ALIKE}"
            raise NpyError(path, f"has {header}, but the first sample, {self._first}, has {expected}. {remedy}")
        if len(self._forms) >= _MAX_FORMS:
            self._forms.clear()
        form = _Form(raw, bytearray(len(raw)), len(raw) + header.nbytes, header)
        self._forms[raw] = form
        return form
