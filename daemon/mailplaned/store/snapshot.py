"""A copy of the database as it is at one moment, and what is to be found in it."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Final

from mailplaned.store.database import Unusable
from mailplaned.store.sql import migrations

_COUNTS: Final = {
    "messages": "SELECT count(*) FROM messages",
    "waiting": "SELECT count(*) FROM messages WHERE slot_at IS NOT NULL",
    "charges": "SELECT count(*) FROM attempts WHERE charged = 1",
    "suppressions": "SELECT count(*) FROM suppressions",
    "events": "SELECT count(*) FROM events",
    "audit": "SELECT ifnull(max(seq), 0) FROM audit",
}


async def copy_database(source: Path, target: Path) -> None:
    """Write a consistent copy while the daemon works. Raises OSError when it can't be written.

    It reads on a connection of its own, so that neither the writer nor the dashboard waits, and
    leaves out what was deleted. It is no second writer: SQLite's reset bug does not concern it.
    """
    await asyncio.to_thread(_copy, source, target)


def _copy(source: Path, target: Path) -> None:
    connection = sqlite3.connect(source, isolation_level=None)
    try:
        connection.execute("VACUUM INTO ?", (str(target),))
    except sqlite3.Error as fault:
        target.unlink(missing_ok=True)
        raise OSError(f"{target}: the copy could not be written: {fault}") from fault
    finally:
        connection.close()


def examine(path: Path) -> dict[str, int]:
    """How much of each thing a copy holds, once it has been found whole. Raises Unusable."""
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
    except sqlite3.Error as fault:
        raise Unusable(f"{path.name}: {fault}") from fault
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        newest = migrations()[-1][0]
        if not 0 < version <= newest:
            raise Unusable(f"{path.name} has schema {version}, this mailplane knows {newest}")
        (said,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        if said != "ok" or connection.execute("PRAGMA foreign_key_check").fetchone():
            raise Unusable(f"{path.name} is damaged: {said}")
        return {name: connection.execute(sql).fetchone()[0] for name, sql in _COUNTS.items()}
    except sqlite3.Error as fault:
        raise Unusable(f"{path.name} is damaged: {fault}") from fault
    finally:
        connection.close()
