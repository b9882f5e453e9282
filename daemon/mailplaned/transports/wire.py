"""aiosmtplib's protocol, stricter about replies, and with more of a say in how a body goes out.

The library sends DATA, body and terminator in one go and forgets which of them a failure met. Here
the terminator is a step of its own, for it divides "not sent" from "may have been sent".
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Sequence
from typing import cast

from aiosmtplib.errors import SMTPResponseException, SMTPServerDisconnected
from aiosmtplib.protocol import COMMAND_INJECTION_REGEX, MAX_RESPONSE_LENGTH, SMTPProtocol
from aiosmtplib.response import SMTPResponse
from aiosmtplib.typing import SMTPStatus

_REPLY = re.compile(rb"([2-5]\d\d)(?:-[^\n]*+\n\1)*+(?: [^\n]*+|\r?)\n")
"""One code in each line, then a space or, in all but the last, a hyphen (RFC 5321 §4.2)."""

TERMINATOR = b".\r\n"
"""The end of a message whose last line is complete (RFC 5321 §4.1.1.4)."""

CHUNK_BYTES = 64 * 1024
"""How much is written between two looks at the connection; one time-out covers one chunk."""

FAREWELL_S = 2.0
"""How long a server may take to answer QUIT before its connection is cut."""

PROBES = 8
"""How many questions whether the other side is still there may stay unanswered (tcp(7))."""


class Wire(SMTPProtocol):
    """One connection's two directions. Every write may raise SMTPServerDisconnected."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._running = loop
        self._leaving: asyncio.TimerHandle | None = None
        self._out_of_step = False
        self._due = 0
        self.gone: asyncio.Future[None] = loop.create_future()
        """Done when the socket is closed."""

    @property
    def in_step(self) -> bool:
        """Connected, and nothing came that no command had asked for (a 421 on idling, say)."""
        return self.is_connected and not self.spoken_unasked

    @property
    def spoken_unasked(self) -> bool:
        """Whether the server said what no command had asked for; which reply is whose is open."""
        return bool(self._buffer) or self._out_of_step

    @property
    def answered(self) -> bool:
        """Whether a reply, or the end of the connection, waits to be read."""
        return self._response_waiter is None or self._response_waiter.done()

    def data_received(self, data: bytes) -> None:
        """Take a reply; what comes unasked marks the connection as not to be used again."""
        if self._leaving is not None:
            self.cut()
            return
        if not self._response_pending:
            self._out_of_step = True
        if self._due and self._response_waiter is not None and self._response_waiter.done():
            self._buffer.extend(data)  # the library would drop it
            if len(self._buffer) > MAX_RESPONSE_LENGTH:
                self.cut()
            return
        super().data_received(data)

    def ask(self, commands: Sequence[bytes]) -> None:
        """Write commands at once; `read_response` gives the reply to each, in their order."""
        for command in commands:
            if COMMAND_INJECTION_REGEX.search(command):
                raise ValueError("a command holds a control character")
        self._due = len(commands)
        self._response_pending = True
        self.write(b"".join([command + b"\r\n" for command in commands]))

    async def read_response(self, timeout: float | None = None) -> SMTPResponse:  # noqa: ASYNC109
        """The next reply; it may have come together with the one before it."""
        response = self._kept_response()
        if response is None:
            response = await super().read_response(timeout=timeout)
        if self._due:
            self._due -= 1
        self._response_pending = self._due > 0
        return response

    def _kept_response(self) -> SMTPResponse | None:
        """A reply that came together with another and lies in the buffer."""
        waiter = self._response_waiter
        if not self._due or not self._buffer or (waiter is not None and waiter.done()):
            return None
        return self._read_response_from_buffer()

    def _read_response_from_buffer(self) -> SMTPResponse | None:
        before = bytes(self._buffer)
        response = super()._read_response_from_buffer()
        if response is None:
            return None
        said = before[: len(before) - len(self._buffer)]
        if not _REPLY.fullmatch(said):
            # The library goes by the first three octets of the last line, and takes any number.
            raise SMTPResponseException(SMTPStatus.invalid_response.value, response.message)
        return response

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the socket is closed."""
        super().connection_lost(exc)
        if self._leaving is not None:
            self._leaving.cancel()
        if not self.gone.done():
            self.gone.set_result(None)

    def probe_silence(self, after_s: float) -> None:
        """Have the kernel ask, when that long nothing was heard, whether the peer is still there.

        A peer that has forgotten the connection (its end of the handshake was lost, it was
        restarted, a firewall dropped its state) says nothing until it is asked.
        """
        if self.transport is None:
            return  # lost already, as the next read will tell
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, max(1, round(after_s)))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, round(after_s / 4)))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, PROBES)

    async def write_body(self, body: bytes, timeout_s: float) -> None:
        """Write a dot-stuffed body without its terminator; return when the kernel has taken it all.

        Stops early when the server speaks or hangs up: look at `answered`. Raises TimeoutError when
        a chunk isn't taken within `timeout_s`.
        """
        self._response_pending = True
        if self.transport is None:
            raise SMTPServerDisconnected("Connection lost")
        # 1, since TLS transports read 0 as "always paused".
        cast("asyncio.WriteTransport", self.transport).set_write_buffer_limits(high=1, low=0)
        for start in range(0, len(body), CHUNK_BYTES):
            self.write(body[start : start + CHUNK_BYTES])
            if self._paused:
                async with asyncio.timeout(timeout_s):
                    await self._drain_helper()
            if self.answered:
                return

    def terminate(self) -> None:
        """Write the terminator. When this raises, no byte of it left."""
        self._response_pending = True
        self.write(TERMINATOR)

    def leave(self) -> None:
        """Say QUIT, and hang up at the answer or after a moment; never waits."""
        if not self.is_connected:
            return
        self._leaving = self._running.call_later(FAREWELL_S, self.cut)
        self.write(b"QUIT\r\n")

    def cut(self) -> None:
        """Hang up now; what is still to be written is dropped."""
        if self.transport is not None:
            cast("asyncio.WriteTransport", self.transport).abort()
