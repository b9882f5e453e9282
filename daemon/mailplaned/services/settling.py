"""The end of an attempt, written down: recipients, charge, message, events, and what must pause."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mailplaned.domain.caps import NEVER_US
from mailplaned.domain.ledger import UNKNOWN_GUARD_US
from mailplaned.domain.memory import Memory
from mailplaned.domain.message import RecipientState, Settlement, State, settle, state_of
from mailplaned.domain.outcomes import Report
from mailplaned.domain.policy import Delivery
from mailplaned.domain.records import Event, Message, Recipient
from mailplaned.ports import Transaction

Domains = tuple[tuple[str, int], ...]


def demand_of(addresses: Sequence[str]) -> tuple[int, Domains]:
    """How many recipients, and how many at each domain."""
    counted: dict[str, int] = {}
    for address in addresses:
        domain = address.rpartition("@")[2]
        counted[domain] = counted.get(domain, 0) + 1
    return len(addresses), tuple(sorted(counted.items()))


def record(
    tx: Transaction,
    message: Message,
    recipients: Sequence[Recipient],
    report: Report,
    *,
    account: str,
    jitter: float,
) -> Settlement:
    """Write down what became of the attempt that `message` (in state `sending`) is in.

    `recipients` are all of its recipients; nothing changes them while an attempt is under way.
    `account` is the key of the one it began on: the book may have changed since.

    The caller acts on `Settlement.stop`.
    """
    memory = tx.memory
    settlement = settle(
        report,
        tries=message.tries,
        delivery=_delivery(tx, message),
        retry_us=memory.policy.settings.retry_us,
        jitter=jitter,
    )
    ended_us = tx.now_us + (UNKNOWN_GUARD_US if settlement.unknown else 0)
    memory.end(
        message.demand,
        ended_us,
        account=account,
        charged=settlement.charged,
        unknown=settlement.unknown,
    )
    tx.end_attempt(
        message.id,
        message.tries,
        ended_us,
        outcome=report.outcome,
        charged=settlement.charged,
        report=report,
    )
    if settlement.charged:
        memory.last_sent_us[message.mailbox] = tx.now_us
    if report.reply.text:
        code = f"{report.reply.code} " if report.reply.code else ""
        memory.last_reply[message.mailbox] = code + report.reply.text
    tried = [r for r in recipients if r.state is RecipientState.SENDING]
    changes = [
        (recipient.position, state, words)
        for recipient, (state, words) in zip(tried, settlement.recipients, strict=True)
    ]
    tx.set_recipients(message.id, changes)
    for recipient, (state, words) in zip(tried, settlement.recipients, strict=True):
        if state is not RecipientState.WAITING:
            tell(tx, message, state.value, recipient=recipient.address, reply=words)
        if state is RecipientState.BOUNCED:
            memory.note_bounce(message.mailbox, tx.now_us)
    changed = {position: state for position, state, _ in changes}
    now = [changed.get(r.position, r.state) for r in recipients]
    _move_on(tx, message, recipients, now, settlement, report)
    tx.effects.touched.add(message.mailbox)
    return settlement


def _move_on(
    tx: Transaction,
    message: Message,
    recipients: Sequence[Recipient],
    states: list[RecipientState],
    settlement: Settlement,
    report: Report,
) -> None:
    final = state_of(states)
    if final is not None:
        tx.move(message, final, reason=report.reply.text if final is not State.ACCEPTED else None)
        return
    left = [r for r, s in zip(recipients, states, strict=True) if s is RecipientState.WAITING]
    assert settlement.retry_in_us is not None
    words = f"{report.outcome.value} at {report.stage.value}: {report.reply.text}"
    moved = place(
        tx,
        message,
        State.DEFERRED,
        earliest_us=tx.now_us + settlement.retry_in_us,
        reason=words,
        demand=demand_of([r.address for r in left]),
    )
    if moved.state in {State.DEFERRED, State.HELD}:
        tell(tx, message, "deferred", reply=words, slot_us=moved.slot_us, outcome=report.outcome)


def place(
    tx: Transaction,
    message: Message,
    state: State,
    *,
    earliest_us: int,
    reason: str | None,
    demand: tuple[int, Domains] | None = None,
) -> Message:
    """Give a message that is in no ledger its next slot; it expires where none comes in time.

    `state` is what it becomes if it waits; a scheduled one whose slot is now is queued. Where no
    window will ever have room it is held.
    """
    memory = tx.memory
    stopped = no_way_out(memory, message)
    if stopped is not None:
        moved = tx.move(message, State.HELD, reason=stopped, demand=demand)
        memory.hold(moved)
        return moved
    recipients, domains = demand or (message.recipients, message.domains)
    asked = message.demand._replace(recipients=recipients, domains=domains)
    slot_us = memory.governor.plan(asked, earliest_us, tx.now_us).slot_us
    if slot_us >= NEVER_US:
        moved = tx.move(message, State.HELD, reason="no cap will ever have room", demand=demand)
        memory.hold(moved)
    elif slot_us >= message.expires_us:
        moved = end(tx, message, State.EXPIRED, reason=reason or "no slot before its end of life")
    else:
        if state is State.SCHEDULED and slot_us <= tx.now_us:
            state = State.QUEUED
        moved = tx.move(message, state, slot_us=slot_us, reason=reason, demand=demand)
        memory.wait(moved)
        tx.effects.wake(message.mailbox, max(0, slot_us - tx.now_us))
    return moved


def no_way_out(memory: Memory, message: Message) -> str | None:
    """Why the book as it is now lets a message leave by no way at all; None when it does."""
    mailbox = memory.mailbox(message.mailbox)
    if mailbox is None:
        return "the book no longer has this mailbox"
    if mailbox.workspace != message.workspace:
        return "the book has this mailbox in another workspace"
    account = memory.policy.workspaces[mailbox.workspace].accounts[mailbox.account]
    if not account.supported:
        return f"account {account.name} uses provider {account.provider}, which is not supported"
    return None


def end(tx: Transaction, message: Message, state: State, *, reason: str | None) -> Message:
    """End a message that is in no ledger: every recipient that waits ends with it.

    Where others have been accepted or are unknown, their state is the message's.
    """
    of_recipient = RecipientState(state.value)
    recipients = tx.recipients(message.id)
    waiting = [r for r in recipients if r.state is RecipientState.WAITING]
    tx.set_recipients(message.id, [(r.position, of_recipient, reason) for r in waiting])
    states = [of_recipient if r.state is RecipientState.WAITING else r.state for r in recipients]
    final = state_of(states)
    assert final is not None
    for recipient in waiting:
        tell(tx, message, state.value, recipient=recipient.address, reason=reason)
    tx.effects.touched.add(message.mailbox)
    return tx.move(message, final, reason=reason)


def _delivery(tx: Transaction, message: Message) -> Delivery:
    workspace = tx.memory.policy.workspaces.get(message.workspace)
    workload = workspace.workloads.get(message.workload) if workspace else None
    return workload.delivery if workload else Delivery.AT_MOST_ONCE


def tell(
    tx: Transaction, message: Message, kind: str, *, recipient: str | None = None, **detail: Any
) -> None:
    """An event about a message; details that are None are left out."""
    tx.add_event(
        Event(
            workspace=message.workspace,
            at_us=tx.now_us,
            kind=kind,
            mailbox=message.mailbox,
            message=message.id,
            recipient=recipient,
            detail={
                "workload": message.workload,
                **{key: value for key, value in detail.items() if value is not None},
            },
        )
    )
