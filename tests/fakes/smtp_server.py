"""A provider made of aiosmtpd, in the test's own loop, that does as it is told.

What it took (`accepted`) is written down apart from what it answered, so that a test can compare
the truth with what the transport believed.
"""

from __future__ import annotations

import asyncio
import ssl
import warnings
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

MAIL, RCPT, DATA, DOT, AUTH = "MAIL", "RCPT", "DATA", "DOT", "AUTH"


@dataclass(frozen=True)
class Taken:
    """A message that the provider took responsibility for."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes
    options: tuple[str, ...]


class Provider:
    """The handler of all its connections, and its ledger.

    `says` maps a stage, or a recipient's address, to the reply given there instead of the good one.
    `drop` and `stall` name what happens at the dot, after the message was taken.
    """

    def __init__(self, users: Mapping[str, str] | None = None, *, pipelining: bool = False) -> None:
        self.users = users
        self.pipelining = pipelining
        self.says: dict[str, str] = {}
        self.drop = False
        self.stall = False
        self.accepted: list[Taken] = []
        self.hellos: list[str] = []
        self.logins: list[tuple[str, bool]] = []
        self.connections: list[_Conversation] = []
        self.at_dot = asyncio.Event()
        self.port = 0

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's name and arguments
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        hostname: str,
        responses: list[str],
    ) -> list[str]:
        session.host_name = hostname
        return [*(["250-PIPELINING"] if self.pipelining else []), *responses]

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name and arguments
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        address: str,
        options: list[str],
    ) -> str:
        self.hellos.append(str(session.host_name))
        if MAIL in self.says:
            return self.says[MAIL]
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(  # noqa: N802
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        address: str,
        options: list[str],
    ) -> str:
        told = self.says.get(address) or self.says.get(RCPT)
        if told is not None:
            return told
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        if DOT in self.says and not self.says[DOT].startswith("2"):
            return self.says[DOT]
        content = envelope.original_content or b""
        self.accepted.append(
            Taken(
                sender=envelope.mail_from or "",
                recipients=tuple(envelope.rcpt_tos),
                content=content,
                options=tuple(envelope.mail_options),
            )
        )
        self.at_dot.set()
        if self.drop:
            assert isinstance(server, _Conversation)
            server.abort()
        if self.stall or self.drop:
            await asyncio.Event().wait()
        return self.says.get(DOT, "250 2.0.0 queued as 1")

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        """Check a login and write it down with whether it came through TLS."""
        assert isinstance(data, LoginPassword)
        assert server.transport is not None
        encrypted = server.transport.get_extra_info("ssl_object") is not None
        self.logins.append((mechanism, encrypted))
        if AUTH in self.says:
            return AuthResult(success=False, handled=False, message=self.says[AUTH])
        good = (self.users or {}).get(data.login.decode()) == data.password.decode()
        return AuthResult(success=good, handled=False)


class _Conversation(SMTP):
    """One connection; adds the refusal of DATA itself, which aiosmtpd can't script."""

    def __init__(self, provider: Provider, **settings: Any) -> None:
        super().__init__(
            provider, hostname="provider.test", loop=asyncio.get_running_loop(), **settings
        )
        self._provider = provider

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
        if DATA in self._provider.says:
            await self.push(self._provider.says[DATA])
        else:
            await super().smtp_DATA(arg)

    def abort(self) -> None:
        """Reset the connection."""
        if isinstance(self.transport, asyncio.WriteTransport):
            self.transport.abort()

    async def ended(self) -> None:
        """End the connection's task; after a failed handshake nothing else does."""
        if self._handler_coroutine is not None:
            self._handler_coroutine.cancel()
            await asyncio.wait([self._handler_coroutine])


@asynccontextmanager
async def provider(
    *,
    users: Mapping[str, str] | None = None,
    context: ssl.SSLContext | None = None,
    implicit: bool = False,
    methods: tuple[str, ...] = ("PLAIN", "LOGIN"),
    utf8: bool = True,
    pipelining: bool = False,
) -> AsyncIterator[Provider]:
    """A running provider. `context` alone offers STARTTLS; with `implicit`, TLS from the start."""
    the = Provider(users, pipelining=pipelining)

    def conversation() -> _Conversation:
        with warnings.catch_warnings():  # aiosmtpd warns of AUTH without TLS: wanted here
            warnings.simplefilter("ignore")
            connection = _Conversation(
                the,
                enable_SMTPUTF8=utf8,
                tls_context=None if implicit else context,
                auth_required=users is not None,
                auth_require_tls=context is not None and not implicit,
                auth_exclude_mechanism=[m for m in ("PLAIN", "LOGIN") if m not in methods],
                authenticator=the.authenticate,
            )
        the.connections.append(connection)
        return connection

    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        conversation, "127.0.0.1", 0, ssl=context if implicit else None
    )
    the.port = server.sockets[0].getsockname()[1]
    try:
        yield the
    finally:
        server.close()
        for connection in the.connections:
            connection.abort()
        for connection in the.connections:
            await connection.ended()
        await server.wait_closed()
