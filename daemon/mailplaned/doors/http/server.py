"""The listeners: uvicorn on sockets that we bind, without its signals and its ideas of modes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mailplaned.doors.http.replies import refuse, reply_problem

_PEER = struct.Struct("3i")
"""`struct ucred`: pid, uid, gid (unix(7), SO_PEERCRED)."""

KEEP_ALIVE_S = 75
BACKLOG = 1024


HEAD_BYTES = 16_384
"""The largest request line and headers together; neither uvicorn nor httptools has a limit."""

_FIELD_MARKS = len(": \r\n")

HEAD_S = 10.0
"""How long a connection may take to send them."""

BODY_S = 10.0
"""How long a body may pause; what came of it is kept in memory until it is whole."""


class _PeerProtocol(HttpToolsProtocol):
    """HTTP/1.1 that tells the application who is at the other end of a Unix socket.

    It also gives it a way to hang up on a peer that does not read: nothing else ends that.
    """

    _peer: Mapping[str, Any] = MappingProxyType({})
    _late: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _turned_away = False
    _in_body = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody is there, and had better ask something."""
        super().connection_made(transport)
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family == socket.AF_UNIX:
            raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
            self._peer = {"peer_uid": _PEER.unpack(raw)[1], "hang_up": transport.abort}
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """They have left."""
        self._end_wait()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """A part of a request; a head that has no end is not collected for ever."""
        super().data_received(data)
        if self._in_body:
            self._await_body()
        elif self._late is not None:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self._turn_away("headers-too-large", f"at most {HEAD_BYTES} bytes")

    def on_headers_complete(self) -> None:
        """The head of a request is there."""
        self._end_wait()
        fields = sum(len(name) + len(value) + _FIELD_MARKS for name, value in self.headers)
        if len(self.url) + fields > HEAD_BYTES:
            self._turn_away("headers-too-large", f"at most {HEAD_BYTES} bytes")
            return
        self._in_body = True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body; of none when the head was turned away."""
        if not self._turned_away:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._in_body = False
        self._end_wait()
        if not self._turned_away:
            super().on_message_complete()

    def _await_head(self) -> None:
        self._head_bytes = 0
        self._late = self.loop.call_later(
            HEAD_S, self._turn_away, "request-timeout", f"the headers took over {HEAD_S:g} s"
        )

    def _await_body(self) -> None:
        self._end_wait()
        self._late = self.loop.call_later(BODY_S, self._give_up_body)

    def _give_up_body(self) -> None:
        """Nothing came for a while; not because of us, whose application may have to catch up."""
        if self.flow.read_paused:
            self._await_body()
        elif self.cycle.response_started:
            self.transport.close()
        else:
            self._turn_away("request-timeout", f"the body paused for {BODY_S:g} s")

    def _end_wait(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _turn_away(self, code: str, words: str) -> None:
        """Answer a request that will not be served, and hang up."""
        self._end_wait()
        if self._turned_away or self.transport.is_closing():
            return
        self._turned_away = True
        refused = refuse(code, words).problem
        answer = reply_problem(refused)
        fields = [*answer.raw_headers, (b"connection", b"close")]
        head = [f"HTTP/1.1 {refused.status} {refused.title}".encode()]
        head += [name + b": " + value for name, value in fields]
        self.transport.write(b"\r\n".join([*head, b"", bytes(answer.body)]))
        self.transport.close()

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        if self._late is None:
            self._await_head()
        self.scope["state"] = {**self.scope.get("state", {}), **self._peer}


class Server(uvicorn.Server):
    """Serves one application on one socket. Set `should_exit` to stop it."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=_PeerProtocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=False,
                proxy_headers=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=5,
                backlog=BACKLOG,
            )
        )
        self.listening = asyncio.Event()
        """Set once connections are taken."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the supervisor's business."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn."""
        await super().startup(sockets)
        self.listening.set()

    async def serve_on(self, listener: socket.socket) -> None:
        """Serve until `should_exit`."""
        await self.serve(sockets=[listener])
