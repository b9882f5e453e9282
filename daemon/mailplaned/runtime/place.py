"""The state directory and the socket: made, owned, locked. One daemon, one directory."""

from __future__ import annotations

import fcntl
import grp
import os
import socket
import stat
from pathlib import Path


class Refused(Exception):
    """The daemon can't start here. `code` is its exit code (sysexits.h)."""

    def __init__(self, words: str, code: int) -> None:
        super().__init__(words)
        self.code = code


EX_TEMPFAIL = 75
EX_CONFIG = 78
EX_CANTCREAT = 73
EX_IOERR = 74


def own_directory(path: Path) -> None:
    """Make a directory that is ours alone, or check that it is. Raises Refused."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
    except OSError as fault:
        raise Refused(f"{path}: {fault.strerror}", EX_CANTCREAT) from fault
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise Refused(f"{path} is not a directory of uid {os.getuid()}", EX_CONFIG)
    if stat.S_IMODE(found.st_mode) & 0o022:
        raise Refused(f"{path} can be written by others; run: chmod 700 {path}", EX_CONFIG)


class Lock:
    """The exclusive lock on a state directory; it ends with the process."""

    def __init__(self, directory: Path) -> None:
        path = directory / "lock"
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as fault:  # a disk that can't be written, say
            raise Refused(f"{path}: {fault.strerror}", EX_IOERR) from fault
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip()
            os.close(self._fd)
            raise Refused(
                f"{directory} is in use by the mailplaned with pid {owner or 'unknown'}; "
                "stop that one first (mailplane down)",
                EX_TEMPFAIL,
            ) from None
        try:
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)
        except OSError as fault:
            os.close(self._fd)
            raise Refused(f"{path}: {fault.strerror}", EX_IOERR) from fault

    def release(self) -> None:
        """Let another daemon have the directory."""
        os.close(self._fd)


def bind_unix(path: Path, mode: int, group: str | None) -> socket.socket:
    """The operator socket. A stale one is taken away: whoever calls this holds the lock.

    Raises Refused when something else is at the path.
    """
    own_parent(path.parent)
    if path.is_symlink() or (path.exists() and not stat.S_ISSOCK(path.lstat().st_mode)):
        raise Refused(f"{path} is there and is not a socket; move it away", EX_CONFIG)
    if path.exists():
        _refuse_living(path)
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
        if group is not None:
            os.chown(path, -1, grp.getgrnam(group).gr_gid)
        path.chmod(mode)
    except (OSError, KeyError) as fault:
        listener.close()
        raise Refused(f"{path}: the socket can't be made: {fault}", EX_CANTCREAT) from fault
    finally:
        os.umask(before)
    return listener


def own_parent(path: Path) -> None:
    """Make the socket's directory, or check that nobody else may replace what is in it."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.stat()
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o022 and not mode & stat.S_ISVTX:
        raise Refused(f"{path} can be written by others; the socket would not be safe", EX_CONFIG)


def _refuse_living(path: Path) -> None:
    """A socket that answers belongs to a daemon on another state directory."""
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        probe.settimeout(1)
        probe.connect(str(path))
    except OSError:
        return
    finally:
        probe.close()
    raise Refused(f"another daemon listens on {path}; give this one its own --socket", EX_TEMPFAIL)


def bind_tcp(host: str, port: int) -> socket.socket:
    """The shim's listener. Raises Refused when the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as fault:
        listener.close()
        raise Refused(
            f"the shim can't listen on {host}:{port}: {fault.strerror}; "
            "set [shim] listen in mailplane.toml",
            EX_TEMPFAIL,
        ) from fault
    return listener
