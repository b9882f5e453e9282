"""The stand-in provider: an SMTP server that keeps a ledger of its own, as a process of its own.

It is the demo's witness. What it took, refused or left unanswered is written down here before the
client hears of it, by a program (aiosmtpd) that shares no code with the daemon. It delivers
nothing. It ends when its standard input does, so that it can't outlive who started it.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from itertools import cycle
from pathlib import Path
from typing import Any, Final

import msgspec
from aiosmtpd.smtp import SMTP

REFUSED: Final = "gone."
"""Recipients whose local part begins so don't exist here."""

DROPPED: Final = "drop."
"""The connection is cut instead of answering a message to a recipient that begins so."""

UNKNOWN_USER: Final = "550 5.1.1 no such user here"

_ID_HEADER: Final = b"x-mailplane-id:"


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the ledger. `id` is the X-Mailplane-Id; `taken` tells whether it was kept.

    `accepted`: answered 250. `refused`: one recipient, answered 550. `dropped`: not answered.
    """

    at_us: int
    event: str
    sender: str
    recipients: list[str]
    id: str | None = None
    taken: bool = False
    size: int = 0


def read_ledger(path: Path) -> list[Entry]:
    """The entries of a ledger, in order; a last line that was cut off is left out."""
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")[:-1]
    return [msgspec.json.decode(line, type=Entry) for line in lines]


class Provider:
    """What aiosmtpd asks about each recipient and each message."""

    def __init__(self, ledger: Path) -> None:
        self._file = os.open(ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._taken = cycle((True, False))

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        """Refuse those who don't exist."""
        del server, session
        if address.startswith(REFUSED):
            self._write("refused", envelope.mail_from, [address])
            return UNKNOWN_USER
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 ok"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        """Take a message; or cut the connection, having taken every other one of those."""
        del session
        recipients = list(envelope.rcpt_tos)
        drops = any(address.startswith(DROPPED) for address in recipients)
        self._write(
            "dropped" if drops else "accepted",
            envelope.mail_from,
            recipients,
            id=_public_id(envelope.content),
            taken=next(self._taken) if drops else True,
            size=len(envelope.content),
        )
        if drops:
            server.transport.abort()
        return "250 2.0.0 taken"

    def _write(self, event: str, sender: str, recipients: list[str], **more: Any) -> None:
        entry = Entry(
            at_us=time.time_ns() // 1000, event=event, sender=sender, recipients=recipients, **more
        )
        os.write(self._file, msgspec.json.encode(entry) + b"\n")


def _public_id(content: bytes) -> str | None:
    head = content.partition(b"\r\n\r\n")[0]
    for line in head.split(b"\r\n"):
        if line.lower().startswith(_ID_HEADER):
            return line[len(_ID_HEADER) :].strip().decode("ascii", "replace")
    return None


async def _serve(ledger: Path, port: int) -> None:
    provider = Provider(ledger)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(provider, hostname="sink.example", enable_SMTPUTF8=True, ident="demo sink"),
        "127.0.0.1",
        port,
    )
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - read by who started us
    async with server:
        await loop.run_in_executor(None, sys.stdin.buffer.read)


def main() -> None:
    """Serve `LEDGER` on `PORT` (0: any free one); the port is the first line of the output."""
    ledger, port = sys.argv[1:]
    asyncio.run(_serve(Path(ledger), int(port)))


if __name__ == "__main__":
    main()
