"""A provider that keeps its own journal: what it took is one thing, what it answered another."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass, field

from mailplaned.domain.message import lost
from mailplaned.domain.outcomes import Outcome, RecipientReport, Reply, Report, Stage
from mailplaned.domain.policy import Account, SendingDomain
from mailplaned.domain.windows import MINUTE_US
from mailplaned.ports import Envelope

_OUR_ID = re.compile(rb"X-Mailplane-Id: (\S+)\r\n")


class NullSigner:
    """`ports.Signer` that signs nothing."""

    async def sign(self, domain: SendingDomain, content: bytes, now_us: int) -> bytes:
        return content


@dataclass(slots=True)
class Handed:
    """A call of the transport, and what the provider made of it."""

    at_us: int
    mailbox: str
    account: str
    message: str
    recipients: tuple[str, ...]
    number: int = 0
    """Which attempt this is, and when it began, as the caller's tables say."""
    begun_us: int = 0
    taken: tuple[str, ...] = ()
    taken_us: int = 0
    pending: bool = False
    """Whether the provider may still take it."""

    @property
    def workspace(self) -> str:
        """The mailbox's, as its account says."""
        return self.account.partition("/")[0]


@dataclass(slots=True)
class Temper:
    """How often, out of 100, an attempt goes wrong in each way."""

    rejected_recipient: float = 0
    rejected_message: float = 0
    blocked_sender: float = 0
    quota: float = 0
    transient: float = 0
    partly: float = 0
    lost_answer: float = 0
    slow: float = 0


@dataclass(slots=True)
class Provider:
    """`ports.Transport`. `now_us` is true time; `outside` is a context that survives a crash."""

    rng: random.Random
    now_us: Callable[[], int]
    outside: Context
    noted: Callable[[Handed], None] = lambda handed: None
    """Called when an attempt arrives."""
    temper: Temper = field(default_factory=Temper)
    journal: list[Handed] = field(default_factory=list)

    async def send(self, envelope: Envelope) -> Report:
        found = _OUR_ID.search(envelope.content)
        assert found is not None, "a message without our id"
        handed = Handed(
            self.now_us(),
            envelope.mailbox,
            envelope.account.key,
            found[1].decode(),
            envelope.recipients,
            pending=True,
        )
        self.journal.append(handed)
        self.noted(handed)
        fate = self.fate(handed)
        quick = self.rng.random()
        takes_s = quick if fate != "slow" else 60 * quick
        answers_s = takes_s + self.rng.random()
        if fate == "lost_answer":
            answers_s += self.rng.choice([0.0, 10.0, 300.0])
        taken, report = self._judge(fate, envelope)
        loop = asyncio.get_running_loop()
        timer = loop.call_later(takes_s, self._take, handed, taken, context=self.outside)
        try:
            await asyncio.sleep(answers_s)
        except asyncio.CancelledError:
            if not handed.taken and self.rng.random() < 0.5:  # cut before the final dot
                timer.cancel()
                handed.pending = False
            raise
        return report

    async def probe(self, account: Account) -> Report:
        return Report(outcome=Outcome.ACCEPTED, stage=Stage.AUTH, reply=Reply(), recipients=())

    async def close(self) -> None:
        pass

    def cut(self) -> None:
        """The host died: half of what was on the way never arrived whole."""
        for handed in self.journal:
            if handed.pending and self.rng.random() < 0.5:
                handed.pending = False

    def _take(self, handed: Handed, taken: tuple[str, ...]) -> None:
        if handed.pending:
            handed.pending = False
            if taken:
                handed.taken, handed.taken_us = taken, self.now_us()

    def fate(self, handed: Handed) -> str:
        """What becomes of an attempt: a field of `Temper`, or `accepted`."""
        dice = self.rng.random() * 100
        for name in Temper.__slots__:
            dice -= getattr(self.temper, name)
            if dice < 0:
                return name
        return "accepted"

    def _judge(self, fate: str, envelope: Envelope) -> tuple[tuple[str, ...], Report]:
        everyone = envelope.recipients
        if fate == "lost_answer":
            return (
                everyone if self.rng.random() < 0.5 else (),
                lost(everyone, why="the connection was lost"),
            )
        if fate == "partly" and len(everyone) > 1:
            cut = self.rng.randrange(1, len(everyone))
            other = self.rng.choice([Outcome.REJECTED_RECIPIENT, Outcome.TRANSIENT])
            outcomes = [Outcome.ACCEPTED] * cut + [other] * (len(everyone) - cut)
            return everyone[:cut], _report(everyone, outcomes, Stage.DOT)
        if fate in {"accepted", "slow", "partly"}:
            return everyone, _report(everyone, [Outcome.ACCEPTED] * len(everyone), Stage.DOT)
        outcome = Outcome(fate)
        stage = self.rng.choice([Stage.CONNECT, Stage.MAIL, Stage.RCPT, Stage.DATA])
        retry_us = self.rng.choice([None, 20 * MINUTE_US]) if outcome is Outcome.QUOTA else None
        return (), _report(everyone, [outcome] * len(everyone), stage, retry_us)


def _report(
    recipients: tuple[str, ...], outcomes: list[Outcome], stage: Stage, retry_us: int | None = None
) -> Report:
    reply = Reply(code=250 if outcomes[0] is Outcome.ACCEPTED else 450, text=outcomes[0].value)
    return Report(
        outcome=outcomes[0],
        stage=stage,
        reply=reply,
        recipients=tuple(
            RecipientReport(address=address, outcome=outcome, reply=reply)
            for address, outcome in zip(recipients, outcomes, strict=True)
        ),
        retry_after_us=retry_us,
    )
