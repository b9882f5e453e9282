"""The audit log's upkeep: checkpoints signed and kept outside, redaction, retention."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, Final

import structlog

from mailplaned.audit_ports import Notary, NotKept
from mailplaned.domain.chain import Checkpoint
from mailplaned.domain.policy import Policy
from mailplaned.domain.records import AuditEntry
from mailplaned.domain.windows import HOUR_US
from mailplaned.ports import Clock, Effects, Reader, Store, StoreFault, Transaction

EVERY: Final = 1000
"""So many new entries get a checkpoint at once; fewer get one within the hour."""

_CHUNK: Final = 2000
_log = structlog.get_logger("audit")


class AuditLog:
    """Looks after the log: `begin` once, then `run` until `stop`."""

    def __init__(self, store: Store, notary: Notary, clock: Clock) -> None:
        self._store = store
        self._notary = notary
        self._clock = clock
        self._wake = asyncio.Event()
        self._stopping = False
        self._new = 0
        self._lock = asyncio.Lock()
        self.findings: list[str] = []
        """What was amiss at the start, and is for a person to look at."""
        self.problem: str | None = None
        """Why checkpoints could not be kept outside the last time."""

    @property
    def key(self) -> str:
        """The public key that signs."""
        return self._notary.key

    def sign(self, content: bytes) -> bytes:
        """A signature of an export."""
        return self._notary.sign(content)

    def note_commit(self, effects: Effects) -> None:
        """A commit is durable: count the entries in it."""
        self._new += effects.audited
        if self._new >= EVERY:
            self._wake.set()

    def stop(self) -> None:
        """End `run`."""
        self._stopping = True
        self._wake.set()

    async def begin(self) -> None:
        """Take up the log where it was signed last, and note what is amiss in it."""
        change = partial(_take_up, notary=self._notary)
        self.findings, behind = await self._store.write(change)
        for words in self.findings:
            _log.error("audit log amiss", action="audit", what=words)
        if self.findings or behind:
            await self._sign()

    async def run(self) -> None:
        """Sign what is new and drop what is old, every hour at least; at the end sign the rest."""
        while not self._stopping:
            await self._clock.wait_us(self._wake, HOUR_US)
            self._wake.clear()
            await self._sign()
            await self._drop()
        await self._sign()

    async def checkpoint(self) -> Checkpoint | None:
        """The newest checkpoint, which covers all that is committed; None of an empty log.

        Raises StoreFault.
        """
        async with self._lock:
            self._new = 0
            made = await self._store.write(partial(sign, notary=self._notary))
            await self._keep()
            return made

    async def checkpoints(self) -> tuple[list[Checkpoint], list[str]]:
        """Those of the table, and the lines of the file outside, at one moment."""
        async with self._lock:
            found: list[Checkpoint] = []
            while page := await self._page(found[-1].size if found else 0):
                found += page
            return found, await self._notary.lines()

    async def redact(self, address: str, workspace: str | None, actor: str, reason: str) -> int:
        """Take every value with this address in it out of the log; how many there were."""
        found: list[tuple[int, str]] = []
        last = await self._store.read(lambda reader: reader.last_audit())
        for first in range(1, last + 1, _CHUNK):
            until = min(first + _CHUNK - 1, last)
            values = await self._store.read(
                partial(_values, address=address, first=first, last=until)
            )
            found += _in_workspace(values, workspace)

        def change(tx: Transaction) -> int:
            later = tx.audit_values(address, last + 1, tx.last_audit())
            count = tx.redact_audit([*found, *_in_workspace(later, workspace)])
            if count:
                _note(tx, "audit redacted", actor, workspace, values=count, reason=reason)
            return count

        return await self._store.write(change)

    async def _sign(self) -> None:
        try:
            await self.checkpoint()
        except StoreFault as fault:
            _log.error("no checkpoint", action="audit", why=str(fault))

    async def _keep(self) -> None:
        """Have the file outside follow the table."""
        try:
            while page := await self._page(self._notary.kept):
                await self._notary.keep(page)
            self.problem = None
        except NotKept as fault:
            self.problem = f"checkpoints of the audit log are not kept outside: {fault}"
            _log.error("checkpoint not kept", action="audit", why=str(fault))

    async def _page(self, after: int) -> list[Checkpoint]:
        return await self._store.read(lambda reader: reader.checkpoints(after, _CHUNK))

    async def _drop(self) -> None:
        try:
            await self._store.write(give_up)
            while await self._store.write(lambda tx: tx.prune_audit(_CHUNK)):
                pass
        except StoreFault as fault:
            _log.error("retention failed", action="audit", why=str(fault))


def sign(tx: Transaction, notary: Notary) -> Checkpoint | None:
    """The newest checkpoint; it is made when there are entries behind the last one."""
    chain = tx.memory.chain
    if chain.size == chain.signed:
        return tx.checkpoint(chain.size)
    made = chain.checkpoint(tx.now_us, notary.key, notary.sign)
    tx.add_checkpoint(made)
    return made


def give_up(tx: Transaction) -> None:
    """Give up the entries that are older than the book wants them kept, as far as they are signed.

    There is one log for all workspaces: the one that keeps its audit longest decides, and one that
    says nothing keeps it for ever.
    """
    keep_us = kept_us(tx.memory.policy)
    if keep_us is None:
        return
    _, dropped = tx.audit_log()
    behind = tx.last_checkpoint_until(tx.now_us - keep_us)
    if behind is None or behind.size <= dropped:
        return
    tx.drop_audit(behind.size)
    _note(tx, "audit dropped", "mailplane", None, first=dropped + 1, last=behind.size)


def kept_us(policy: Policy) -> int | None:
    """How long the log is kept under a book; None: for ever."""
    wanted = [workspace.keep_audit_us for workspace in policy.workspaces.values()]
    return max((us for us in wanted if us is not None), default=None) if all(wanted) else None


def _take_up(tx: Transaction, notary: Notary) -> tuple[list[str], bool]:
    """Continue from the newest checkpoint, in the table or outside.

    Returns what is amiss, in words, and whether the file outside lacks something.

    Numbers that a checkpoint has signed are never given again: if entries are gone, the log goes on
    behind them, and says so in an entry of its own.
    """
    chain = tx.memory.chain
    found = []
    inside = tx.last_checkpoint()
    outside = notary.newest(chain.origin)
    if outside is not None and outside.size > (inside.size if inside else 0):
        tx.add_checkpoint(outside)
        if outside.size > chain.size:
            chain.gap = outside.size - max(tx.last_audit(), tx.audit_log()[1])
            chain.take_up(outside)
        inside = outside
    if chain.gap:
        first, last = chain.size - chain.gap + 1, chain.size
        _note(tx, "audit gap", "mailplane", None, first=first, last=last)
        found.append(
            f"entries {first} to {last} of the audit log are missing, though they were signed: "
            "they were removed, or the database was put back to an earlier state"
        )
    if inside is None:
        return found, False
    if inside.key != notary.key:
        _note(tx, "audit key changed", "mailplane", None, old=inside.key, new=notary.key)
        found.append(
            "audit.key is another one than signed the last checkpoint: if nobody changed it on "
            f"purpose, the log can't be trusted from entry {inside.size + 1} on; put the old one "
            "back, then restart the daemon"
        )
    missing = len(tx.checkpoints(notary.kept, _CHUNK))
    if missing > 1:  # one may have been on its way when the daemon ended
        _note(tx, "audit file written anew", "mailplane", None, checkpoints=missing)
        found.append(
            f"the file with the audit log's checkpoints lacked {missing} of them; it was cut or "
            "could not be written"
        )
    return found, missing > 0


def _values(
    reader: Reader, address: str, first: int, last: int
) -> list[tuple[int, str, str | None]]:
    return reader.audit_values(address, first, last)


def _in_workspace(
    values: list[tuple[int, str, str | None]], workspace: str | None
) -> list[tuple[int, str]]:
    return [(seq, field) for seq, field, of in values if workspace in (None, of)]


def _note(tx: Transaction, action: str, actor: str, workspace: str | None, **detail: Any) -> None:
    tx.add_audit(
        AuditEntry(
            at_us=tx.now_us,
            actor=actor,
            action=action,
            workspace=workspace,
            target="audit",
            detail=detail,
        )
    )
