"""Who may come in at all: host, origin, token or peer, size. Checked before any routing.

The order and the codes follow what browsers and rebinding attacks do to local daemons: a request
that a web page could have made is refused whatever it carries.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mailplane_wire.problems import Problem
from mailplaned.domain.policy import Member
from mailplaned.domain.roles import Caller, Role
from mailplaned.doors.http.context import Context, Surface
from mailplaned.doors.http.replies import Refusal, refuse, reply_problem

_BROWSER_HEADERS = (b"origin", b"referer", b"sec-fetch-site")
_TOKEN = re.compile(r"Bearer (mp_[A-Za-z0-9_-]{43})")
_ENVELOPE_BYTES = 65_536
"""What a request may hold beyond the base64 of the largest message."""

_OPEN_PATHS = frozenset({"/v1/health", "/openapi.json"})
"""What the shim answers without a token."""

_HEADERS = [
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
]


class Guard:
    """ASGI: lets a request through with its `Caller` in `scope["state"]`, or answers a problem."""

    def __init__(self, app: ASGIApp, context: Context, surface: Surface) -> None:
        self._app = app
        self._context = context
        self._surface = surface

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection event; websockets and the like are none of ours."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        send = _with_headers(send)
        try:
            if self._context.stopping.is_set() and scope["path"] != "/v1/health":
                raise refuse("stopping", "the daemon is stopping; try again")
            self._check_origin(scope)
            scope.setdefault("state", {})["caller"] = self._caller(scope)
            limited = _Limited(receive, self._body_limit(), scope)
        except Refusal as refusal:
            actor = f"uid:{scope.get('state', {}).get('peer_uid')}"
            what = f"{scope['method']} {scope['path']}"
            await self._context.denials.note(self._context.store, actor, what, refusal)
            await _answer(refusal.problem, scope, receive, send)
            return
        await self._app(scope, limited, send)

    def _check_origin(self, scope: Scope) -> None:
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if self._surface is Surface.SHIM:
            port = self._context.shim_port
            allowed = {
                f"127.0.0.1:{port}",
                f"localhost:{port}",
                f"[::1]:{port}",
                *self._context.policy.settings.allowed_hosts,
            }
            if len(hosts) != 1 or hosts[0].decode("latin-1").lower() not in allowed:
                raise refuse(
                    "bad-host",
                    "the Host header has to be this listener's address, "
                    "or one of shim.allowed_hosts in mailplane.toml",
                )
        if any(name in _BROWSER_HEADERS for name, _ in scope["headers"]):
            raise refuse("origin-refused", "this API is not for web pages")

    def _caller(self, scope: Scope) -> Caller | None:
        if self._surface is Surface.OPERATOR:
            return peer(scope.get("state", {}).get("peer_uid"), self._context)
        sent = [value for name, value in scope["headers"] if name == b"authorization"]
        found = _TOKEN.fullmatch(sent[0].decode("latin-1")) if len(sent) == 1 else None
        token = None
        if found is not None:
            token = self._context.tokens.get(hashlib.sha256(found[1].encode()).digest())
        if token is not None:
            now_us = self._context.clock.wall_us()
            if token.expires_us is not None and token.expires_us <= now_us:
                raise refuse("unauthenticated", f"token {token.name} has expired; rotate it")
            self._context.token_used_us[token.id] = now_us
            return Caller(
                name=f"token:{token.name}",
                role=Role.SENDER,
                workspaces=frozenset({token.workspace}),
                scope=token.scope,
            )
        if scope["path"] in _OPEN_PATHS:
            return None
        raise refuse("unauthenticated", "send Authorization: Bearer with a token of this daemon")

    def _body_limit(self) -> int:
        return self._context.policy.settings.message_bytes * 4 // 3 + _ENVELOPE_BYTES


def peer(uid: int | None, context: Context) -> Caller:
    """Who comes to the operator socket, as the book in force says. Raises Refusal."""
    found = [member for member in context.policy.members if member.uid == uid]
    if found:
        return person(found)
    if not context.policy.members and uid == context.own_uid:
        return Caller(name="owner", role=Role.OWNER)
    raise refuse("not-permitted", f"the book has no member with uid {uid}")


def person(entries: list[Member]) -> Caller:
    """One person: the entry without workspaces, else the first, and what the others add to it."""
    main = next((entry for entry in entries if not entry.workspaces), entries[0])
    return Caller(
        name=main.name,
        role=Role(main.role),
        workspaces=frozenset(main.workspaces) or None,
        elsewhere={
            workspace: Role(entry.role)
            for entry in entries
            if entry is not main
            for workspace in entry.workspaces
        },
    )


def caller_of(request: Request) -> Caller:
    """The caller of a request that needs one."""
    caller = request.state.caller
    if caller is None:
        raise refuse("unauthenticated", "send Authorization: Bearer with a token of this daemon")
    assert isinstance(caller, Caller)
    return caller


class _Limited:
    """A body that may not be larger than a limit."""

    def __init__(self, receive: Receive, limit: int, scope: Scope) -> None:
        self._receive = receive
        self._limit = limit
        self._seen = 0
        lengths = [value for name, value in scope["headers"] if name == b"content-length"]
        if lengths and lengths[0].isdigit() and int(lengths[0]) > limit:
            raise self._too_large()

    async def __call__(self) -> Message:
        """The next part of the body. Raises Refusal when it grows too large."""
        message = await self._receive()
        if message["type"] == "http.request":
            self._seen += len(message.get("body", b""))
            if self._seen > self._limit:
                raise self._too_large()
        return message

    def _too_large(self) -> Refusal:
        return refuse("too-large", f"a request may have {self._limit} bytes at most")


def _with_headers(send: Send) -> Send:
    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), *_HEADERS]
        await send(message)

    return wrapped


async def _answer(problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    response: Any = reply_problem(problem)
    await response(scope, receive, send)
