"""Backups: made while the daemon runs; verified and restored without one.

A backup holds the database, the checkpoints of the audit log and the book. Keys, and secrets that
lie in files, are left out unless they are asked for. What is restored holds all mail until a person
says otherwise: its ledger knows nothing of what was sent after the backup.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from mailplane_wire.backup import BackupView
from mailplane_wire.paths import Places
from mailplaned.domain.windows import to_datetime
from mailplaned.doors.http.context import VERSION
from mailplaned.doors.http.times import show_time
from mailplaned.runtime.archive import BadArchive, Manifest, unpack, write_archive
from mailplaned.runtime.place import EX_CONFIG, EX_IOERR, Lock, Refused, own_directory
from mailplaned.store.database import Unusable
from mailplaned.store.snapshot import copy_database, examine
from mailplaned.vault.notary import CHECKPOINT_FILE, KEY_FILE

DATABASE: Final = "mailplane.db"
RESTORED: Final = "restored"
"""The file of a state folder that names the backup it is from, until the start has noted it."""

Told = Callable[[str, int], None]
"""Hears how far it is: `read` and so many bytes more, then `examine`, which nobody can foretell."""

_BOOK: Final = "book"
_KEYS: Final = ("vault.key", KEY_FILE)


async def create(places: Places, *, book: str, now_us: int, with_keys: bool) -> BackupView:
    """Write a backup into the state folder, while the daemon works. Raises OSError."""
    folder = places.state / "backups"
    own_directory(folder)
    with _scratch(folder) as scratch:
        # The checkpoints first: they may not speak of entries that the database lacks.
        checkpoints = places.state / CHECKPOINT_FILE
        if checkpoints.exists():
            shutil.copyfile(checkpoints, scratch / CHECKPOINT_FILE)
        await copy_database(places.state / DATABASE, scratch / DATABASE)
        return await asyncio.to_thread(
            _pack, places, scratch, folder, book=book, now_us=now_us, with_keys=with_keys
        )


def _pack(
    places: Places, scratch: Path, folder: Path, *, book: str, now_us: int, with_keys: bool
) -> BackupView:
    files = {path.name: path for path in sorted(scratch.iterdir())}
    files |= {f"{_BOOK}/{name}": path for name, path in _book_files(places.config)}
    private = {name: places.state / name for name in _KEYS}
    private |= {
        f"secrets/{path.name}": path for path in sorted((places.state / "secrets").glob("*"))
    }
    private = {name: path for name, path in private.items() if path.is_file()}
    if with_keys:
        files |= private
    about = Manifest(
        format=1,
        made_at=show_time(now_us),
        version=VERSION,
        book=book,
        counts=examine(scratch / DATABASE),
        left_out=[] if with_keys else sorted(private),
        files={},
    )
    target = folder / f"mailplane-{to_datetime(now_us):%Y%m%dT%H%M%S%fZ}.tar"
    write_archive(target, files, about)
    return _view(target, about)


def verify(path: Path, told: Told) -> BackupView:
    """Read a backup from end to end and open its database. Raises Refused."""
    with _unpacked(path, None, told) as (_, manifest):
        return _view(path, manifest)


def restore(path: Path, places: Places, told: Told) -> BackupView:
    """Put a backup into a state folder that has no database yet. Raises Refused."""
    own_directory(places.state)
    lock = Lock(places.state)
    try:
        if (places.state / DATABASE).exists():
            raise Refused(
                f"{places.state / DATABASE} is there; move the state folder away first, nothing is "
                "ever overwritten",
                EX_CONFIG,
            )
        with _unpacked(path, places.state, told) as (scratch, manifest):
            book = scratch / _BOOK
            _restore_book(book, places.config)
            shutil.rmtree(book, ignore_errors=True)
            (scratch / RESTORED).write_text(manifest.made_at)
            for name in sorted(entry.name for entry in scratch.iterdir()):
                if name != DATABASE:
                    (scratch / name).replace(places.state / name)
            (scratch / DATABASE).replace(places.state / DATABASE)  # last: now it counts
            return _view(path, manifest)
    except OSError as fault:
        raise Refused(f"{fault.filename or places.state}: {fault.strerror}", EX_IOERR) from fault
    finally:
        lock.release()


@contextmanager
def _unpacked(path: Path, near: Path | None, told: Told) -> Iterator[tuple[Path, Manifest]]:
    """The files of a backup that has been found whole. Raises Refused."""
    try:
        with _scratch(near) as scratch:
            manifest = unpack(path, scratch, partial(told, "read"))
            told("examine", 0)
            if examine(scratch / DATABASE) != manifest.counts:
                words = f"{path}: its database does not hold what the manifest says"
                raise Refused(words, EX_CONFIG)
            yield scratch, manifest
    except (BadArchive, Unusable) as fault:
        raise Refused(f"{path}: {fault}", EX_CONFIG) from fault
    except FileNotFoundError as fault:
        raise Refused(f"{fault.filename}: {fault.strerror}", EX_CONFIG) from fault


def _restore_book(source: Path, config: Path) -> None:
    """The book goes where there is none; one that is there stays."""
    if source.is_dir() and not any(_book_files(config)):
        config.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, config, dirs_exist_ok=True)


def _book_files(config: Path) -> Iterator[tuple[str, Path]]:
    for path in [config / "mailplane.toml", *sorted((config / "workspaces").glob("*.toml"))]:
        if path.is_file():
            yield str(path.relative_to(config)), path


@contextmanager
def _scratch(near: Path | None) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix=".unpacked-", dir=near) as name:
        yield Path(name)


def _view(path: Path, manifest: Manifest) -> BackupView:
    return BackupView(
        path=str(path),
        bytes=path.stat().st_size,
        made_at=manifest.made_at,
        version=manifest.version,
        book=manifest.book,
        counts=manifest.counts,
        left_out=manifest.left_out,
    )
