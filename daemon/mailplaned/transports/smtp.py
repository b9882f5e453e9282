"""The way out by SMTP: any relay that takes submissions (RFC 6409).

One `send` is one try. The one thing done twice is opening a connection: when a kept one turns out
to have been closed by the server before it answered anything of this message.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import replace

from mailplaned.domain.outcomes import Outcome, RecipientReport, Reply, Report, Stage
from mailplaned.domain.policy import Account
from mailplaned.ports import Clock, Envelope, Secrets
from mailplaned.transports.pool import Lane, Pool, Reuse
from mailplaned.transports.session import Ended, Session, Timeouts, open_session
from mailplaned.transports.transaction import Transaction, fault_of, peer_of

_NAMELESS = "[127.0.0.1]"
"""EHLO of a client with no name to give (RFC 5321 §4.1.4). The host's own name stays private."""


class SmtpTransport:
    """Implements ports.Transport.

    `hello` is the name given in EHLO; without it, the sender's domain. `context` makes the TLS
    settings, once; the default verifies certificate and name, and honours SSL_CERT_FILE.
    """

    def __init__(
        self,
        secrets: Secrets,
        clock: Clock,
        *,
        hello: str | None = None,
        timeouts: Timeouts | None = None,
        reuse: Reuse | None = None,
        context: Callable[[], ssl.SSLContext] = ssl.create_default_context,
    ) -> None:
        self._secrets = secrets
        self._hello = hello
        self._timeouts = timeouts or Timeouts()
        self._make_context = context
        self._made_context: ssl.SSLContext | None = None
        self._pool = Pool(clock, reuse or Reuse())

    async def send(self, envelope: Envelope) -> Report:
        """Try once. Raises nothing but CancelledError: every end is a Report.

        Cancelled after the terminator left, the message may have been taken: read it as unknown.
        """
        fault = fault_of(envelope)
        if fault is not None:
            unfit = Ended(Stage.CONFIGURE, Reply(text=fault), Outcome.REJECTED_MESSAGE)
            return _report(envelope.account, unfit, envelope.recipients)
        try:
            async with self._pool.lane(
                envelope.mailbox, envelope.account, self._timeouts.slot
            ) as lane:
                return await self._send(lane, envelope)
        except Ended as end:
            return _report(envelope.account, end, envelope.recipients)

    async def probe(self, account: Account) -> Report:
        """Connect and authenticate only; `recipients` of the report is empty."""
        try:
            session = await self._open(account, (account.username or "").rpartition("@")[2])
        except Ended as end:
            return _report(account, end, ())
        ends_us = session.certificate_ends_us
        self._pool.dismiss(session)
        stage = Stage.GREETING if account.username is None else Stage.AUTH
        ready = Ended(stage, Reply(text="ready to send"), Outcome.ACCEPTED)
        return replace(_report(account, ready, ()), certificate_ends_us=ends_us)

    async def close(self) -> None:
        """Close idle connections; no attempt is under way any more."""
        await self._pool.close()

    async def _send(self, lane: Lane, envelope: Envelope) -> Report:
        kept = self._pool.take(lane)
        if kept is not None:
            transaction = Transaction(kept, envelope)
            report = await self._run(lane, kept, transaction, envelope.mailbox)
            if not transaction.unanswered:
                return report
        session = await self._open(envelope.account, envelope.sender.rpartition("@")[2])
        return await self._run(lane, session, Transaction(session, envelope), envelope.mailbox)

    async def _run(
        self, lane: Lane, session: Session, transaction: Transaction, mailbox: str
    ) -> Report:
        try:
            report = await transaction.run()
        except BaseException:
            self._pool.drop(session)
            raise
        if transaction.complete:
            session.messages += 1
            self._pool.give_back(mailbox, lane, session)
        elif transaction.listening:
            self._pool.dismiss(session)
        else:
            self._pool.drop(session)
        return report

    async def _open(self, account: Account, domain: str) -> Session:
        session = await open_session(
            account,
            self._hello or (domain if domain.isascii() and domain else _NAMELESS),
            secrets=self._secrets,
            context=self._context,
            timeouts=self._timeouts,
        )
        self._pool.adopt(session)
        return session

    def _context(self) -> ssl.SSLContext:
        if self._made_context is None:
            self._made_context = self._make_context()
        return self._made_context


def _report(account: Account, end: Ended, recipients: tuple[str, ...]) -> Report:
    """The same end for the message and all its recipients."""
    return Report(
        outcome=end.outcome,
        stage=end.stage,
        reply=end.reply,
        recipients=tuple(
            RecipientReport(address=address, outcome=end.outcome, reply=end.reply)
            for address in recipients
        ),
        peer=peer_of(account) if account.host else None,
    )
