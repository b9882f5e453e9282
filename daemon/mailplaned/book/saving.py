"""Puts new files of the book in place: all or none of them, even if a kill comes in between.

What is to be written lies in the state folder first, with who asked for it. It stays there until
the book is in force, and the next start finishes what was begun.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

import msgspec
import structlog

from mailplaned.book.load import file_content

_log = structlog.get_logger("book")


class NotSaved(Exception):
    """The files can't be written, and none has been; the text says why."""


class _File(msgspec.Struct, frozen=True):
    """`old` is the hash of what is replaced; None stands for no file."""

    old: str | None
    text: str | None

    @property
    def content(self) -> bytes | None:
        return None if self.text is None else self.text.encode()


class Unfinished(msgspec.Struct, frozen=True):
    """Files that are to be put in place, and who asked for it."""

    actor: str
    files: dict[str, _File]

    @property
    def contents(self) -> dict[str, bytes | None]:
        """What is to be in each file; None: it is to be gone."""
        return {name: file.content for name, file in self.files.items()}


class Saver:
    """Writes into the book's `folder`; `pending` is the file that outlives a kill."""

    def __init__(self, folder: Path, pending: Path) -> None:
        self._folder = folder
        self._pending = pending

    def save(self, old: Mapping[str, bytes], new: Mapping[str, bytes], actor: str) -> None:
        """Replace the files `old`, which were read before, by `new`. Raises NotSaved.

        `done` has to follow once the book is in force.
        """
        names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
        files = {
            name: _File(_hash(old.get(name)), new[name].decode() if name in new else None)
            for name in names
        }
        try:
            self._check(files)
            _replace({self._pending: msgspec.json.encode(Unfinished(actor, files))})
            contents = {self._folder / name: file.content for name, file in files.items()}
            try:
                _replace(contents, partial(self._check, files))
            except OSError:
                self._back(old, new, names)
                raise
        except NotSaved:
            self.done()
            raise
        except OSError as fault:
            full = self._folder if self._pending.exists() else self._pending.parent
            self.done()
            where = fault.filename or full
            raise NotSaved(f"{where}: can't be written, {fault.strerror}") from fault

    def done(self) -> None:
        """The saved book is in force, or there is none."""
        with suppress(OSError):  # of a disk that is read-only, say; there is nothing left to finish
            self._pending.unlink(missing_ok=True)

    def finish(self) -> Unfinished | None:
        """Put in place what a kill left undone; what it was, until `done`. Raises OSError.

        A file that a person has changed since then stays as it is.
        """
        try:
            left = msgspec.json.decode(self._pending.read_bytes(), type=Unfinished)
        except FileNotFoundError:
            return None
        written: dict[Path, bytes | None] = {}
        for name, file in left.files.items():
            path = self._folder / name
            there = _hash(_bytes(path))
            if there == file.old and not path.is_symlink():
                written[path] = file.content
            elif there != _hash(file.content):
                _log.warning("file left as it is", action="book", file=name)
        _replace(written)
        return left

    def _check(self, files: Mapping[str, _File]) -> None:
        for name, file in files.items():
            path = self._folder / name
            if path.is_symlink():
                raise NotSaved(f"{name}: is a link; edit the file that it points to")
            if _hash(_bytes(path)) != file.old:
                raise NotSaved(f"{name}: was changed in the meantime; look at it and try again")

    def _back(
        self, old: Mapping[str, bytes], new: Mapping[str, bytes], names: Iterable[str]
    ) -> None:
        """Have the files that were replaced be the old ones again."""
        paths = {name: self._folder / name for name in names}
        with suppress(OSError):
            _replace(
                {
                    path: old.get(name)
                    for name, path in paths.items()
                    if _bytes(path) == new.get(name)
                }
            )


def _replace(
    contents: Mapping[Path, bytes | None], check: Callable[[], None] = lambda: None
) -> None:
    """Have each file hold that, on disk; None: no file. It stays whose it was.

    Nothing is replaced until all of it has been written; `check` may raise at that moment.
    """
    parts = {}
    try:
        for path, content in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is not None:
                parts[path] = path.with_name(f".{path.name}.part")
                _write(parts[path], content, like=path)
        check()
        for path in contents:
            if path in parts:
                parts[path].replace(path)
            else:
                path.unlink(missing_ok=True)
    except (OSError, NotSaved):
        for part in parts.values():
            with suppress(OSError):
                part.unlink(missing_ok=True)
        raise
    for folder in {path.parent for path in contents}:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _write(part: Path, content: bytes, *, like: Path) -> None:
    part.unlink(missing_ok=True)
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    model = like.stat() if like.exists() else like.parent.stat()
    for owner in (
        (-1, model.st_gid),
        (model.st_uid, -1),
    ):  # who may not give it away keeps its group
        with suppress(PermissionError):
            os.chown(part, *owner)
    part.chmod(model.st_mode & 0o666)


def _bytes(path: Path) -> bytes | None:
    try:
        found = file_content(path)
    except FileNotFoundError:
        return None
    return found[0] if found else b""


def _hash(content: bytes | None) -> str | None:
    return None if content is None else hashlib.sha256(content).hexdigest()
