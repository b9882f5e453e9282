"""A stand-in for the daemon's operator socket: it answers from a table and keeps what it was asked.

Strings that a stranger could have written hold what must never reach a terminal.
"""

from __future__ import annotations

import http.server
import json
import re
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from mailplane_wire.problems import problem

NOW = "2026-11-24T08:00:00Z"
EVIL = "\x1b]0;owned\x07\u202egnp.exe"

PAUSE = {
    "id": "pau_1", "scope": "mailbox:ana@acme.example", "reason": f"bad list {EVIL}",
    "actor": "ana", "created_at": NOW, "until": None,
}  # fmt: skip
CAP = {
    "scope": "mailbox:ana@acme.example", "window": "day", "kind": "rolling", "counts": "messages",
    "limit": 50, "sent": 31, "unknown": 0, "waiting": 4, "free": 15, "resets_at": None,
}  # fmt: skip
MAILBOX = {
    "address": "ana@acme.example", "name": "Ana", "workspace": "acme", "account": "relay",
    "provider": "smtp", "paths": ["main"], "state": "paused", "state_reason": None,
    "pauses": [PAUSE], "caps": [CAP], "waiting": 4, "sending": 0, "unknown": 1,
    "next_slot_at": NOW, "last_reply": EVIL,
}  # fmt: skip
MESSAGE: dict[str, Any] = {
    "id": "msg_1", "state": "accepted", "reason": None, "workspace": "acme", "path": None,
    "mailbox": "ana@acme.example", "workload": "cold", "subject": EVIL, "message_id": "<1@a>",
    "created_at": NOW, "slot_at": None, "not_before": None, "expires_at": NOW, "metadata": {},
    "recipients": [{"address": "k@x.example", "kind": "to", "state": "accepted", "reply": EVIL}],
    "attempts": [], "events": [],
}  # fmt: skip
ANSWER = {
    "id": "msg_1", "state": "scheduled", "mailbox": "ana@acme.example", "workload": "cold",
    "path": None, "message_id": "<1@a>", "slot_at": NOW,
    "decision": {
        "verdict": "schedule", "scope": "mailbox:ana@acme.example", "window": "day",
        "kind": "rolling", "limit": 50, "used": 50, "unknown": 0, "waiting": 4, "remaining": 0,
        "resets_at": NOW, "policy": "abc", "reason": None,
    },
}  # fmt: skip
HEALTH = {
    "status": "ok", "version": "0.1.0", "now": NOW, "pid": 1, "findings": [EVIL],
    "book": {"hash": "abc", "applied_at": NOW, "notices": ["n"], "problems": ["p"]},
}  # fmt: skip
EVENTS: list[dict[str, Any]] = [
    {
        "cursor": cursor, "seq": cursor, "at": NOW, "workspace": "acme", "kind": "accepted",
        "mailbox": "ana@acme.example", "message": f"msg_{cursor}", "recipient": None,
        "detail": {"reply": EVIL},
    }
    for cursor in range(1, 31)
]  # fmt: skip
AUDIT = {
    "seq": 1, "at": NOW, "actor": "ana", "action": "pause", "workspace": None, "target": "x",
    "detail": {},
}  # fmt: skip


CHANGE: dict[str, Any] = {
    "hash": "abc", "applied": True, "problems": [], "notices": [f"n of main {EVIL}", "of another"],
    "differences": [
        {"file": "workspaces/acme.toml", "workspace": "acme", "key": "path[main]", "old": None,
         "new": {}, "text": f"path main added {EVIL}"}
    ],
}  # fmt: skip


def page(*items: Any) -> dict[str, Any]:
    return {"items": list(items), "next": None}


REPLIES: dict[str, Any] = {
    "GET /v1/health": HEALTH,
    "GET /v1/workspaces": page(
        {"name": "acme", "title": "Acme", "mailboxes": 3, "states": {"ready": 2, "full": 1},
         "waiting": 4, "unknown": 1, "pauses": []}
    ),
    "GET /v1/mailboxes": page(MAILBOX),
    "GET /v1/mailboxes/ana%40acme.example": MAILBOX,
    "POST /v1/mailboxes/ana%40acme.example/pause": MAILBOX,
    "POST /v1/mailboxes/ana%40acme.example/resume": MAILBOX,
    "POST /v1/workspaces/acme/pause": PAUSE,
    "POST /v1/workspaces/a%2F..%2Fb/resume": {},
    "GET /v1/domains": page(
        {"name": "acme.example", "workspace": "acme", "mailboxes": 1, "dkim_selector": None,
         "caps": [CAP], "pauses": []}
    ),
    "GET /v1/accounts": page(
        {"name": "relay", "workspace": "acme", "provider": "smtp", "supported": True,
         "host": "127.0.0.1", "port": 2525, "tls": "none", "username": None, "secret": None,
         "mailboxes": 1, "caps": []}
    ),
    "GET /v1/people": page(
        {"name": "ana", "role": "owner", "workspaces": [], "unix_user": "ana", "uid": 1000},
        {"name": "bob", "role": "viewer", "workspaces": ["acme"], "unix_user": None, "uid": 7},
    ),
    "POST /v1/book/edits": CHANGE,
    "GET /v1/paths": page(
        {"name": "main", "workspace": "acme", "tiers": [["a@x"], ["b@x"]], "failover": "never",
         "workloads": ["cold"], "pauses": []}
    ),
    "GET /v1/pauses": page(PAUSE),
    "POST /v1/pauses": PAUSE,
    "DELETE /v1/pauses/pau_1": PAUSE,
    "GET /v1/messages": {"items": [MESSAGE], "next": "c2"},
    "GET /v1/messages/msg_1": MESSAGE,
    "POST /v1/messages/msg_1/cancel": MESSAGE,
    "POST /v1/messages/msg_1/resolve": MESSAGE,
    "POST /v1/messages": ANSWER,
    "POST /v1/preflight": ANSWER | {"id": None},
    "GET /v1/audit": page(AUDIT),
    "GET /v1/tokens": page(
        {"id": "tok_1", "name": "seq", "workspace": "acme", "workloads": None, "mailboxes": None,
         "actions": ["submit"], "created_at": NOW, "expires_at": None, "last_used_at": None}
    ),
    "POST /v1/tokens": {"id": "tok_1", "name": "seq", "workspace": "acme", "token": "mp_x"},
    "DELETE /v1/tokens/tok_1": {},
    "POST /v1/suppressions": {"address": "k@x.example", "workspace": None, "in_flight": ["msg_9"]},
    "DELETE /v1/suppressions/sup_1": {"address": "k@x.example"},
    "POST /v1/suppressions/check": page(),
    "GET /v1/suppressions": page(),
    "GET /v1/ledger/verify": {"charges": 2, "scopes": 1, "differences": []},
}  # fmt: skip


class Daemon(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """A stand-in that answers from a table and remembers what it was asked."""

    daemon_threads = True

    def __init__(self, path: str) -> None:
        self.replies = dict(REPLIES)
        self.events = EVENTS
        self.asked: list[tuple[str, Any]] = []
        super().__init__(path, Handler)


@contextmanager
def serving(path: Path) -> Iterator[Daemon]:
    """A stand-in that answers at a path."""
    with Daemon(str(path)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class Handler(http.server.BaseHTTPRequestHandler):
    server: Daemon

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        self.server.asked.append((f"{self.command} {self.path}", body))
        path, _, query = self.path.partition("?")
        if path == "/v1/stream":
            self._stream()
            return
        if path == "/v1/events":
            self._send(200, self._events(query))
            return
        reply = self.server.replies.get(f"{self.command} {path}", problem("not-found", "no such"))
        if isinstance(reply, msgspec.Struct):
            self._send(reply.status, msgspec.to_builtins(reply))  # type: ignore[attr-defined]
        else:
            self._send(200, reply)

    def _events(self, query: str) -> dict[str, Any]:
        """Ten rows after a cursor, or the last ones."""
        if newest := re.search(r"last=(\d+)", query):
            return page(*self.server.events[-int(newest[1]) :])
        after = int((re.search(r"after=(\d+)", query) or [0, 0])[1])
        rows = [row for row in self.server.events if row["cursor"] > after][:10]
        last = rows[-1]["cursor"] if rows and rows[-1] is not self.server.events[-1] else None
        return {"items": rows, "next": last and str(last)}

    def _stream(self) -> None:
        self.send_response(200)
        self.end_headers()
        names = ("waiting", "sending", "unknown", "sent_24h", "bounced_24h")
        snapshot: dict[str, Any] = {
            "type": "snapshot",
            "stream": "1",
            "now": NOW,
            "version": "1",
            "actor": "ana",
            "role": "owner",
        }
        snapshot |= {"workspaces": [], "mailboxes": [], "book": HEALTH["book"]}
        for message in (
            snapshot | {"totals": dict.fromkeys(names, 0)},
            {"type": "heartbeat", "now": NOW},
            {"type": "event", "event": EVENTS[-1]},
            {"type": "event", "event": EVENTS[-1] | {"cursor": 31, "message": "msg_31"}},
        ):
            self.wfile.write(f"id: 1\ndata: {json.dumps(message)}\n\n".encode())

    def _send(self, status: int, reply: Any) -> None:
        content = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_DELETE = _answer  # noqa: N815 - http.server's names
