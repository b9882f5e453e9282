"""Whether a database has each change with its entry and no entry without its change.

Run as a program it is the changes, too: children that are killed before one statement after the
other, and what each of them left. `python -m tests.fakes.audit_compare FOLDER`.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mailplaned.domain.ids import SUPPRESSION, Id, show_id
from mailplaned.ports import Transaction
from mailplaned.services.pauses import lift_all, pause
from mailplaned.services.suppressions import suppress
from tests.fakes.audit_kit import DATABASE, Log, entry, opened, told, with_log
from tests.fakes.random_seeded import SeededRandom
from tests.fakes.store_kit import ANA

Acts = Counter[tuple[str, int, str]]
"""Kind, time and name of each change, and how often."""


def unpaired(folder: Path) -> tuple[Acts, Acts]:
    """Changes without their entries, and entries without their changes."""
    with _copy(folder) as connection:
        done, said = _done(connection), _said(connection)
    return done - said, said - done


def changes_in(folder: Path) -> Acts:
    """The changes that a database has."""
    with _copy(folder) as connection:
        return _done(connection)


@contextmanager
def _copy(folder: Path) -> Iterator[sqlite3.Connection]:
    """A copy of the database, log and all: the daemon's own is for nobody else to open."""
    with tempfile.TemporaryDirectory() as place:
        for path in folder.glob(f"{DATABASE}*"):
            shutil.copy(path, place)
        connection = sqlite3.connect(Path(place) / DATABASE)
        try:
            yield connection
        finally:
            connection.close()


def _done(connection: sqlite3.Connection) -> Acts:
    found: Acts = Counter()
    for kind, name, created, lifted in connection.execute(
        "SELECT s.kind, s.name, p.created_at, p.lifted_at FROM pauses AS p "
        "JOIN scopes AS s ON s.id = p.scope_id"
    ):
        target = f"{kind}:{name}" if name else kind
        found["pause", created, target] += 1
        if lifted is not None:
            found["resume", lifted, target] += 1
    for id_, created in connection.execute("SELECT id, created_at FROM suppressions"):
        found["suppress", created, show_id(SUPPRESSION, Id(id_))] += 1
    return found


def _said(connection: sqlite3.Connection) -> Acts:
    rows = connection.execute(
        "SELECT a.action, a.at, coalesce(a.target, json_extract(p.value, '$')) FROM audit AS a "
        "LEFT JOIN audit_personal AS p ON p.seq = a.seq AND p.field = 'target' "
        "WHERE a.action IN ('pause', 'resume', 'suppress')"
    )
    return Counter(tuple(row) for row in rows)


# --- killed before each statement ----------------------------------------------------------------


def _change(tx: Transaction) -> None:
    """Three changes in one transaction."""
    random = SeededRandom(3)
    pause(tx, kind="mailbox", name=ANA, workspace="acme", reason="r", actor="ana", until_us=None,
          random=random)  # fmt: skip
    suppress(tx, address="kim@there.example", workspace="acme", origin="operator", ground="asked",
             actor="ana", random=random)  # fmt: skip
    lift_all(tx, "mailbox", ANA, actor="ana", reason="r", acknowledge=False)


async def _until_killed(folder: Path, statement: int) -> None:
    """Make the changes and a checkpoint, and be killed before the N-th statement."""
    seen = 0

    def count(_: str) -> None:
        nonlocal seen
        seen += 1
        if seen == statement:
            os.kill(os.getpid(), signal.SIGKILL)

    async with opened(folder) as log:
        log.store._connections._connection.set_trace_callback(count)  # type: ignore[attr-defined]
        await log.store.write(_change)
        await log.audit.checkpoint()


def _child(folder: Path, statement: int) -> bool:
    """Whether the child was killed."""
    process = os.fork()
    if process == 0:
        asyncio.run(_until_killed(folder, statement))
        os._exit(0)
    _, status = os.waitpid(process, 0)
    return os.WIFSIGNALED(status)


async def _begun(log: Log) -> list[str]:
    await log.audit.begin()
    return log.audit.findings + [what for _, what in told(await log.check())]


async def _first(log: Log) -> None:
    await log.add(entry(1, None, action="start"))
    await log.audit.checkpoint()


def main(place: Path) -> None:
    """Print a JSON line for each kill: statement, killed, changes there, unpaired, findings."""
    made = place / "made"
    with_log(made, _first)
    statement = 0
    killed = True
    while killed:
        statement += 1
        folder = Path(shutil.copytree(made, place / str(statement)))
        killed = _child(folder, statement)
        alone, without = unpaired(folder)
        changes = changes_in(folder).total()
        findings = with_log(folder, _begun)
        print(json.dumps([statement, killed, changes, list(alone + without), findings]))
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
