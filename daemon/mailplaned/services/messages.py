"""What may be done with a message that is already in: cancel it, settle its fate."""

from __future__ import annotations

from dataclasses import dataclass

from mailplaned.domain.ids import MESSAGE, Id, show_id
from mailplaned.domain.message import WAITING, RecipientState, State, state_of
from mailplaned.domain.outcomes import Outcome
from mailplaned.domain.records import AuditEntry, Message
from mailplaned.ports import Transaction
from mailplaned.services.settling import demand_of, end, place, tell


@dataclass(frozen=True, slots=True, kw_only=True)
class NotDone:
    """Why nothing was changed: a problem code and words."""

    code: str
    detail: str


def cancel(tx: Transaction, id_: Id, *, actor: str, reason: str) -> Message | NotDone:
    """Take a message out of the queue; possible until an attempt is on the wire."""
    message = tx.message(id_)
    if message is None:
        return NotDone(code="not-found", detail="there is no such message")
    if message.state not in WAITING and message.state is not State.HELD:
        return NotDone(
            code="conflict",
            detail=f"the message is {message.state}; only a waiting one can be canceled",
        )
    tx.memory.forget(message)
    _audit(tx, message, "cancel", actor, reason)
    return end(tx, message, State.CANCELED, reason=f"canceled by {actor}: {reason}")


def resolve(tx: Transaction, id_: Id, *, sent: bool, actor: str, reason: str) -> Message | NotDone:
    """Settle a message of unknown outcome as a person found out.

    Sent: its units stay spent and it is accepted. Not sent: its units are given back and it waits
    for its turn again.
    """
    message = tx.message(id_)
    if message is None:
        return NotDone(code="not-found", detail="there is no such message")
    if message.state is not State.UNKNOWN:
        return NotDone(code="conflict", detail=f"the message is {message.state}, not unknown")
    _audit(tx, message, "resolve sent" if sent else "resolve not-sent", actor, reason)
    governor = tx.memory.governor
    for attempt in tx.attempts(id_):
        if attempt.outcome is not Outcome.UNKNOWN:
            continue
        outcome = Outcome.ACCEPTED if sent else Outcome.TRANSIENT
        tx.resolve_attempt(id_, attempt.number, outcome=outcome, charged=sent)
        assert attempt.ended_us is not None
        governor.settle(attempt.demand, attempt.ended_us, account=attempt.account, keep=sent)
    recipients = tx.recipients(id_)
    unknown = [r for r in recipients if r.state is RecipientState.UNKNOWN]
    state = RecipientState.ACCEPTED if sent else RecipientState.WAITING
    tx.set_recipients(id_, [(r.position, state, f"{actor}: {reason}") for r in unknown])
    tx.effects.touched.add(message.mailbox)
    for recipient in unknown:
        tell(
            tx,
            message,
            "resolved",
            recipient=recipient.address,
            outcome="sent" if sent else "not_sent",
            actor=actor,
            reason=reason,
        )
    if not sent:
        return place(
            tx,
            message,
            State.DEFERRED,
            earliest_us=tx.now_us,
            reason=f"resolved as not sent by {actor}",
            demand=demand_of([r.address for r in unknown]),
        )
    unknown_now = {r.position for r in unknown}
    states = [state if r.position in unknown_now else r.state for r in recipients]
    final = state_of(states)
    assert final is not None
    return tx.move(message, final, reason=None)


def effective(message: Message, paused: str | None) -> Message:
    """The message as it is to be shown: while a pause stops it, a waiting message is held."""
    if message.state in WAITING and paused is not None:
        return message._replace(state=State.HELD, reason=paused, slot_us=None)
    return message


def _audit(tx: Transaction, message: Message, action: str, actor: str, reason: str) -> None:
    tx.add_audit(
        AuditEntry(
            at_us=tx.now_us,
            actor=actor,
            action=action,
            workspace=message.workspace,
            target=show_id(MESSAGE, message.id),
            detail={"reason": reason},
        )
    )
