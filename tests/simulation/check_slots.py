"""Whether slots were kept, or an event says why not."""

from __future__ import annotations

from mailplaned.domain import ids
from mailplaned.domain.ledger import HAND_OFF_GUARD_US
from mailplaned.domain.windows import SECOND_US
from tests.simulation.senders import Senders
from tests.simulation.world import World

LATE_US = HAND_OFF_GUARD_US + SECOND_US
RELAY_REST_US = 310 * SECOND_US
"""How long a mailbox may rest after its relay could not be reached."""


def check_slots(world: World, senders: Senders) -> None:
    """A message first goes at the slot it was given, or its events name what moved it."""
    for sent in senders.sent.values():
        slot_us = sent.answer.slot_us
        if slot_us is None:
            continue
        id_ = ids.parse_id(ids.MESSAGE, sent.id)
        row = world.database.execute(
            "SELECT begun_at FROM attempts WHERE message_id = ? AND number = 1", (id_,)
        ).fetchone()
        if row is None:
            continue
        if row[0] < slot_us and not _explained(world, id_, sent.answer.mailbox, 0, slot_us):
            world.wrong(f"{sent.id} went {slot_us - row[0]} µs before its slot, unexplained")
        if row[0] > slot_us + LATE_US and not _explained(
            world, id_, sent.answer.mailbox, slot_us, row[0]
        ):
            world.wrong(f"{sent.id} went {row[0] - slot_us} µs after its slot, unexplained")


def _explained(world: World, id_: ids.Id | None, mailbox: str, from_us: int, to_us: int) -> bool:
    own = world.database.execute(
        "SELECT 1 FROM events WHERE message_id = ? "
        "AND kind IN ('slot_moved', 'held', 'deferred') LIMIT 1",
        (id_,),
    ).fetchone()
    if own or any(down < to_us and from_us < up + LATE_US for down, up in world.down):
        return True
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
