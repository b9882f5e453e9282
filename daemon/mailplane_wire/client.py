"""The one client of the operator socket: HTTP/1.1 over a Unix socket, blocking.

It is small on purpose: the command line has to start fast, so it builds on `http.client` rather
than on a library that takes longer to import than the call takes. The dashboard runs it in threads.
"""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from mailplane_wire.problems import Problem
from mailplane_wire.resources import StreamMessage

T = TypeVar("T")

STREAM_SILENCE_S = 10.0
"""A stream that says nothing for this long is dead: a heartbeat comes every second."""


class DaemonUnreachable(Exception):
    """No daemon answers on the socket. The text says why and what to do."""


class Refused(Exception):
    """The daemon refused a request; `problem` says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("mailplane", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Client:
    """Calls the daemon behind a socket. One connection per call; safe to use from many threads."""

    def __init__(self, socket_path: Path, *, timeout_s: float = 30.0) -> None:
        self._path = socket_path
        self._timeout_s = timeout_s

    def call(
        self, method: str, path: str, body: msgspec.Struct | dict[str, Any] | None = None
    ) -> Any:
        """The decoded JSON of a reply. Raises Refused or DaemonUnreachable."""
        content = msgspec.json.encode(body) if body is not None else None
        headers = {"Content-Type": "application/json"} if content is not None else {}
        try:
            connection = _UnixConnection(self._path, self._timeout_s)
            try:
                connection.request(method, path, body=content, headers=headers)
                reply = connection.getresponse()
                data = reply.read()
            finally:
                connection.close()
        except (OSError, http.client.HTTPException) as fault:
            raise self._unreachable(fault) from fault
        if reply.status >= 400:
            raise Refused(_problem(reply.status, data))
        return msgspec.json.decode(data) if data else None

    def get(self, path: str, type_: type[T]) -> T:
        """The reply to a GET as a wire type."""
        return msgspec.convert(self.call("GET", path), type_)

    def stream(
        self, *, workspace: str | None = None, last_event_id: str | None = None
    ) -> Iterator[tuple[str, StreamMessage]]:
        """Follow `/v1/stream`: (event id, message) pairs until the daemon closes or falls silent.

        Hand the last id back to `last_event_id` to resume without a gap. Raises Refused or
        DaemonUnreachable.
        """
        from urllib.parse import quote

        path = "/v1/stream" + (f"?workspace={quote(workspace)}" if workspace else "")
        headers = {"Accept": "text/event-stream"}
        if last_event_id:
            headers["Last-Event-ID"] = last_event_id
        connection = _UnixConnection(self._path, STREAM_SILENCE_S)
        try:
            connection.request("GET", path, headers=headers)
            reply = connection.getresponse()
            if reply.status != 200:
                raise Refused(_problem(reply.status, reply.read()))
            yield from _server_sent(reply)
        except (OSError, http.client.HTTPException) as fault:
            raise self._unreachable(fault) from fault
        finally:
            connection.close()

    def _unreachable(self, fault: Exception) -> DaemonUnreachable:
        if isinstance(fault, FileNotFoundError | ConnectionRefusedError):
            return DaemonUnreachable(
                f"no daemon at {self._path}; start one with: mailplane up --detach"
            )
        if isinstance(fault, PermissionError):
            return DaemonUnreachable(f"{self._path}: you may not open this socket")
        if isinstance(fault, TimeoutError):
            return DaemonUnreachable(f"the daemon at {self._path} does not answer")
        return DaemonUnreachable(f"the daemon at {self._path} hung up: {type(fault).__name__}")


def _problem(status: int, data: bytes) -> Problem:
    try:
        return msgspec.json.decode(data, type=Problem)
    except msgspec.DecodeError:
        return Problem(type="about:blank", title="Refused", status=status, detail=f"HTTP {status}")


_decode_message = msgspec.json.Decoder(StreamMessage).decode


def _server_sent(reply: http.client.HTTPResponse) -> Iterator[tuple[str, StreamMessage]]:
    """Server-sent events, as far as the daemon writes them: `id:` and one `data:` line each."""
    event_id = ""
    data = b""
    while line := reply.readline():
        line = line.rstrip(b"\r\n")
        if line.startswith(b"id: "):
            event_id = line[4:].decode()
        elif line.startswith(b"data: "):
            data = line[6:]
        elif not line and data:
            yield event_id, _decode_message(data)
            data = b""
