"""A small server that speaks the operator socket's contract, for tests of the dashboard.

It listens on a real Unix socket and answers real HTTP: the stream, pauses, resumes and a mailbox's
messages. It decides nothing: state is what a test puts in, requests are recorded, and a pause
shows up on the stream as the daemon would show it: in the same rounds, with the same sums.
"""

from __future__ import annotations

import http.server
import itertools
import queue
import socketserver
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, unquote

import msgspec

from mailplane_wire.problems import problem
from mailplane_wire.resources import (
    BookView,
    Change,
    Heartbeat,
    MailboxView,
    Page,
    PauseRequest,
    PauseView,
    ReasonRequest,
    ShownRequest,
    Snapshot,
    StreamMessage,
    WorkspaceView,
)
from mailplaned.doors.http.rounds import Rounds
from mailplaned.doors.http.views import Sums, totals
from tests.fakes.wire_rows import NOW, pause

TICK_S = 0.25


@dataclass
class Recorded:
    """A request that changes something."""

    method: str
    path: str
    body: dict[str, Any]


@dataclass
class _Reader:
    """A stream: what is to be said on it, and what it has on its screen."""

    id: str
    messages: queue.Queue[StreamMessage | None] = field(default_factory=queue.Queue)
    shown: list[str] = field(default_factory=list)


@dataclass
class StandIn:
    """The server and what it knows. Use as a context manager; `start` again after `stop`."""

    path: Path
    mailboxes: dict[str, MailboxView] = field(default_factory=dict)
    workspaces: tuple[str, ...] = ("acme",)
    role: str = "operator"
    logs: list[StreamMessage] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    refuse: str | None = None
    silent: bool = False
    heartbeat_s: float = 0.2
    requests: list[Recorded] = field(default_factory=list)
    resumed_from: list[str | None] = field(default_factory=list)
    told: int = 0
    """Mailboxes that were told because they changed, to all readers together."""
    _readers: list[_Reader] = field(default_factory=list)
    _rounds: Rounds = field(default_factory=Rounds)
    _known: dict[str, MailboxView] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _server: socketserver.ThreadingUnixStreamServer | None = None
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _ticked_s: float = 0.0
    _pauses: int = 100

    def put(self, *rows: MailboxView) -> None:
        """Set mailboxes and tell the streams."""
        with self._lock:
            self.mailboxes.update({row.address: row for row in rows})
            self._rounds.note(row.address for row in rows)
            self.tick()

    @property
    def shown(self) -> list[str]:
        """What the readers have on their screens."""
        return list(dict.fromkeys(name for reader in self._readers for name in reader.shown))

    def catch_up(self) -> None:
        """Tell what the last tick had no room for, once the next one is due."""
        if time.monotonic() - self._ticked_s >= TICK_S:
            self.tick()

    def tick(self) -> None:
        """Tell what is due of what has changed."""
        with self._lock:
            self._ticked_s = time.monotonic()
            due = [self.mailboxes[name] for name in self._rounds.take(self.shown, ())]
            rows = [row for row in due if self._known.get(row.address) is not row]
            if rows:
                self._known.update({row.address: row for row in rows})
                self.told += len(rows) * len(self._readers)
                self.say(Change(now=NOW, mailboxes=rows, workspaces=self._workspaces()))

    def say(self, message: StreamMessage) -> None:
        """Send a message on every stream."""
        with self._lock:
            for reader in self._readers:
                reader.messages.put(message)

    def snapshot(self, stream: str = "1") -> Snapshot:
        """Everything, as the first message of a stream."""
        sums = Sums()
        for row in self.mailboxes.values():
            sums.add(row)
        return Snapshot(
            stream=stream,
            now=NOW,
            version="0.1.0",
            actor="uid:1000",
            role=self.role,
            workspaces=self._workspaces(),
            mailboxes=list(self.mailboxes.values()),
            totals=totals([sums]),
            book=BookView(hash="b", applied_at=NOW, notices=[], problems=self.problems),
        )

    def _workspaces(self) -> list[WorkspaceView]:
        sums = {name: Sums() for name in self.workspaces}
        pauses: dict[str, list[PauseView]] = {name: [] for name in self.workspaces}
        for row in self.mailboxes.values():
            sums.setdefault(row.workspace, Sums()).add(row)
            own = [item for item in row.pauses if item.scope == f"workspace:{row.workspace}"]
            pauses[row.workspace] = own[:1] or pauses.get(row.workspace, [])
        return [
            WorkspaceView(
                name=name, title=name.title(), colour=None, mailboxes=sums[name].states.total(),
                states=dict(sums[name].states), waiting=sums[name].waiting,
                unknown=sums[name].unknown, pauses=pauses[name],
            )
            for name in self.workspaces
        ]  # fmt: skip

    # --- requests --------------------------------------------------------------------------------

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        """Status and body for a request that isn't the stream."""
        content = msgspec.json.decode(body) if body else {}
        if path.startswith("/v1/stream/"):
            return self._show(path.split("/")[3], msgspec.convert(content, ShownRequest))
        if method != "GET":
            self.requests.append(Recorded(method, path, content))
        if self.refuse is not None:
            refused = problem("not-permitted", self.refuse)
            return refused.status, refused
        parts = [unquote(part) for part in path.partition("?")[0].strip("/").split("/")]
        match method, parts:
            case "GET", ["v1", "messages"]:
                state = parse_qs(path.partition("?")[2]).get("state", [""])[0]
                found = [item for item in self.messages if item["state"] == state]
                return 200, Page(items=found, next=None)
            case "POST", ["v1", "pauses"]:
                return 201, self._pause(msgspec.json.decode(body, type=PauseRequest))
            case "DELETE", ["v1", "pauses", ident]:
                msgspec.json.decode(body, type=ReasonRequest)
                return 200, self._lift(ident)
            case "POST", ["v1", "mailboxes", address, "resume"]:
                msgspec.json.decode(body, type=ReasonRequest)
                return 200, self._resume(address)
        missing = problem("not-found", path)
        return missing.status, missing

    def _show(self, stream: str, request: ShownRequest) -> tuple[int, Any]:
        with self._lock:
            for reader in self._readers:
                if reader.id == stream:
                    reader.shown = [name for name in request.mailboxes if name in self.mailboxes]
                    return 200, {}
        missing = problem("not-found", stream)
        return missing.status, missing

    def _pause(self, request: PauseRequest) -> PauseView:
        self._pauses += 1
        scope = request.scope
        name = f"mailbox:{scope.mailbox}" if scope.mailbox else f"workspace:{scope.workspace}"
        made = pause(self._pauses, name, reason=request.reason)
        rows = [
            row
            for row in self.mailboxes.values()
            if scope.mailbox == row.address or scope.workspace == row.workspace
        ]
        self.put(*(self._with(row, [*row.pauses, made]) for row in rows))
        return made

    def _lift(self, ident: str) -> dict[str, str]:
        for row in list(self.mailboxes.values()):
            if any(item.id == ident for item in row.pauses):
                self.put(self._with(row, [item for item in row.pauses if item.id != ident]))
        return {"id": ident}

    def _resume(self, address: str) -> dict[str, str]:
        self.put(self._with(self.mailboxes[address], []))
        return {"address": address}

    def _with(self, row: MailboxView, pauses: list[PauseView]) -> MailboxView:
        state = "paused" if pauses else "ready"
        return msgspec.structs.replace(row, pauses=pauses, state=state)

    # --- the server ------------------------------------------------------------------------------

    def follow(self) -> queue.Queue[StreamMessage | None]:
        """A new stream, with the snapshot and the logs already on it."""
        with self._lock:
            reader = _Reader(str(next(self._numbers)))
            for message in (self.snapshot(reader.id), *self.logs):
                reader.messages.put(message)
            self._readers.append(reader)
            self._known.update(self.mailboxes)
        return reader.messages

    def start(self) -> None:
        """Listen."""
        self.path.unlink(missing_ok=True)
        stand_in = self

        class Handler(_Handler):
            daemon = stand_in

        self._server = _Server(str(self.path), Handler)
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()

    def stop(self) -> None:
        """Hang up every stream and listen no longer."""
        with self._lock:
            for reader in self._readers:
                reader.messages.put(None)
            self._readers.clear()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that left is no error here."""


class _Handler(http.server.BaseHTTPRequestHandler):
    daemon: StandIn
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path.startswith("/v1/stream"):
            self._stream()
        else:
            self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        status, body = self.daemon.answer(self.command, self.path, self.rfile.read(length))
        content = msgspec.json.encode(body)
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _stream(self) -> None:
        self.daemon.resumed_from.append(self.headers.get("Last-Event-ID"))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        stream = self.daemon.follow()
        number = 0
        beat_s = time.monotonic() + self.daemon.heartbeat_s
        while True:
            try:
                message = stream.get(timeout=max(0.0, beat_s - time.monotonic()))
            except queue.Empty:
                beat_s += self.daemon.heartbeat_s
                self.daemon.catch_up()
                message = Heartbeat(now=NOW, findings=self.daemon.findings)
                if self.daemon.silent:
                    continue
            if message is None:
                return
            number += 1
            data = msgspec.json.encode(message)
            self.wfile.write(b"id: %d\ndata: %s\n\n" % (number, data))
            self.wfile.flush()

    def address_string(self) -> str:
        """A Unix socket has no address."""
        return "socket"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Say nothing."""
