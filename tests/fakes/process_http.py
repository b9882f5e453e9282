"""HTTP as a stranger speaks it: over TCP or a Unix socket, with nothing of ours."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Reply:
    """An answer; header names are in small letters."""

    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        """The content as JSON."""
        return json.loads(self.content)

    @property
    def code(self) -> str:
        """The code of a problem."""
        return str(self.json["type"]).removeprefix("urn:mailplane:problem:")

    @property
    def fields(self) -> set[str]:
        """The fields that a problem names."""
        return {error["field"] for error in self.json.get("errors", [])}


@dataclass(frozen=True)
class Door:
    """Where to call: a Unix socket, or a port of this host with a token or without."""

    path: Path | None = None
    port: int | None = None
    token: str | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def call(
        self, method: str, target: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Reply:
        """One request on a connection of its own. `body` is JSON, or bytes as they are."""
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        sent = {**self._standing(content), **(headers or {})}
        connection = self._connection()
        try:
            connection.request(method, target, content, sent)
            reply = connection.getresponse()
            names = {name.lower(): value for name, value in reply.getheaders()}
            return Reply(reply.status, names, reply.read())
        finally:
            connection.close()

    def get(self, target: str) -> Any:
        """The JSON of a GET that has to succeed."""
        reply = self.call("GET", target)
        assert reply.status == 200, (target, reply.status, reply.content)
        return reply.json

    def post(self, target: str, body: Any, headers: dict[str, str] | None = None) -> Reply:
        """A POST."""
        return self.call("POST", target, body, headers)

    def send(self, body: dict[str, Any]) -> dict[str, Any]:
        """The answer to a submission that has to be accepted."""
        reply = self.post("/v1/messages", body)
        assert reply.status == 202, (reply.status, reply.content)
        answer: dict[str, Any] = reply.json
        return answer

    def message(self, id_: str) -> dict[str, Any]:
        """A message with its recipients, attempts and events."""
        found: dict[str, Any] = self.get(f"/v1/messages/{id_}")
        return found

    def mailbox(self, address: str) -> dict[str, Any]:
        """A mailbox with its caps."""
        found: dict[str, Any] = self.get(f"/v1/mailboxes/{address}")
        return found

    def all(self, target: str) -> list[dict[str, Any]]:
        """The items of all pages of a list."""
        found: list[dict[str, Any]] = []
        mark = "&" if "?" in target else "?"
        page = self.get(f"{target}{mark}limit=1000")
        while True:
            found += page["items"]
            if page["next"] is None:
                return found
            page = self.get(f"{target}{mark}limit=1000&after={page['next']}")

    async def post_together(self, target: str, bodies: list[Any]) -> list[Reply]:
        """The answers to many POSTs: every connection is made before the first request leaves."""
        gate = asyncio.Barrier(len(bodies))
        return await asyncio.gather(*(self._post_at(gate, target, body) for body in bodies))

    async def _post_at(self, gate: asyncio.Barrier, target: str, body: Any) -> Reply:
        async with asyncio.timeout(TIMEOUT_S):
            if self.path is not None:
                reader, writer = await asyncio.open_unix_connection(str(self.path))
            else:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            await gate.wait()
            content = json.dumps(body).encode()
            fields = {
                "Host": f"127.0.0.1:{self.port}",
                "Content-Length": str(len(content)),
                "Connection": "close",
                **self._standing(content),
            }
            head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
            writer.write(f"POST {target} HTTP/1.1\r\n{head}\r\n".encode() + content)
            answer = await reader.read()
            writer.close()
            await writer.wait_closed()
        return parse_reply(answer)

    def _standing(self, content: bytes | None) -> dict[str, str]:
        found = dict(self.headers)
        if self.token is not None:
            found["Authorization"] = f"Bearer {self.token}"
        if content is not None:
            found["Content-Type"] = "application/json"
        return found

    def _connection(self) -> http.client.HTTPConnection:
        if self.path is None:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)
        return _UnixConnection(self.path)

    def socket(self) -> socket.socket:
        """A bare connection, for what no client library would send."""
        connection = self._connection()
        connection.connect()
        assert isinstance(connection.sock, socket.socket)
        return connection.sock


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("mailplane", timeout=TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(TIMEOUT_S)
        self.sock.connect(str(self._path))


def parse_reply(answer: bytes) -> Reply:
    """A whole answer of a connection that was closed after it."""
    head, _, content = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return Reply(int(first.split()[1]), headers, content)
