"""The provider as a process of its own: an SMTP server that keeps a ledger of what it took.

Run as a script, with the standard library only. What it answers and what it took are two things:
the ledger (JSONL, O_APPEND, synced before any answer) is the truth that tests compare with.

The local part of the first recipient, up to a `+`, says how a message is treated (`BEHAVIOURS`).
A control file says the rest, and can change while it runs.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import json
import os
import re
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

TERMINATOR = b"\r\n.\r\n"
_ID = re.compile(rb"(?im)^X-Mailplane-Id:[ \t]*(\S+)\r$")
_PATH = re.compile(r"(?i)^(?:MAIL FROM|RCPT TO):<(.*)>(?: .*)?$")
_POLL_S = 0.02

AT_RECIPIENT = {
    "421": "421 4.3.2 closing for now",
    "451": "451 4.7.1 try later",
    "550": "550 5.1.1 no such user",
}
AT_DATA = {"552": "552 5.2.3 message too large for the recipient"}
BEHAVIOURS = frozenset({*AT_RECIPIENT, *AT_DATA, "before-dot", "after-dot", "stall"})
"""`before-dot` hangs up amid the body, `after-dot` takes the message and hangs up, `stall` answers
nothing after the dot until the control file says `released`."""


class Ledger:
    """What was taken, one line for each message."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def take(self, sender: str, recipients: list[str], content: bytes, peer: Any) -> None:
        """Write a message down and sync it."""
        found = _ID.search(content)
        line = {
            "id": found[1].decode() if found else None,
            "sender": sender,
            "recipients": recipients,
            "at": time.time(),
            "connection": peer[1],
            "content": content.decode("latin-1"),
        }
        os.write(self._fd, json.dumps(line).encode() + b"\n")
        os.fsync(self._fd)


class Control:
    """The control file, read anew whenever it has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._values: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        with contextlib.suppress(FileNotFoundError):
            facts = self._path.stat()
            if (facts.st_ino, facts.st_mtime_ns) != self._stamp:
                self._stamp = (facts.st_ino, facts.st_mtime_ns)
                self._values = json.loads(self._path.read_text())
        return self._values.get(name)


class Conversation:
    """One connection."""

    def __init__(
        self,
        ledger: Ledger,
        control: Control,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._ledger = ledger
        self._control = control
        self._reader = reader
        self._writer = writer
        self._sender = ""
        self._recipients: list[str] = []

    async def run(self) -> None:
        """Talk until either side hangs up."""
        await self._say("220 sink.example ESMTP")
        while line := await self._reader.readline():
            words = line.decode("utf-8", "replace").rstrip("\r\n")
            verb = words[:4].upper()
            if verb == "QUIT":
                await self._say("221 2.0.0 bye")
                return
            if verb == "DATA":
                if not await self._data():
                    return
            elif not await self._say(await self._answer(verb, words)):
                return

    async def _answer(self, verb: str, words: str) -> str:
        match verb:
            case "EHLO":
                return (
                    "250-sink.example\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-AUTH PLAIN\r\n"
                    "250 SIZE 52428800"
                )
            case "AUTH":
                return self._authenticate(words)
            case "MAIL":
                self._sender, self._recipients = _path(words), []
                return "250 2.1.0 ok"
            case "RCPT":
                return self._recipient(_path(words))
            case "RSET":
                return "250 2.0.0 ok"
            case _:
                return "502 5.5.1 not here"

    def _authenticate(self, words: str) -> str:
        wanted = self._control["password"]
        _, _, sent = base64.b64decode(words.split()[2]).decode().split("\0")
        if wanted is None or sent == wanted:
            return "235 2.7.0 welcome"
        return "535 5.7.8 username and password not accepted"

    def _recipient(self, address: str) -> str:
        refusal = AT_RECIPIENT.get(address.partition("@")[0].partition("+")[0])
        if refusal is None:
            self._recipients.append(address)
        return refusal or "250 2.1.5 ok"

    async def _data(self) -> bool:
        """Whether the conversation goes on."""
        local = self._recipients[0].partition("@")[0] if self._recipients else ""
        behaviour = local.partition("+")[0]
        if behaviour in AT_DATA:
            return await self._say(AT_DATA[behaviour])
        await self._say("354 go on")
        if behaviour == "before-dot":
            await self._reader.readexactly(1024)
            self._writer.transport.abort()
            return False
        content = (await self._reader.readuntil(TERMINATOR))[: -len(TERMINATOR)] + b"\r\n"
        if delay_s := self._control["delay_s"]:
            await asyncio.sleep(delay_s)
        while behaviour == "stall" and not self._control["released"]:
            await asyncio.sleep(_POLL_S)
            if self._writer.transport.is_closing() or self._reader.at_eof():
                return False
        self._ledger.take(
            self._sender,
            self._recipients,
            content.replace(b"\r\n..", b"\r\n."),
            self._writer.get_extra_info("peername"),
        )
        if behaviour == "after-dot":
            self._writer.transport.abort()
            return False
        return await self._say("250 2.0.0 taken")

    async def _say(self, text: str) -> bool:
        """Whether the conversation goes on: after 421 it doesn't."""
        self._writer.write(text.encode() + b"\r\n")
        await self._writer.drain()
        return not text.startswith("421")


def _path(words: str) -> str:
    found = _PATH.match(words)
    return found[1] if found else ""


async def serve(ledger: Ledger, control: Control) -> None:
    """Listen on a port of the kernel's choice, say which, and serve until SIGTERM."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
            await Conversation(ledger, control, reader, writer).run()
        writer.close()

    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    # Small, so that a sender of a large message is still at it when `before-dot` hangs up.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    server = await asyncio.start_server(talk, sock=listener, limit=2**26)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    await stop.wait()
    server.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("ledger", type=Path)
    parser.add_argument("control", type=Path)
    arguments = parser.parse_args()
    asyncio.run(serve(Ledger(arguments.ledger), Control(arguments.control)))


if __name__ == "__main__":
    main()
