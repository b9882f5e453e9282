"""Secrets as files: systemd's credentials first, then a folder of our own.

A value never leaves this module but as the answer to `get`; reasons and names do.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Final

from mailplaned.ports import Secrets

SECRET_BYTES: Final = 64 * 1024
"""No key or password is larger."""

NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_MODES: Final = (0o600, 0o400)
_CREDENTIAL_MODES: Final = (*_MODES, 0o440)
"""systemd gives a service its credentials by an ACL, which shows as the group's bits, or by owner;
the files stay root's in the first case (systemd, src/core/exec-credential.c)."""

_Stamp = tuple[int, int, int]


class FileSecrets(Secrets):
    """Secrets in files that only we may read; any other file counts as missing.

    `credentials_dir` is systemd's `$CREDENTIALS_DIRECTORY`.
    """

    def __init__(self, folder: Path, credentials_dir: Path | None = None) -> None:
        self._folder = folder
        self._credentials = credentials_dir
        self._known: dict[Path, tuple[_Stamp, str]] = {}

    def get(self, name: str, workspace: str) -> str | None:
        """The value without its final line end; None when there is no usable file.

        A file serves every workspace whose book names it.
        """
        del workspace
        value, _ = self._look_up(name)
        return value

    def problem(self, name: str) -> str | None:
        """Why `get` gives nothing, in words fit to be shown; None when it gives the value."""
        _, reason = self._look_up(name)
        return reason

    def _look_up(self, name: str) -> tuple[str | None, str | None]:
        if not NAME.fullmatch(name):
            return None, f"{name!r} is no name of a secret"
        for folder in (self._credentials, self._folder):
            if folder is None:
                continue
            path = folder / name
            try:
                return self._read(path, by_systemd=folder is self._credentials), None
            except FileNotFoundError:
                continue
            except OSError as fault:
                return None, f"{path}: {fault.strerror}"
            except UnfitError as fault:
                return None, f"{path}: {fault}"
        return None, f"no file {self._folder / name}"

    def _read(self, path: Path, *, by_systemd: bool) -> str:
        facts = path.stat()
        stamp = (facts.st_ino, facts.st_mtime_ns, facts.st_size)
        known = self._known.get(path)
        if known is None or known[0] != stamp or _unfit(facts, by_systemd=by_systemd):
            text = read_private(path, by_systemd=by_systemd)
            known = self._known[path] = (stamp, text.removesuffix("\n").removesuffix("\r"))
        return known[1]


class UnfitError(Exception):
    """A file that may not serve as a secret; the text says why."""


def read_private(path: Path, *, by_systemd: bool = False) -> str:
    """The text of a file that is ours alone. Raises UnfitError, OSError."""
    # Opened first and then looked at: what is checked is what is read. Not blocking, so that a
    # pipe of that name can't hang us.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        reason = _unfit(os.fstat(file.fileno()), by_systemd=by_systemd)
        if reason is not None:
            raise UnfitError(reason)
        try:
            return file.read().decode()
        except UnicodeDecodeError as fault:
            raise UnfitError("is not UTF-8 text") from fault


def _unfit(facts: os.stat_result, *, by_systemd: bool) -> str | None:
    """Why a file may not serve as a secret."""
    mode = stat.S_IMODE(facts.st_mode)
    owners = {os.geteuid(), 0} if by_systemd else {os.geteuid()}
    if not stat.S_ISREG(facts.st_mode):
        return "is not a file"
    if facts.st_uid not in owners:
        return f"belongs to uid {facts.st_uid}; it must be ours"
    if mode not in (_CREDENTIAL_MODES if by_systemd else _MODES):
        return f"has mode {mode:04o}; make it 0600"
    if facts.st_size > SECRET_BYTES:
        return f"is larger than {SECRET_BYTES} bytes"
    return None
