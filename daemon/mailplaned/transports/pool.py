"""Open SMTP sessions per mailbox, so that a message costs no new TLS handshake and login.

A mailbox has at most `account.connections` of them. A session is lent to one message at a time and
comes back only when its last reply was read; every other one is closed. Timers belong to the pool:
`close` ends them, and it owns no task.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from mailplaned.domain.outcomes import Reply, Stage
from mailplaned.domain.policy import Account
from mailplaned.ports import Clock
from mailplaned.transports.session import Ended, Session
from mailplaned.transports.wire import FAREWELL_S, Wire

_SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Reuse:
    """How long a session serves. Providers close long and idle ones: be first."""

    messages: int = 100
    age_s: float = 300.0
    idle_s: float = 30.0


@dataclass(slots=True)
class Lane:
    """The sessions of one mailbox on one account. The last one back is the first one out."""

    account: Account
    slots: asyncio.Semaphore
    idle: list[Session] = field(default_factory=list)


class Pool:
    """The lanes of all mailboxes."""

    def __init__(self, clock: Clock, reuse: Reuse) -> None:
        self._clock = clock
        self._reuse = reuse
        self._lanes: dict[str, Lane] = {}
        self._reapers: dict[Session, asyncio.TimerHandle] = {}
        self._wires: set[Wire] = set()

    @asynccontextmanager
    async def lane(self, mailbox: str, account: Account, wait_s: float) -> AsyncIterator[Lane]:
        """Hold one of the mailbox's connections. Raises Ended when none comes free in time.

        A changed account gets a new lane; what the old one still lends is closed on its return.
        """
        lane = self._lanes.get(mailbox)
        if lane is None or (lane.account is not account and lane.account != account):
            if lane is not None:
                self._empty(lane)
            lane = Lane(account, asyncio.Semaphore(max(1, account.connections)))
            self._lanes[mailbox] = lane
        try:
            async with asyncio.timeout(wait_s):
                await lane.slots.acquire()
        except TimeoutError as error:
            text = f"all {account.connections} connections of {mailbox} are busy"
            raise Ended(Stage.CONNECT, Reply(text=text)) from error
        try:
            yield lane
        finally:
            lane.slots.release()

    def take(self, lane: Lane) -> Session | None:
        """A session that is up, in step and young; None when a new one must be opened."""
        while lane.idle:
            session = lane.idle.pop()
            self._reapers.pop(session).cancel()
            if session.reusable and self._young(session):
                return session
            self.dismiss(session)
        return None

    def adopt(self, session: Session) -> None:
        """Count a newly opened session as ours."""
        wire = session.wire
        session.opened_us = self._clock.boot_us()
        self._wires.add(wire)
        wire.gone.add_done_callback(lambda _: self._wires.discard(wire))

    def give_back(self, mailbox: str, lane: Lane, session: Session) -> None:
        """Keep a session for the next message, or close it when it has served."""
        current = self._lanes.get(mailbox) is lane
        if current and session.reusable and self._young(session):
            lane.idle.append(session)
            loop = asyncio.get_running_loop()
            self._reapers[session] = loop.call_later(self._reuse.idle_s, self._reap, lane, session)
        else:
            self.dismiss(session)

    def dismiss(self, session: Session) -> None:
        """Close politely, without waiting. Not inside a body: there QUIT would be text."""
        session.wire.leave()

    def drop(self, session: Session) -> None:
        """Close at once: the session is out of step."""
        session.wire.cut()

    async def close(self) -> None:
        """Close every session; return when their sockets are closed."""
        for lane in self._lanes.values():
            self._empty(lane)
        self._lanes.clear()
        if self._wires:
            gone = [wire.gone for wire in self._wires]
            await asyncio.wait(gone, timeout=2 * FAREWELL_S)

    def _empty(self, lane: Lane) -> None:
        while lane.idle:
            session = lane.idle.pop()
            self._reapers.pop(session).cancel()
            self.dismiss(session)

    def _reap(self, lane: Lane, session: Session) -> None:
        del self._reapers[session]
        lane.idle.remove(session)
        self.dismiss(session)

    def _young(self, session: Session) -> bool:
        age_us = self._clock.boot_us() - session.opened_us
        return session.messages < self._reuse.messages and age_us < self._reuse.age_s * _SECOND_US
