"""An audit log on a disk, without a daemon: made, exported through the door's code, verified."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar, cast

from starlette.requests import Request
from starlette.responses import StreamingResponse

from mailplane_wire.audit.report import Report
from mailplane_wire.audit.verify import verify
from mailplaned.domain.policy import Policy
from mailplaned.domain.records import AuditEntry
from mailplaned.domain.roles import Caller, Role
from mailplaned.doors.http import audit_export
from mailplaned.doors.http.context import Context
from mailplaned.services.audit import AuditLog
from mailplaned.services.recovery import rebuild
from mailplaned.store.database import prepare
from mailplaned.store.store import SqliteStore
from mailplaned.vault.notary import FileNotary
from tests.fakes.clock import ManualClock
from tests.fakes.random_seeded import SeededRandom
from tests.fakes.store_inline import InlineConnections
from tests.fakes.store_kit import small_book

T = TypeVar("T")

OWNER = Caller(name="owner", role=Role.OWNER)
DATABASE = "mailplane.db"

WORKSPACES = ("acme", "bolt", None)
ENTRIES = 60
EVERY = 20


def entry(number: int, workspace: str | None, **changes: Any) -> AuditEntry:
    """A change, told apart from the others by its number."""
    values: dict[str, Any] = {
        "at_us": 1_772_323_200_000_000 + number,
        "actor": "ana",
        "action": ("pause", "resume", "suppress")[number % 3],
        "workspace": workspace,
        "target": f"mailbox:box{number}@acme.example"
        if number % 2
        else f"domain:d{number}.example",
        "detail": {"reason": f"for {number}", "origin": "operator", "until_us": number},
    }
    return AuditEntry(**values | changes)


@dataclass(slots=True)
class Log:
    """A log at work. Nothing runs by itself."""

    folder: Path
    store: SqliteStore
    audit: AuditLog
    clock: ManualClock

    async def add(self, *entries: AuditEntry) -> None:
        """Entries, each in a transaction of its own."""
        for each in entries:
            await self.store.write(lambda tx, each=each: tx.add_audit(each))  # type: ignore[misc]

    async def export(self, workspace: str | None = None, caller: Caller = OWNER) -> list[bytes]:
        """The lines of an export."""
        query = f"workspace={workspace}" if workspace else ""
        answer = await audit_export.export(self._request(caller, query), self._context())
        assert isinstance(answer, StreamingResponse)
        parts = [cast("bytes", part) async for part in answer.body_iterator]
        return b"".join(parts).splitlines()

    async def prove(self, seq: int, caller: Caller = OWNER) -> list[bytes]:
        """The lines that prove one entry."""
        request = self._request(caller, "", seq=str(seq))
        answer = await audit_export.prove(request, self._context())
        return bytes(answer.body).splitlines()

    async def check(self, workspace: str | None = None) -> Report:
        """What the verifier finds, believing the key of this log."""
        return verify(await self.export(workspace), [self.audit.key])

    def _context(self) -> Context:
        kept = SimpleNamespace(store=self.store, audit=self.audit, stopping=asyncio.Event())
        return cast("Context", kept)

    def _request(self, caller: Caller, query: str, **path: str) -> Request:
        return Request(
            {
                "type": "http",
                "method": "GET",
                "path": "/",
                "headers": [],
                "query_string": query.encode(),
                "path_params": path,
                "state": {"caller": caller},
            }
        )


@asynccontextmanager
async def opened(
    folder: Path, policy: Policy | None = None, clock: ManualClock | None = None
) -> AsyncIterator[Log]:
    """The log in a folder that there is; an empty one gets a new log."""
    connection = sqlite3.connect(folder / DATABASE, isolation_level=None)
    clock = clock or ManualClock()
    try:
        prepare(connection, path=None)
        store = SqliteStore(InlineConnections(connection), clock, rebuild, SeededRandom(5))
        await store.start(policy or small_book())
        notary = FileNotary(folder, bytes(range(32)))
        writer = asyncio.create_task(store.run())
        try:
            yield Log(folder, store, AuditLog(store, notary, clock), clock)
        finally:
            store.stop()
            await writer
    finally:
        connection.close()


def with_log(folder: Path, scene: Callable[[Log], Awaitable[T]], **about: Any) -> T:
    """Run a scene with the log of a folder."""
    folder.mkdir(parents=True, exist_ok=True)

    async def whole() -> T:
        async with opened(folder, **about) as log:
            return await scene(log)

    return asyncio.run(whole())


def make_log(folder: Path, entries: int = ENTRIES, every: int = EVERY) -> Path:
    """A log of so many entries, of each of the workspaces in turn, signed every so many."""

    async def scene(log: Log) -> None:
        for number in range(1, entries + 1):
            await log.add(entry(number, WORKSPACES[number % len(WORKSPACES)]))
            if number % every == 0:
                log.clock.advance(1_000_000)
                assert await log.audit.checkpoint()

    with_log(folder, scene)
    return folder


def told(report: Report) -> list[tuple[int | None, str]]:
    """What a verification found, in its order."""
    return [(finding.entry, finding.what) for finding in report.findings]


def copied(source: Path, target: Path) -> Path:
    """A copy of a folder, for somebody to meddle with."""
    return Path(shutil.copytree(source, target))


def meddle(folder: Path, *statements: str | tuple[str, tuple[Any, ...]]) -> None:
    """Run SQL on a database as one who can write the file does: no trigger stops them."""
    with_database(folder, lambda connection: _run(connection, statements))


def with_database(folder: Path, change: Callable[[sqlite3.Connection], T]) -> T:
    """Change the database of a folder without triggers."""
    connection = sqlite3.connect(folder / DATABASE, isolation_level=None)
    try:
        rules = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'")
        for (name,) in rules.fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        return change(connection)
    finally:
        connection.close()


def _run(
    connection: sqlite3.Connection, statements: tuple[str | tuple[str, tuple[Any, ...]], ...]
) -> None:
    for statement in statements:
        text, values = (statement, ()) if isinstance(statement, str) else statement
        connection.execute(text, values)
