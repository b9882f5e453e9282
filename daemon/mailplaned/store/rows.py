"""Rows to values and back. The only place that knows the order of columns."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from sys import intern
from typing import Any, cast

from mailplaned.domain.bindings import Demand
from mailplaned.domain.chain import ChainedEntry, Checkpoint
from mailplaned.domain.ids import Id
from mailplaned.domain.message import RecipientState, State
from mailplaned.domain.outcomes import Outcome
from mailplaned.domain.records import (
    Attempt,
    BookVersion,
    Event,
    KeptAnswer,
    Message,
    Origin,
    Pause,
    Recipient,
    ScopeKind,
    SealedSecret,
    Suppression,
    Token,
)
from mailplaned.domain.roles import Action, Scope
from mailplaned.store.sql import Q

Row = tuple[Any, ...]
Domains = tuple[tuple[str, int], ...]


class Scopes:
    """Row ids of scopes and their names, cached for one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._ids: dict[tuple[str, str], int] = {}
        self._names: dict[int, tuple[str, str]] = {}

    def forget(self) -> None:
        """Drop what may have been rolled back."""
        self._ids.clear()
        self._names.clear()

    def learn(self) -> None:
        """Look up all of them at once, for who will ask for most."""
        for id_, kind, name in self._connection.execute(Q["scopes"]):
            scope = (intern(kind), name)
            self._ids[scope] = id_
            self._names[id_] = scope

    def id(self, kind: str, name: str) -> int:
        """The row id of a scope; it is made when there is none. For the writer only."""
        found = self._ids.get((kind, name)) or self.find(kind, name)
        if found is None:
            found = self._connection.execute(Q["add_scope"], (kind, name)).lastrowid
            assert found is not None
            self._ids[kind, name] = found
            self._names[found] = (kind, name)
        return found

    def find(self, kind: str, name: str) -> int | None:
        """The row id of a scope, None when there is none."""
        found = self._ids.get((kind, name))
        if found is None:
            row = self._connection.execute(Q["scope_id"], (kind, name)).fetchone()
            if row is None:
                return None
            found = self._ids[kind, name] = int(row[0])
        return found

    def name(self, id_: int) -> str:
        """The name of a scope."""
        return self.kind_and_name(id_)[1]

    def kind_and_name(self, id_: int) -> tuple[str, str]:
        """Kind and name of a scope."""
        found = self._names.get(id_)
        if found is None:
            kind, name = self._connection.execute(Q["scope_name"], (id_,)).fetchone()
            found = self._names[id_] = (kind, name)
        return found


def demand(row: Row, scopes: Scopes) -> Demand:
    """A mailbox, a workload and a number of recipients, without their domains."""
    mailbox_id, workload, recipients = row
    return Demand(mailbox=scopes.name(mailbox_id), workload=workload, recipients=recipients)


def domains_text(domains: Domains) -> str:
    """Recipient domains with their counts as one column: `a.example:1 b.example:2`."""
    return " ".join(f"{name}:{count}" for name, count in domains)


def domains_of(text: str) -> Domains:
    """What `domains_text` wrote."""
    return tuple(
        (name, int(count)) for name, _, count in (item.rpartition(":") for item in text.split())
    )


def message(row: Row, scopes: Scopes) -> Message:
    """A row of `messages`."""
    return Message(
        id=Id(row[0]),
        workspace=scopes.name(row[1]),
        mailbox=scopes.name(row[2]),
        workload=row[3],
        path=row[4],
        state=State(row[5]),
        reason=row[6],
        slot_us=row[7],
        not_before_us=row[8],
        expires_us=row[9],
        created_us=row[10],
        updated_us=row[11],
        tries=row[12],
        recipients=row[13],
        domains=domains_of(row[14]),
        message_id=row[15],
        subject=row[16],
        size=row[17],
        utf8=bool(row[18]),
        metadata=row[19],
    )


def message_row(value: Message, scopes: Scopes) -> Row:
    """The columns of `messages`, in order."""
    return (
        value.id,
        scopes.id("workspace", value.workspace),
        scopes.id("mailbox", value.mailbox),
        value.workload,
        value.path,
        value.state,
        value.reason,
        value.slot_us,
        value.not_before_us,
        value.expires_us,
        value.created_us,
        value.updated_us,
        value.tries,
        value.recipients,
        domains_text(value.domains),
        value.message_id,
        value.subject,
        value.size,
        int(value.utf8),
        value.metadata,
    )


def recipient(row: Row) -> Recipient:
    """A row of the query `recipients`."""
    return Recipient(
        position=row[0],
        address=row[1],
        kind=row[2],
        state=RecipientState(row[3]),
        reply=row[4],
        updated_us=row[5],
    )


def attempt(row: Row, scopes: Scopes) -> Attempt:
    """A row of the query `attempts`."""
    return Attempt(
        number=row[0],
        mailbox=scopes.name(row[1]),
        account=scopes.name(row[2]),
        workload=row[3],
        begun_us=row[4],
        ended_us=row[5],
        outcome=Outcome(row[6]) if row[6] is not None else None,
        charged=bool(row[7]),
        recipients=row[8],
        domains=domains_of(row[9]),
        stage=row[10],
        reply=row[11],
        peer=row[12],
    )


def event(row: Row, scopes: Scopes) -> Event:
    """A row of `events`."""
    return Event(
        cursor=row[0],
        workspace=scopes.name(row[1]),
        seq=row[2],
        at_us=row[3],
        kind=row[4],
        mailbox=scopes.name(row[5]) if row[5] is not None else None,
        message=Id(row[6]) if row[6] is not None else None,
        recipient=row[7],
        detail=json.loads(row[8]),
    )


def audit_entry(row: Row, scopes: Scopes, values: Iterable[Row]) -> ChainedEntry:
    """A row of `audit` and its rows (field, salt, value) of `audit_personal`."""
    return ChainedEntry(
        seq=row[0],
        at_us=row[1],
        actor=row[2],
        action=row[3],
        workspace=scopes.name(row[4]) if row[4] is not None else None,
        target=row[5],
        detail=row[6],
        sealed=row[7],
        before=row[8],
        nonce=row[9],
        hash=row[10],
        personal={field: (salt, value) for field, salt, value in values},
    )


def audit_row(entry: ChainedEntry, hash_: bytes, scopes: Scopes) -> Row:
    """The columns of `audit`, in order."""
    return (
        entry.seq,
        entry.at_us,
        entry.actor,
        entry.action,
        scopes.id("workspace", entry.workspace) if entry.workspace is not None else None,
        entry.target,
        entry.detail,
        entry.sealed,
        entry.before,
        entry.nonce,
        hash_,
    )


def checkpoint(row: Row, origin: str) -> Checkpoint:
    """A row of `audit_checkpoints`."""
    nodes = row[4]
    return Checkpoint(
        origin=origin,
        size=row[0],
        at_us=row[1],
        root=row[2],
        head=row[3],
        frontier=tuple(nodes[at : at + 32] for at in range(0, len(nodes), 32)),
        key=row[5],
        signature=row[6],
    )


def checkpoint_row(value: Checkpoint) -> Row:
    """The columns of `audit_checkpoints`, in order."""
    return (
        value.size,
        value.at_us,
        value.root,
        value.head,
        b"".join(value.frontier),
        value.key,
        value.signature,
    )


def pause(row: Row, scopes: Scopes) -> Pause:
    """A row of `pauses`."""
    kind, name = scopes.kind_and_name(row[1])
    return Pause(
        id=Id(row[0]),
        kind=cast("ScopeKind", kind),
        name=name,
        workspace=scopes.name(row[2]) if row[2] is not None else None,
        reason=row[3],
        actor=row[4],
        origin=Origin(row[5]),
        created_us=row[6],
        until_us=row[7],
        lifted_us=row[8],
        lifted_by=row[9],
    )


def suppression(row: Row, scopes: Scopes) -> Suppression:
    """A row of `suppressions`."""
    return Suppression(
        id=Id(row[0]),
        address=row[1],
        workspace=scopes.name(row[2]) if row[2] is not None else None,
        origin=row[3],
        ground=row[4],
        actor=row[5],
        created_us=row[6],
    )


def token(row: Row) -> Token:
    """A row of the query `tokens`, without its hash."""
    return Token(
        id=Id(row[0]),
        name=row[1],
        workspace=row[2],
        scope=_scope(json.loads(row[3])),
        created_us=row[4],
        expires_us=row[5],
        used_us=row[6],
    )


def scope_text(scope: Scope) -> str:
    """A token's scope as it is kept."""
    limits = {
        "workloads": scope.workloads, "mailboxes": scope.mailboxes, "actions": scope.actions
    }  # fmt: skip
    return json.dumps({name: sorted(only) for name, only in limits.items() if only is not None})


def _scope(kept: dict[str, list[str]]) -> Scope:
    limits = {name: frozenset(only) for name, only in kept.items() if name != "actions"}
    actions = frozenset(map(Action, kept["actions"])) if "actions" in kept else None
    return Scope(**limits, actions=actions)


def book_version(row: Row) -> BookVersion:
    """Of the columns of the query `books`, but for its number."""
    hash_, applied_us, actor, changes = row
    return BookVersion(hash=hash_, applied_us=applied_us, actor=actor, changes=changes)


def secret(row: Row) -> SealedSecret:
    """A row of the query `secrets`."""
    return SealedSecret(
        name=row[0],
        workspace=row[1] or None,
        version=row[2],
        created_us=row[3],
        changed_us=row[4],
        expires_us=row[5],
        used_us=row[6],
        key_id=row[7],
        nonce=row[8],
        content=row[9],
    )


def kept_answer(row: Row) -> KeptAnswer:
    """A row of the query `kept_answer`."""
    return KeptAnswer(fingerprint=row[0], message=Id(row[1]), answer=row[2])
