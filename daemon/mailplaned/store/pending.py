"""New rows on their way into the tables: those of a table go in together.

A row costs less in company than alone, and Python runs elsewhere while SQLite is at work.
"""

from __future__ import annotations

import sqlite3

from mailplaned.store.rows import Row
from mailplaned.store.sql import Q

_TABLES = (
    "add_message",
    "add_recipient",
    "add_body",
    "begin_attempt",
    "add_event",
    "add_audit",
    "add_audit_value",
    "add_audit_block",
)
"""What puts a row in. A row comes before those that refer to it."""

_KEPT = 256
"""How many rows of a table are kept back: bodies should not pile up."""


class Pending:
    """The rows that a transaction adds. They are written before a statement could miss them."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._rows: dict[str, list[Row]] = {query: [] for query in _TABLES}
        self._any = False

    def add(self, query: str, row: Row) -> None:
        """Put in a row by that query: soon, and after what was added to its table before."""
        rows = self._rows[query]
        rows.append(row)
        self._any = True
        if len(rows) >= _KEPT:
            self.write()

    def write(self) -> None:
        """Put in all of them now."""
        if not self._any:
            return
        self._any = False
        for query, rows in self._rows.items():
            if rows:
                self._connection.executemany(Q[query], rows)
                rows.clear()
