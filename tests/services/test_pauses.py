"""Pauses, the way back from them, what a book does to slots, and what comes due by itself."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest

from mailplaned.domain.governed_time import GovernedTime
from mailplaned.domain.ledger import UNKNOWN_GUARD_US
from mailplaned.domain.message import State, Stop, lost
from mailplaned.domain.policy import Cap, Policy
from mailplaned.domain.records import Message, Origin, Pause, ScopeKind
from mailplaned.domain.windows import DAY_US, HOUR_US, Per
from mailplaned.ports import MessageFilter
from mailplaned.services.claiming import claim
from mailplaned.services.pauses import (
    NotLifted,
    Replan,
    due_to_end,
    lift,
    lift_all,
    pause,
    pause_by_provider,
    replan,
)
from mailplaned.services.recovery import adopt, missed, rebuild, recover
from mailplaned.services.settling import record
from mailplaned.services.upkeep import expire
from mailplaned.store.rows import Scopes
from mailplaned.store.transaction import SqlTransaction
from tests.fakes.clock import EPOCH_US
from tests.fakes.random_seeded import SeededRandom
from tests.fakes.store_inline import memory_database
from tests.fakes.store_kit import ANA, BEN, put_in, small_book, submission

RANDOM = SeededRandom(12)


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    connection = memory_database()
    yield connection
    connection.close()


def desk(
    database: sqlite3.Connection, policy: Policy | None = None, now_us: int = EPOCH_US
) -> SqlTransaction:
    time = GovernedTime(None, wall_us=now_us, boot_us=0, boot_id="one")
    tx = SqlTransaction(database, Scopes(database), None, now_us, RANDOM)  # type: ignore[arg-type]
    tx.memory = rebuild(tx, policy or small_book(), time)
    return tx


def stop(tx: SqlTransaction, kind: ScopeKind, name: str, until_us: int | None = None) -> Pause:
    return pause(
        tx,
        kind=kind,
        name=name,
        workspace=None if kind == "everything" else "acme",
        reason="r",
        actor="op",
        until_us=until_us,
        random=RANDOM,
    )


def messages(tx: SqlTransaction) -> list[Message]:
    return tx.messages(MessageFilter())


def actions(tx: SqlTransaction) -> list[str]:
    return [row[0] for row in tx._db.execute("SELECT action FROM audit ORDER BY seq")]


SCOPES: list[tuple[ScopeKind, str]] = [
    ("mailbox", ANA),
    ("domain", "acme.example"),
    ("path", "acme/main"),
    ("workspace", "acme"),
    ("everything", ""),
]


@pytest.mark.parametrize(("kind", "name"), SCOPES)
def test_nothing_begins_in_a_paused_scope(
    database: sqlite3.Connection, kind: ScopeKind, name: str
) -> None:
    tx = desk(database)
    put_in(tx, submission(mailbox=None, path="main"))
    stop(tx, kind, name)
    tx.memory.claiming = True
    claim(tx, [ANA])
    assert tx.effects.begun == []
    assert actions(tx) == ["pause"]


@pytest.mark.parametrize(("kind", "name"), SCOPES)
def test_a_pause_survives_a_restart(
    database: sqlite3.Connection, kind: ScopeKind, name: str
) -> None:
    made = stop(desk(database), kind, name)
    tx = desk(database)
    mailbox = tx.memory.mailbox(ANA)
    assert mailbox is not None
    assert tx.memory.active_pauses(mailbox, "main") == [made]


def test_lifting_takes_all_pauses_of_exactly_that_scope_and_audits_each(
    database: sqlite3.Connection,
) -> None:
    tx = desk(database)
    stop(tx, "mailbox", ANA)
    stop(tx, "mailbox", ANA)
    wide = stop(tx, "everything", "")
    lifted = lift_all(tx, "mailbox", ANA, actor="op", reason="over", acknowledge=False)
    assert isinstance(lifted, list)
    assert len(lifted) == 2
    mailbox = tx.memory.mailbox(ANA)
    assert mailbox is not None
    assert tx.memory.active_pauses(mailbox) == [wide]
    assert actions(tx) == ["pause"] * 3 + ["resume"] * 2
    again = lift_all(tx, "mailbox", ANA, actor="op", reason="over", acknowledge=False)
    assert isinstance(again, NotLifted)


def test_what_a_provider_stopped_has_to_be_acknowledged(database: sqlite3.Connection) -> None:
    tx = desk(database)
    mailbox = tx.memory.mailbox(ANA)
    assert mailbox is not None
    for _ in range(3):  # it is stopped once, however often it is refused
        pause_by_provider(tx, mailbox, Stop(reason="refused", for_us=None), RANDOM)
    (made,) = tx.memory.active_pauses(mailbox)
    assert made.origin is Origin.PROVIDER
    first = lift(tx, made.id, actor="op", reason="r", acknowledge=False)
    assert isinstance(first, NotLifted)
    assert isinstance(lift(tx, made.id, actor="op", reason="r", acknowledge=True), Pause)
    twice = lift(tx, made.id, actor="op", reason="r", acknowledge=True)
    assert isinstance(twice, NotLifted)


def test_a_pause_ends_by_itself_when_its_time_is_over(database: sqlite3.Connection) -> None:
    tx = desk(database)
    made = stop(tx, "mailbox", ANA, EPOCH_US + HOUR_US)
    assert due_to_end(tx) == []
    tx.now_us += HOUR_US
    assert [over.id for over in due_to_end(tx)] == [made.id]
    assert due_to_end(tx) == []


def test_after_a_pause_everything_goes_again_in_its_order(database: sqlite3.Connection) -> None:
    tx = desk(database, small_book(Cap(limit=2, per=Per.HOUR)))
    for number in range(6):
        if number == 3:
            stop(tx, "mailbox", ANA)
        put_in(tx)
        tx.now_us += 1000  # ids are in order from one millisecond to the next
    lift_all(tx, "mailbox", ANA, actor="op", reason="r", acknowledge=False)
    tx.now_us += DAY_US
    at = Replan()
    while not at.done:
        at = replan(tx, ANA, "resumed", at)
    found = messages(tx)
    assert State.HELD not in {message.state for message in found}
    slots = [message.slot_us or 0 for message in found]
    assert slots == sorted(slots)
    assert slots[0] == tx.now_us
    moved = [event for event in tx.events("acme", 0, 100) if event.kind == "slot_moved"]
    assert len(moved) == 6
    assert {event.detail["cause"] for event in moved} == {"resumed"}


def replan_all(tx: SqlTransaction) -> None:
    """Give all of Ana's messages new slots."""
    at = Replan()
    while not at.done:
        at = replan(tx, ANA, "book", at)


def test_a_lowered_cap_moves_what_waits_and_a_lost_mailbox_holds_it(
    database: sqlite3.Connection,
) -> None:
    tx = desk(database, small_book(Cap(limit=4, per=Per.DAY)))
    for _ in range(4):
        put_in(tx)
    changed = adopt(tx, small_book(Cap(limit=2, per=Per.DAY)))
    assert changed == [ANA]
    replan_all(tx)
    slots = sorted(message.slot_us or 0 for message in messages(tx))
    assert slots[1] == EPOCH_US
    assert slots[2] >= EPOCH_US + DAY_US
    left = {BEN: small_book().workspaces["acme"].mailboxes[BEN]}
    assert ANA in adopt(tx, small_book(mailboxes=left, paths={}))
    replan_all(tx)
    assert {message.state for message in messages(tx)} == {State.HELD}
    assert adopt(tx, small_book()) == [ANA]
    replan_all(tx)
    assert State.HELD not in {message.state for message in messages(tx)}


def test_a_queued_message_that_moves_to_another_day_is_scheduled_and_back_again(
    database: sqlite3.Connection,
) -> None:
    two, one = Cap(limit=2, per=Per.DAY), Cap(limit=1, per=Per.DAY)
    tx = desk(database, small_book(two))
    put_in(tx)
    put_in(tx)
    tx.flush()
    assert [message.state for message in messages(tx)] == [State.QUEUED, State.QUEUED]
    adopt(tx, small_book(one))
    replan_all(tx)
    tx.flush()
    assert [message.state for message in messages(tx)] == [State.QUEUED, State.SCHEDULED]
    adopt(tx, small_book(two))
    replan_all(tx)
    tx.flush()
    assert [message.state for message in messages(tx)] == [State.QUEUED, State.QUEUED]


def test_what_was_on_the_wire_when_the_daemon_died_is_unknown_and_charged(
    database: sqlite3.Connection,
) -> None:
    tx = desk(database, small_book(Cap(limit=1, per=Per.DAY)))
    tx.memory.claiming = True
    put_in(tx)
    assert [message.state for message in messages(tx)] == [State.SENDING]
    after = desk(database, small_book(Cap(limit=1, per=Per.DAY)), EPOCH_US + HOUR_US)
    assert recover(after) == 1
    assert [message.state for message in messages(after)] == [State.UNKNOWN]
    (standing,) = after.memory.governor.standings(ANA, after.now_us)
    assert (standing.used, standing.unknown) == (1, 1)
    assert standing.resets_at_us == EPOCH_US + HOUR_US + UNKNOWN_GUARD_US + DAY_US
    assert recover(after) == 0


def test_what_a_provider_may_take_after_we_stopped_listening_counts_from_then_on(
    database: sqlite3.Connection,
) -> None:
    book = small_book(Cap(limit=1, per=Per.HOUR))
    tx = desk(database, book)
    tx.memory.claiming = True
    put_in(tx)
    assert [message.state for message in messages(tx)] == [State.SENDING]
    died_us = EPOCH_US + 1_000_000
    assert recover(desk(database, book, died_us)) == 1
    for when_us in (died_us, died_us + HOUR_US, died_us + HOUR_US + UNKNOWN_GUARD_US - 1):
        later = desk(database, book, when_us)
        (standing,) = later.memory.governor.standings(ANA, later.now_us)
        assert standing.used == 1
    later = desk(database, book, died_us + HOUR_US + UNKNOWN_GUARD_US)
    (standing,) = later.memory.governor.standings(ANA, later.now_us)
    assert standing.used == 0


def test_an_attempt_cannot_end_twice(database: sqlite3.Connection) -> None:
    tx = desk(database)
    tx.memory.claiming = True
    put_in(tx)
    (begun,) = tx.effects.begun
    report = lost(begun.addresses, why="gone")
    record(tx, begun.message, begun.recipients, report, account="acme/relay", jitter=0)
    with pytest.raises(AssertionError):
        record(tx, begun.message, begun.recipients, report, account="acme/relay", jitter=0)


def test_slots_that_went_by_unseen_are_found(database: sqlite3.Connection) -> None:
    tx = desk(database)
    put_in(tx)
    tx.flush()
    assert missed(desk(database)) == []
    assert missed(desk(database, now_us=EPOCH_US + HOUR_US)) == [ANA]


def test_what_a_pause_held_is_planned_again_if_the_daemon_dies_as_it_ends(
    database: sqlite3.Connection,
) -> None:
    tx = desk(database)
    stop(tx, "mailbox", ANA)
    put_in(tx)
    lifted = lift_all(tx, "mailbox", ANA, actor="op", reason="over", acknowledge=False)
    assert isinstance(lifted, list)
    assert missed(desk(database)) == [ANA]


@pytest.mark.parametrize(("kind", "name"), SCOPES)
def test_the_end_of_a_pause_asks_for_new_slots_with_its_commit(
    database: sqlite3.Connection, kind: ScopeKind, name: str
) -> None:
    tx = desk(database)
    stop(tx, kind, name)
    put_in(tx, submission(mailbox=None, path="main"))
    lift_all(tx, kind, name, actor="op", reason="over", acknowledge=False)
    assert ANA in tx.effects.replans


def test_the_end_of_a_paths_pause_frees_what_a_mailbox_no_longer_on_it_held(
    database: sqlite3.Connection,
) -> None:
    tx = desk(database)
    made = stop(tx, "path", "acme/main")
    put_in(tx, submission(mailbox=None, path="main"))
    adopt(tx, small_book(paths={}))
    tx.effects.replans.clear()
    lift(tx, made.id, actor="op", reason="over", acknowledge=False)
    assert list(tx.effects.replans) == [ANA]


def test_what_waits_past_its_life_expires_and_leaves_the_ledger(
    database: sqlite3.Connection,
) -> None:
    tx = desk(database)
    put_in(tx)
    stop(tx, "mailbox", ANA)
    put_in(tx)
    assert expire(tx) == 0
    tx.now_us += 3 * DAY_US
    assert expire(tx) == 2
    assert {message.state for message in messages(tx)} == {State.EXPIRED}
    assert (tx.memory.waiting, tx.memory.held[ANA]) == (0, 0)
    assert not tx.memory.governor.mailbox_track(ANA).planned
