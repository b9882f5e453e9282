"""No query on a hot path reads a whole table: SQLite is asked how it would run each of them.

The plans are made on a database without statistics, as the daemon's is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest

from mailplaned.domain.ids import Id
from mailplaned.ports import MessageFilter
from mailplaned.store.reader import SqlReader
from mailplaned.store.rows import Scopes
from mailplaned.store.sql import Q
from tests.fakes.store_inline import memory_database

WHOLE_TABLE = {
    "waiting": "start and a new book: every waiting message is read once, from an index",
    "scopes": "start and a new book: most names are asked for",
    "held_counts": "start: counts by mailbox, from an index of held messages alone",
    "event_ends": "start: the last number of each workspace, from an index",
    "suppression_count": "start",
    "active_pauses": "start and lists: pauses are few",
    "all_pauses": "a list of a thousand",
    "tokens": "start and lists: tokens are few",
    "secrets": "start, lists and changes of a secret: they are few",
    "anchor": "a table of one row",
    "last_checkpoint": "from the end, one row",
    "last_checkpoint_until": "retention, hourly: checkpoints are few",
    "audit_ends": "start: the last entry of each workspace, from an index",
    "add_message": "inserts", "add_recipient": "inserts", "add_body": "inserts",
    "add_event": "inserts", "add_audit": "inserts", "add_pause": "inserts",
    "add_book": "inserts", "add_audit_value": "inserts", "add_audit_block": "inserts",
    "add_checkpoint": "inserts",
    "add_suppression": "inserts", "add_token": "inserts", "add_scope": "inserts",
    "begin_attempt": "inserts", "keep_answer": "inserts", "set_anchor": "inserts",
}  # fmt: skip
"""Queries that may scan, or have nothing to look for, and why."""

SCANS_BY_ORDER = {"events_newest", "audit_newest", "events_newest_in_workspace",
                  "audit_newest_in_workspace"}  # fmt: skip
"""Read from the end of the log backwards, as far as their limit says."""


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    made = memory_database()
    yield made
    made.close()


def plan(connection: sqlite3.Connection, statement: str) -> list[str]:
    """What SQLite would do, step by step."""
    values = [1] * statement.count("?")
    return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)]


@pytest.mark.parametrize("name", sorted(Q.keys() - WHOLE_TABLE.keys() - SCANS_BY_ORDER))
def test_a_query_goes_by_an_index(connection: sqlite3.Connection, name: str) -> None:
    steps = plan(connection, Q[name])
    assert not [step for step in steps if step.startswith("SCAN")], steps


@pytest.mark.parametrize("name", ["due", "waiting_in_order", "held", "overdue", "sending"])
def test_the_queue_is_read_from_an_index_of_its_own(
    connection: sqlite3.Connection, name: str
) -> None:
    steps = plan(connection, Q[name])
    assert any("USING INDEX messages_" in step for step in steps), steps


@pytest.mark.parametrize(
    "name",
    [
        "due",
        "waiting_in_order",
        "held",
        "overdue",
        "events_after",
        "events_after_in_workspace",
        "charges",
        "waiting",
        *sorted(SCANS_BY_ORDER),
    ],
)
def test_what_is_read_in_order_is_not_sorted_first(
    connection: sqlite3.Connection, name: str
) -> None:
    steps = plan(connection, Q[name])
    assert not [step for step in steps if "TEMP B-TREE" in step], steps


@pytest.mark.parametrize(
    "wanted",
    [
        MessageFilter(workspace="acme"),
        MessageFilter(recipient="kim@there.example"),
        MessageFilter(after=Id(bytes(16))),
    ],
    ids=["workspace", "recipient", "after"],
)
def test_a_list_of_messages_goes_by_an_index(
    connection: sqlite3.Connection, wanted: MessageFilter
) -> None:
    asked: list[str] = []
    connection.set_trace_callback(asked.append)
    SqlReader(connection, Scopes(connection)).messages(wanted)
    connection.set_trace_callback(None)
    steps = plan(connection, asked[-1])
    assert not [step for step in steps if step.startswith("SCAN")], steps


def test_every_exception_is_a_query() -> None:
    assert Q.keys() >= WHOLE_TABLE.keys() | SCANS_BY_ORDER
