"""Two mail servers, and the real transport that sends to both: what arrives is what counts.

One is aiosmtpd, which is strict. The other takes every line end that any server has ever taken, and
so sees an end of data, a command or a recipient wherever one could be smuggled.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from mailplaned.domain.outcomes import Outcome
from mailplaned.ports import Envelope
from mailplaned.transports.smtp import SmtpTransport
from tests.chaos.hostile.found import Found
from tests.fakes import smtp_kit, smtp_server

_LINE = re.compile(rb"([^\r\n]*)(?:\r\n|\n|\r(?=[^\n]))")
_PATH = re.compile(rb"(?i)(?:MAIL FROM|RCPT TO):<(.*)>(?: [^<>]*)?")


@dataclass(frozen=True)
class Taken:
    """A message as a server took it; each line of `content` ends in CRLF."""

    sender: bytes
    recipients: tuple[bytes, ...]
    content: bytes


@dataclass
class Lenient:
    """The lenient server's ledger."""

    port: int = 0
    taken: list[Taken] = field(default_factory=list)
    strange: list[bytes] = field(default_factory=list)
    """Commands that no honest client sends."""


class _Conversation(asyncio.Protocol):
    def __init__(self, the: Lenient) -> None:
        self._the = the
        self._buffer = b""
        self._body: list[bytes] | None = None
        self._sender = b""
        self._recipients: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._say(b"220 lenient")

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        at = 0
        while found := _LINE.match(self._buffer, at):
            at = found.end()
            self._take(found[1])
        self._buffer = self._buffer[at:]

    def _say(self, words: bytes) -> None:
        self._transport.write(words + b"\r\n")

    def _take(self, line: bytes) -> None:
        if self._body is not None:
            if line != b".":
                self._body.append(line[1:] if line.startswith(b".") else line)
                return
            content = b"".join(line + b"\r\n" for line in self._body)
            self._the.taken.append(Taken(self._sender, tuple(self._recipients), content))
            self._body = None
            self._say(b"250 taken")
            return
        path = _PATH.fullmatch(line)
        match line[:4].upper():
            case b"EHLO":
                self._say(b"250-lenient\r\n250-8BITMIME\r\n250 SMTPUTF8")
            case b"MAIL" if path:
                self._sender, self._recipients = path[1], []
                self._say(b"250 ok")
            case b"RCPT" if path:
                self._recipients.append(path[1])
                self._say(b"250 ok")
            case b"DATA":
                self._body = []
                self._say(b"354 go on")
            case b"QUIT":
                self._say(b"221 bye")
                self._transport.close()
            case _:
                self._the.strange.append(line)
                self._say(b"500 what?")


KINDS = (
    "crashes",
    "injected headers",
    "injected recipients",
    "altered addresses",
    "smuggled messages",
    "altered messages",
)


class Post:
    """Sends to both servers and compares."""

    def __init__(
        self, runner: asyncio.Runner, strict: smtp_server.Provider, lenient: Lenient
    ) -> None:
        self._runner = runner
        self._strict = strict
        self._lenient = lenient
        self._transport = SmtpTransport(
            smtp_kit.secrets(), smtp_kit.JumpClock(), timeouts=smtp_kit.QUICK
        )

    def send(
        self, found: Found, sender: str, recipients: tuple[str, ...], content: bytes, *, utf8: bool
    ) -> None:
        """Send it to both, and note all that arrived other than it was asked."""
        self._strict.accepted.clear()
        self._lenient.taken.clear()
        self._lenient.strange.clear()
        for port in (self._strict.port, self._lenient.port):
            envelope = Envelope(
                mailbox=sender,
                account=smtp_kit.account(port),
                sender=sender,
                recipients=recipients,
                content=content,
                utf8=utf8,
            )
            report = self._runner.run(self._transport.send(envelope))
            taken = self._taken(port)
            about = (report, taken, recipients, content)
            if len(taken) != (report.outcome is Outcome.ACCEPTED):
                found.note("smuggled messages", *about)
            if port == self._lenient.port and report.outcome is not Outcome.ACCEPTED:
                found.note("altered messages", *about)
            for message in taken[:1]:
                self._compare(found, message, sender, recipients, content)
        if self._lenient.strange:
            found.note("smuggled messages", self._lenient.strange, recipients, content)

    def _taken(self, port: int) -> list[Taken]:
        if port == self._lenient.port:
            return self._lenient.taken
        return [
            Taken(
                message.sender.encode("utf-8", "surrogateescape"),
                tuple(name.encode("utf-8", "surrogateescape") for name in message.recipients),
                message.content,
            )
            for message in self._strict.accepted
        ]

    def _compare(
        self,
        found: Found,
        message: Taken,
        sender: str,
        recipients: tuple[str, ...],
        content: bytes,
    ) -> None:
        asked = tuple(name.encode() for name in recipients)
        if len(message.recipients) > len(asked):
            found.note("injected recipients", message.recipients, asked)
        elif (message.sender, message.recipients) != (sender.encode(), asked):
            found.note("altered addresses", message.sender, message.recipients, asked)
        if message.content != content:
            found.note("altered messages", message.content, content)

    def close(self) -> None:
        """Hang up."""
        self._runner.run(self._transport.close())


@contextmanager
def post() -> Iterator[Post]:
    """Both servers running, and a transport to them."""
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)  # aiosmtpd's; it wonders aloud
    lenient = Lenient()
    with asyncio.Runner() as runner:
        strict_server = smtp_server.provider()
        strict = runner.run(strict_server.__aenter__())
        loop = runner.get_loop()
        server = runner.run(loop.create_server(lambda: _Conversation(lenient), "127.0.0.1", 0))
        lenient.port = server.sockets[0].getsockname()[1]
        made = Post(runner, strict, lenient)
        try:
            yield made
        finally:
            made.close()
            server.close()
            runner.run(strict_server.__aexit__(None, None, None))
