"""A database without threads: a function runs in the caller's turn of the loop."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from typing import Any, TypeVar

from mailplaned.store.database import prepare

T = TypeVar("T")


class WatchedConnection(sqlite3.Connection):
    """Calls `watch` just before each commit that changes something (False), and just after."""

    watch: Callable[[bool], None] | None = None
    _unchanged = 0

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """See sqlite3."""
        if sql.startswith("BEGIN"):
            self._unchanged = self.total_changes
        if self.watch is None or sql != "COMMIT" or self.total_changes == self._unchanged:
            return super().execute(sql, parameters)
        self.watch(False)
        done = super().execute(sql, parameters)
        self.watch(True)
        return done


def memory_database() -> WatchedConnection:
    """A migrated database in memory, outside any transaction."""
    connection = sqlite3.connect(
        ":memory:", isolation_level=None, cached_statements=256, factory=WatchedConnection
    )
    prepare(connection, path=None)
    return connection


class InlineConnections:
    """`store.Connections` on one connection, which it does not close: a restart finds it again.

    `latency_s` gives how long the thread of the real one would take, before and after the work.
    """

    def __init__(
        self, connection: sqlite3.Connection, latency_s: Callable[[], float] = lambda: 0.0
    ) -> None:
        self._connection = connection
        self._latency_s = latency_s

    async def write(self, function: Callable[[sqlite3.Connection], T]) -> T:
        await asyncio.sleep(self._latency_s())
        result = function(self._connection)
        await asyncio.sleep(self._latency_s())
        return result

    async def read(self, function: Callable[[sqlite3.Connection], T]) -> T:
        await asyncio.sleep(self._latency_s())
        return function(self._connection)

    async def close(self) -> None:
        pass
