"""The one client of the operator socket: blocking calls, and the stream.

The command line has to start fast, so what only some calls need is imported by those. The dashboard
runs it in threads.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mailplane_wire.unix_http import Broken, Exchange

if TYPE_CHECKING:
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


class Client:
    """Calls the daemon behind a socket. One connection per call; safe to use from many threads."""

    def __init__(self, socket_path: Path, *, timeout_s: float = 30.0) -> None:
        self._path = socket_path
        self._timeout_s = timeout_s

    def call(
        self, method: str, path: str, body: msgspec.Struct | dict[str, Any] | None = None
    ) -> Any:
        """The decoded JSON of a reply. Raises Refused or DaemonUnreachable."""
        content = _encoded(body) if body is not None else None
        headers = {"Content-Type": "application/json"} if content is not None else {}
        try:
            with Exchange(self._path, self._timeout_s, method, path, headers, content) as exchange:
                data = exchange.read()
        except (OSError, Broken) as fault:
            raise self._unreachable(fault) from fault
        if exchange.status >= 400:
            raise Refused(_problem(exchange.status, data))
        try:
            return json.loads(data) if data else None
        except ValueError as fault:
            raise DaemonUnreachable(f"what answers at {self._path} is no mailplane") from fault

    def get(self, path: str, type_: type[T]) -> T:
        """The reply to a GET as a wire type."""
        import msgspec

        return msgspec.convert(self.call("GET", path), type_)

    def lines(self, path: str) -> Iterator[bytes]:
        """The lines of a reply to a GET, as they come. Raises Refused or DaemonUnreachable."""
        try:
            with Exchange(self._path, self._timeout_s, "GET", path, {}) as exchange:
                if exchange.status != 200:
                    raise Refused(_problem(exchange.status, exchange.read()))
                yield from exchange.lines()
        except (OSError, Broken) as fault:
            raise self._unreachable(fault) from fault

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
        try:
            with Exchange(self._path, STREAM_SILENCE_S, "GET", path, headers) as exchange:
                if exchange.status != 200:
                    raise Refused(_problem(exchange.status, exchange.read()))
                yield from _server_sent(exchange.lines())
        except (OSError, Broken) as fault:
            raise self._unreachable(fault) from fault

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


def _encoded(body: msgspec.Struct | dict[str, Any]) -> bytes:
    import msgspec

    return msgspec.json.encode(body)


def _problem(status: int, data: bytes) -> Problem:
    import msgspec

    from mailplane_wire.problems import Problem

    try:
        return msgspec.json.decode(data, type=Problem)
    except msgspec.DecodeError:
        return Problem(type="about:blank", title="Refused", status=status, detail=f"HTTP {status}")


def _server_sent(lines: Iterable[bytes]) -> Iterator[tuple[str, StreamMessage]]:
    """Server-sent events, as far as the daemon writes them: `id:` and one `data:` line each."""
    import msgspec

    from mailplane_wire.resources import StreamMessage

    decode = msgspec.json.Decoder(StreamMessage).decode
    event_id = ""
    data = b""
    for line in lines:
        if line.startswith(b"id: "):
            event_id = line[4:].decode()
        elif line.startswith(b"data: "):
            data = line[6:]
        elif not line and data:
            yield event_id, decode(data)
            data = b""
