"""Starts the daemon with a bug planted into it, which a run whose goal is zero has to notice.

Nothing of this is in the product: the patches are made here, before its `main` is called.
Run as `python -m tests.chaos.planted NAME[,NAME…] [arguments of mailplaned]`.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Callable
from typing import Any

import msgspec

from mailplaned import __main__
from mailplaned import main as daemon_main
from mailplaned.core import Core
from mailplaned.domain import message as message_rules
from mailplaned.domain.bindings import Demand
from mailplaned.domain.governed_time import GovernedTime
from mailplaned.domain.governor import Governor, Plan
from mailplaned.domain.memory import Memory
from mailplaned.domain.policy import Delivery
from mailplaned.domain.roles import Caller, Role
from mailplaned.doors.http import guard, stream, submissions, subscriber
from mailplaned.runtime import place
from mailplaned.services import settling
from mailplaned.store import database, store
from mailplaned.store.reader import SqlReader
from mailplaned.store.transaction import SqlTransaction


class _Passed:
    """A connection that hands everything on; the twins change what `execute` does."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, text: str, *values: Any) -> sqlite3.Cursor:
        return self._connection.execute(text, *values)


class _Late(_Passed):
    """Commits when the next transaction begins: answers and sends come before the disk."""

    def execute(self, text: str, *values: Any) -> sqlite3.Cursor:
        if text == "COMMIT":
            return self._connection.execute("SELECT 0")
        if text == "BEGIN IMMEDIATE" and self._connection.in_transaction:
            self._connection.execute("COMMIT")
        return super().execute(text, *values)


class _Blind(_Passed):
    """Takes a commit that failed for one that succeeded."""

    def execute(self, text: str, *values: Any) -> sqlite3.Cursor:
        try:
            return super().execute(text, *values)
        except sqlite3.OperationalError:
            if text != "COMMIT":
                raise
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            return self._connection.execute("SELECT 0")


def _through(proxy: Callable[[sqlite3.Connection], _Passed]) -> None:
    run = store.SqliteStore._run_together

    def patched(self: Any, connection: Any, changes: Any, batch: Any) -> Any:
        return run(self, proxy(connection), changes, batch)  # type: ignore[arg-type]

    store.SqliteStore._run_together = patched  # type: ignore[method-assign]


def late_commit() -> None:
    """The charge, and the answer, before the commit that holds them."""
    _through(_Late)


def blind_commit() -> None:
    """A full or broken disk is not noticed."""
    _through(_Blind)


def sync_normal() -> None:
    """What many a guide recommends for WAL."""
    database._WRITER = database._WRITER.replace("synchronous = FULL", "synchronous = NORMAL")


def naive_cap() -> None:
    """No cap is looked at."""

    def plan(self: Governor, demand: Demand, earliest_us: int, now_us: int) -> Plan:
        return Plan(slot_us=max(earliest_us, now_us), binding=None, room=0)

    Governor.plan = plan  # type: ignore[method-assign]
    Governor.refusal = lambda self, demand, now_us: None  # type: ignore[method-assign]


def unknown_again() -> None:
    """What may have been accepted is sent again, and at once."""
    settling._delivery = lambda tx, message: Delivery.AT_LEAST_ONCE
    message_rules._wait_us = lambda *values: 0


def follow_clock() -> None:
    """Windows go by the wall clock as it is."""

    def read(self: GovernedTime, *, wall_us: int, boot_us: int) -> int:
        self._governed_us, self._boot_us = max(self._governed_us, wall_us), boot_us
        return self._governed_us

    GovernedTime.read = read  # type: ignore[method-assign]


class _NoLock:
    def __init__(self, directory: Any) -> None:
        self._directory = directory

    def release(self) -> None:
        pass


def no_lock() -> None:
    """Any number of daemons on one directory."""
    setattr(daemon_main, "Lock", _NoLock)  # noqa: B010 - it is not exported
    place._refuse_living = lambda path: None


def no_pause() -> None:
    """Pauses are written down and not obeyed."""
    Memory.active_pauses = lambda *values: []  # type: ignore[method-assign]


def no_suppression() -> None:
    """Suppressions are written down and not looked up."""
    SqlReader.suppressed = lambda *values: []  # type: ignore[method-assign]


def no_idempotency() -> None:
    """Keys are not remembered."""
    SqlReader.kept_answer = lambda *values: None  # type: ignore[attr-defined]
    SqlTransaction.kept_answer = lambda *values: None  # type: ignore[method-assign]
    SqlTransaction.keep_answer = lambda *values: None  # type: ignore[method-assign]


def no_host_check() -> None:
    """Any web page may ask."""
    guard.Guard._check_origin = lambda self, scope: None  # type: ignore[method-assign]


def no_token_check() -> None:
    """No token is asked for."""
    owner = Caller(name="anyone", role=Role.OWNER)
    guard.Guard._caller = lambda self, scope: owner  # type: ignore[method-assign]


def no_json_check() -> None:
    """What is no JSON is a fault of ours."""

    def decode(content: Any, type_: Any = Any) -> Any:
        return msgspec.json.decode(content, type=type_)

    submissions._decode = decode


def no_hang_up() -> None:
    """A reader of the stream that does not read is kept, with all that it does not read."""

    def put(self: Any, frame: bytes) -> None:
        self.frames.append(bytes(bytearray(frame)))
        self.wake.set()

    subscriber.Subscriber.put = put  # type: ignore[method-assign]
    stream.Stream._shed = lambda self, behind: None  # type: ignore[method-assign]


_hoard: list[Any] = []


def hoard() -> None:
    """Whatever comes in is kept in memory."""
    receive = guard._Limited.__call__

    async def patched(self: Any) -> Any:
        message = await receive(self)
        _hoard.append(message)
        return message

    guard._Limited.__call__ = patched  # type: ignore[method-assign]


def wide_files() -> None:
    """Files with the modes that programs give them by themselves."""
    set_mask = os.umask
    set_mask(0o022)
    os.umask = lambda mask: 0o022


def slow_start() -> None:
    """Every waiting message is looked at one by one before the doors open."""
    start = Core.start

    async def patched(self: Any) -> int:
        waiting = await self.store.write(lambda tx: sum(len(queue.slots) for queue in tx.waiting()))
        for _ in range(waiting):
            await self.store.write(lambda tx: tx.suppression_count())
        return await start(self)

    Core.start = patched  # type: ignore[method-assign]


TWINS: dict[str, Callable[[], None]] = {
    plant.__name__.replace("_", "-"): plant
    for plant in (
        late_commit,
        blind_commit,
        sync_normal,
        naive_cap,
        unknown_again,
        follow_clock,
        no_lock,
        no_pause,
        no_suppression,
        no_idempotency,
        no_host_check,
        no_token_check,
        no_json_check,
        no_hang_up,
        hoard,
        wide_files,
        slow_start,
    )
}

if __name__ == "__main__":
    for name in sys.argv.pop(1).split(","):
        TWINS[name]()
    __main__.main()
