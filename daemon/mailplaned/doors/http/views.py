"""State as the wire shows it. Everything here is called inside a transaction, for one moment."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field

import msgspec

from mailplane_wire import resources as wire
from mailplane_wire.audit.lines import CheckpointView
from mailplaned.domain import ids
from mailplaned.domain.caps import Standing
from mailplaned.domain.chain import Checkpoint
from mailplaned.domain.memory import Memory
from mailplaned.domain.policy import Account, Mailbox, Workspace
from mailplaned.domain.records import (
    Attempt,
    AuditEntry,
    Event,
    Message,
    Origin,
    Pause,
    Recipient,
    Suppression,
)
from mailplaned.domain.windows import DAY_US, WEEK_US
from mailplaned.doors.http.times import show_time

NEAR = 0.8
"""The share of a cap, used and promised, from which on a mailbox is `near`."""

_ORIGIN_STATE: dict[Origin, wire.MailboxState] = {
    Origin.PROVIDER: "held",
    Origin.RULE: "held",
    Origin.PERSON: "paused",
}
_SEVERITY = ("ready", "near", "full", "paused", "held", "error")


def mailbox_view(memory: Memory, mailbox: Mailbox, now_us: int) -> wire.MailboxView:
    """A mailbox, its caps and its present state."""
    address = mailbox.address
    sent_us = memory.last_sent_us.get(address)
    workspace = memory.policy.workspaces[mailbox.workspace]
    account = workspace.accounts[mailbox.account]
    standings = memory.governor.standings(address, now_us)
    pauses = memory.active_pauses(mailbox)
    track = memory.governor.mailbox_track(address)
    bounced = memory.bounced.get(address, ())
    state, reason = _state(account, pauses, standings)
    return wire.MailboxView(
        address=address,
        name=mailbox.name,
        workspace=mailbox.workspace,
        domain=mailbox.domain,
        account=mailbox.account,
        provider=account.provider,
        paths=[
            path.name
            for path in workspace.paths.values()
            if any(address in tier for tier in path.tiers)
        ],
        state=state,
        state_reason=reason,
        pauses=[pause_view(pause) for pause in pauses],
        caps=[cap_view(standing) for standing in standings],
        waiting=len(track.planned) + memory.held[address],
        sending=track.open,
        unknown=len(track.unknown),
        next_slot_at=show_time(track.planned[0]) if track.planned and not pauses else None,
        last_sent_at=show_time(min(sent_us, now_us) if sent_us is not None else None),
        sent_7d=track.spent_since(now_us - WEEK_US) - track.open,
        bounced_7d=len(bounced) - bisect_right(bounced, now_us - WEEK_US),
        sent_24h=track.spent_since(now_us - DAY_US) - track.open,
        bounced_24h=len(bounced) - bisect_right(bounced, now_us - DAY_US),
        last_reply=memory.last_reply.get(address),
    )


def _state(
    account: Account, pauses: list[Pause], standings: list[Standing]
) -> tuple[wire.MailboxState, str | None]:
    """The most severe thing that can be said of a mailbox, and why."""
    if not account.supported:
        return "error", f"provider {account.provider} is not supported by this version"
    found: list[tuple[wire.MailboxState, str | None]] = [("ready", None)]
    for pause in pauses:
        state = _ORIGIN_STATE[pause.origin]
        if pause.origin is Origin.PROVIDER and pause.until_us is None:
            state = "error"
        found.append((state, pause.reason))
    for standing in standings:
        words = f"{standing.scope}: {standing.used} of {standing.limit} per {standing.cap.per} used"
        if standing.used >= standing.limit:
            found.append(("full", words))
        elif standing.used + standing.waiting >= NEAR * standing.limit:
            found.append(("near", words))
    return max(found, key=lambda item: _SEVERITY.index(item[0]))


def cap_view(standing: Standing) -> wire.CapView:
    """A cap in numbers."""
    return wire.CapView(
        scope=standing.scope,
        window=standing.cap.per.value,
        kind=standing.cap.kind.value,
        counts=standing.cap.counts.value,
        limit=standing.limit,
        sent=standing.used - standing.unknown,
        unknown=standing.unknown,
        waiting=standing.waiting,
        free=standing.remaining,
        resets_at=show_time(standing.resets_at_us),
    )


def pause_view(pause: Pause) -> wire.PauseView:
    """A pause."""
    return wire.PauseView(
        id=ids.show_id(ids.PAUSE, pause.id),
        scope=f"{pause.kind}:{pause.name}" if pause.name else pause.kind,
        reason=pause.reason,
        actor=pause.actor,
        created_at=show_time(pause.created_us),
        until=show_time(pause.until_us),
        lifted_at=show_time(pause.lifted_us),
        lifted_by=pause.lifted_by,
        origin=pause.origin.value,
    )


@dataclass(slots=True)
class Sums:
    """Sums over mailboxes, kept by adding (1) and taking away (-1) views."""

    states: Counter[str] = field(default_factory=Counter)
    waiting: int = 0
    sending: int = 0
    unknown: int = 0
    sent_24h: int = 0
    bounced_24h: int = 0

    def add(self, view: wire.MailboxView, sign: int = 1) -> None:
        """Count a mailbox in or out."""
        self.states[view.state] += sign
        self.waiting += sign * view.waiting
        self.sending += sign * view.sending
        self.unknown += sign * view.unknown
        self.sent_24h += sign * view.sent_24h
        self.bounced_24h += sign * view.bounced_24h


def workspace_view(memory: Memory, workspace: Workspace, sums: Sums) -> wire.WorkspaceView:
    """A workspace with the sums over its mailboxes."""
    pauses = memory.pauses.get(("everything", ""), []) + memory.pauses.get(
        ("workspace", workspace.name), []
    )
    return wire.WorkspaceView(
        name=workspace.name,
        title=workspace.title or workspace.name,
        colour=workspace.colour,
        mailboxes=sums.states.total(),
        states=dict(+sums.states),
        waiting=sums.waiting,
        unknown=sums.unknown,
        pauses=[pause_view(pause) for pause in pauses],
    )


def totals(parts: list[Sums]) -> wire.Totals:
    """The sums of several workspaces."""
    return wire.Totals(
        waiting=sum(part.waiting for part in parts),
        sending=sum(part.sending for part in parts),
        unknown=sum(part.unknown for part in parts),
        sent_24h=sum(part.sent_24h for part in parts),
        bounced_24h=sum(part.bounced_24h for part in parts),
    )


def scope_caps(
    memory: Memory, mailboxes: list[Mailbox], scope: str, now_us: int
) -> list[wire.CapView]:
    """The caps bound to one scope, as any of its mailboxes knows them."""
    if not mailboxes:
        return []
    return [
        cap_view(standing)
        for standing in memory.governor.standings(mailboxes[0].address, now_us)
        if standing.scope == scope
    ]


def message_view(
    message: Message,
    recipients: list[Recipient] | None = None,
    attempts: list[Attempt] | None = None,
    events: list[Event] | None = None,
) -> wire.MessageView:
    """A message; with what belongs to it when that is given."""
    return wire.MessageView(
        id=ids.show_id(ids.MESSAGE, message.id),
        state=message.state.value,
        reason=message.reason,
        workspace=message.workspace,
        mailbox=message.mailbox,
        workload=message.workload,
        path=message.path,
        subject=message.subject,
        message_id=message.message_id,
        size=message.size,
        created_at=show_time(message.created_us),
        updated_at=show_time(message.updated_us),
        slot_at=show_time(message.slot_us),
        not_before=show_time(message.not_before_us),
        expires_at=show_time(message.expires_us),
        metadata=json.loads(message.metadata),
        recipients=[
            wire.RecipientView(
                address=r.address,
                kind=r.kind,
                state=r.state.value,
                reply=r.reply,
                updated_at=show_time(r.updated_us),
            )
            for r in recipients or ()
        ],
        attempts=[
            wire.AttemptView(
                number=a.number,
                begun_at=show_time(a.begun_us),
                ended_at=show_time(a.ended_us),
                outcome=a.outcome.value if a.outcome else None,
                charged=a.charged,
                stage=a.stage,
                reply=a.reply,
                peer=a.peer,
            )
            for a in attempts or ()
        ],
        events=[event_view(event) for event in events or ()],
    )


def event_view(event: Event) -> wire.EventView:
    """A row of the event log; times inside its detail are shown as times."""
    return wire.EventView(
        cursor=event.cursor,
        seq=event.seq,
        at=show_time(event.at_us),
        workspace=event.workspace,
        kind=event.kind,
        mailbox=event.mailbox,
        message=ids.show_id(ids.MESSAGE, event.message) if event.message else None,
        recipient=event.recipient,
        detail=_shown_times(event.detail),
    )


def audit_view(entry: AuditEntry) -> wire.AuditView:
    """A row of the audit log."""
    return wire.AuditView(
        seq=entry.seq,
        at=show_time(entry.at_us),
        actor=entry.actor,
        action=entry.action,
        workspace=entry.workspace,
        target=entry.target,
        detail=_shown_times(entry.detail),
    )


def checkpoint_view(checkpoint: Checkpoint) -> CheckpointView:
    """A checkpoint of the audit log."""
    return msgspec.convert(checkpoint.facts(), CheckpointView)


def suppression_view(
    suppression: Suppression, in_flight: list[ids.Id] | None = None
) -> wire.SuppressionView:
    """A suppression, with the messages that were on the wire when it was made."""
    return wire.SuppressionView(
        id=ids.show_id(ids.SUPPRESSION, suppression.id),
        address=suppression.address,
        workspace=suppression.workspace,
        origin=suppression.origin,
        ground=suppression.ground,
        actor=suppression.actor,
        created_at=show_time(suppression.created_us),
        in_flight=[ids.show_id(ids.MESSAGE, id_) for id_ in in_flight or ()],
    )


def _shown_times(detail: dict[str, object]) -> dict[str, object]:
    return {
        f"{key[:-3]}_at" if key.endswith("_us") else key: (
            show_time(value) if key.endswith("_us") and isinstance(value, int) else value
        )
        for key, value in detail.items()
    }
