"""A slot that passed while nothing could be sent: what goes late says why."""

from __future__ import annotations

import sqlite3

import pytest

from mailplaned.domain.governed_time import GovernedTime
from mailplaned.domain.ledger import HAND_OFF_GUARD_US
from mailplaned.domain.policy import Cap
from mailplaned.domain.windows import HOUR_US, MINUTE_US, SECOND_US, Per
from mailplaned.ports import StoreFull
from mailplaned.services.claiming import claim
from mailplaned.services.recovery import adopt, rebuild, recover
from mailplaned.store.rows import Scopes
from mailplaned.store.transaction import SqlTransaction
from tests.fakes.clock import EPOCH_US
from tests.fakes.core_desk import Desk, play
from tests.fakes.random_seeded import SeededRandom
from tests.fakes.store_inline import memory_database
from tests.fakes.store_kit import ANA, put_in, small_book, submission

RANDOM = SeededRandom(4)


def moves(database: sqlite3.Connection) -> list[tuple[int, int, str]]:
    """From when to when slots were moved, and why."""
    return database.execute(
        "SELECT json_extract(detail, '$.was_us'), json_extract(detail, '$.slot_us'), "
        "json_extract(detail, '$.cause') FROM events WHERE kind = 'slot_moved' ORDER BY cursor"
    ).fetchall()


def test_what_goes_at_a_start_says_that_its_slot_passed_without_a_daemon() -> None:
    slots: list[int] = []

    async def before(desk: Desk) -> None:
        for minutes in (10, 20, 120):
            slots.append(desk.clock.true_us + minutes * MINUTE_US)
            await desk.submit(submission(not_before_us=slots[-1]))

    async def after(desk: Desk) -> None:
        began_us = desk.clock.true_us
        await desk.sleep(2 * HOUR_US)
        assert len(desk.handed) == 3
        told = moves(desk.database)
        assert sorted(was_us for was_us, _, _ in told) == slots[:2]
        assert all(0 <= is_us - began_us < SECOND_US for _, is_us, _ in told)
        assert {cause for _, _, cause in told} == {"the daemon was not running"}

    play(small_book(), before, after)


@pytest.mark.parametrize("another_book", [False, True])
def test_what_begins_before_it_has_a_new_slot_says_why_it_is_late(another_book: bool) -> None:
    database = memory_database()
    tx = SqlTransaction(database, Scopes(database), None, EPOCH_US, RANDOM)  # type: ignore[arg-type]
    time = GovernedTime(None, wall_us=EPOCH_US, boot_us=0, boot_id="one")
    tx.memory = rebuild(tx, small_book(), time)
    slot_us = EPOCH_US + MINUTE_US
    put_in(tx, submission(not_before_us=slot_us))
    tx.now_us += HOUR_US
    recover(tx)
    if another_book:
        adopt(tx, small_book(Cap(limit=5, per=Per.DAY)))
    tx.memory.claiming = True
    claim(tx, [ANA])
    assert len(tx.effects.begun) == 1
    assert moves(database) == [(slot_us, tx.now_us, "the daemon was not running")]
    database.close()


def test_what_goes_once_the_disk_has_room_says_that_it_was_full_at_its_slot() -> None:
    async def scene(desk: Desk) -> None:
        slot_us = desk.clock.true_us + MINUTE_US
        await desk.submit(submission(not_before_us=slot_us))
        desk.database.execute("PRAGMA query_only = ON")
        with pytest.raises(StoreFull):
            await desk.submit()
        await desk.sleep(HOUR_US)
        assert not desk.handed
        desk.database.execute("PRAGMA query_only = OFF")
        await desk.sleep(MINUTE_US)
        assert len(desk.handed) == 1
        ((was_us, is_us, cause),) = moves(desk.database)
        assert was_us == slot_us
        assert is_us == desk.provider.journal[0].at_us
        assert cause.startswith("the state directory can't be written")

    play(small_book(), scene)


def test_a_slot_missed_by_less_than_the_guard_is_not_told() -> None:
    async def before(desk: Desk) -> None:
        late_us = HOUR_US - HAND_OFF_GUARD_US + SECOND_US
        await desk.submit(submission(not_before_us=desk.clock.true_us + late_us))

    async def after(desk: Desk) -> None:
        await desk.sleep(MINUTE_US)
        assert len(desk.handed) == 1
        assert moves(desk.database) == []

    play(small_book(), before, after)
