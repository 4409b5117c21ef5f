"""The control socket of a supervisor: what goes through it, and where it is.

Through it goes JSON, one request or answer per line. Whoever connects may send any bytes: they become an object, or a refusal in words.

It lies in a folder that is the user's alone, as `<pid>.sock`. The folder is `$XDG_RUNTIME_DIR/loader`, or `loader-<uid>` in the temporary folder.
Anyone may write to the latter's parent, so a folder that is there already is taken only if it is no link, belongs to this user, and is closed to
others. It is held open, and everything in it is named relative to the descriptor, so that nobody can put another one in its place; and so a socket's
path, of which the kernel takes 107 bytes, is always short.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

LINE_BYTES = 64 * 1024


class BadLine(ValueError):
    """A line that is not a JSON object."""


class Lines:
    """Cuts a stream of bytes into lines. Holds at most `limit` bytes more than one call brought.

    Args:
        limit: longest line in bytes.
    """

    def __init__(self, limit: int = LINE_BYTES) -> None:
        self._limit = limit
        self._pending = bytearray()
        self._searched = 0  # how much of it has no line end

    def feed(self, raw: bytes) -> None:
        """Take what has been received."""
        self._pending += raw

    @property
    def waiting(self) -> bool:
        """Whether `take` has something to return, or to refuse."""
        return self._end() >= 0 or len(self._pending) > self._limit

    def take(self) -> bytes | None:
        """Return the next line without its end, or None if it is not complete yet. Raises BadLine if it is too long: then nothing can follow."""
        end = self._end()
        if max(end, len(self._pending) if end < 0 else 0) > self._limit:
            raise BadLine(f"the line is longer than {self._limit:,} bytes")
        if end < 0:
            return None
        line = bytes(self._pending[:end])
        del self._pending[: end + 1]
        self._searched = 0
        return line

    def _end(self) -> int:
        end = self._pending.find(b"\n", self._searched)
        self._searched = len(self._pending) if end < 0 else end
        return end


def encode(message: dict[str, Any]) -> bytes:
    """Return a message as a line."""
    return json.dumps(message, allow_nan=False).encode() + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """Return the message in a line. Raises BadLine, with a message of one line, whatever the bytes are."""
    try:
        message = json.loads(line.decode(), parse_constant=_refuse, parse_float=_finite)
    except UnicodeDecodeError:
        raise BadLine("the line is not UTF-8") from None
    except RecursionError:
        raise BadLine("the line is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise BadLine(f"the line is not JSON: {error}") from None
    except ValueError as error:  # a number that JSON does not have, or one with more digits than Python reads
        raise BadLine(f"the line has a number that can't be read: {error}") from None
    if not isinstance(message, dict):
        raise BadLine('the line is no JSON object, such as {"do": "status"}')
    return message


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("it is too large")
    return value


_SUFFIX = ".sock"
_NEW = ".new"
_BACKLOG = 128
_NUMBERS = 10


def home() -> Path:
    """Return the folder in which this process's supervisor makes its socket."""
    given = os.environ.get("XDG_RUNTIME_DIR", "")
    return Path(given) / "loader" if os.path.isabs(given) and _is_ours(given) else _temporary()


def places() -> list[Path]:
    """Return the folders in which sockets may lie: a loader may have been started from an environment without `XDG_RUNTIME_DIR`, as by cron."""
    given = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    return [*([Path(given) / "loader"] if os.path.isabs(given) and _is_ours(given) else []), _temporary()]


def _temporary() -> Path:
    import tempfile  # with all that unpacks archives

    return Path(tempfile.gettempdir()) / f"loader-{os.getuid()}"


def _is_ours(path: str) -> bool:
    try:
        found = os.stat(path)
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()


def clean_up_after(pid: int) -> None:
    """Remove the socket of a supervisor that was killed; one that ends by itself does so."""
    with contextlib.suppress(OSError):  # there is no folder, or it is not ours
        folder = SocketFolder(home())
        try:
            folder.remove_stale(pid)
        finally:
            folder.close()


class SocketFolder:
    """A folder of sockets, held open. Owns the descriptor `fd`; `close` closes it.

    Args:
        path: of the folder.
        create: make it if it is missing.

    Raises:
        OSError: it is missing, a link, somebody else's, or open to others.
    """

    def __init__(self, path: Path, *, create: bool = False) -> None:
        if create:
            with contextlib.suppress(FileExistsError):
                os.mkdir(path, 0o700)
        self.fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        self.path = path
        found = os.fstat(self.fd)
        if found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
            self.close()
            state = f"belongs to uid {found.st_uid} and has mode {stat.S_IMODE(found.st_mode):o}"
            raise PermissionError(f"{path} {state}; it must be yours (uid {os.getuid()}) and closed to others (700)")

    def close(self) -> None:
        """Close the descriptor; the folder stays."""
        os.close(self.fd)

    def address(self, name: str) -> str:
        """Return a path of a file in the folder that is short, and valid while the folder is open."""
        return f"/proc/self/fd/{self.fd}/{name}"

    def sockets(self) -> Iterator[tuple[str, int]]:
        """Yield the names of sockets of ours, in order, and the supervisors' pids. Anything else there is left alone."""
        for name in sorted(os.listdir(self.fd)):
            digits = name.removesuffix(_SUFFIX).partition("-")[0]
            if name.endswith(_SUFFIX) and digits.isascii() and digits.isdigit() and self._is_socket(name):
                yield name, int(digits)

    def _is_socket(self, name: str) -> bool:
        try:
            found = os.stat(name, dir_fd=self.fd, follow_symlinks=False)
        except OSError:
            return False
        return stat.S_ISSOCK(found.st_mode) and found.st_uid == os.getuid()

    def remove_stale(self, pid: int | None = None) -> None:
        """Remove the sockets at which nobody listens any more: what killed supervisors left, or the one with this `pid`."""
        for name, owner in list(self.sockets()):
            if pid in (None, owner) and not self._listens(name):
                self.remove(name)
        for name in os.listdir(self.fd):
            digits = name.removesuffix(_NEW)
            if name.endswith(_NEW) and digits.isascii() and digits.isdigit() and not os.path.exists(f"/proc/{digits}"):
                self.remove(name)

    def remove(self, name: str) -> None:
        """Remove a file, if it is still there and can be removed."""
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=self.fd)

    def _listens(self, name: str) -> bool:
        # A full queue of connections is BlockingIOError, so somebody listens; a refusal means that nobody ever will again.
        with socket.socket(socket.AF_UNIX) as probe:
            probe.setblocking(False)
            try:
                probe.connect(self.address(name))
            except (ConnectionRefusedError, FileNotFoundError):
                return False
            except OSError:
                return True
        return True

    def listen(self, pid: int) -> tuple[socket.socket, str]:
        """Return a socket that listens, and its name in the folder; the caller owns both.

        The file gets its name when somebody listens, so that it is never taken for a stale one. If another pid namespace has the same folder and the
        same pid, the name gets a number.
        """
        new = f"{pid}{_NEW}"
        self.remove(new)
        listener = socket.socket(socket.AF_UNIX)
        try:
            listener.setblocking(False)
            listener.bind(self.address(new))
            listener.listen(_BACKLOG)
            for number in range(_NUMBERS):
                name = f"{pid}{f'-{number}' if number else ''}{_SUFFIX}"
                with contextlib.suppress(FileExistsError):
                    os.link(new, name, src_dir_fd=self.fd, dst_dir_fd=self.fd, follow_symlinks=False)
                    return listener, name
            raise FileExistsError(f"{self.path} is full of sockets of pid {pid}")
        except BaseException:
            listener.close()
            raise
        finally:
            self.remove(new)
