"""What comes due by itself: the end of a message's life, of a pause; and new slots."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import partial

import structlog

from mailplaned.domain.message import State
from mailplaned.domain.policy import Policy
from mailplaned.domain.records import AuditEntry, Pause
from mailplaned.domain.windows import HOUR_US, SECOND_US
from mailplaned.ports import Clock, Store, StoreFault, Transaction
from mailplaned.services.pauses import Replan, due_to_end, replan
from mailplaned.services.recovery import adopt
from mailplaned.services.settling import end

_CHUNK = 500
_log = structlog.get_logger("upkeep")


class Upkeep:
    """Runs once a second and whenever something asks for new slots."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._wake = asyncio.Event()
        self._replans: dict[str, str] = {}
        self._stopping = False
        self.last_run_us = 0
        """Boot time of the last full round; the watchdog looks at it."""

    def ask(self, mailboxes: Iterable[str], cause: str) -> None:
        """Give the waiting messages of these mailboxes new slots, soon."""
        self._replans.update(dict.fromkeys(mailboxes, cause))
        self._wake.set()

    def stop(self) -> None:
        """End `run` after its present round."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Keep house until `stop`."""
        forgotten_us = 0
        while not self._stopping:
            try:
                await self._round()
                if self._clock.boot_us() - forgotten_us > HOUR_US:
                    await self._store.write(lambda tx: tx.forget_answers(tx.now_us))
                    forgotten_us = self._clock.boot_us()
            except StoreFault as fault:
                _log.error("upkeep failed", action="upkeep", why=str(fault))
            self.last_run_us = self._clock.boot_us()
            await self._clock.wait_us(self._wake, SECOND_US)
            self._wake.clear()

    async def _round(self) -> None:
        for pause in await self._store.write(due_to_end):
            await self.replan_scope(pause, cause="the pause ended")
        while self._replans:
            mailbox, cause = next(iter(self._replans.items()))
            await self._replan(mailbox, cause)
            if self._replans.get(mailbox) == cause:
                del self._replans[mailbox]
        while await self._store.write(expire) == _CHUNK:
            pass

    async def replan_scope(self, pause: Pause, cause: str) -> None:
        """Ask for new slots wherever a lifted pause had stopped something."""
        found = await self._store.look(
            lambda tx: [m.address for m in tx.memory.mailboxes_in(pause.kind, pause.name)]
        )
        self.ask(found, cause)

    async def adopt(self, policy: Policy, actor: str) -> None:
        """Put a new book in force and plan again what it changes."""

        def change(tx: Transaction) -> list[str]:
            old = tx.memory.policy.hash
            changed = adopt(tx, policy)
            tx.add_audit(
                AuditEntry(
                    at_us=tx.now_us,
                    actor=actor,
                    action="book applied",
                    workspace=None,
                    target=f"book:{policy.hash}",
                    detail={"old": old, "new": policy.hash, "mailboxes": changed},
                )
            )
            return changed

        self.ask(await self._store.write(change), "the book changed")

    async def _replan(self, mailbox: str, cause: str) -> None:
        at = Replan()
        while not at.done:
            at = await self._store.write(partial(replan, mailbox=mailbox, cause=cause, at=at))


def expire(tx: Transaction) -> int:
    """End the messages whose life is over; how many there were, at most a chunk."""
    found = tx.overdue(_CHUNK)
    for message in found:
        tx.memory.forget(message)
        end(tx, message, State.EXPIRED, reason="its life ended before it could be sent")
    return len(found)
