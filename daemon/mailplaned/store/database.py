"""The database file: one connection that writes and checkpoints, one that only reads.

SQLite 3.7.0 to 3.51.2 can lose a commit when two connections write or checkpoint one WAL at the
same instant (facts: WAL-reset bug, fixed in 3.51.3), so nobody else ever opens this file.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import aiosqlite

from mailplaned.store.sql import migrations

T = TypeVar("T")

_WRITER = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA foreign_keys = ON;
PRAGMA trusted_schema = OFF;
PRAGMA cell_size_check = ON;
PRAGMA secure_delete = ON;
PRAGMA wal_autocheckpoint = 1000;
PRAGMA busy_timeout = 5000;
"""
# FULL: under NORMAL a power cut loses acknowledged commits (measured: 20 of 20 cuts).

_READER = """
PRAGMA query_only = ON;
PRAGMA trusted_schema = OFF;
PRAGMA busy_timeout = 5000;
"""


class Unusable(Exception):
    """The database file can't be used; the text says why and what to do."""


class Database:
    """Runs functions on the two connections, each in its own thread, one at a time."""

    def __init__(self, writer: aiosqlite.Connection, reader: aiosqlite.Connection) -> None:
        self._writer = writer
        self._reader = reader

    @classmethod
    async def open(cls, path: Path) -> Database:
        """Open or create the file, bring its schema up to date. Raises Unusable."""
        writer = await aiosqlite.connect(path, isolation_level=None, cached_statements=256)
        try:
            await _run(writer, partial(prepare, path=path))
            reader = await aiosqlite.connect(path, isolation_level=None, cached_statements=256)
        except BaseException as fault:
            await writer.close()
            if isinstance(fault, sqlite3.DatabaseError):
                raise Unusable(
                    f"{path}: {fault}; restore a backup or move the file away"
                ) from fault
            raise
        await _run(reader, lambda connection: connection.executescript(_READER))
        return cls(writer, reader)

    async def write(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """The function's result, computed on the write connection."""
        return await _run(self._writer, function)

    async def read(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """The function's result, computed on the read connection."""
        return await _run(self._reader, function)

    async def close(self) -> None:
        """Close both connections; the last one out checkpoints the WAL."""
        await self._reader.close()
        await self._writer.close()


async def _run(connection: aiosqlite.Connection, function: Callable[[sqlite3.Connection], T]) -> T:
    # A whole transaction has to be one closure on the connection's thread: with an await between
    # its statements, tasks would break each other's. aiosqlite has that only by this name.
    result: T = await connection._execute(function, connection._conn)  # type: ignore[no-untyped-call]  # noqa: SLF001
    return result


def prepare(connection: sqlite3.Connection, *, path: Path | None) -> None:
    """Set the connection up for writing and run the migrations that are still to come.

    A copy of the file is made before the first of them, unless the database is new.
    """
    connection.executescript(_WRITER)
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    known = migrations()
    if version > known[-1][0]:
        raise Unusable(
            f"the database has schema {version}, this mailplane knows {known[-1][0]}; upgrade it"
        )
    due = [entry for entry in known if entry[0] > version]
    if due and version and path is not None:
        backup = path.with_suffix(f".before-{due[0][0]:04}")
        connection.execute("VACUUM INTO ?", (str(backup) + ".part",))
        shutil.move(str(backup) + ".part", backup)
    for number, _, script in due:
        connection.executescript(
            f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT;"
        )
