"""Sockets lie in a folder that is the user's alone, or nowhere."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from pathlib import Path

import pytest

from loader.ipc import control_socket
from loader.ipc.control_socket import SocketFolder


def connects(folder: SocketFolder, name: str) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(folder.address(name))
        except OSError:
            return False
        return True


@pytest.fixture
def folder(tmp_path: Path):
    deep = tmp_path / ("a path that is longer than the kernel takes " * 4)
    deep.mkdir()
    found = SocketFolder(deep / "loader", create=True)
    yield found
    found.close()


def test_a_new_folder_is_closed_to_others_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        SocketFolder(tmp_path / "loader", create=True).close()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "loader").stat().st_mode) == 0o700


def test_one_listens_and_the_other_finds_it_also_at_the_end_of_a_long_path(folder: SocketFolder) -> None:
    listener, name = folder.listen(123)
    with listener:
        assert list(folder.sockets()) == [("123.sock", 123)]
        assert connects(folder, name)
        folder.remove_stale()
        assert list(folder.sockets()) == [("123.sock", 123)]
    assert os.listdir(folder.fd) == ["123.sock"]


def test_what_nobody_listens_at_is_removed(folder: SocketFolder) -> None:
    folder.listen(123)[0].close()
    with folder.listen(124)[0], socket.socket(socket.AF_UNIX) as unfinished:
        unfinished.bind(folder.address("999999999.new"))
        folder.remove_stale()
        assert os.listdir(folder.fd) == ["124.sock"]


def test_a_socket_whose_queue_is_full_is_not_taken_for_a_stale_one(folder: SocketFolder) -> None:
    listener, name = folder.listen(123)
    clients = [socket.socket(socket.AF_UNIX) for _ in range(300)]
    try:
        for client in clients:
            client.setblocking(False)
            client.connect_ex(folder.address(name))
        folder.remove_stale()
        assert os.listdir(folder.fd) == ["123.sock"]
    finally:
        for one in [listener, *clients]:
            one.close()


def test_two_with_one_pid_from_two_containers_have_a_socket_each(folder: SocketFolder) -> None:
    with folder.listen(7)[0], folder.listen(7)[0]:
        assert list(folder.sockets()) == [("7-1.sock", 7), ("7.sock", 7)]


def test_foreign_things_in_the_folder_are_left_alone(folder: SocketFolder) -> None:
    path = folder.path
    (path / "1.sock").write_text("no socket")
    (path / "2.sock").mkdir()
    (path / "3.sock").symlink_to("/dev/null")
    os.mkfifo(path / "4.sock")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(folder.address("other.sock"))
    listener.close()
    before = sorted(os.listdir(path))
    assert list(folder.sockets()) == []
    folder.remove_stale()
    assert sorted(os.listdir(path)) == before


@pytest.mark.parametrize("mode", [0o755, 0o777, 0o701, 0o770])
def test_a_folder_that_is_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    (tmp_path / "loader").mkdir()
    (tmp_path / "loader").chmod(mode)
    with pytest.raises(PermissionError, match="closed to others"):
        SocketFolder(tmp_path / "loader", create=True)


def test_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "loader").symlink_to("real")
    with pytest.raises(OSError):
        SocketFolder(tmp_path / "loader", create=True)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make somebody else's folder")
def test_somebody_elses_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "loader").mkdir(mode=0o700)
    os.chown(tmp_path / "loader", 12345, -1)
    with pytest.raises(PermissionError, match="belongs to uid 12345"):
        SocketFolder(tmp_path / "loader", create=True)


def test_the_runtime_folder_comes_first_and_the_temporary_one_where_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    temporary = tmp_path / f"loader-{os.getuid()}"
    for value in ("", "relative", str(tmp_path / "missing")):
        monkeypatch.setenv("XDG_RUNTIME_DIR", value)
        assert control_socket.home() == temporary
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert control_socket.home() == tmp_path / "loader"
    assert control_socket.places() == [tmp_path / "loader", temporary]
