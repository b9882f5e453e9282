"""Changes to the tables, over the one connection that writes."""

from __future__ import annotations

import sqlite3
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Final

import msgspec

from mailplaned.domain.governed_time import Anchor
from mailplaned.domain.ids import Id
from mailplaned.domain.loading import Charge, Queue, Sender
from mailplaned.domain.memory import Memory
from mailplaned.domain.message import RecipientState, State
from mailplaned.domain.outcomes import Outcome, Report
from mailplaned.domain.records import (
    BookVersion,
    Event,
    KeptAnswer,
    Message,
    Pause,
    Recipient,
    SealedSecret,
    SecretKey,
    Suppression,
    Token,
)
from mailplaned.ports import Effects, Random
from mailplaned.store import rows
from mailplaned.store.audit import AuditWriter
from mailplaned.store.pending import Pending
from mailplaned.store.reader import SqlReader
from mailplaned.store.sql import Q

_DOMAINS_KEPT: Final = 10_000
"""Texts of recipient domains that are remembered while the ledgers are read."""

_ROWS_AT_ONCE: Final = 4096

_as_json = msgspec.json.Encoder().encode


class SqlTransaction(SqlReader, AuditWriter):
    """`ports.Transaction` over the write connection."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        scopes: rows.Scopes,
        memory: Memory,
        now_us: int,
        random: Random,
    ) -> None:
        super().__init__(connection, scopes)
        self._random = random
        self._pending = Pending(connection)
        self.memory = memory
        self.now_us = now_us
        self.effects = Effects()

    @property
    def _db(self) -> sqlite3.Connection:
        """The connection, on which everything can be seen: what was added is in the tables now.

        `_connection` is for tables that nothing is added to by way of `_pending`.
        """
        self._pending.write()
        return self._connection

    def flush(self) -> None:
        """Write what is still pending. The last thing before a commit."""
        self._pending.write()

    # --- submissions ------------------------------------------------------------------------------

    def kept_answer(self, workspace: str, key: str) -> KeptAnswer | None:
        scope = self._scopes.find("workspace", workspace)  # a preflight asks, and writes nothing
        row = self._connection.execute(Q["kept_answer"], (scope, key)).fetchone()
        return rows.kept_answer(row) if row else None

    def keep_answer(self, workspace: str, key: str, answer: KeptAnswer, until_us: int) -> None:
        scope = self._scopes.id("workspace", workspace)
        self._connection.execute(
            Q["keep_answer"],
            (scope, key, answer.fingerprint, answer.message, answer.answer, until_us),
        )

    def forget_answers(self, before_us: int) -> None:
        self._db.execute(Q["forget_answers"], (before_us,))

    def add_message(self, message: Message, recipients: Sequence[Recipient], body: bytes) -> None:
        self._pending.add("add_message", rows.message_row(message, self._scopes))
        for r in recipients:
            self._pending.add(
                "add_recipient",
                (message.id, r.position, r.address, r.kind, r.state, r.reply, r.updated_us),
            )
        self._pending.add("add_body", (message.id, body))

    # --- the queue --------------------------------------------------------------------------------

    def body(self, message: Id) -> bytes | None:
        row = self._db.execute(Q["body"], (message,)).fetchone()
        return row[0] if row else None

    def due(self, mailbox: str, until_us: int, limit: int) -> list[Message]:
        return self._messages("due", self._scopes.id("mailbox", mailbox), until_us, limit)

    def waiting_in_order(self, mailbox: str, after: tuple[int, Id], limit: int) -> list[Message]:
        return self._messages(
            "waiting_in_order", self._scopes.id("mailbox", mailbox), *after, limit
        )

    def held(self, mailbox: str, after: Id, limit: int) -> list[Message]:
        return self._messages("held", self._scopes.id("mailbox", mailbox), after, limit)

    def overdue(self, limit: int) -> list[Message]:
        return self._messages("overdue", self.now_us, limit)

    def sending(self) -> list[Message]:
        return self._messages("sending")

    def move(
        self,
        message: Message,
        state: State,
        *,
        slot_us: int | None = None,
        reason: str | None = None,
        tries: int | None = None,
        demand: tuple[int, rows.Domains] | None = None,
    ) -> Message:
        recipients, domains = demand or (message.recipients, message.domains)
        moved = message._replace(
            state=state,
            slot_us=slot_us,
            reason=reason,
            tries=message.tries if tries is None else tries,
            recipients=recipients,
            domains=domains,
            updated_us=self.now_us,
        )
        changed = self._db.execute(
            Q["move"],
            (
                state,
                slot_us,
                reason,
                moved.tries,
                recipients,
                rows.domains_text(domains),
                self.now_us,
                message.id,
                message.state,
            ),
        ).rowcount
        assert changed == 1, f"message is no longer {message.state}"
        return moved

    def set_recipients(
        self, message: Id, changes: Iterable[tuple[int, RecipientState, str | None]]
    ) -> None:
        self._db.executemany(
            Q["set_recipient"],
            [(state, reply, self.now_us, message, position) for position, state, reply in changes],
        )

    # --- attempts ---------------------------------------------------------------------------------

    def begin_attempt(self, message: Message, account: str) -> None:
        self._pending.add(
            "begin_attempt",
            (
                message.id,
                message.tries,
                self._scopes.id("mailbox", message.mailbox),
                self._scopes.id("account", account),
                message.workload,
                self.now_us,
                message.recipients,
                rows.domains_text(message.domains),
            ),
        )

    def end_attempt(
        self,
        message: Id,
        number: int,
        ended_us: int,
        *,
        outcome: Outcome,
        charged: bool,
        report: Report,
    ) -> None:
        reply = report.reply
        words = f"{reply.code} {reply.text}" if reply.code else reply.text
        changed = self._db.execute(
            Q["end_attempt"],
            (
                ended_us,
                outcome,
                int(charged),
                report.stage,
                words,
                report.peer,
                message,
                number,
            ),
        ).rowcount
        assert changed == 1, "an attempt ended twice"

    def resolve_attempt(self, message: Id, number: int, *, outcome: Outcome, charged: bool) -> None:
        changed = self._db.execute(
            Q["resolve_attempt"], (outcome, int(charged), message, number)
        ).rowcount
        assert changed == 1, "the attempt is not unknown"

    # --- logs -------------------------------------------------------------------------------------

    def add_event(self, event: Event) -> None:
        self.memory.event_seq[event.workspace] += 1
        scope = self._scopes
        self._pending.add(
            "add_event",
            (
                scope.id("workspace", event.workspace),
                self.memory.event_seq[event.workspace],
                event.at_us,
                event.kind,
                scope.id("mailbox", event.mailbox) if event.mailbox else None,
                event.message,
                event.recipient,
                _as_json(event.detail).decode(),
            ),
        )

    # --- control ----------------------------------------------------------------------------------

    def add_pause(self, pause: Pause) -> None:
        workspace = pause.workspace
        self._db.execute(
            Q["add_pause"],
            (
                pause.id,
                self._scopes.id(pause.kind, pause.name),
                self._scopes.id("workspace", workspace) if workspace else None,
                pause.reason,
                pause.actor,
                pause.origin,
                pause.created_us,
                pause.until_us,
            ),
        )

    def lift_pause(self, pause: Pause, by: str, reason: str) -> None:
        changed = self._db.execute(Q["lift_pause"], (self.now_us, by, reason, pause.id)).rowcount
        assert changed == 1, "a pause was lifted twice"

    def add_suppression(self, suppression: Suppression) -> bool:
        workspace = suppression.workspace
        changed = self._db.execute(
            Q["add_suppression"],
            (
                suppression.id,
                suppression.address,
                self._scopes.id("workspace", workspace) if workspace else None,
                suppression.origin,
                suppression.ground,
                suppression.actor,
                suppression.created_us,
            ),
        ).rowcount
        return changed == 1

    def remove_suppression(self, id_: Id) -> None:
        self._db.execute(Q["remove_suppression"], (id_,))

    def add_book(self, version: BookVersion, content: bytes) -> None:
        self._connection.execute(Q["forget_book_content"])
        self._connection.execute(
            Q["add_book"],
            (version.hash, version.applied_us, version.actor, version.changes, content),
        )

    def put_secret(self, secret: SealedSecret) -> None:
        self._db.execute(
            Q["put_secret"],
            (
                secret.name,
                secret.workspace or "",
                secret.version,
                secret.created_us,
                secret.changed_us,
                secret.expires_us,
                secret.used_us,
                secret.key_id,
                secret.nonce,
                secret.content,
            ),
        )

    def remove_secret(self, key: SecretKey) -> None:
        name, workspace = key
        self._db.execute(Q["remove_secret"], (name, workspace or ""))

    def note_uses(self, secrets: Mapping[SecretKey, int], tokens: Mapping[Id, int]) -> None:
        used = [(at_us, name, workspace or "") for (name, workspace), at_us in secrets.items()]
        self._db.executemany(Q["note_secret_use"], used)
        self._db.executemany(Q["note_token_use"], [(at_us, id_) for id_, at_us in tokens.items()])

    def add_token(self, token: Token, hash_: bytes) -> None:
        self._db.execute(
            Q["add_token"],
            (
                token.id,
                hash_,
                token.name,
                token.workspace,
                rows.scope_text(token.scope),
                token.created_us,
                token.expires_us,
            ),
        )

    def expire_token(self, id_: Id, at_us: int) -> None:
        self._db.execute(Q["expire_token"], (at_us, id_))

    def revoke_token(self, id_: Id) -> None:
        self._db.execute(Q["revoke_token"], (self.now_us, id_))

    # --- what memory is rebuilt from --------------------------------------------------------------

    def anchor(self) -> Anchor | None:
        row = self._db.execute(Q["anchor"]).fetchone()
        return Anchor(governed_us=row[0], boot_us=row[1], boot_id=row[2]) if row else None

    def charges(self, since_us: int) -> Iterator[Charge]:
        domains_of = lru_cache(_DOMAINS_KEPT)(rows.domains_of)
        senders: dict[rows.Row, Sender] = {}
        self._scopes.learn()
        under_way = self._db.execute(Q["charges_under_way"])
        ended = self._db.execute(Q["charges"], (since_us,))
        for row in chain(under_way, ended):
            alike = row[:4]
            sender = senders.get(alike)
            if sender is None:
                demand = rows.demand(alike[1:], self._scopes)
                sender = senders[alike] = Sender(demand, self._scopes.name(alike[0]))
            yield sender, domains_of(row[4]), row[5], bool(row[6])

    def waiting(self) -> Iterator[Queue]:
        domains_of = lru_cache(_DOMAINS_KEPT)(rows.domains_of)
        self._scopes.learn()
        found = self._db.execute(Q["waiting"])
        while some := found.fetchmany(_ROWS_AT_ONCE):
            queues: dict[rows.Row, list[rows.Row]] = defaultdict(list)
            for row in some:
                queues[row[:3]].append(row)
            for alike, queue in queues.items():
                *_, domains, slots = zip(*queue, strict=True)
                demand = rows.demand(alike, self._scopes)
                yield Queue(demand, map(domains_of, domains), array("q", slots))

    def held_counts(self) -> dict[str, int]:
        found = self._db.execute(Q["held_counts"])
        return {self._scopes.name(mailbox): count for mailbox, count in found}

    def bounces(self, since_us: int) -> Iterator[tuple[str, int]]:
        for mailbox, at_us in self._db.execute(Q["bounces"], (since_us,)):
            yield self._scopes.name(mailbox), at_us

    def event_ends(self) -> dict[str, int]:
        found = self._db.execute(Q["event_ends"])
        return {self._scopes.name(workspace): seq or 0 for workspace, seq in found}

    def suppression_count(self) -> int:
        (count,) = self._db.execute(Q["suppression_count"]).fetchone()
        return int(count)

    def _messages(self, query: str, *values: object) -> list[Message]:
        return [rows.message(row, self._scopes) for row in self._db.execute(Q[query], values)]
