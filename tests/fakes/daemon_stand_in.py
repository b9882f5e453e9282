"""A small server that speaks the operator socket's contract, for tests of the dashboard.

It listens on a real Unix socket and answers real HTTP: the stream, pauses, resumes and a mailbox's
messages. It decides nothing: state is what a test puts in, requests are recorded, and a pause
shows up on the stream as the daemon would show it.
"""

from __future__ import annotations

import http.server
import queue
import socketserver
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, unquote

import msgspec

from mailplane_wire.problems import problem
from mailplane_wire.resources import (
    AuditView,
    BookView,
    CapView,
    Change,
    EventView,
    Heartbeat,
    MailboxView,
    Page,
    PauseRequest,
    PauseView,
    ReasonRequest,
    Snapshot,
    StreamMessage,
    Totals,
    WorkspaceView,
)

NOW = "2026-11-24T14:02:11Z"
HEARTBEAT_S = 0.2


def cap(
    window: str = "day", *, limit: int = 50, sent: int = 0, unknown: int = 0, waiting: int = 0
) -> CapView:
    """A rolling cap of a mailbox on messages."""
    return msgspec.convert(
        {
            "scope": "mailbox:x",
            "window": window,
            "kind": "rolling",
            "counts": "messages",
            "limit": limit,
            "sent": sent,
            "unknown": unknown,
            "waiting": waiting,
            "free": max(0, limit - sent - unknown - waiting),
            "resets_at": "2026-11-24T18:00:00Z",
        },
        CapView,
    )


def mailbox(address: str, **changes: Any) -> MailboxView:
    """A healthy mailbox, but for `changes`."""
    view = MailboxView(
        address=address,
        name=address.partition("@")[0].title(),
        workspace="acme",
        domain=address.partition("@")[2],
        account="relay",
        provider="smtp",
        paths=["outreach"],
        state="ready",
        state_reason=None,
        pauses=[],
        caps=[cap("day", sent=20, waiting=4), cap("week", limit=250, sent=120)],
        waiting=4,
        sending=0,
        unknown=0,
        next_slot_at="2026-11-24T14:05:00Z",
        last_sent_at="2026-11-24T14:01:00Z",
        sent_7d=120,
        bounced_7d=1,
        last_reply="250 2.0.0 OK",
    )
    return msgspec.structs.replace(view, **changes)


def pause(
    number: int, scope: str, *, reason: str = "vendor outage", actor: str = "ana"
) -> PauseView:
    """A pause without an end; an actor `rule:…` makes it a rule's."""
    return PauseView(
        id=f"pau_{number}",
        scope=scope,
        reason=reason,
        actor=actor,
        created_at="2026-11-24T13:41:00Z",
        origin="rule" if actor.startswith("rule:") else "person",
    )


def event(cursor: int, kind: str, address: str, **changes: Any) -> EventView:
    """A row of acme's event log."""
    view = EventView(
        cursor=cursor,
        seq=cursor,
        at="2026-11-24T14:02:02Z",
        workspace="acme",
        kind=kind,
        mailbox=address,
        message="msg_01J0000000000000000000QK9A",
        recipient="kim@firm.example",
        detail={"reply": "250 2.0.0 OK"},
    )
    return msgspec.structs.replace(view, **changes)


def audit(seq: int, action: str, target: str, **changes: Any) -> AuditView:
    """A row of acme's audit log."""
    view = AuditView(
        seq=seq,
        at="2026-11-24T14:01:12Z",
        actor="ana",
        action=action,
        workspace="acme",
        target=target,
        detail={"reason": "vendor outage"},
    )
    return msgspec.structs.replace(view, **changes)


@dataclass
class Recorded:
    """A request that changes something."""

    method: str
    path: str
    body: dict[str, Any]


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
    refuse: str | None = None
    silent: bool = False
    requests: list[Recorded] = field(default_factory=list)
    resumed_from: list[str | None] = field(default_factory=list)
    _streams: list[queue.Queue[StreamMessage | None]] = field(default_factory=list)
    _server: socketserver.ThreadingUnixStreamServer | None = None
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _pauses: int = 100

    def put(self, *rows: MailboxView) -> None:
        """Set mailboxes and tell the streams."""
        with self._lock:
            self.mailboxes.update({row.address: row for row in rows})
            self.say(Change(now=NOW, mailboxes=list(rows)))

    def say(self, message: StreamMessage) -> None:
        """Send a message on every stream."""
        with self._lock:
            for stream in self._streams:
                stream.put(message)

    def snapshot(self) -> Snapshot:
        """Everything, as the first message of a stream."""
        rows = list(self.mailboxes.values())
        return Snapshot(
            now=NOW,
            version="0.1.0",
            actor="uid:1000",
            role=self.role,
            workspaces=[self._workspace(name) for name in self.workspaces],
            mailboxes=rows,
            totals=Totals(waiting=0, sending=0, unknown=0, sent_24h=0, bounced_24h=0),
            book=BookView(hash="b", applied_at=NOW, notices=[], problems=self.problems),
        )

    def _workspace(self, name: str) -> WorkspaceView:
        rows = [row for row in self.mailboxes.values() if row.workspace == name]
        states: dict[str, int] = {}
        for row in rows:
            states[row.state] = states.get(row.state, 0) + 1
        return WorkspaceView(
            name=name, title=name.title(), colour=None, mailboxes=len(rows), states=states,
            waiting=sum(row.waiting for row in rows), unknown=0,
            pauses=[p for row in rows for p in row.pauses if p.scope == f"workspace:{name}"][:1],
        )  # fmt: skip

    # --- requests --------------------------------------------------------------------------------

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        """Status and body for a request that isn't the stream."""
        content = msgspec.json.decode(body) if body else {}
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
        stream: queue.Queue[StreamMessage | None] = queue.Queue()
        with self._lock:
            for message in (self.snapshot(), *self.logs):
                stream.put(message)
            self._streams.append(stream)
        return stream

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
            for stream in self._streams:
                stream.put(None)
            self._streams.clear()
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
        while True:
            try:
                message = stream.get(timeout=HEARTBEAT_S)
            except queue.Empty:
                message = Heartbeat(now=NOW)
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
