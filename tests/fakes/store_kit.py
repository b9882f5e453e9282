"""A small book, a store at work over it, and submissions to put in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from mailplaned.domain.policy import (
    Account,
    Cap,
    Mailbox,
    Path,
    Policy,
    SendingDomain,
    Workspace,
)
from mailplaned.domain.roles import Caller, Role
from mailplaned.ports import Transaction
from mailplaned.services.admission import submit
from mailplaned.services.answers import Admitted, Refused, Submission
from mailplaned.services.compose import Composed, Draft, compose
from mailplaned.services.recovery import rebuild
from mailplaned.store.store import Connections, SqliteStore
from tests.fakes.clock import ManualClock
from tests.fakes.random_seeded import SeededRandom

ANA = "ana@acme.example"
BEN = "ben@acme.example"
SEQUENCER = Caller(name="sequencer", role=Role.SENDER, workspaces=frozenset(["acme"]))


def small_book(*caps: Cap, **changes: Any) -> Policy:
    """One workspace with two mailboxes; `caps` are Ana's."""
    mailboxes = {
        address: Mailbox(
            address=address,
            workspace="acme",
            domain="acme.example",
            account="relay",
            caps=caps if address == ANA else (),
        )
        for address in (ANA, BEN)
    }
    workspace = Workspace(
        name="acme",
        accounts={"relay": Account(name="relay", workspace="acme", provider="smtp")},
        domains={"acme.example": SendingDomain(name="acme.example", workspace="acme")},
        mailboxes=mailboxes,
        paths={"main": Path(name="main", workspace="acme", tiers=((ANA,), (BEN,)))},
    )
    return Policy(hash="book-1", workspaces={"acme": replace(workspace, **changes)})


@asynccontextmanager
async def running_store(
    connections: Connections, clock: ManualClock, policy: Policy
) -> AsyncIterator[SqliteStore]:
    """A store whose writer runs; nothing dispatches."""
    store = SqliteStore(connections, clock, rebuild, SeededRandom(9))
    await store.start(policy)
    writer = asyncio.create_task(store.run())
    try:
        yield store
    finally:
        store.stop()
        await writer


def submission(*to: str, **changes: Any) -> Submission:
    """A message from Ana."""
    draft = Draft(to=to or ("kim@example.org",), subject="Hello", text="Hello.\n")
    composed = compose(draft, token="0123456789abcdef", limit_bytes=100_000)
    assert isinstance(composed, Composed)
    made = Submission(
        composed=composed,
        workspace="acme",
        mailbox=ANA,
        path=None,
        workload="cold",
        idempotency_key=None,
        fingerprint=b"1",
        not_before_us=None,
        expires_in_us=None,
        on_cap=None,
        metadata="{}",
    )
    return made._replace(**changes)


_random = SeededRandom(7)


def put_in(tx: Transaction, made: Submission | None = None) -> Admitted | Refused:
    """Submit as a sequencer would."""
    return submit(tx, SEQUENCER, made or submission(), _random)
