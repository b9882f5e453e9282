"""Whether slots were kept, or an event says why not."""

from __future__ import annotations

from mailplaned.domain import ids
from mailplaned.domain.ledger import HAND_OFF_GUARD_US
from mailplaned.domain.windows import SECOND_US
from tests.simulation.senders import Senders
from tests.simulation.world import World

LATE_US = HAND_OFF_GUARD_US + SECOND_US
EARLY_US = 60 * SECOND_US
"""New slots that are less than the guard away are not told, and several add up."""

RELAY_REST_US = 310 * SECOND_US
"""How long a mailbox may rest after its relay could not be reached."""


def check_slots(world: World, senders: Senders) -> None:
    """A message first goes at the slot it was given, or its events name what moved it."""
    for sent in senders.sent.values():
        if sent.answer.slot_us is None:
            continue
        id_ = ids.parse_id(ids.MESSAGE, sent.id)
        row = world.database.execute(
            "SELECT begun_at FROM attempts WHERE message_id = ? AND number = 1", (id_,)
        ).fetchone()
        if row is None:
            continue
        (begun_us,) = row
        moved_us = _last_slot(world, id_, begun_us)
        slot_us = sent.answer.slot_us if moved_us is None else moved_us
        if moved_us is None and begun_us < slot_us - EARLY_US:
            world.wrong(f"{sent.id} went {slot_us - begun_us} µs before its slot, unexplained")
        if begun_us > slot_us + LATE_US and not _explained(
            world, sent.answer.mailbox, slot_us, begun_us
        ):
            world.wrong(f"{sent.id} went {begun_us - slot_us} µs after its slot, unexplained")


def _last_slot(world: World, id_: ids.Id | None, begun_us: int) -> int | None:
    """The slot that the message was last moved to before it went."""
    found = world.database.execute(
        "SELECT json_extract(detail, '$.slot_us') FROM events WHERE message_id = ? "
        "AND kind = 'slot_moved' AND at <= ? ORDER BY cursor DESC LIMIT 1",
        (id_, begun_us),
    ).fetchone()
    return found[0] if found else None


def _explained(world: World, mailbox: str, from_us: int, to_us: int) -> bool:
    if world.database.execute(
        "SELECT 1 FROM events WHERE kind IN ('paused', 'resumed') AND at BETWEEN ? AND ?",
        (from_us - LATE_US, to_us),
    ).fetchone():
        return True
    return any(  # no connection was free: the provider was slow, or was not reached at all
        handed.mailbox == mailbox
        and handed.at_us < to_us
        and handed.at_us > from_us - RELAY_REST_US
        for handed in world.provider.journal
    )
