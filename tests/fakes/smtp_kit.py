"""What tests of the SMTP transport need on our side of the wire."""

from __future__ import annotations

import asyncio
import ssl
import time
from dataclasses import dataclass

import trustme

from mailplaned.domain.policy import Account, Tls
from mailplaned.ports import Envelope
from mailplaned.transports.session import Timeouts

USER, PASSWORD = "ana@acme.example", "k8 tr+oQ/zv9=canary"
CONTENT = b"From: ana@acme.example\r\nSubject: hello\r\n\r\nFirst line\r\n.dotted\r\n..\r\nlast\r\n"
QUICK = Timeouts(
    slot=5, connect=5, greeting=5, tls=5, auth=5, command=5, data=5, block=5, terminator=5
)
"""Time-outs that a busy machine keeps and a hanging test doesn't."""

SHORT_S = 0.2
"""A time-out that a test waits for."""


class JumpClock:
    """Real time that a test can push forward."""

    def __init__(self) -> None:
        self.ahead_us = 0

    def wall_us(self) -> int:
        return time.time_ns() // 1000 + self.ahead_us

    def boot_us(self) -> int:
        return time.monotonic_ns() // 1000 + self.ahead_us

    def boot_id(self) -> str:
        return "test"

    async def sleep_us(self, duration_us: int) -> None:
        await asyncio.sleep(duration_us / 1_000_000)

    async def wait_us(self, event: asyncio.Event, duration_us: int) -> bool:
        try:
            await asyncio.wait_for(event.wait(), duration_us / 1_000_000)
        except TimeoutError:
            return False
        return True


@dataclass
class FixedSecrets:
    """Secrets by name."""

    values: dict[str, str]

    def get(self, name: str, workspace: str) -> str | None:
        del workspace
        return self.values.get(name)


class Authority:
    """A private certificate authority and a server's certificate from it."""

    def __init__(self, *names: str) -> None:
        self.root = trustme.CA()
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.root.issue_cert(*(names or ("127.0.0.1", "localhost"))).configure_cert(self.server)

    def trusting(self) -> ssl.SSLContext:
        """The default client settings, with this authority beside the public ones."""
        context = ssl.create_default_context()
        self.root.configure_trust(context)
        return context


def account(
    port: int, *, tls: Tls = Tls.NONE, login: bool = False, connections: int = 4
) -> Account:
    """An account on a server of this host."""
    return Account(
        name="relay",
        workspace="acme",
        provider="smtp",
        host="127.0.0.1",
        port=port,
        tls=tls,
        username=USER if login else None,
        secret="relay-password" if login else None,
        connections=connections,
    )


def secrets() -> FixedSecrets:
    """What the account's secret is."""
    return FixedSecrets({"relay-password": PASSWORD})


def envelope(
    on: Account,
    *recipients: str,
    content: bytes = CONTENT,
    sender: str = USER,
    utf8: bool = False,
) -> Envelope:
    """A message for one or more recipients."""
    return Envelope(
        mailbox=USER,
        account=on,
        sender=sender,
        recipients=recipients or ("bob@there.example",),
        content=content,
        utf8=utf8,
    )
