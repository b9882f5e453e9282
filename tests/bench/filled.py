"""A state directory that looks as if weeks of work had gone into it. A fixture, no way to write.

It goes through the store's own transaction and queries, so a change of the schema breaks it
loudly. While it fills, nothing is synced: the daemon that opens the file later sets its own terms.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mailplaned.domain.governed_time import GovernedTime
from mailplaned.domain.ids import MESSAGE, make_id, show_id
from mailplaned.domain.memory import Memory
from mailplaned.domain.message import RecipientState, State
from mailplaned.domain.policy import Policy
from mailplaned.domain.records import Event, Message, Recipient
from mailplaned.domain.windows import DAY_US, WEEK_US
from mailplaned.store.database import prepare
from mailplaned.store.rows import Scopes
from mailplaned.store.sql import Q
from mailplaned.store.transaction import SqlTransaction
from tests.fakes.random_seeded import SeededRandom

_COMMIT_EVERY = 50_000
_BODY = b"Subject: waiting\r\n\r\n" + b"We met at the fair in May.\r\n" * 16
_LIFE_US = 20 * DAY_US


def fill_waiting(state: Path, policy: Policy, count: int) -> None:
    """Let `count` messages wait, spread over all mailboxes and over the days 1 to 7 from now."""
    now_us = time.time_ns() // 1000
    owners = _mailboxes(policy)
    spread_us = 6 * DAY_US // count
    with _opened(state) as connection:
        time_ = GovernedTime(None, wall_us=now_us, boot_us=0, boot_id="")
        memory = Memory(policy, time_)
        tx = SqlTransaction(connection, Scopes(connection), memory, now_us, SeededRandom())
        for number in range(count):
            address, workspace = owners[number % len(owners)]
            slot_us = now_us + DAY_US + number * spread_us
            created_us = now_us - WEEK_US + number * spread_us
            _add(tx, workspace, address, number, slot_us, created_us)
            if number % _COMMIT_EVERY == 0:
                tx.flush()
                connection.execute("COMMIT")
                connection.execute("BEGIN")
        tx.flush()
        connection.execute("COMMIT")
        assert not connection.execute("PRAGMA foreign_key_check").fetchall()


def _add(
    tx: SqlTransaction, workspace: str, mailbox: str, number: int, slot_us: int, created_us: int
) -> None:
    id_ = make_id(created_us, number)
    domain = f"dest{number % 50}.example"
    message = Message(
        id=id_,
        workspace=workspace,
        mailbox=mailbox,
        workload="cold",
        path=None,
        state=State.SCHEDULED,
        reason=None,
        slot_us=slot_us,
        not_before_us=slot_us,
        expires_us=created_us + _LIFE_US,
        created_us=created_us,
        updated_us=created_us,
        tries=0,
        recipients=1,
        domains=((domain, 1),),
        message_id=f"<{show_id(MESSAGE, id_)}@{mailbox.partition('@')[2]}>",
        subject="How the new line is doing",
        size=len(_BODY),
        utf8=False,
        metadata="{}",
    )
    recipient = Recipient(
        position=0,
        address=f"kim.{number}@{domain}",
        kind="to",
        state=RecipientState.WAITING,
        reply=None,
        updated_us=created_us,
    )
    tx.add_message(message, [recipient], _BODY)
    tx.add_event(
        Event(
            workspace=workspace,
            at_us=created_us,
            kind="scheduled",
            mailbox=mailbox,
            message=id_,
            detail={"workload": "cold", "slot_us": slot_us},
        )
    )


def fill_ledger(state: Path, policy: Policy, count: int) -> None:
    """Let `count` charges have happened over the last week: attempts, without their messages."""
    now_us = time.time_ns() // 1000
    owners = _mailboxes(policy)
    step_us = WEEK_US // count
    with _opened(state) as connection:
        scopes = Scopes(connection)
        ids = [scopes.id("mailbox", address) for address, _ in owners]
        accounts = [scopes.id("account", _account(policy, address)) for address, _ in owners]

        def attempts() -> Iterator[tuple[object, ...]]:
            for number in range(count):
                begun_us = now_us - WEEK_US + number * step_us
                domain = f"dest{number % 50}.example:1"
                owner = number % len(ids)
                at = (ids[owner], accounts[owner])
                yield (make_id(begun_us, number), 1, *at, "cold", begun_us, 1, domain)

        connection.executemany(Q["begin_attempt"], attempts())
        connection.execute(
            "UPDATE attempts SET ended_at = begun_at + 1000, outcome = 'accepted', "
            "stage = 'dot', reply = '250 2.0.0 Ok', peer = '127.0.0.1'"
        )
        connection.execute("COMMIT")


def _account(policy: Policy, address: str) -> str:
    mailbox = policy.mailbox(address)
    assert mailbox is not None
    return policy.workspaces[mailbox.workspace].accounts[mailbox.account].key


def _mailboxes(policy: Policy) -> list[tuple[str, str]]:
    return [
        (address, workspace.name)
        for workspace in policy.workspaces.values()
        for address in workspace.mailboxes
    ]


@contextmanager
def _opened(state: Path) -> Iterator[sqlite3.Connection]:
    """The database of a state directory, in a transaction that syncs and checks nothing."""
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    connection = sqlite3.connect(state / "mailplane.db", isolation_level=None)
    try:
        prepare(connection, path=None)
        connection.executescript(
            "PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF; PRAGMA cache_size = -400000;"
            "BEGIN;"
        )
        yield connection
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()
