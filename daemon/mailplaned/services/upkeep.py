"""What comes due by itself: the end of a message's life, of a pause; and new slots."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import partial

import structlog

from mailplaned.domain.message import State
from mailplaned.domain.windows import HOUR_US, SECOND_US
from mailplaned.ports import Clock, Effects, Store, StoreFault, Transaction
from mailplaned.services.pauses import Replan, due_to_end, replan
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

    def note_commit(self, effects: Effects) -> None:
        """A commit is durable: see to the new slots that it asks for."""
        if effects.replans:
            self._replans.update(effects.replans)
            self._wake.set()

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
        await self._store.write(due_to_end)
        while self._replans and not self._stopping:
            mailbox = next(iter(self._replans))
            cause = self._replans.pop(mailbox)  # who asks from now on is not served by this one
            try:
                await self._replan(mailbox, cause)
            except StoreFault:
                self._replans.setdefault(mailbox, cause)
                raise
        while await self._store.write(expire) == _CHUNK and not self._stopping:
            pass

    async def _replan(self, mailbox: str, cause: str) -> None:
        at = Replan()
        while not at.done and not self._stopping:
            at = await self._store.write(partial(replan, mailbox=mailbox, cause=cause, at=at))


def expire(tx: Transaction) -> int:
    """End the messages whose life is over; how many there were, at most a chunk."""
    found = tx.overdue(_CHUNK)
    for message in found:
        tx.memory.forget(message)
        end(tx, message, State.EXPIRED, reason="its life ended before it could be sent")
    return len(found)
