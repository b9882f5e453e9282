"""The beginning of an attempt: the last look at pause, suppression and caps, and the charge.

All of it in one transaction, so that what is durable before the wire is exactly what was decided.
What has begun is handed to dispatch once that transaction is committed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mailplaned.domain.ledger import HAND_OFF_GUARD_US
from mailplaned.domain.message import RecipientState, State
from mailplaned.domain.policy import Mailbox
from mailplaned.domain.records import Claim, Message, Recipient
from mailplaned.domain.windows import SECOND_US
from mailplaned.ports import Transaction
from mailplaned.services.settling import demand_of, end, no_way_out, place, tell

IN_FLIGHT_LIMIT = 256
"""Attempts under way at once, over all mailboxes."""

_SPARE = 2
"""Due messages looked at beyond the room there is, since not each of them becomes an attempt."""

_CROWDED_US = SECOND_US // 20
"""When to come back to a mailbox that found no room because of all the others."""


def claim(tx: Transaction, mailboxes: Iterable[str]) -> None:
    """Begin what is due for these mailboxes, as far as they have connections free."""
    for address in mailboxes:
        mailbox = tx.memory.mailbox(address)
        if mailbox is None or tx.memory.active_pauses(mailbox):
            continue  # lifting the pause wakes it again
        planned = tx.memory.governor.mailbox_track(address).planned
        room = _room(tx, mailbox) if planned and planned[0] <= tx.now_us else 0
        if room:
            for message in tx.due(address, tx.now_us, room + _SPARE):
                if not _room(tx, mailbox):
                    break
                _begin(tx, mailbox, message)
        _come_back(tx, mailbox)


def begins_at_once(tx: Transaction, mailbox: Mailbox) -> bool:
    """Whether a message whose slot is now, and only now comes in, may begin in this transaction.

    Only where nothing that is due waits before it.
    """
    planned = tx.memory.governor.mailbox_track(mailbox.address).planned
    return not (planned and planned[0] <= tx.now_us) and _room(tx, mailbox) > 0


def begin(
    tx: Transaction,
    mailbox: Mailbox,
    message: Message,
    recipients: Sequence[Recipient],
    body: bytes,
) -> None:
    """Charge the attempt that a message in state `sending` is in, and hand it to dispatch.

    `recipients` are all of its recipients as they stand now.
    """
    tx.memory.begin(message.demand, tx.now_us)
    workspace = tx.memory.policy.workspaces[mailbox.workspace]
    account = workspace.accounts[mailbox.account]
    tx.begin_attempt(message, account.key)
    tx.effects.touched.add(mailbox.address)
    tx.effects.begun.append(
        Claim(
            message=message,
            mailbox=mailbox,
            account=account,
            domain=workspace.domains[mailbox.domain],
            recipients=tuple(recipients),
            body=body,
            begun_us=tx.now_us,
        )
    )


def _room(tx: Transaction, mailbox: Mailbox) -> int:
    """How many attempts of a mailbox may begin now, as far as connections and pace go."""
    memory = tx.memory
    if not memory.claiming or _rested_us(tx, mailbox) > tx.now_us:
        return 0
    account = memory.policy.workspaces[mailbox.workspace].accounts[mailbox.account]
    free = account.connections - memory.governor.mailbox_track(mailbox.address).open
    if mailbox.pace.min_gap_us:
        free = min(free, 1)
    return max(0, min(free, IN_FLIGHT_LIMIT - memory.in_flight))


def _rested_us(tx: Transaction, mailbox: Mailbox) -> int:
    """From when on the mailbox may begin an attempt, by its pace and its relay's state."""
    rest_us, _ = tx.memory.rests.get(mailbox.address, (0, 0))
    return max(rest_us, tx.memory.governor.rested_at(mailbox.address))


def _come_back(tx: Transaction, mailbox: Mailbox) -> None:
    """Have the mailbox looked at again when its next slot comes; the end of an attempt does too."""
    track = tx.memory.governor.mailbox_track(mailbox.address)
    if not track.planned:
        return
    in_us = max(track.planned[0], _rested_us(tx, mailbox)) - tx.now_us
    if in_us <= 0 and (not track.open or _room(tx, mailbox)):
        in_us = _CROWDED_US
    if in_us > 0:
        tx.effects.wake(mailbox.address, in_us)


def _begin(tx: Transaction, mailbox: Mailbox, message: Message) -> None:
    """Begin an attempt, or put the message where it belongs instead."""
    memory = tx.memory
    if message.expires_us <= tx.now_us:
        memory.forget(message)
        end(tx, message, State.EXPIRED, reason="its life ended before it could be sent")
        return
    stopped = no_way_out(memory, message)
    if stopped is None and message.path is not None:
        pauses = memory.active_pauses(mailbox, message.path)
        stopped = pauses[0].reason if pauses else None
    if stopped is not None:
        memory.forget(message)
        memory.hold(tx.move(message, State.HELD, reason=stopped))
        tell(tx, message, State.HELD, reason=stopped)
        return
    recipients = _try_unsuppressed(tx, message)
    left = [r for r in recipients if r.state is RecipientState.SENDING]
    if not left:
        memory.forget(message)
        end(tx, message, State.SUPPRESSED, reason="every recipient is suppressed")
        return
    count, domains = demand_of([r.address for r in left])
    demand = message.demand._replace(recipients=count, domains=domains)
    refusal = memory.governor.refusal(demand, tx.now_us)
    memory.forget(message)
    if refusal is not None:
        cap = refusal.cap
        why = f"{refusal.scope}: {refusal.used} of {refusal.limit} per {cap.kind} {cap.per} used"
        state = State.DEFERRED if message.state is State.DEFERRED else State.SCHEDULED
        moved = place(
            tx, message, state, earliest_us=tx.now_us, reason=why, demand=(count, domains)
        )
        tell(tx, message, "slot_moved", was_us=message.slot_us, slot_us=moved.slot_us, cause=why)
        return
    _tell_late(tx, message)
    begun = tx.move(message, State.SENDING, tries=message.tries + 1, demand=(count, domains))
    tx.set_recipients(message.id, [(r.position, RecipientState.SENDING, None) for r in left])
    body = tx.body(message.id)
    assert body is not None, "a waiting message has a body"
    begin(tx, mailbox, begun, recipients, body)


def _tell_late(tx: Transaction, message: Message) -> None:
    """Say so where a slot was missed for want of a daemon or of a disk."""
    slot_us = message.slot_us
    assert slot_us is not None, "what is due has a slot"
    until_us, why = tx.memory.stalled
    if slot_us < until_us and tx.now_us - slot_us > HAND_OFF_GUARD_US:
        tell(tx, message, "slot_moved", was_us=slot_us, slot_us=tx.now_us, cause=why)


def _try_unsuppressed(tx: Transaction, message: Message) -> list[Recipient]:
    """All recipients, those that wait as they will stand in an attempt: sending, or suppressed.

    The suppressed ones are written down; the others are not yet.
    """
    suppressed = tx.memory.suppressions > 0
    recipients = []
    for recipient in tx.recipients(message.id):
        if recipient.state is not RecipientState.WAITING:
            recipients.append(recipient)
            continue
        hits = suppressed and tx.suppressed(message.workspace, [recipient.address])
        if not hits:
            recipients.append(recipient._replace(state=RecipientState.SENDING))
            continue
        words = f"suppressed ({hits[0].origin}: {hits[0].ground})"
        tx.set_recipients(message.id, [(recipient.position, RecipientState.SUPPRESSED, words)])
        tell(tx, message, State.SUPPRESSED, recipient=recipient.address, reason=words)
        recipients.append(recipient._replace(state=RecipientState.SUPPRESSED, reply=words))
    return recipients
