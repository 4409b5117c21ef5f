"""Who may attach to a shared loader, and what one that has attached can do to the others: nothing."""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loader import AttachError, Loader, NpyArrays
from loader.ipc import attachment
from loader.ipc.board import SupervisorCell
from loader.ipc.records import ANY_BEFORE_TERM, Released, Skip
from tests.batches import assert_same_batch, copied, inline

X = np.arange(120 * 3000, dtype=np.float32).reshape(120, 3000)
SOURCE = NpyArrays(X)
ANOTHER_UID = 65534

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user")


@pytest.fixture
def open_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for the socket, above which everybody may look."""
    folder = Path(tempfile.mkdtemp(prefix="shared-"))
    folder.chmod(0o711)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    yield folder / "loader"
    shutil.rmtree(folder)


def as_another_user(asks: Any) -> int:
    """Return the exit status of a child of another user that calls `asks`."""
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(ANOTHER_UID)
            os.setuid(ANOTHER_UID)
            os._exit(asks())
        finally:
            os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@needs_root
def test_another_user_can_not_attach_even_if_the_socket_is_open_to_all(open_folder: Path) -> None:
    with Loader(SOURCE, 4, workers=1, name="pool", shared=True) as loader:
        next(iter(loader))
        address = open_folder / f"{loader.pid}.sock"
        request = json.dumps({"do": "attach", "name": "pool", "epoch": 0, "batch": 0, "settings": {}}).encode() + b"\n"

        def asks() -> int:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(20)
                try:
                    connection.connect(str(address))
                    connection.sendall(request)
                    raw, fds, _, _ = socket.recv_fds(connection, 65536, 8)
                except PermissionError:
                    return 13
                except ConnectionError:
                    return 3
                return 3 if not raw and not fds else 1

        assert stat.S_IMODE(open_folder.stat().st_mode) == 0o700
        assert as_another_user(asks) == 13  # it does not get to the socket
        open_folder.chmod(0o711)
        address.chmod(0o777)
        assert as_another_user(asks) == 3  # and gets no answer if it does
        open_folder.chmod(0o700)
        assert loader._board.supervisor[SupervisorCell.READERS_GAUGE] == 0
        Loader.attach("pool").close()


@needs_root
def test_nobody_attaches_to_what_another_user_has_put_there(open_folder: Path) -> None:
    open_folder.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as liar:
        liar.bind(str(open_folder / "1.sock"))
        liar.listen()
        os.chown(open_folder / "1.sock", ANOTHER_UID, ANOTHER_UID)
        with pytest.raises(AttachError, match="no shared loader of this user"):
            Loader.attach("pool", timeout_s=0)
        liar.setblocking(False)
        with pytest.raises(BlockingIOError):
            liar.accept()


def test_a_reader_that_lies_about_its_releases_spoils_nobodys_data() -> None:
    """It says of every slot that it has let go of it, in its own name and in that of the others, while it goes on taking and jumping."""
    name, chance = f"lies-{os.getpid()}", random.Random(1)
    expected = itertools.cycle(inline(SOURCE, 4))
    with Loader(SOURCE, 4, workers=1, name=name, shared=True, slots=16) as loader, Loader.attach(name, epoch=0) as honest:
        answer, given = attachment.attach(name, {"epoch": 0, "batch": 0, "settings": {}})
        os.set_blocking(given.inbox, False)
        os.set_blocking(given.ready, False)
        for number, (mine, other) in enumerate(zip(loader.batches(), honest.batches(), strict=False)):
            kept = copied(mine), copied(other)
            lies = [
                Released(slot, delivery, reader).pack()
                for slot in range(16)
                for delivery in (ANY_BEFORE_TERM, number + chance.randint(-3, 12))
                for reader in (0, 1, answer["attached"])
                if delivery >= 0
            ]
            chance.shuffle(lies)
            if number % 20 == 19:
                lies.append(Skip(number, 0, chance.randrange(30)).pack())
            for lie in lies:
                _write(given.inbox, lie)
            right = next(expected)
            for batch, before in zip((mine, other), kept, strict=True):
                assert_same_batch(batch, right, f"batch {number}")
                assert_same_batch(copied(batch), before)
            del mine, other, batch
            if number == 120:
                break
        assert loader._board.supervisor[SupervisorCell.READERS_GAUGE] == 2  # it is one to the end
        given.close()


def _write(fd: int, record: bytes) -> None:
    try:
        os.write(fd, record)
    except BlockingIOError:
        return
