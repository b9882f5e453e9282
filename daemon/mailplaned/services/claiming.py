"""The beginning of an attempt: the last look at pause, suppression and caps, and the charge.

All of it in one transaction, so that what is durable before the wire is exactly what was decided.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from mailplaned.domain.message import RecipientState, State
from mailplaned.domain.policy import Account, Mailbox, SendingDomain
from mailplaned.domain.records import Message, Recipient
from mailplaned.ports import Transaction
from mailplaned.services.settling import demand_of, end, place, tell

_SPARE = 2
"""Due messages looked at beyond the room there is, since not each of them becomes an attempt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """An attempt that has begun: charged, marked, and to be sent exactly once."""

    message: Message
    mailbox: Mailbox
    account: Account
    domain: SendingDomain
    addresses: tuple[str, ...]
    body: bytes
    now_us: int


@dataclass(slots=True)
class Claimed:
    """What `claim` found. `next_in_us` tells when to come back to a mailbox, if ever."""

    claims: list[Claim] = field(default_factory=list)
    next_in_us: dict[str, int] = field(default_factory=dict)


def claim(tx: Transaction, room: Mapping[str, int]) -> Claimed:
    """Begin what is due for these mailboxes, at most `room` attempts for each."""
    claimed = Claimed()
    for address, places in room.items():
        mailbox = tx.memory.mailbox(address)
        if mailbox is None or tx.memory.active_pauses(mailbox):
            continue  # lifting the pause wakes it again
        for message in tx.due(address, tx.now_us, places + _SPARE):
            if places == 0 or tx.memory.governor.rested_at(address) > tx.now_us:
                break
            begun = _begin(tx, mailbox, message)
            if begun is not None:
                claimed.claims.append(begun)
                places -= 1
        next_us = tx.next_slot(address)
        if next_us is not None:
            rested_us = tx.memory.governor.rested_at(address)
            claimed.next_in_us[address] = max(0, max(next_us, rested_us) - tx.now_us)
    return claimed


def _begin(tx: Transaction, mailbox: Mailbox, message: Message) -> Claim | None:
    """Begin an attempt, or put the message where it belongs instead."""
    memory = tx.memory
    if message.expires_us <= tx.now_us:
        memory.forget(message)
        end(tx, message, State.EXPIRED, reason="its life ended before it could be sent")
        return None
    if message.path is not None:
        pauses = memory.active_pauses(mailbox, message.path)
        if pauses:
            memory.forget(message)
            memory.hold(tx.move(message, State.HELD, reason=pauses[0].reason))
            tell(tx, message, State.HELD, reason=pauses[0].reason)
            return None
    left = _not_suppressed(tx, message)
    if not left:
        memory.forget(message)
        end(tx, message, State.SUPPRESSED, reason="every recipient is suppressed")
        return None
    count, domains = demand_of(left)
    demand = replace(message.demand, recipients=count, domains=domains)
    refusal = memory.governor.refusal(demand, tx.now_us)
    if refusal is not None:
        memory.forget(message)
        cap = refusal.cap
        why = f"{refusal.scope}: {refusal.used} of {refusal.limit} per {cap.kind} {cap.per} used"
        state = State.DEFERRED if message.state is State.DEFERRED else State.SCHEDULED
        moved = place(tx, message, state, earliest_us=tx.now_us, reason=why)
        tell(tx, message, "slot_moved", was_us=message.slot_us, slot_us=moved.slot_us, cause=why)
        return None
    memory.forget(message)
    memory.governor.begin(demand, tx.now_us)
    begun = tx.move(message, State.SENDING, tries=message.tries + 1, demand=(count, domains))
    tx.set_recipients(message.id, [(r.position, RecipientState.SENDING, None) for r in left])
    tx.begin_attempt(begun)
    body = tx.body(message.id)
    assert body is not None, "a waiting message has a body"
    workspace = memory.policy.workspaces[mailbox.workspace]
    tx.touched.add(mailbox.address)
    return Claim(
        message=begun,
        mailbox=mailbox,
        account=workspace.accounts[mailbox.account],
        domain=workspace.domains[mailbox.domain],
        addresses=tuple(r.address for r in left),
        body=body,
        now_us=tx.now_us,
    )


def _not_suppressed(tx: Transaction, message: Message) -> list[Recipient]:
    """The recipients that still wait and may be mailed; the suppressed ones are ended."""
    waiting = [r for r in tx.recipients(message.id) if r.state is RecipientState.WAITING]
    if not tx.memory.suppressions:
        return waiting
    left = []
    for recipient in waiting:
        hits = tx.suppressed(message.workspace, [recipient.address])
        if not hits:
            left.append(recipient)
            continue
        words = f"suppressed ({hits[0].origin}: {hits[0].ground})"
        tx.set_recipients(message.id, [(recipient.position, RecipientState.SUPPRESSED, words)])
        tell(tx, message, State.SUPPRESSED, recipient=recipient.address, reason=words)
    return left
