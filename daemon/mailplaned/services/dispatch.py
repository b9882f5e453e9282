"""The one exit: only here is a transport called.

What has begun arrives with the commit that charged it: by the loop here, which claims what is due
in one transaction for all mailboxes, by the end of an attempt, which begins the next one in the
same transaction, or by admission, when a mailbox has nothing else to do. Each attempt runs in a
task of its own. Nothing is retried below this.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Mapping
from functools import partial

import structlog

from mailplaned.domain.message import lost
from mailplaned.domain.outcomes import Outcome, RecipientReport, Reply, Report, Stage
from mailplaned.domain.records import Claim
from mailplaned.domain.windows import MINUTE_US, SECOND_US
from mailplaned.ports import (
    Clock,
    Effects,
    Envelope,
    Random,
    SecretMissing,
    Signer,
    Store,
    StoreClosed,
    StoreFault,
    Transaction,
    Transport,
)
from mailplaned.services.claiming import claim
from mailplaned.services.pauses import pause_by_provider
from mailplaned.services.settling import record

_REST_US = 15 * SECOND_US
_LONGEST_REST_US = 5 * MINUTE_US
"""How long a mailbox rests when its relay can't be reached, doubling from the first value."""

_STALE_TIMES = 1_000
"""How many times to look that an earlier one has replaced may be kept."""

_UNREACHED = frozenset({Stage.CONNECT, Stage.GREETING, Stage.TLS})

_log = structlog.get_logger("dispatch")


class Dispatcher:
    """Sends what is due. `run` ends after `stop`, when nothing is on the wire any more."""

    longest_sleep_us = 30 * SECOND_US
    """After a suspend the timers are late, so the queue is looked at again."""

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
        self._wake = asyncio.Event()
        self._stopping = False
        self._sends: asyncio.TaskGroup | None = None
        self.turned_us = 0
        """Boot time of the loop's last turn; the watchdog looks at it."""

    def note_commit(self, effects: Effects) -> None:
        """A commit is durable: send what it has begun, remember when to look again."""
        for begun in effects.begun:
            assert self._sends is not None, "nothing begins before `run` or after `stop`"
            self._sends.create_task(self._attempt(begun))
        for mailbox, in_us in effects.woken.items():
            self._look_at(mailbox, in_us)

    async def stop(self) -> None:
        """Let nothing more begin, from any side."""
        self._stopping = True
        try:
            await self._store.write(partial(_let_claim, allowed=False))
        except StoreFault as fault:
            # Where nothing can be written nothing begins; what is on the wire may still end.
            _log.error("stopping without the store", action="stop", why=str(fault))
        self._wake.set()

    async def run(self) -> None:
        """Claim and send until `stop`, then wait for what is on the wire."""
        async with asyncio.TaskGroup() as sends:
            self._sends = sends
            for mailbox in await self._store.write(partial(_let_claim, allowed=True)):
                self._look_at(mailbox, 0)
            while not self._stopping:
                self.turned_us = self._clock.boot_us()
                ready = self._ready()
                if not ready:
                    await self._clock.wait_us(self._wake, self._sleep_us())
                    self._wake.clear()
                    continue
                try:
                    await self._store.write(partial(claim, mailboxes=ready))
                except StoreFault as fault:
                    # Nothing was charged and nothing is sent: the governor fails closed.
                    _log.error("claim failed", action="claim", why=str(fault))
                    for mailbox in ready:
                        self._look_at(mailbox, SECOND_US)
                    await self._clock.sleep_us(SECOND_US)

    # --- when to look -----------------------------------------------------------------------------

    def _look_at(self, mailbox: str, in_us: int) -> None:
        at_us = self._clock.boot_us() + in_us
        if at_us < self._due.get(mailbox, at_us + 1):
            self._due[mailbox] = at_us
            heapq.heappush(self._heap, (at_us, mailbox))
            if len(self._heap) > 2 * len(self._due) + _STALE_TIMES:
                self._heap = [(due_us, name) for name, due_us in self._due.items()]
                heapq.heapify(self._heap)
            self._wake.set()

    def _ready(self) -> list[str]:
        """The mailboxes whose time has come."""
        now_us = self._clock.boot_us()
        ready = []
        while self._heap and self._heap[0][0] <= now_us:
            at_us, mailbox = heapq.heappop(self._heap)
            if self._due.get(mailbox) == at_us:  # else an earlier time has taken its place
                del self._due[mailbox]
                ready.append(mailbox)
        return ready

    def _sleep_us(self) -> int:
        if not self._heap:
            return self.longest_sleep_us
        return max(0, min(self.longest_sleep_us, self._heap[0][0] - self._clock.boot_us()))

    # --- one attempt ------------------------------------------------------------------------------

    async def _attempt(self, begun: Claim) -> None:
        try:
            report = await self._send(begun)
        except asyncio.CancelledError:
            report = lost(begun.addresses, why="the daemon was stopped during the attempt")
        jitter = self._random.bits(16) / 2**16
        change = partial(self._settle, begun=begun, report=report, jitter=jitter)
        while True:
            try:
                await asyncio.shield(asyncio.ensure_future(self._store.write(change)))
            except StoreClosed:
                return  # the next run finds it under way, and calls it unknown
            except StoreFault as fault:
                # The attempt stays charged as one under way until this is written down.
                _log.error("outcome not yet written", action="settle", why=str(fault))
                await self._clock.sleep_us(SECOND_US)
            else:
                return

    async def _send(self, begun: Claim) -> Report:
        try:
            content = await self._signer.sign(begun.domain, begun.body, begun.begun_us)
        except SecretMissing as missing:
            return _not_tried(begun, str(missing))
        transport = self._transports[begun.account.provider]
        sender = begun.mailbox.address
        envelope = Envelope(
            mailbox=sender,
            account=begun.account,
            sender=sender,
            recipients=begun.addresses,
            content=content,
            utf8=begun.message.utf8 or not sender.isascii(),
        )
        try:
            return await transport.send(envelope)
        except Exception as fault:  # noqa: BLE001 - a fault in a transport must not lose the message
            _log.exception("transport fault", action="send", mailbox=sender)
            return lost(begun.addresses, why=f"a fault in mailplane: {type(fault).__name__}")

    def _settle(self, tx: Transaction, begun: Claim, report: Report, jitter: float) -> None:
        """Write the outcome down, and begin what the mailbox has to send next."""
        settlement = record(
            tx,
            begun.message,
            begun.recipients,
            report,
            account=begun.account.key,
            jitter=jitter,
        )
        if settlement.stop is not None:
            pause_by_provider(tx, begun.mailbox, settlement.stop, self._random)
        _note_reach(tx, begun.mailbox.address, report)
        if not self._stopping:
            claim(tx, [begun.mailbox.address])


def _let_claim(tx: Transaction, *, allowed: bool) -> list[str]:
    """Let attempts begin, or no longer; the mailboxes that have something waiting."""
    tx.memory.claiming = allowed
    governor = tx.memory.governor
    return [
        address
        for workspace in tx.memory.policy.workspaces.values()
        for address in workspace.mailboxes
        if governor.mailbox_track(address).planned
    ]


def _note_reach(tx: Transaction, mailbox: str, report: Report) -> None:
    """Let a mailbox rest whose relay can't be reached, longer each time."""
    rests = tx.memory.rests
    if report.outcome is not Outcome.TRANSIENT or report.stage not in _UNREACHED:
        rests.pop(mailbox, None)
        return
    until_us, last_us = rests.get(mailbox, (0, 0))
    if until_us <= tx.now_us:
        rest_us = min(max(2 * last_us, _REST_US), _LONGEST_REST_US)
        rests[mailbox] = (tx.now_us + rest_us, rest_us)


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
