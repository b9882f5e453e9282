"""One daemon, one state directory, one socket: whatever else is there, it harms nothing."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from tests.fakes.process_daemon import Daemon, daemon, to, workspace
from tests.fakes.process_wait import until
from tests.fakes.sink_process import Sink

STARTS = 20
TEMPFAIL, CONFIG = 75, 78


def refusal(the_daemon: Daemon) -> tuple[int, str]:
    """The exit code and the last words of a start that has to fail."""
    before = the_daemon.log_path.stat().st_size if the_daemon.log_path.exists() else 0
    code = the_daemon.spawn().wait(20)
    return code, the_daemon.log_path.read_bytes()[before:].decode()


def stamps(state: Path) -> dict[str, tuple[int, int]]:
    return {
        path.name: (path.stat().st_mtime_ns, path.stat().st_ino) for path in sorted(state.iterdir())
    }


def test_a_second_daemon_names_the_first_and_touches_nothing(the_daemon: Daemon) -> None:
    the_daemon.start()
    before, of_socket = stamps(the_daemon.state), the_daemon.socket.lstat()
    code, words = refusal(the_daemon)
    assert code == TEMPFAIL
    assert str(the_daemon.pid) in words
    assert str(the_daemon.state) in words
    assert stamps(the_daemon.state) == before
    assert the_daemon.socket.lstat() == of_socket
    assert the_daemon.door.get("/v1/health")["pid"] == the_daemon.pid


def test_of_20_starts_at_once_exactly_one_lives(the_daemon: Daemon) -> None:
    started = [the_daemon.spawn() for _ in range(STARTS)]
    until(lambda: sum(one.poll() is None for one in started) <= 1, "one to be left", 40)
    (the_daemon.process,) = [one for one in started if one.poll() is None]
    assert [one.returncode for one in started].count(TEMPFAIL) == STARTS - 1
    until(lambda: the_daemon.socket.exists() and the_daemon._ready(), "the one to be ready")
    assert the_daemon.door.get("/v1/health")["pid"] == the_daemon.pid


def test_the_socket_that_kill_9_left_behind_is_replaced(the_daemon: Daemon) -> None:
    the_daemon.start()
    the_daemon.kill()
    assert the_daemon.socket.is_socket()
    the_daemon.start()
    assert the_daemon.door.get("/v1/health")["pid"] == the_daemon.pid


def test_a_daemon_on_another_state_leaves_a_living_socket_alone(
    the_daemon: Daemon, folder: Path
) -> None:
    the_daemon.start()
    with daemon(folder / "other") as other:
        other.socket = the_daemon.socket
        code, words = refusal(other)
    assert code == TEMPFAIL
    assert "another daemon listens" in words
    assert the_daemon.door.get("/v1/health")["pid"] == the_daemon.pid


@pytest.mark.parametrize("what", ["file", "folder", "symlink to a socket", "dangling symlink"])
def test_what_is_not_a_socket_at_the_sockets_path_is_kept_and_refused(
    the_daemon: Daemon, folder: Path, what: str
) -> None:
    path = the_daemon.socket
    path.parent.mkdir(mode=0o700)
    target = folder / "elsewhere"
    if what == "file":
        path.write_text("precious")
    elif what == "folder":
        path.mkdir()
    else:
        if what == "symlink to a socket":
            with socket.socket(socket.AF_UNIX) as bound:
                bound.bind(str(target))
        path.symlink_to(target)
    before = path.lstat()
    code, words = refusal(the_daemon)
    assert code == CONFIG
    assert str(path) in words
    assert path.lstat() == before


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777, 0o1777])
def test_a_state_directory_that_others_can_write_is_refused(the_daemon: Daemon, mode: int) -> None:
    the_daemon.state.mkdir()
    the_daemon.state.chmod(mode)
    code, words = refusal(the_daemon)
    assert code == CONFIG
    assert f"chmod 700 {the_daemon.state}" in words
    assert list(the_daemon.state.iterdir()) == []


def test_a_symlink_in_place_of_the_state_directory_is_refused(
    the_daemon: Daemon, folder: Path
) -> None:
    (folder / "elsewhere").mkdir(mode=0o700)
    the_daemon.state.symlink_to(folder / "elsewhere")
    code, _ = refusal(the_daemon)
    assert code == CONFIG
    assert list((folder / "elsewhere").iterdir()) == []


def test_a_socket_directory_that_others_can_write_is_refused(the_daemon: Daemon) -> None:
    the_daemon.socket.parent.mkdir()
    the_daemon.socket.parent.chmod(0o777)
    code, words = refusal(the_daemon)
    assert code == CONFIG
    assert str(the_daemon.socket.parent) in words


def test_a_book_with_problems_is_told_in_full_and_nothing_starts(the_daemon: Daemon) -> None:
    the_daemon.write("workspaces/acme.toml", '[workspace]\nname = "acme"\ncolour = "red"\nx = 1\n')
    code, words = refusal(the_daemon)
    assert code == CONFIG
    assert "workspaces/acme.toml: line 3" in words
    assert "workspaces/acme.toml: line 4" in words
    assert not the_daemon.socket.exists()


def test_nothing_that_the_daemon_makes_can_be_read_by_others(
    the_sink: Sink, the_daemon: Daemon
) -> None:
    the_daemon.write("workspaces/acme.toml", workspace(the_sink.port, "ana@acme.example"))
    old = os.umask(0)
    try:
        the_daemon.start()
    finally:
        os.umask(old)
    the_daemon.door.send(to("kim@there.example"))
    the_sink.settled(1)
    wide = [
        f"{path.relative_to(the_daemon.state.parent)} {stat.S_IMODE(path.lstat().st_mode):04o}"
        for root in (the_daemon.state, the_daemon.socket.parent)
        for path in (root, *root.rglob("*"))
        if stat.S_IMODE(path.lstat().st_mode) & ~(0o700 if path.is_dir() else 0o600)
    ]
    assert wide == []


def test_another_user_gets_nothing_even_through_an_open_socket(the_daemon: Daemon) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    the_daemon.start()
    the_daemon.socket.chmod(0o666)
    the_daemon.socket.parent.chmod(0o755)
    the_daemon.socket.parent.parent.chmod(0o755)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.setuid(65534)
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(the_daemon.socket))
            sock.sendall(b"GET /v1/mailboxes HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            os.write(writer, sock.recv(4096))
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader, "rb") as answer:
        assert b"403" in answer.readline()
