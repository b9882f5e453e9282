"""The tables of the audit log. Rows are only ever added; triggers refuse everything else."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from typing import Final, Literal

from mailplane_wire.audit.chain import BLOCK
from mailplaned.audit_ports import AuditFilter
from mailplaned.domain.chain import Chain, ChainedEntry, Checkpoint, sealed
from mailplaned.domain.memory import Memory
from mailplaned.domain.records import AuditEntry
from mailplaned.ports import Effects, Random
from mailplaned.store import rows
from mailplaned.store.pending import Pending
from mailplaned.store.sql import Q

SCAN: Final = 20_000
"""How many entries one search looks at: a read is not to last."""

_LOST: Final = bytes(32)
"""What stands in for an entry that is not in the table."""

_TARGET: Final = """instr(lower(coalesce(target, (SELECT value FROM audit_personal AS p
  WHERE p.seq = audit.seq AND p.field = 'target'))), lower(?))"""


def log(
    connection: sqlite3.Connection,
    scopes: rows.Scopes,
    name: Literal["events", "audit"],
    workspace: str | None,
    after: int | None,
    limit: int,
) -> list[rows.Row]:
    """Rows of a log after a number, or its newest, in order."""
    values = [limit] if after is None else [after, limit]
    query = f"{name}_newest" if after is None else f"{name}_after"
    if workspace is not None:
        query += "_in_workspace"
        values.insert(-1, scopes.find("workspace", workspace) or 0)
    found = connection.execute(Q[query], values).fetchall()
    return found if after is not None else found[::-1]


class AuditReader:
    """The part of `ports.Reader` that is about the audit log."""

    _scopes: rows.Scopes

    @property
    def _db(self) -> sqlite3.Connection:
        """The connection, once what was added can be seen on it."""
        raise NotImplementedError

    def audit(self, workspace: str | None, after: int | None, limit: int) -> list[AuditEntry]:
        return self._shown(log(self._db, self._scopes, "audit", workspace, after, limit))

    def search_audit(self, wanted: AuditFilter) -> tuple[list[AuditEntry], int | None]:
        until = wanted.after + SCAN
        where = ["seq > ?", "seq <= ?"]
        values: list[object] = [wanted.after, until]
        for condition, value in (
            ("actor = ?", wanted.actor),
            ("at >= ?", wanted.since_us),
            ("at < ?", wanted.until_us),
        ):
            if value is not None:
                where.append(condition)
                values.append(value)
        if wanted.actions is not None:
            where.append("action IN (SELECT value FROM json_each(?))")
            values.append(json.dumps(sorted(wanted.actions)))
        if wanted.workspace is not None:
            where.append("workspace_id = ?")
            values.append(self._scopes.find("workspace", wanted.workspace) or 0)
        if wanted.target is not None:
            where.append(_TARGET)
            values.append(wanted.target)
        values.append(wanted.limit)
        # Every part of this text is one of the constants above; all values are bound.
        sql = f"SELECT * FROM audit WHERE {' AND '.join(where)} ORDER BY seq LIMIT ?"  # noqa: S608
        found = self._shown(self._db.execute(sql, values).fetchall())
        if len(found) == wanted.limit:
            return found, found[-1].seq
        return found, until if until < self.last_audit() else None

    def last_audit(self) -> int:
        (last,) = self._db.execute(Q["last_audit"]).fetchone()
        return last or 0

    def audit_span(self, first: int, last: int) -> list[ChainedEntry]:
        values: dict[int, list[rows.Row]] = {}
        for seq, *value in self._db.execute(Q["audit_values"], (first, last)):
            values.setdefault(seq, []).append(tuple(value))
        found = self._db.execute(Q["audit_span"], (first, last))
        return [rows.audit_entry(row, self._scopes, values.get(row[0], ())) for row in found]

    def next_audit(self, workspace: str, after: int) -> int | None:
        scope = self._scopes.find("workspace", workspace)
        (found,) = self._db.execute(Q["next_audit_in_workspace"], (scope, after)).fetchone()
        return None if found is None else int(found)

    def audit_count(self, workspace: str, until: int) -> tuple[int, int]:
        scope = self._scopes.find("workspace", workspace)
        count, last = self._db.execute(Q["audit_count_in_workspace"], (scope, until)).fetchone()
        return count, last or 0

    def audit_blocks(self, count: int) -> dict[int, bytes]:
        return dict(self._db.execute(Q["audit_blocks"], (count,)))

    def audit_values(self, text: str, first: int, last: int) -> list[tuple[int, str, str | None]]:
        found = self._db.execute(Q["find_audit_values"], (first, last, text))
        return [
            (seq, field, None if scope is None else self._scopes.name(scope))
            for seq, field, scope in found
        ]

    def audit_log(self) -> tuple[str, int]:
        origin, dropped = self._db.execute(Q["audit_log"]).fetchone()
        return origin, dropped

    def checkpoints(self, after: int, limit: int) -> list[Checkpoint]:
        return self._checkpoints("checkpoints", after, limit)

    def checkpoint(self, size: int) -> Checkpoint | None:
        return next(iter(self._checkpoints("checkpoint", size)), None)

    def last_checkpoint(self) -> Checkpoint | None:
        return next(iter(self._checkpoints("last_checkpoint")), None)

    def _checkpoints(self, query: str, *values: int) -> list[Checkpoint]:
        origin, _ = self.audit_log()
        return [rows.checkpoint(row, origin) for row in self._db.execute(Q[query], values)]

    def _shown(self, found: Iterable[rows.Row]) -> list[AuditEntry]:
        entries = []
        for row in found:
            values = self._db.execute(Q["audit_values"], (row[0], row[0]))
            entry = rows.audit_entry(row, self._scopes, (value[1:] for value in values))
            entries.append(entry.shown())
        return entries


class AuditWriter(AuditReader):
    """The part of `ports.Transaction` that is about the audit log."""

    memory: Memory
    effects: Effects
    _random: Random
    _pending: Pending

    def add_audit(self, entry: AuditEntry) -> None:
        chain = self.memory.chain
        made = sealed(entry, chain, self._random.bits)
        block = chain.add(made.leaf())
        chain.last[made.workspace] = made.seq
        self.effects.audited += 1
        self._pending.add("add_audit", rows.audit_row(made, chain.head, self._scopes))
        for field, (salt, value) in made.personal.items():
            self._pending.add("add_audit_value", (made.seq, field, salt, value))
        if block is not None:
            self._pending.add("add_audit_block", (made.seq // BLOCK - 1, block))

    def add_checkpoint(self, checkpoint: Checkpoint) -> None:
        self._db.execute(Q["add_checkpoint"], rows.checkpoint_row(checkpoint))

    def redact_audit(self, values: Iterable[tuple[int, str]]) -> int:
        return self._db.executemany(Q["redact_audit_value"], values).rowcount

    def last_checkpoint_until(self, at_us: int) -> Checkpoint | None:
        return next(iter(self._checkpoints("last_checkpoint_until", at_us)), None)

    def drop_audit(self, size: int) -> None:
        self._db.execute(Q["drop_audit"], (size,))

    def prune_audit(self, limit: int) -> bool:
        _, dropped = self.audit_log()
        (first,) = self._db.execute(Q["first_audit"]).fetchone()
        if first is None or first > dropped:
            return False
        until = min(first + limit - 1, dropped)
        self._db.execute(Q["prune_audit_values"], (until,))
        self._db.execute(Q["prune_audit"], (until,))
        return bool(until < dropped)

    def chain(self) -> Chain:
        origin, dropped = self.audit_log()
        there = max(self.last_audit(), dropped)
        chain = Chain(origin=origin)
        signed = self.last_checkpoint()
        if signed is not None:
            chain.take_up(signed)
            chain.gap = max(0, signed.size - there)
        while chain.size < there:
            self._continue(chain, there)
        for scope, seq in self._db.execute(Q["audit_ends"]):
            chain.last[self._scopes.name(scope)] = seq or 0
        (seq,) = self._db.execute(Q["last_audit_of_none"]).fetchone()
        chain.last[None] = seq or 0
        return chain

    def _continue(self, chain: Chain, last: int) -> None:
        """Add entries of the table to the chain, a part at a time; each has its hash already."""
        until = min(chain.size + BLOCK, last)
        found = {entry.seq: entry for entry in self.audit_span(chain.size + 1, until)}
        for seq in range(chain.size + 1, until + 1):
            entry = found.get(seq)
            chain.add(_LOST if entry is None else entry.leaf())
            chain.head = _LOST if entry is None else entry.hash
