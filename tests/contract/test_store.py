"""The store over a real file, with the real two connections."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from mailplaned.domain.ids import MESSAGE, parse_id
from mailplaned.domain.message import State
from mailplaned.domain.policy import Cap
from mailplaned.domain.windows import HOUR_US, Per
from mailplaned.ports import MessageFilter, StoreFault, StoreFull, Transaction
from mailplaned.services.answers import Admitted
from mailplaned.services.messages import cancel
from mailplaned.services.recovery import rebuild
from mailplaned.store.database import Database, Unusable, prepare
from mailplaned.store.sql import migrations
from mailplaned.store.store import SqliteStore
from tests.fakes.clock import ManualClock
from tests.fakes.store_kit import ANA, BEN, put_in, running_store, small_book, submission

T = TypeVar("T")

BOOK = small_book(Cap(limit=300, per=Per.DAY))


@asynccontextmanager
async def store_at(path: Path, clock: ManualClock | None = None) -> AsyncIterator[SqliteStore]:
    database = await Database.open(path / "mailplane.db")
    try:
        async with running_store(database, clock or ManualClock(), BOOK) as store:
            yield store
    finally:
        await database.close()


def fault_of(store: SqliteStore) -> str | None:
    return store.fault


def waiting(tx: Transaction) -> int:
    return tx.memory.waiting


def admitted(tx: Transaction) -> Admitted:
    answer = put_in(tx)
    assert isinstance(answer, Admitted)
    return answer


async def test_changes_that_come_together_share_one_commit(tmp_path: Path) -> None:
    async with store_at(tmp_path) as store:
        await store.write(waiting)
        commits = store.commits
        await asyncio.gather(*(store.write(admitted) for _ in range(50)))
        assert store.changes >= 50
        assert store.commits - commits <= 3


async def test_a_failing_change_does_not_hurt_those_beside_it(tmp_path: Path) -> None:
    def bad(tx: Transaction) -> None:
        admitted(tx)
        raise ValueError("mine alone")

    async with store_at(tmp_path) as store:
        changes: list[Callable[[Transaction], object]] = [admitted, bad, admitted, bad, admitted]
        answers = await asyncio.gather(
            *(store.write(change) for change in changes), return_exceptions=True
        )
        assert [type(answer) for answer in answers] == [
            Admitted, ValueError, Admitted, ValueError, Admitted,
        ]  # fmt: skip
        assert await store.write(waiting) == 3
        kept = await store.read(lambda reader: reader.messages(MessageFilter()))
        assert len(kept) == 3


async def test_what_a_change_has_added_can_be_seen_at_once(tmp_path: Path) -> None:
    def add_and_look(tx: Transaction) -> None:
        answer = admitted(tx)
        id_ = parse_id(MESSAGE, answer.id or "")
        assert id_ is not None
        message = tx.message(id_)
        assert message is not None
        assert [r.address for r in tx.recipients(id_)] == ["kim@example.org"]
        assert tx.body(id_)
        assert [event.kind for event in tx.events_of(id_)] == ["queued"]
        tx.begin_attempt(message, "acme/relay")
        assert [attempt.number for attempt in tx.attempts(id_)] == [0]
        assert tx.move(message, State.HELD, reason="a test").state is State.HELD

    async with store_at(tmp_path) as store:
        await store.write(add_and_look)
        await asyncio.gather(*(store.write(add_and_look) for _ in range(10)))
        assert len(await store.read(lambda reader: reader.messages(MessageFilter()))) == 11


async def test_many_messages_of_one_change_are_all_there_and_in_order(tmp_path: Path) -> None:
    def add_many(tx: Transaction) -> list[str | None]:
        return [admitted(tx).id for _ in range(600)]

    async with store_at(tmp_path) as store:
        ids = await store.write(add_many)
        kept = await store.read(lambda reader: reader.messages(MessageFilter(limit=1_000)))
        assert {message.id for message in kept} == {parse_id(MESSAGE, id_ or "") for id_ in ids}
        events = await store.read(lambda reader: reader.events("acme", 0, 1_000))
        assert [event.seq for event in events] == list(range(1, 601))
        assert [event.message for event in events] == [parse_id(MESSAGE, id_ or "") for id_ in ids]
        check = "PRAGMA foreign_key_check"
        strays = await store._connections.read(lambda found: found.execute(check).fetchall())
        assert strays == []


async def test_rows_that_cannot_be_are_a_fault_of_the_change_that_adds_them(tmp_path: Path) -> None:
    def twice(tx: Transaction) -> None:
        id_ = parse_id(MESSAGE, admitted(tx).id or "")
        assert id_ is not None
        message, body = tx.message(id_), tx.body(id_)
        assert message is not None
        assert body is not None
        tx.add_message(message, [], body)

    async with store_at(tmp_path) as store:
        answers = await asyncio.gather(
            store.write(admitted), store.write(twice), store.write(admitted), return_exceptions=True
        )
        assert [type(answer) for answer in answers] == [Admitted, sqlite3.IntegrityError, Admitted]
        assert await store.write(waiting) == 2


async def test_memory_forgets_what_was_rolled_back(tmp_path: Path) -> None:
    def bad(tx: Transaction) -> None:
        admitted(tx)
        assert tx.memory.governor.mailbox_track(ANA).planned
        tx.memory.event_seq["acme"] += 5
        raise ValueError("undo it")

    async with store_at(tmp_path) as store:
        with pytest.raises(ValueError, match="undo it"):
            await store.write(bad)

        def look(tx: Transaction) -> tuple[int, int, int]:
            memory = tx.memory
            planned = memory.governor.mailbox_track(ANA).planned
            return memory.waiting, len(planned), memory.event_seq["acme"]

        assert await store.write(look) == (0, 0, 0)
        await store.write(admitted)
        events = await store.read(lambda reader: reader.events("acme", 0, 10))
        assert [event.seq for event in events] == [1]


async def test_an_answer_comes_after_the_commit_that_holds_its_change(tmp_path: Path) -> None:
    async with store_at(tmp_path) as store:
        for _ in range(20):
            answer = await store.write(admitted)
            with sqlite3.connect(tmp_path / "mailplane.db") as other:
                id_ = parse_id(MESSAGE, answer.id or "")
                assert other.execute("SELECT 1 FROM messages WHERE id = ?", (id_,)).fetchone()
            other.close()


async def test_a_read_sees_only_what_is_committed(tmp_path: Path) -> None:
    seen: list[int] = []

    def count(path: Path) -> int:
        other = sqlite3.connect(path)
        try:
            return int(other.execute("SELECT count(*) FROM messages").fetchone()[0])
        finally:
            other.close()

    def half_way(tx: Transaction) -> None:
        admitted(tx)
        seen.append(count(tmp_path / "mailplane.db"))

    async with store_at(tmp_path) as store:
        await store.write(half_way)
        found = await store.read(lambda reader: reader.messages(MessageFilter()))
        assert (seen, len(found)) == ([0], 1)


async def test_a_full_disk_refuses_changes_and_is_got_over(tmp_path: Path) -> None:
    async with store_at(tmp_path) as store:
        await store.write(admitted)
        fill = "PRAGMA max_page_count = 1"  # no smaller than the file: not one page more
        await store._connections.write(lambda connection: connection.execute(fill).fetchone())

        def large(tx: Transaction) -> None:
            for _ in range(200):
                put_in(tx)

        with pytest.raises(StoreFull):
            await store.write(large)
        assert fault_of(store) is not None
        free = "PRAGMA max_page_count = 1000000"
        await store._connections.write(lambda connection: connection.execute(free).fetchone())
        await store.write(large)
        assert fault_of(store) is None
        assert await store.write(waiting) == 201


async def test_all_that_shared_a_commit_with_a_full_disk_are_refused(tmp_path: Path) -> None:
    async with store_at(tmp_path) as store:
        await store._connections.write(lambda connection: connection.execute("PRAGMA query_only=1"))
        answers = await asyncio.gather(
            *(store.write(admitted) for _ in range(5)), return_exceptions=True
        )
        assert all(isinstance(answer, StoreFull) for answer in answers)
        assert await store.read(lambda reader: reader.messages(MessageFilter())) == []
        await store._connections.write(lambda connection: connection.execute("PRAGMA query_only=0"))
        assert (await store.write(admitted)).state == State.QUEUED


async def test_a_caller_that_gives_up_does_not_take_its_change_back(tmp_path: Path) -> None:
    async with store_at(tmp_path) as store:
        task = asyncio.create_task(store.write(admitted))
        await asyncio.sleep(0)  # it is handed to the writer now
        task.cancel()
        await store.write(waiting)
        assert await store.write(waiting) == 1


async def test_a_new_run_finds_what_the_last_one_kept(tmp_path: Path) -> None:
    clock = ManualClock()
    async with store_at(tmp_path, clock) as store:
        for _ in range(5):
            await store.write(admitted)
        slots = await store.write(lambda tx: list(tx.memory.governor.mailbox_track(ANA).planned))
    async with store_at(tmp_path, clock) as store:
        again = await store.write(lambda tx: list(tx.memory.governor.mailbox_track(ANA).planned))
    assert again == slots


async def test_what_waits_is_read_whole_in_however_many_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def add_many(tx: Transaction) -> None:
        for count in (1, 2, 1, 3, 1, 2, 1):
            for mailbox in (ANA, BEN):
                to = [f"kim{number}@{number}.example.org" for number in range(count)]
                put_in(tx, submission(*to, mailbox=mailbox))

    def differences(tx: Transaction) -> list[str]:
        fresh = rebuild(tx, tx.memory.policy, tx.memory.time)
        assert fresh.waiting == tx.memory.waiting == 14
        return tx.memory.governor.differences(fresh.governor, tx.now_us)

    monkeypatch.setattr("mailplaned.store.transaction._ROWS_AT_ONCE", 3)
    async with store_at(tmp_path) as store:
        await store.write(add_many)
        assert await store.look(differences) == []


def test_migrations_make_an_empty_file_current_and_are_run_once(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    for _ in range(2):
        connection = sqlite3.connect(path, isolation_level=None)
        prepare(connection, path=path)
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        assert version == migrations()[-1][0]
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()
    assert [file.name for file in tmp_path.glob("new.before-*")] == []


def test_a_database_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "late.db", isolation_level=None)
    connection.execute("PRAGMA user_version = 9999")
    with pytest.raises(Unusable, match="upgrade"):
        prepare(connection, path=tmp_path / "late.db")
    connection.close()


async def test_a_file_that_is_no_database_is_refused_with_words(tmp_path: Path) -> None:
    (tmp_path / "mailplane.db").write_bytes(
        b"not a database, but long enough to be read as one" * 9
    )
    with pytest.raises(Unusable, match="restore a backup"):
        await Database.open(tmp_path / "mailplane.db")


async def test_a_final_state_is_final_whoever_tries(tmp_path: Path) -> None:
    async with store_at(tmp_path) as store:
        answer = await store.write(admitted)
        id_ = parse_id(MESSAGE, answer.id or "")
        assert id_ is not None
        done = await store.write(lambda tx: cancel(tx, id_, actor="op", reason="a test"))
        assert getattr(done, "state", None) == State.CANCELED

        def revive(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE messages SET state = 'held' WHERE id = ?", (id_,))

        with pytest.raises(sqlite3.IntegrityError, match="final"):
            await store._connections.write(revive)


async def test_a_fault_of_the_database_is_a_store_fault(tmp_path: Path) -> None:
    def broken(tx: Transaction) -> None:
        tx._db.execute("SELECT * FROM nowhere")  # type: ignore[attr-defined]

    async with store_at(tmp_path) as store:
        with pytest.raises(StoreFault):
            await store.write(broken)
        assert (await store.write(admitted)).id


async def test_a_clock_believed_in_a_commit_that_failed_is_not_believed(tmp_path: Path) -> None:
    clock = ManualClock()

    def believe(tx: Transaction) -> int:
        ahead_us = tx.memory.time.ahead_us
        tx.memory.time.believe(clock.wall_us())
        return ahead_us

    def bad(tx: Transaction) -> None:
        raise ValueError("mine alone")

    async with store_at(tmp_path, clock) as store:
        clock.wall += HOUR_US
        ahead_us, _ = await asyncio.gather(
            store.write(believe), store.write(bad), return_exceptions=True
        )
        assert ahead_us == HOUR_US


async def test_a_look_writes_nothing(tmp_path: Path) -> None:
    async with store_at(tmp_path) as store:
        assert await store.look(lambda tx: tx.kept_answer("beta", "key")) is None
    with sqlite3.connect(tmp_path / "mailplane.db") as connection:
        assert connection.execute("SELECT * FROM scopes").fetchall() == []
