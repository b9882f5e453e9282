"""What a daemon shows, as rows for tests: healthy, but for what a test says.

Strings that a stranger could have written are a test's own.
"""

from __future__ import annotations

from typing import Any

import msgspec

from mailplane_wire.resources import AuditView, CapView, EventView, MailboxView, PauseView

NOW = "2026-11-24T14:02:11Z"


def cap(
    window: str = "day", *, limit: int = 50, sent: int = 0, unknown: int = 0, waiting: int = 0
) -> CapView:
    """A rolling cap of a mailbox on messages."""
    return msgspec.convert(
        {
            "scope": "mailbox:x",
            "window": window,
            "kind": "rolling",
            "counts": "messages",
            "limit": limit,
            "sent": sent,
            "unknown": unknown,
            "waiting": waiting,
            "free": max(0, limit - sent - unknown - waiting),
            "resets_at": "2026-11-24T18:00:00Z",
        },
        CapView,
    )


def mailbox(address: str, **changes: Any) -> MailboxView:
    """A healthy mailbox, but for `changes`."""
    view = MailboxView(
        address=address,
        name=address.partition("@")[0].title(),
        workspace="acme",
        domain=address.partition("@")[2],
        account="relay",
        provider="smtp",
        paths=["outreach"],
        state="ready",
        state_reason=None,
        pauses=[],
        caps=[cap("day", sent=20, waiting=4), cap("week", limit=250, sent=120)],
        waiting=4,
        sending=0,
        unknown=0,
        next_slot_at="2026-11-24T14:05:00Z",
        last_sent_at="2026-11-24T14:01:00Z",
        sent_7d=120,
        bounced_7d=1,
        last_reply="250 2.0.0 OK",
    )
    return msgspec.structs.replace(view, **changes)


def pause(
    number: int, scope: str, *, reason: str = "vendor outage", actor: str = "ana"
) -> PauseView:
    """A pause without an end; an actor `rule:…` makes it a rule's."""
    return PauseView(
        id=f"pau_{number}",
        scope=scope,
        reason=reason,
        actor=actor,
        created_at="2026-11-24T13:41:00Z",
        origin="rule" if actor.startswith("rule:") else "person",
    )


def event(cursor: int, kind: str, address: str, **changes: Any) -> EventView:
    """A row of acme's event log."""
    view = EventView(
        cursor=cursor,
        seq=cursor,
        at="2026-11-24T14:02:02Z",
        workspace="acme",
        kind=kind,
        mailbox=address,
        message="msg_01J0000000000000000000QK9A",
        recipient="kim@firm.example",
        detail={"reply": "250 2.0.0 OK"},
    )
    return msgspec.structs.replace(view, **changes)


def audit(seq: int, action: str, target: str, **changes: Any) -> AuditView:
    """A row of acme's audit log."""
    view = AuditView(
        seq=seq,
        at="2026-11-24T14:01:12Z",
        actor="ana",
        action=action,
        workspace="acme",
        target=target,
        detail={"reason": "vendor outage"},
    )
    return msgspec.structs.replace(view, **changes)
