"""The listeners: uvicorn on sockets that we bind, without its signals and its ideas of modes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_PEER = struct.Struct("3i")
"""`struct ucred`: pid, uid, gid (unix(7), SO_PEERCRED)."""

KEEP_ALIVE_S = 75
BACKLOG = 1024


class _PeerProtocol(HttpToolsProtocol):
    """HTTP/1.1 that tells the application who is at the other end of a Unix socket.

    It also gives it a way to hang up on a peer that does not read: nothing else ends that.
    """

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        sock = self.transport.get_extra_info("socket")
        if sock is not None and sock.family == socket.AF_UNIX:
            raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
            self.scope["state"] = {
                **self.scope.get("state", {}),
                "peer_uid": _PEER.unpack(raw)[1],
                "hang_up": self.transport.abort,
            }


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
