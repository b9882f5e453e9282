"""A database without threads: a function runs in the caller's turn of the loop."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from typing import TypeVar

from mailplaned.store.database import prepare

T = TypeVar("T")


def memory_database() -> sqlite3.Connection:
    """A migrated database in memory, outside any transaction."""
    connection = sqlite3.connect(":memory:", isolation_level=None, cached_statements=256)
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
