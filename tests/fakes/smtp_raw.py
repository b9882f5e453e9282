"""A server that speaks byte by byte as a script tells it, for what no honest server does."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

TERMINATOR = b"\r\n.\r\n"
TCP_REPAIR = 19
"""linux/tcp.h: a socket that is closed in this mode sends neither FIN nor RST."""


class Line:
    """One connection, seen from the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.heard = bytearray()

    def say(self, text: str) -> None:
        """Send a reply, its line end added."""
        self.writer.write(text.encode() + b"\r\n")

    async def hear(self) -> bytes:
        """One line from the client; empty when it hung up."""
        line = await self.reader.readline()
        self.heard += line
        return line

    async def hear_body(self) -> bytes:
        """All up to and with the terminator."""
        body = await self.reader.readuntil(TERMINATOR)
        self.heard += body
        return body

    async def dialogue(self, *replies: str) -> None:
        """Greet, then answer one command with each reply."""
        self.say("220 raw ESMTP")
        for reply in replies:
            await self.hear()
            self.say(reply)

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """Turn to TLS after the 220."""
        await self.writer.start_tls(context)

    def fin(self) -> None:
        """Hang up in good form."""
        self.writer.close()

    def rst(self) -> None:
        """Hang up so that the client's next look is an error."""
        sock: Any = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    def forget(self) -> None:
        """Know nothing of the connection any more, without a word; see `may_forget`."""
        sock: Any = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
        self.writer.transport.abort()


class RawServer:
    """Where it listens and whom it has talked to."""

    def __init__(self) -> None:
        self.port = 0
        self.lines: list[Line] = []
        self.accepted = 0
        """For scripts to count what they took."""


Script = Callable[[Line], Awaitable[None]]


@asynccontextmanager
async def raw_server(script: Script) -> AsyncIterator[RawServer]:
    """A server that runs the script for each connection and then hangs up."""
    the = RawServer()
    tasks: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        line = Line(reader, writer)
        the.lines.append(line)
        with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
            await script(line)
        writer.close()
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=2**20)
    the.port = server.sockets[0].getsockname()[1]
    try:
        yield the
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await server.wait_closed()


def may_forget() -> bool:
    """Whether this process may have a connection forgotten (CAP_NET_ADMIN)."""
    with socket.socket() as sock:
        try:
            sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
        except PermissionError:
            return False
    return True


async def stall(line: Line) -> None:
    """Say nothing more, until the client hangs up."""
    while await line.reader.read(2**16):
        pass
