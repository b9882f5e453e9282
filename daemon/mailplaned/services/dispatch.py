"""The one exit: only here is a transport called.

A loop claims what is due in one transaction for all mailboxes, then each attempt runs in a task of
its own and ends in one more transaction. Nothing is retried below this.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter
from collections.abc import Mapping
from functools import partial

import structlog

from mailplaned.domain.message import lost
from mailplaned.domain.outcomes import Outcome, RecipientReport, Reply, Report, Stage
from mailplaned.domain.windows import MINUTE_US, SECOND_US
from mailplaned.ports import (
    Clock,
    Envelope,
    Random,
    SecretMissing,
    Signer,
    Store,
    StoreFault,
    Transaction,
    Transport,
)
from mailplaned.services.claiming import Claim, Claimed, claim
from mailplaned.services.pauses import pause_by_provider
from mailplaned.services.settling import record

IN_FLIGHT_LIMIT = 256
"""Attempts under way at once, over all mailboxes."""

_IDLE_US = 30 * SECOND_US
"""The longest sleep: after a suspend the timers are late, so the queue is looked at again."""

_REST_US = 15 * SECOND_US
_LONGEST_REST_US = 5 * MINUTE_US
"""How long a mailbox rests when its relay can't be reached, doubling from the first value."""

_log = structlog.get_logger("dispatch")


class Dispatcher:
    """Sends what is due. `run` ends after `stop`, when nothing is on the wire any more."""

    def __init__(
        self,
        *,
        store: Store,
        transports: Mapping[str, Transport],
        signer: Signer,
        clock: Clock,
        random: Random,
    ) -> None:
        self._store = store
        self._transports = transports
        self._signer = signer
        self._clock = clock
        self._random = random
        self._due: dict[str, int] = {}
        self._heap: list[tuple[int, str]] = []
        self._busy: Counter[str] = Counter()
        self._room: dict[str, int] = {}
        self._rests: dict[str, tuple[int, int]] = {}
        self._wake = asyncio.Event()
        self._stopping = False
        self.in_flight = 0
        self.turned_us = 0
        """Boot time of the loop's last turn; the watchdog looks at it."""

    def wake(self, mailbox: str, in_us: int) -> None:
        """A mailbox has something to send in that many microseconds."""
        at_us = self._clock.boot_us() + in_us
        if at_us < self._due.get(mailbox, at_us + 1):
            self._due[mailbox] = at_us
            heapq.heappush(self._heap, (at_us, mailbox))
            self._wake.set()

    def stop(self) -> None:
        """Claim nothing more."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Claim and send until `stop`, then wait for what is on the wire."""
        async with asyncio.TaskGroup() as sends:
            while not self._stopping:
                self.turned_us = self._clock.boot_us()
                ready = self._ready()
                if not ready:
                    await self._clock.wait_us(self._wake, self._sleep_us())
                    self._wake.clear()
                    continue
                try:
                    claimed = await self._store.write(partial(claim, room=ready))
                except StoreFault as fault:
                    # Nothing was charged and nothing is sent: the governor fails closed.
                    _log.error("claim failed", action="claim", why=str(fault))
                    for mailbox in ready:
                        self.wake(mailbox, SECOND_US)
                    await self._clock.sleep_us(SECOND_US)
                    continue
                self._start(claimed, sends)

    # --- claiming ---------------------------------------------------------------------------------

    def _ready(self) -> dict[str, int]:
        """Mailboxes that are due and have room for an attempt, with how much."""
        now_us = self._clock.boot_us()
        ready: dict[str, int] = {}
        space = IN_FLIGHT_LIMIT - self.in_flight
        while self._heap and self._heap[0][0] <= now_us and space > 0:
            at_us, mailbox = heapq.heappop(self._heap)
            if self._due.get(mailbox) != at_us:
                continue  # an earlier time has taken its place
            del self._due[mailbox]
            rested_us, _ = self._rests.get(mailbox, (0, 0))
            if rested_us > now_us:
                self.wake(mailbox, rested_us - now_us)
                continue
            room = min(space, self._room.get(mailbox, 1) - self._busy[mailbox])
            if room > 0:  # otherwise the end of an attempt wakes it
                ready[mailbox] = room
                space -= room
        return ready

    def _sleep_us(self) -> int:
        if not self._heap or self.in_flight >= IN_FLIGHT_LIMIT:
            return _IDLE_US
        return max(0, min(_IDLE_US, self._heap[0][0] - self._clock.boot_us()))

    def _start(self, claimed: Claimed, sends: asyncio.TaskGroup) -> None:
        for begun in claimed.claims:
            address = begun.mailbox.address
            self._room[address] = begun.account.connections
            self._busy[address] += 1
            self.in_flight += 1
            sends.create_task(self._attempt(begun))
        for mailbox, in_us in claimed.next_in_us.items():
            self.wake(mailbox, in_us)

    # --- one attempt ------------------------------------------------------------------------------

    async def _attempt(self, begun: Claim) -> None:
        address = begun.mailbox.address
        try:
            report = await self._send(begun)
        except asyncio.CancelledError:
            report = lost(begun.addresses, why="the daemon was stopped during the attempt")
        try:
            await self._settle(begun, report)
        finally:
            self._busy[address] -= 1
            self.in_flight -= 1
            self._note_reach(address, report)
            self.wake(address, 0)

    async def _send(self, begun: Claim) -> Report:
        try:
            content = await self._signer.sign(begun.domain, begun.body, begun.now_us)
        except SecretMissing as missing:
            return _not_tried(begun, str(missing))
        transport = self._transports[begun.account.provider]
        envelope = Envelope(
            mailbox=begun.mailbox.address,
            account=begun.account,
            sender=begun.mailbox.address,
            recipients=begun.addresses,
            content=content,
            utf8=begun.message.utf8 or not begun.mailbox.address.isascii(),
        )
        try:
            return await transport.send(envelope)
        except Exception as fault:  # noqa: BLE001 - a fault in a transport must not lose the message
            _log.exception("transport fault", action="send", mailbox=begun.mailbox.address)
            return lost(begun.addresses, why=f"a fault in mailplane: {type(fault).__name__}")

    async def _settle(self, begun: Claim, report: Report) -> None:
        jitter = self._random.bits(16) / 2**16

        def change(tx: Transaction) -> None:
            settlement = record(tx, begun.message, report, jitter=jitter)
            if settlement.stop is not None:
                pause_by_provider(tx, begun.mailbox, settlement.stop, self._random)

        while True:
            try:
                await asyncio.shield(asyncio.ensure_future(self._store.write(change)))
            except StoreFault as fault:
                # The attempt stays charged as one under way until this is written down.
                _log.error("outcome not yet written", action="settle", why=str(fault))
                await self._clock.sleep_us(SECOND_US)
            else:
                return

    def _note_reach(self, mailbox: str, report: Report) -> None:
        """Let a mailbox rest whose relay can't be reached, longer each time."""
        unreachable = report.outcome is Outcome.TRANSIENT and report.stage in {
            Stage.CONNECT,
            Stage.GREETING,
            Stage.TLS,
        }
        if not unreachable:
            self._rests.pop(mailbox, None)
            return
        now_us = self._clock.boot_us()
        until_us, last_us = self._rests.get(mailbox, (0, 0))
        if until_us <= now_us:
            rest_us = min(max(2 * last_us, _REST_US), _LONGEST_REST_US)
            self._rests[mailbox] = (now_us + rest_us, rest_us)


def _not_tried(begun: Claim, why: str) -> Report:
    reply = Reply(text=why)
    return Report(
        outcome=Outcome.BLOCKED_SENDER,
        stage=Stage.CONFIGURE,
        reply=reply,
        recipients=tuple(
            RecipientReport(address=address, outcome=Outcome.BLOCKED_SENDER, reply=reply)
            for address in begun.addresses
        ),
    )
