"""One mail transaction: MAIL, each RCPT, DATA, the body, then the terminator by itself.

Where it ends decides what may be believed: before the terminator left, the message was not sent;
after it, only a reply tells. Nothing is retried and nothing is reset: a session whose transaction
didn't reach its last reply is not used again. Where the server allows it (RFC 2920) the commands
before the body leave together; what is made of their replies is the same.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from functools import lru_cache

from aiosmtplib.email import quote_address

from mailplaned.domain.outcomes import (
    Outcome,
    RecipientReport,
    Reply,
    Report,
    Stage,
    classify,
    most_hopeful,
)
from mailplaned.domain.policy import Account
from mailplaned.ports import Envelope
from mailplaned.transports.session import (
    CLOSING,
    DONE,
    SEND_BODY,
    Ended,
    Session,
    out_of_turn,
)

FLIGHT_COMMANDS = 50
"""How many commands leave at once where the server allows it: as many as have replies that fit into
what is kept of unread ones, at 512 octets each (RFC 5321 §4.5.3.1.5)."""

CONFIRM_S = 5.0
"""How long a server that refused may take to show that it is in step."""


class Transaction:
    """One envelope on one session."""

    def __init__(self, session: Session, envelope: Envelope) -> None:
        self._session = session
        self._envelope = envelope
        self._encoding = "utf-8" if envelope.utf8 else "ascii"
        self._refused: dict[int, RecipientReport] = {}
        self._commands: deque[tuple[Stage, bytes]] = deque()
        self._awaited: deque[Stage] = deque()
        self._together = "pipelining" in session.extensions
        self.unanswered = False
        """The server hung up before it answered MAIL: it has seen nothing of this message."""
        self.listening = True
        """The server waits for the next command. Not so in a body, where QUIT would be text."""
        self.complete = False
        """The terminator was answered and the connection goes on."""

    async def run(self) -> Report:
        """Try once; every end is a Report."""
        try:
            self._commands.extend(self._before_body())
            await self._ask_to_send()
            await self._session.body(dot_stuffed(self._envelope.content))
            reply = await self._session.finish()
        except Ended as end:
            self.unanswered = end.hung_up and end.stage is Stage.MAIL
            return self._report(end)
        self.listening = True
        self.complete = reply.code // 100 in {2, 4, 5} and reply.code != CLOSING
        return self._report(Ended(Stage.DOT, reply))

    def _before_body(self) -> list[tuple[Stage, bytes]]:
        envelope, offered = self._envelope, self._session.extensions
        words = [f"MAIL FROM:<{envelope.sender}>".encode(self._encoding)]
        if "size" in offered:  # RFC 1870
            words.append(b"SIZE=%d" % len(envelope.content))
        if not envelope.content.isascii():  # RFC 6152 §3 forbids sending it unoffered
            if "8bitmime" not in offered:
                raise _unsupported(envelope.account, "8BITMIME")
            words.append(b"BODY=8BITMIME")
        if envelope.utf8:  # RFC 6531 §3.4
            if "smtputf8" not in offered:
                raise _unsupported(envelope.account, "SMTPUTF8")
            words.append(b"SMTPUTF8")
        recipients = [
            (Stage.RCPT, f"RCPT TO:<{address}>".encode(self._encoding))
            for address in envelope.recipients
        ]
        return [(Stage.MAIL, b" ".join(words)), *recipients, (Stage.DATA, b"DATA")]

    async def _ask_to_send(self) -> None:
        try:
            await self._mail()
            await self._recipients()
            await self._data()
        except Ended as end:
            raise await self._confirmed(end) from None
        self.listening = False

    async def _mail(self) -> None:
        reply = await self._answer()
        if not _done(reply):
            raise Ended(Stage.MAIL, reply)

    async def _recipients(self) -> None:
        recipients = self._envelope.recipients
        for index, address in enumerate(recipients):
            reply = await self._answer()
            if _done(reply):
                continue
            outcome = classify(Stage.RCPT, reply)
            self._refused[index] = RecipientReport(address=address, outcome=outcome, reply=reply)
            if reply.code == CLOSING:
                raise Ended(Stage.RCPT, reply)
        if len(self._refused) == len(recipients):
            outcome = most_hopeful(report.outcome for report in self._refused.values())
            reply = next(r.reply for r in self._refused.values() if r.outcome is outcome)
            raise Ended(Stage.RCPT, reply, outcome)

    async def _data(self) -> None:
        reply = await self._answer()
        if reply.code != SEND_BODY:
            raise Ended(Stage.DATA, reply)

    async def _answer(self) -> Reply:
        """The reply to the next command, which is sent now unless it left with others."""
        session, timeouts = self._session, self._session.timeouts
        self.listening = False
        if not self._awaited:
            size = FLIGHT_COMMANDS if self._together else 1
            flight = [self._commands.popleft() for _ in range(min(size, len(self._commands)))]
            session.say(flight[0][0], [command for _, command in flight])
            self._awaited.extend(stage for stage, _ in flight)
        stage = self._awaited.popleft()
        timeout_s = timeouts.data if stage is Stage.DATA else timeouts.command
        reply = await session.next_reply(stage, timeout_s)
        self.listening = not self._awaited
        return reply

    async def _confirmed(self, end: Ended) -> Ended:
        """An end before the body, once it is sure which reply answers what.

        Where commands left together, one reply too many would make another command's refusal of
        each. So all are heard out, and one more command has to get the reply that it alone gets.
        """
        if not self._together or not end.reply.code or end.reply.code == CLOSING:
            return end
        in_step = True
        with contextlib.suppress(Ended, TimeoutError):
            async with asyncio.timeout(CONFIRM_S):
                in_step = await self._in_step()
        if in_step and not self._session.wire.spoken_unasked:
            return end
        self.listening = False
        self._refused.clear()
        return out_of_turn(end.stage)

    async def _in_step(self) -> bool:
        while self._awaited:
            reply = await self._answer()
            if reply.code == SEND_BODY:  # to nobody: then only hanging up ends it well
                self.listening = False
                return True
        self._commands = deque([(Stage.RCPT, b"RSET")])
        return _done(await self._answer())

    def _report(self, end: Ended) -> Report:
        """Recipients refused by name keep their own answer; the rest share the message's end."""
        recipients, outcome = self._envelope.recipients, end.outcome
        shared = len(recipients) - len(self._refused)
        if end.stage is not Stage.RCPT and shared > 1 and outcome is Outcome.REJECTED_RECIPIENT:
            outcome = Outcome.REJECTED_MESSAGE  # it doesn't say whom
        reports = tuple(
            self._refused.get(index)
            or RecipientReport(address=address, outcome=outcome, reply=end.reply)
            for index, address in enumerate(recipients)
        )
        return Report(
            outcome=outcome,
            stage=end.stage,
            reply=end.reply,
            recipients=reports,
            peer=peer_of(self._envelope.account),
        )


def fault_of(envelope: Envelope) -> str | None:
    """What makes an envelope unfit for the wire, None when it's fit.

    Admission promises all of this. It is checked again because these bytes are what a hostile
    field would have to get through to become a second message (SMTP smuggling) or recipient.
    """
    if not envelope.recipients:
        return "no recipient"
    for address in (envelope.sender, *envelope.recipients):
        if not _fit_address(address, utf8=envelope.utf8):
            return f"address {address!a} can't be put on the wire unchanged"
    if "" in envelope.recipients:
        return "a recipient is empty"
    content = envelope.content
    if not content.endswith(b"\r\n"):
        return "the message doesn't end in CRLF"
    if not content.count(b"\r") == content.count(b"\n") == content.count(b"\r\n"):
        return "the message has a bare CR or LF"
    if b"\0" in content:
        return "the message has a NUL"
    return None


def dot_stuffed(content: bytes) -> bytes:
    """The content with a dot in front of each line that begins with one (RFC 5321 §4.5.2)."""
    stuffed = content.replace(b"\r\n.", b"\r\n..")
    return b"." + stuffed if stuffed.startswith(b".") else stuffed


def peer_of(account: Account) -> str:
    """Host and port, as evidence."""
    return f"{account.host}:{account.port}"


@lru_cache(4096)
def _fit_address(address: str, *, utf8: bool) -> bool:
    if not address.isprintable() or not (utf8 or address.isascii()):
        return False
    try:
        return quote_address(address) == f"<{address}>"
    except ValueError:
        return False


def _unsupported(account: Account, extension: str) -> Ended:
    text = f"{account.host} doesn't offer {extension}, which this message needs"
    return Ended(Stage.MAIL, Reply(text=text), Outcome.REJECTED_MESSAGE)


def _done(reply: Reply) -> bool:
    return reply.code // 100 == DONE // 100
