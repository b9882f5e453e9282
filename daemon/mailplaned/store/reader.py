"""Questions to the tables, over one SQLite connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from mailplaned.domain.ids import Id
from mailplaned.domain.message import WAITING, State
from mailplaned.domain.records import (
    Attempt,
    BookVersion,
    Event,
    Message,
    Pause,
    Recipient,
    SealedSecret,
    Suppression,
    Token,
)
from mailplaned.ports import MessageFilter
from mailplaned.services.addresses import suppression_key
from mailplaned.store import rows
from mailplaned.store.audit import AuditReader, log
from mailplaned.store.sql import Q

_LAST: Final = 2**63 - 1


class SqlReader(AuditReader):
    """`ports.Reader` over a connection."""

    def __init__(self, connection: sqlite3.Connection, scopes: rows.Scopes) -> None:
        self._connection = connection
        self._scopes = scopes

    @property
    def _db(self) -> sqlite3.Connection:
        """The connection, on which everything can be seen."""
        return self._connection

    def message(self, id_: Id) -> Message | None:
        row = self._db.execute(Q["message"], (id_,)).fetchone()
        return rows.message(row, self._scopes) if row else None

    def messages(self, wanted: MessageFilter) -> list[Message]:
        where: list[str] = ["m.id > ?"]
        values: list[object] = [wanted.after or b""]
        table = "messages AS m"
        for kind, name in (("workspace", wanted.workspace), ("mailbox", wanted.mailbox)):
            if name is not None:
                where.append(f"m.{kind}_id = ?")
                values.append(self._scopes.find(kind, name) or 0)
        if wanted.recipient is not None:
            table += " JOIN recipients AS r ON r.message_id = m.id"
            where.append("r.address = ?")
            values.append(wanted.recipient)
        if wanted.state is not None:
            paused = [self._scopes.find("mailbox", name) or 0 for name in wanted.paused]
            marks = ",".join("?" * len(paused))
            if wanted.state == State.HELD:
                where.append(
                    f"(m.state = 'held' OR m.slot_at IS NOT NULL AND m.mailbox_id IN ({marks}))"
                )
                values += paused
            else:
                where.append("m.state = ?")
                values.append(wanted.state)
                if wanted.state in WAITING:
                    where.append(f"m.mailbox_id NOT IN ({marks})")
                    values += paused
        values.append(wanted.limit)
        # Every part of this text is one of the constants above; all values are bound.
        sql = f"SELECT DISTINCT m.* FROM {table} WHERE {' AND '.join(where)} ORDER BY m.id LIMIT ?"  # noqa: S608
        return [rows.message(row, self._scopes) for row in self._db.execute(sql, values)]

    def recipients(self, message: Id) -> list[Recipient]:
        return [rows.recipient(row) for row in self._db.execute(Q["recipients"], (message,))]

    def attempts(self, message: Id) -> list[Attempt]:
        found = self._db.execute(Q["attempts"], (message,))
        return [rows.attempt(row, self._scopes) for row in found]

    def events_of(self, message: Id) -> list[Event]:
        found = self._db.execute(Q["events_of"], (message,))
        return [rows.event(row, self._scopes) for row in found]

    def events(self, workspace: str | None, after: int | None, limit: int) -> list[Event]:
        found = log(self._db, self._scopes, "events", workspace, after, limit)
        return [rows.event(row, self._scopes) for row in found]

    def log_ends(self) -> tuple[int, int]:
        (event,) = self._db.execute(Q["last_event"]).fetchone()
        return event or 0, self.last_audit()

    def pause(self, id_: Id) -> Pause | None:
        row = self._db.execute(Q["pause"], (id_,)).fetchone()
        return rows.pause(row, self._scopes) if row else None

    def pauses(self, *, lifted: bool) -> list[Pause]:
        found = self._db.execute(Q["all_pauses" if lifted else "active_pauses"])
        return [rows.pause(row, self._scopes) for row in found]

    def suppressed(self, workspace: str, addresses: Sequence[str]) -> list[Suppression]:
        scope = self._scopes.find("workspace", workspace)
        found = []
        for address in addresses:
            whole = suppression_key(address)
            domain = whole[whole.rfind("@") :]
            asked = (whole, scope, domain, scope)
            hits = self._connection.execute(Q["suppressed"], asked)
            found += [rows.suppression(hit, self._scopes) for hit in hits]
        return found

    def suppressions(
        self, workspace: str | None, after: Id | None, limit: int
    ) -> list[Suppression]:
        if workspace is None:
            found = self._db.execute(Q["suppressions"], (after or b"", limit))
        else:
            scope = self._scopes.find("workspace", workspace)
            found = self._db.execute(Q["suppressions_in_workspace"], (after or b"", scope, limit))
        return [rows.suppression(row, self._scopes) for row in found]

    def suppression(self, id_: Id) -> Suppression | None:
        row = self._db.execute(Q["suppression"], (id_,)).fetchone()
        return rows.suppression(row, self._scopes) if row else None

    def sending_to(self, workspace: str | None, address: str) -> list[Id]:
        query = "sending_to_domain" if address.startswith("@") else "sending_to_address"
        found = [Id(row[0]) for row in self._db.execute(Q[query], (address,))]
        if workspace is None:
            return found
        messages = ((id_, self.message(id_)) for id_ in found)
        return [id_ for id_, message in messages if message and message.workspace == workspace]

    def secrets(self) -> list[SealedSecret]:
        return [rows.secret(row) for row in self._db.execute(Q["secrets"])]

    def books(self, before: int | None, limit: int) -> list[tuple[int, BookVersion]]:
        found = self._db.execute(Q["books"], (_LAST if before is None else before, limit))
        return [(row[0], rows.book_version(row[1:])) for row in found]

    def book_content(self) -> tuple[str, bytes] | None:
        found: tuple[str, bytes] | None = self._db.execute(Q["book_content"]).fetchone()
        return found

    def tokens(self) -> list[Token]:
        return list(self.token_hashes().values())

    def token_hashes(self) -> dict[bytes, Token]:
        return {row[0]: rows.token(row[1:]) for row in self._db.execute(Q["tokens"])}
