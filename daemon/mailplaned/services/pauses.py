"""Durable stops, and the way back: slots that a stop or a new book has moved are planned again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mailplaned.domain.ids import RANDOM_BITS, Id, make_id
from mailplaned.domain.ledger import HAND_OFF_GUARD_US
from mailplaned.domain.message import State, Stop
from mailplaned.domain.policy import Mailbox
from mailplaned.domain.records import AuditEntry, Event, Message, Origin, Pause, ScopeKind
from mailplaned.ports import Random, Transaction
from mailplaned.services.settling import place, tell

_FIRST = Id(b"")
"""Before every id."""

REPLAN_CHUNK = 500
"""How many messages one transaction gives new slots."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotLifted:
    """Why a pause was not lifted: a problem code and words."""

    code: str
    detail: str


def pause(
    tx: Transaction,
    *,
    kind: ScopeKind,
    name: str,
    workspace: str | None,
    reason: str,
    actor: str,
    until_us: int | None,
    random: Random,
    origin: Origin = Origin.PERSON,
) -> Pause:
    """Stop new attempts in a scope from now on."""
    made = Pause(
        id=make_id(tx.now_us, random.bits(RANDOM_BITS)),
        kind=kind,
        name=name,
        workspace=workspace,
        reason=reason,
        actor=actor,
        origin=origin,
        created_us=tx.now_us,
        until_us=until_us,
    )
    tx.add_pause(made)
    tx.memory.add_pause(made)
    _note(tx, made, "pause", actor, reason=reason, until_us=until_us)
    return made


def pause_by_provider(tx: Transaction, mailbox: Mailbox, stop: Stop, random: Random) -> None:
    """Stop a mailbox that its provider refuses or limits, unless it is stopped for that already."""
    key: tuple[ScopeKind, str] = ("mailbox", mailbox.address)
    for active in tx.memory.pauses.get(key, ()):
        if active.origin is Origin.PROVIDER and (active.until_us is None) == (stop.for_us is None):
            return
    pause(
        tx,
        kind="mailbox",
        name=mailbox.address,
        workspace=mailbox.workspace,
        reason=stop.reason,
        actor="provider",
        origin=Origin.PROVIDER,
        until_us=None if stop.for_us is None else tx.now_us + stop.for_us,
        random=random,
    )


def pause_restored(tx: Transaction, made_at: str, random: Random) -> None:
    """Stop everything in a restored state: what was sent since the backup is in no ledger here."""
    pause(
        tx,
        kind="everything",
        name="",
        workspace=None,
        reason=f"restored from a backup of {made_at}; what was sent since then is not counted here",
        actor="mailplane",
        until_us=None,
        random=random,
        origin=Origin.RULE,
    )


def lift(
    tx: Transaction, id_: Id, *, actor: str, reason: str, acknowledge: bool
) -> Pause | NotLifted:
    """Lift one pause; others on the same scope stay.

    What a rule or a provider stopped has to be acknowledged.
    """
    found = tx.pause(id_)
    if found is None:
        return NotLifted(code="not-found", detail="there is no such pause")
    if found.lifted_us is not None:
        return NotLifted(code="conflict", detail=f"lifted already, by {found.lifted_by}")
    if found.origin is not Origin.PERSON and not acknowledge:
        return NotLifted(
            code="conflict",
            detail=f"made by a {found.origin} ({found.reason}): acknowledge that to lift it",
        )
    end_pause(tx, found, actor=actor, reason=reason)
    return found


def end_pause(tx: Transaction, found: Pause, *, actor: str, reason: str) -> None:
    """Lift a pause that is active; what it stopped gets new slots after the commit."""
    tx.lift_pause(found, actor, reason)
    tx.memory.drop_pause(found)
    stopped = tx.memory.mailboxes_in(found.kind, found.name)
    if found.kind == "path" and found.workspace is not None:
        # A new book may have taken a mailbox off the path since the pause held its messages.
        others = tx.memory.mailboxes_in("workspace", found.workspace)
        stopped += [mailbox for mailbox in others if tx.memory.held[mailbox.address]]
    tx.effects.replans.update((mailbox.address, "the pause ended") for mailbox in stopped)
    _note(tx, found, "resume", actor, reason=reason)


def lift_all(
    tx: Transaction, kind: ScopeKind, name: str, *, actor: str, reason: str, acknowledge: bool
) -> list[Pause] | NotLifted:
    """Lift every pause on exactly this scope, or none of them."""
    active = list(tx.memory.pauses.get((kind, name), ()))
    if not active:
        return NotLifted(code="conflict", detail="nothing is paused there")
    for found in active:
        if found.origin is not Origin.PERSON and not acknowledge:
            return NotLifted(
                code="conflict",
                detail=f"paused by a {found.origin} ({found.reason}): acknowledge that to resume",
            )
    for found in active:
        end_pause(tx, found, actor=actor, reason=reason)
    return active


def due_to_end(tx: Transaction) -> list[Pause]:
    """End the pauses whose time has come; they are returned."""
    over = [
        found
        for pauses in tx.memory.pauses.values()
        for found in pauses
        if found.until_us is not None and found.until_us <= tx.now_us
    ]
    for found in over:
        end_pause(tx, found, actor="mailplane", reason="its time is over")
    return over


# --- new slots -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Replan:
    """How far a mailbox's replanning has come: through its slots, then through what is held."""

    slots: tuple[int, Id] | None = (-1, _FIRST)
    held: Id = _FIRST
    since_us: int = 0
    done: bool = False


def replan(tx: Transaction, mailbox: str, cause: str, at: Replan) -> Replan:
    """Give the next messages of a mailbox new slots. To be called until it is `done`.

    First come those that have a slot, in their order, then the held ones. A paused mailbox is left
    as it is; what waits for one that the book no longer has is held.
    """
    rules = tx.memory.mailbox(mailbox)
    if rules is not None and tx.memory.active_pauses(rules):
        return Replan(done=True)
    tx.effects.touched.add(mailbox)
    since_us = at.since_us or tx.now_us
    if at.slots is not None:
        found = tx.waiting_in_order(mailbox, at.slots, REPLAN_CHUNK)
        # What has been planned again since the first call may lie ahead: once is enough.
        _place_all(tx, [m for m in found if not at.since_us or m.updated_us < since_us], cause)
        more = len(found) == REPLAN_CHUNK
        slots = (found[-1].slot_us or 0, found[-1].id) if more else None
        return Replan(slots=slots, since_us=since_us)
    if rules is None:
        return Replan(done=True)
    held = tx.held(mailbox, at.held, REPLAN_CHUNK)
    _place_all(tx, [m for m in held if not tx.memory.active_pauses(rules, m.path)], cause)
    if len(held) < REPLAN_CHUNK:
        return Replan(done=True)
    return Replan(slots=None, held=held[-1].id, since_us=since_us)


def _place_all(tx: Transaction, messages: list[Message], cause: str) -> None:
    """All of them leave their slots before the first takes a new one."""
    for message in messages:
        tx.memory.forget(message)
    for message in messages:
        _place_again(tx, message, cause)


def _place_again(tx: Transaction, message: Message, cause: str) -> None:
    state = State.DEFERRED if message.tries else State.SCHEDULED
    earliest_us = max(tx.now_us, message.not_before_us or 0)
    if message.state is State.DEFERRED and message.slot_us is not None:
        earliest_us = max(earliest_us, message.slot_us)  # a retry is not early because of a resume
    moved = place(tx, message, state, earliest_us=earliest_us, reason=None)
    was_us, is_us = message.slot_us, moved.slot_us
    if was_us != is_us and (
        was_us is None or is_us is None or abs(is_us - was_us) > HAND_OFF_GUARD_US
    ):
        tell(tx, message, "slot_moved", was_us=was_us, slot_us=is_us, cause=cause)


def _note(tx: Transaction, made: Pause, action: str, actor: str, **detail: Any) -> None:
    """One audit entry for the change, one event for each workspace that it concerns."""
    target = f"{made.kind}:{made.name}" if made.name else made.kind
    kept = {key: value for key, value in detail.items() if value is not None}
    tx.add_audit(
        AuditEntry(
            at_us=tx.now_us,
            actor=actor,
            action=action,
            workspace=made.workspace,
            target=target,
            detail=kept,
        )
    )
    named = [made.workspace] if made.workspace else list(tx.memory.policy.workspaces)
    for workspace in named:
        tx.add_event(
            Event(
                workspace=workspace,
                at_us=tx.now_us,
                kind="paused" if action == "pause" else "resumed",
                mailbox=made.name if made.kind == "mailbox" else None,
                detail={"scope": target, "actor": actor, **kept},
            )
        )
    tx.effects.touched.update(m.address for m in tx.memory.mailboxes_in(made.kind, made.name))
