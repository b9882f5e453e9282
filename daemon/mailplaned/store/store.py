"""The store: many changes, one writer, one commit.

Changes that arrive while a commit is under way share the next one, and each caller is answered
after the commit that holds its change, never before. If a batch fails, nothing of it has happened:
memory is rebuilt from the tables and, unless the disk is at fault, each change is tried by itself.
What only looks is answered even then.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from mailplaned.domain.governed_time import Anchor, GovernedTime
from mailplaned.domain.memory import Memory
from mailplaned.domain.policy import Policy
from mailplaned.ports import (
    Clock,
    Effects,
    Random,
    Reader,
    StoreClosed,
    StoreFault,
    StoreFull,
    Transaction,
)
from mailplaned.store.reader import SqlReader
from mailplaned.store.rows import Scopes
from mailplaned.store.sql import Q
from mailplaned.store.transaction import SqlTransaction

T = TypeVar("T")

BATCH_LIMIT = 512
"""The most changes in one commit, so that the first caller does not wait for ever."""

GATHER_TURNS = 2
"""Turns of the loop that a commit waits for company: one reads the requests that have come by now,
the next one handles them. A commit costs as much as deciding on five messages."""

Rebuild = Callable[[Transaction, Policy, GovernedTime], Memory]
Change = Callable[[Transaction], Any]
Listener = Callable[[Effects], None]

_DISK = ("SQLITE_FULL", "SQLITE_READONLY", "SQLITE_IOERR", "SQLITE_CANTOPEN")


class Connections(Protocol):
    """What the store needs of a database: `database.Database`, or one without threads."""

    async def write(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Run on the write connection."""
        ...

    async def read(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Run on the read connection."""
        ...

    async def close(self) -> None:
        """Close them."""
        ...


@dataclass(slots=True)
class _Batch:
    changes: list[Change]
    looks: list[bool]
    """Which of the changes change nothing."""
    results: list[Any] = field(default_factory=list)
    effects: list[Effects] = field(default_factory=list)


class SqliteStore:
    """`ports.Store` over SQLite. `run` has to be running for `write` to return."""

    def __init__(
        self, connections: Connections, clock: Clock, rebuild: Rebuild, random: Random
    ) -> None:
        self._connections = connections
        self._clock = clock
        self._rebuild = rebuild
        self._random = random
        self._scopes: Scopes | None = None
        self._reader_scopes: Scopes | None = None
        self._memory: Memory | None = None
        self._stale = False
        self._queue: deque[tuple[Change, asyncio.Future[Any], bool]] = deque()
        self._wake = asyncio.Event()
        self._stopping = False
        self._ended = False
        self._listeners: list[Listener] = []
        self.commits = 0
        """Commits so far; with the number of changes it tells how well they are grouped."""
        self.changes = 0
        self.fault: str | None = None
        """Why the disk could not be written, None once it could."""

    @property
    def clock_ahead_us(self) -> int:
        """How far the wall clock is ahead of what governor time believes; 0 when it is believed."""
        return self._memory.time.ahead_us if self._memory is not None else 0

    def on_commit(self, listener: Listener) -> None:
        """Call with the effects of each commit, once it is durable."""
        self._listeners.append(listener)

    async def start(self, policy: Policy) -> None:
        """Build memory from the tables, under a policy. To be called before `run`."""

        def first(connection: sqlite3.Connection) -> None:
            self._scopes = Scopes(connection)
            # There is no memory yet; what is asked here needs none.
            transaction = SqlTransaction(connection, self._scopes, None, 0, self._random)  # type: ignore[arg-type]
            time = GovernedTime(
                transaction.anchor(),
                wall_us=self._clock.wall_us(),
                boot_us=self._clock.boot_us(),
                boot_id=self._clock.boot_id(),
            )
            self._memory = self._rebuild(transaction, policy, time)

        await self._connections.write(first)

    async def run(self) -> None:
        """Commit what comes in, until `stop`; then what is still waiting, and return.

        However it ends, who asks afterwards is told so: nobody waits for a writer that is gone.
        """
        try:
            while not (self._stopping and not self._queue):
                await self._wake.wait()
                self._wake.clear()
                while self._queue:
                    for _ in range(GATHER_TURNS):
                        await self._clock.sleep_us(0)
                    size = min(BATCH_LIMIT, len(self._queue))
                    taken = [self._queue.popleft() for _ in range(size)]
                    await asyncio.shield(asyncio.ensure_future(self._commit(taken)))
        finally:
            self._ended = True
            for _, future, _ in self._queue:
                if not future.done():
                    future.set_exception(StoreClosed("the daemon is ending"))
            self._queue.clear()

    def stop(self) -> None:
        """Let `run` return once everything that waits is committed."""
        self._stopping = True
        self._wake.set()

    async def close(self) -> None:
        """Close the database."""
        await self._connections.close()

    async def write(self, change: Callable[[Transaction], T]) -> T:
        """See `ports.Store.write`."""
        return await self._ask(change, look=False)

    async def look(self, question: Callable[[Transaction], T]) -> T:
        """See `ports.Store.look`."""
        return await self._ask(question, look=True)

    async def _ask(self, change: Callable[[Transaction], T], *, look: bool) -> T:
        if self._ended:
            raise StoreClosed("the daemon is ending")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.append((change, future, look))
        self._wake.set()
        return await future

    async def read(self, query: Callable[[Reader], T]) -> T:
        """See `ports.Store.read`."""

        def run(connection: sqlite3.Connection) -> T:
            if self._reader_scopes is None:
                self._reader_scopes = Scopes(connection)
            connection.execute("BEGIN")
            try:
                return query(SqlReader(connection, self._reader_scopes))
            finally:
                connection.execute("COMMIT")

        try:
            return await self._connections.read(run)
        except sqlite3.Error as fault:
            raise StoreFault(f"the database could not be read: {fault}") from fault

    async def _commit(self, taken: list[tuple[Change, asyncio.Future[Any], bool]]) -> None:
        batch = _Batch([change for change, _, _ in taken], [look for _, _, look in taken])
        try:
            await self._connections.write(lambda connection: self._run_batch(connection, batch))
        except StoreFault as fault:
            batch.results = [fault] * len(taken)
        for (_, future, _), result in zip(taken, batch.results, strict=True):
            if future.done():
                continue  # the caller was cancelled; the change has happened all the same
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)
        for effects in batch.effects:
            for listener in self._listeners:
                listener(effects)

    # --- on the writer's thread -------------------------------------------------------------------

    def _run_batch(self, connection: sqlite3.Connection, batch: _Batch) -> None:
        try:
            batch.results = self._run_together(connection, batch.changes, batch)
        except StoreFault as fault:
            batch.results = self._answer_looks(connection, batch, fault)
        except Exception as fault:  # noqa: BLE001 - whatever it is, its caller gets it
            if len(batch.changes) == 1:
                batch.results = [fault]
                return
            batch.results = []
            for change in batch.changes:
                try:
                    batch.results += self._run_together(connection, [change], batch)
                except Exception as own:  # noqa: BLE001 - likewise
                    batch.results.append(own)

    def _answer_looks(
        self, connection: sqlite3.Connection, batch: _Batch, fault: StoreFault
    ) -> list[Any]:
        """The batch again, without what would change something: that gets the fault."""
        if not any(batch.looks):
            raise fault
        try:
            if self._stale:
                self._renew(connection)
            assert self._memory is not None
            assert self._scopes is not None
            memory = self._memory
            now_us = memory.time.read(wall_us=self._clock.wall_us(), boot_us=self._clock.boot_us())
            connection.execute("BEGIN")
            try:
                transaction = SqlTransaction(connection, self._scopes, memory, now_us, self._random)
                return [
                    change(transaction) if look else fault
                    for change, look in zip(batch.changes, batch.looks, strict=True)
                ]
            finally:
                connection.execute("ROLLBACK")
        except sqlite3.Error as worse:
            raise self._translate(worse) from worse

    def _run_together(
        self, connection: sqlite3.Connection, changes: list[Change], batch: _Batch
    ) -> list[Any]:
        """Run changes in one transaction. Raises whatever one of them raises, and undoes all."""
        began: Anchor | None = None
        try:
            if self._stale:
                if self.fault is not None:
                    self._try_to_write(connection)
                self._renew(connection)
            assert self._memory is not None
            assert self._scopes is not None
            memory = self._memory
            now_us = memory.time.read(wall_us=self._clock.wall_us(), boot_us=self._clock.boot_us())
            began = memory.time.anchor
            if self.fault is not None:
                memory.stalled = now_us, self.fault
            connection.execute("BEGIN IMMEDIATE")
            transaction = SqlTransaction(connection, self._scopes, memory, now_us, self._random)
            before = connection.total_changes
            results = [change(transaction) for change in changes]
            transaction.flush()
            wrote = connection.total_changes != before
            if wrote or self.fault is not None:  # after a fault, to see whether it is over
                anchor = memory.time.anchor
                connection.execute(
                    Q["set_anchor"], (anchor.governed_us, anchor.boot_us, anchor.boot_id)
                )
                wrote = True
            connection.execute("COMMIT")
        except BaseException as fault:
            self._stale = True
            if began is not None:
                memory.time.forget(began)
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if isinstance(fault, sqlite3.Error):
                raise self._translate(fault) from fault
            raise
        self._memory = transaction.memory
        self.commits += 1
        self.changes += len(changes)
        if wrote:
            self.fault = None
        batch.effects.append(transaction.effects)
        return results

    def _try_to_write(self, connection: sqlite3.Connection) -> None:
        """Raise what any write would: while a disk is full, memory need not be rebuilt in vain."""
        assert self._memory is not None
        anchor = self._memory.time.anchor
        connection.execute(Q["set_anchor"], (anchor.governed_us, anchor.boot_us, anchor.boot_id))

    def _renew(self, connection: sqlite3.Connection) -> None:
        assert self._memory is not None
        assert self._scopes is not None
        old = self._memory
        self._scopes.forget()
        transaction = SqlTransaction(connection, self._scopes, old, 0, self._random)
        self._memory = self._rebuild(transaction, old.policy, old.time)
        self._memory.carry_on(old)
        self._stale = False

    def _translate(self, fault: sqlite3.Error) -> Exception:
        name = getattr(fault, "sqlite_errorname", "")
        if name.startswith(_DISK):
            self.fault = f"the state directory can't be written: {fault}"
            return StoreFull(self.fault)
        if isinstance(fault, sqlite3.IntegrityError):
            return fault  # a bug in one change; the others deserve another try
        self.fault = f"the database failed: {fault}"
        return StoreFault(self.fault)
