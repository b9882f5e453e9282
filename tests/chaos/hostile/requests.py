"""Hostile requests to a real daemon, by its Unix socket and its shim, byte by byte."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from mailplaned.services.compose import Draft
from tests.chaos.host import Host, host
from tests.chaos.hostile import headers, inputs
from tests.chaos.hostile.found import Found, try_each
from tests.chaos.verdict import Measured
from tests.fakes.process_daemon import to, workspace
from tests.fakes.sink_process import Sink, sink
from tests.system import test_http_guard as matrix

KINDS = (
    "crashes",
    "5xx",
    "let in",
    "hangs",
    "injected recipients",
    "injected headers",
    "errors in the log",
    "hoards",
)

LANES = 64
"""Connections at once."""

_WAIT_S = 30.0
"""How long a whole request may wait for its answer."""

_PATIENCE_S = 0.3
"""How long one that is not whole waits, before it is ended from here."""

GROWN_MIB = 100
ASKED = frozenset({"kim", "lee"})
"""All recipients that anybody here asks for, all of them at there.example."""

BOXES = ("ana@acme.example", "ben@acme.example")
_ROUTES = (*matrix.SHIM_ROUTES, *matrix.OPEN_ROUTES, *matrix.OPERATOR_ROUTES)
_OPEN = frozenset(target for _, target in matrix.OPEN_ROUTES)
_SUBMIT = [("POST", "/v1/messages"), ("POST", "/v1/preflight")]


@dataclass(frozen=True)
class Request:
    """What is sent, by which door, and what may come of it."""

    shim: bool
    head: str
    body: bytes
    whole: bool = True
    """Whether a server can tell where it ends."""
    entitled: bool = True
    """Whether it has a good host and token, and nothing of a browser, where that is asked for."""
    recipients: tuple[str, ...] = ()
    pauses: int = 0
    """Into how many parts it is cut, a moment after the other."""


# --- bodies ---------------------------------------------------------------------------------------


def _as_json(draft: Draft, **more: Any) -> dict[str, Any]:
    given = {
        "to": list(draft.to), "cc": list(draft.cc), "reply_to": draft.reply_to,
        "subject": draft.subject, "text": draft.text, "headers": dict(draft.headers),
    }  # fmt: skip
    return {**given, **more}


_WRONG: Sequence[Any] = (
    None, True, 0, -1, 1e308, 10**30, "", "x", [], {}, [[]], [None], {"a": {"b": []}}, "\ud800",
    "\x00", "9999-12-31T23:59:59Z", "2026-11-24T08:00:00+99:99", "0s", "999999d", "P1D", "msg_0",
    ["kim@x.example"] * 501,
)  # fmt: skip
_FIELDS = (
    "to", "cc", "bcc", "reply_to", "subject", "text", "html", "headers", "attachments", "raw",
    "mailbox", "path", "workload", "workspace", "idempotency_key", "not_before", "expires_in",
    "on_cap", "metadata", "experiment", "messages", "unknown", "", "\x1b[2J", "__class__",
)  # fmt: skip
_NO_JSON = (
    b"", b"{", b"[", b"nul", b"\xff\xfe{}", b"{}{}", b'{"to":}', b"'", b'{"a":1e999}',
    b'{"a":"\\ud800"}', b'{"to":["a"],"to":["b"]}', b"[" * 5_000, b'{"a":' * 5_000, b"\x00", b"NaN",
    b"\xef\xbb\xbf{}", b"9" * 5_000, b'"\xed\xa0\x80"', b'{"messages":[{}]}', b'{"messages":[]}',
    b'{"messages":1}', b'{"messages":[' + b"{}," * 1_001 + b"{}]}",
)  # fmt: skip


def _submissions() -> st.SearchStrategy[tuple[bytes, tuple[str, ...]]]:
    """A body, and whom it would send to."""

    def made(draft: Draft, mailbox: str, changes: dict[str, Any]) -> tuple[bytes, tuple[str, ...]]:
        body = _as_json(draft, mailbox=mailbox) | changes
        asked = [headers.address_of(text) for text in (*draft.to, *draft.cc)]
        return json.dumps(body).encode(), () if changes else tuple(dict.fromkeys(asked))

    wrong = st.dictionaries(
        st.sampled_from(_FIELDS), st.sampled_from(_WRONG) | inputs.text(most=2), max_size=2
    )
    fair = Draft(to=("Lee <lee@there.example>", "<kim@there.example>"), subject="x", text="x")
    drafts = st.just(fair) | headers.drafts()
    return st.builds(made, drafts, st.sampled_from(BOXES), st.just({}) | wrong)


def _bodies() -> st.SearchStrategy[tuple[bytes, tuple[str, ...]]]:
    rubbish = (st.sampled_from(_NO_JSON) | st.binary(max_size=60)).map(lambda body: (body, ()))
    return _submissions() | _submissions() | rubbish


# --- requests -------------------------------------------------------------------------------------

_METHODS = (
    "GET",
    "POST",
    "DELETE",
    "PUT",
    "HEAD",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "get",
    "PRI",
    "",
    "X" * 99,
)
_QUERIES = (
    "", "?limit=1000", "?limit=-1", "?limit=99999999999999999999", "?after=%00", "?after=\x7f",
    "?state=x", "?recipient=%ff", "?workspace=../..", "?last=1e3", "?a=1&a=2", "?%", "?limit=",
    "#x", "?after=msg_0",
)  # fmt: skip
_TARGETS = (
    "/", "//", "*", "/v1", "/v1/../v1/tokens", "/v1/messages/", "/v1/messages/%2e%2e/tokens",
    "/%zz", "/\xff", "/v1/messages/msg_" + "0" * 26, "/v1/messages/%00", "/v1/mailboxes/%1b%5b2J",
    "/v1/mailboxes/a/b/c", "http://evil.example/v1/tokens", "/v1/messages/" + "x" * 9_000,
    "/v1//messages", "/v1/stream?x", "/V1/HEALTH", "/v1/messages;x=1", "/v1/messages%3Flimit=1",
    "/v1/tokens/%F0%9F%98%80", "/v1/pauses/pau_\x01",
)  # fmt: skip
_EXTRAS = (
    "X-Forwarded-For: 1.2.3.4", "X-Forwarded-Host: evil.example",
    "Connection: upgrade\r\nUpgrade: websocket", "Upgrade: h2c", "Expect: 100-continue",
    "Transfer-Encoding: chunked", "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: \x0bchunked", "Content-Length: 5", "Content-Length: 5, 5",
    "Content-Length: -1", "Content-Length: +2", "Content-Length: 0x10",
    "Content-Length: 99999999999999999999", "Content-Length: ", "Content-Type: text/plain",
    "Content-Type: application/json; charset=utf-16", "Bad Name: 1", ": empty", "X: \x00",
    "X: \xff\xfe", " folded", "X:\x0b1", "Idempotency-Key: a", "Idempotency-Key: \x1b[2J",
    "Idempotency-Key: " + "k" * 300, "Last-Event-ID: -1", "Accept-Encoding: gzip", "Trailer: X",
    "X: " + "y" * 9_000, "Cookie: a=b", "Authorization: Basic YTpi", "Range: bytes=0-",
    "X-HTTP-Method-Override: DELETE",
)  # fmt: skip
_VERSIONS = (
    *("HTTP/1.1",) * 12, "HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/9.9", "http/1.1", "",
    "HTTP/1.1 x",
)  # fmt: skip

_ODD = (
    *("nothing",) * 8, "method", "target", "query", "body", "fields", "fields", "host", "host",
    "token", "token", "browser", "browser",
)  # fmt: skip
"""What is wrong with a request beside its body."""


@st.composite
def _request(draw: st.DrawFn) -> Request:
    """A request with at most one thing wrong beside its body."""
    shim = draw(st.booleans())
    submits = draw(st.booleans())
    method, target = draw(st.sampled_from(_SUBMIT if submits else _ROUTES))
    odd = draw(st.sampled_from(_ODD))
    if odd in {"host", "token", "browser"}:
        method, target = draw(st.sampled_from(matrix.SHIM_ROUTES))
    if odd == "method":
        method = draw(st.sampled_from(_METHODS))
    if odd == "target":
        target = draw(st.sampled_from(_TARGETS))
    if odd == "query":
        target += draw(st.sampled_from(_QUERIES))
    good_host, good_token = odd != "host", odd != "token"
    hosts = draw(st.sampled_from([[name] for name in matrix.GOOD_HOSTS]))
    hosts = hosts if good_host else draw(st.sampled_from(matrix.BAD_HOSTS))
    tokens = matrix.GOOD_TOKEN if good_token else draw(st.sampled_from(matrix.BAD_TOKENS))
    body, recipients = draw(_BODIES) if method == "POST" or odd == "body" else (b"", ())
    extras = draw(st.lists(st.sampled_from(_EXTRAS), max_size=2)) if odd == "fields" else []
    lines = [f"{method} {target} {draw(st.sampled_from(_VERSIONS))}"]
    lines += [f"Host: {name}" for name in hosts]
    lines += [f"Authorization: {token}" for token in tokens]
    if odd == "browser":
        name, value = draw(st.sampled_from(matrix.BROWSER_HEADERS))
        lines.append(f"{name}: {value}")
    lines += ["Content-Type: application/json", f"Content-Length: {len(body)}", *extras]
    entitled = not shim or (good_host and (good_token or target in _OPEN))
    return Request(
        shim=shim,
        head="\r\n".join([*lines, "Connection: close", "", ""]),
        body=body,
        whole=odd not in {"method", "target", "fields"},
        entitled=entitled and odd != "browser",
        recipients=recipients if submits and method == "POST" and not extras else (),
        pauses=draw(st.sampled_from((0,) * 30 + (3, 8))),
    )


_BODIES = _bodies()
_REQUEST = _request()


@st.composite
def _cut(draw: st.DrawFn) -> Request:
    """A request with bytes put in, taken away, or missing from some place on."""
    given = draw(_REQUEST)
    text = given.head
    at = draw(st.integers(0, len(text)))
    put = draw(
        st.sampled_from(("", "\r\n", "\n", "\r", "\x00", " ", ":", "\r\n\r\n"))
        | st.text(max_size=3)
    )
    over = draw(st.integers(0, 40))
    text = text[:at] + put.encode("latin-1", "replace").decode("latin-1") + text[at + over :]
    cut_off = draw(st.booleans())
    # What a server makes of it is open, but without a whole token nobody is let in.
    entitled = not given.shim or "{token}" in text or any(path in text for path in _OPEN)
    return replace(given, head=text[:at] if cut_off else text, whole=False, entitled=entitled)


@st.composite
def _huge(draw: st.DrawFn) -> Request:
    """A request with a body that is too large, whatever it says of it."""
    given = draw(_REQUEST)
    said = draw(st.sampled_from((40_000_000, 10**12)))
    head = re.sub(r"Content-Length: \d+", f"Content-Length: {said}", given.head, count=1)
    return replace(given, head=head, body=b"x" * 40_000_000, whole=False, recipients=())


_CUT, _HUGE = _cut(), _huge()


def _requests() -> st.SearchStrategy[Request]:
    """One in four is cut, one in two hundred is huge."""

    def weighed(number: int) -> st.SearchStrategy[Request]:
        if number == 117:
            return _HUGE
        return _REQUEST if number % 4 else _CUT

    return st.integers(0, 199).flatmap(weighed)


# --- the asking -----------------------------------------------------------------------------------


class Caller:
    """Asks one daemon and judges its answers."""

    def __init__(self, made: Host, found: Found) -> None:
        self._host = made
        self._found = found
        self._shim = matrix.Shim(made)
        self.asked: dict[str, tuple[str, ...]] = {self._shim.message: ("kim@there.example",)}
        """Message id → whom it was asked to go to."""

    async def judge(self, request: Request) -> None:
        """Ask, and note what should not have come of it."""
        head = self._shim.filled(request.head).encode("latin-1", "replace")
        content = head + request.body
        answer = await self._ask(request, content)
        about = request.shim, head[:400], request.body[:400], answer[:400]
        found = re.match(rb"HTTP/1\.1 (\d{3})", answer)
        if found is None:
            self._found.went["closed"] += 1
            if answer:
                self._found.note("crashes", "no answer of HTTP", *about)
            return
        status = int(found[1])
        self._found.went[f"{status // 100}xx"] += 1
        if status >= 500:
            self._found.note("5xx", status, *about)
        if status < 400 and not request.entitled:
            self._found.note("let in", status, *about)
        if status == 202 and b'"results"' not in answer and request.recipients:
            self.asked[json.loads(answer.partition(b"\r\n\r\n")[2])["id"]] = request.recipients

    async def _ask(self, request: Request, content: bytes) -> bytes:
        if request.shim:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._shim.port)
        else:
            reader, writer = await asyncio.open_unix_connection(str(self._host.socket))
        answer = b""
        try:
            with contextlib.suppress(ConnectionError):
                size = len(content) // (request.pauses + 1) + 1
                for at in range(0, len(content), size):
                    writer.write(content[at : at + size])
                    await writer.drain()
                    if request.pauses:
                        await asyncio.sleep(0.02)
                answer = await self._read(reader, _WAIT_S if request.whole else _PATIENCE_S)
                if not answer:
                    writer.write_eof()
                    answer = await self._read(reader, _WAIT_S)
        except TimeoutError:
            self._found.note("hangs", content[:600])
        finally:
            writer.transport.abort()
        return answer

    async def _read(self, reader: asyncio.StreamReader, wait_s: float) -> bytes:
        answer = b""
        try:
            async with asyncio.timeout(wait_s):
                while part := await reader.read(65_536):
                    answer += part
                    if b"event: snapshot" in answer or b"data: " in answer:
                        return answer  # a stream has no end
        except TimeoutError:
            if wait_s == _WAIT_S:
                raise
        return answer


def _judge_sink(found: Found, the_sink: Sink, asked: dict[str, tuple[str, ...]]) -> None:
    for taken in the_sink.taken():
        found.went["messages at the sink"] += 1
        wanted = asked.get(str(taken.id))
        plain = {name.replace("+", "@").partition("@")[0] for name in taken.recipients}
        if not plain <= ASKED or (wanted and taken.recipients != wanted):
            found.note("injected recipients", taken.recipients, wanted, taken.content)
        if taken.sender not in BOXES or inputs.EVIL.encode() in b"".join(
            line
            for line in taken.content.splitlines()
            if line.lower().startswith((b"bcc", b"x-inj"))
        ):
            found.note("injected headers", taken.sender, taken.content)


def measure(cases: int, twins: Sequence[str]) -> Measured:
    """Requests that were answered with 5xx, or that got what they should not."""
    found = Found(KINDS)
    waiting: list[Request] = []
    with (
        host(twins) as made,
        sink(made.log_path.parent / "sink") as the_sink,
        asyncio.Runner() as run,
    ):
        made.write("workspaces/acme.toml", workspace(the_sink.port, *BOXES))
        made.start()
        caller = Caller(made, found)
        for number in range(20):
            made.door.send(to(f"kim+{number}@there.example", expires_in="1h"))
        made.drain()
        before_kib = made.memory_kib()

        async def judge_all() -> None:
            await asyncio.gather(*(caller.judge(request) for request in waiting))
            waiting.clear()

        def check(request: Request) -> None:
            waiting.append(request)
            if len(waiting) == LANES:
                run.run(judge_all())

        try_each(found, cases, _requests(), check)
        run.run(judge_all())
        made.drain()
        grown_mib = (made.memory_kib() - before_kib) / 1024
        if grown_mib > GROWN_MIB:
            found.note("hoards", f"{grown_mib:.0f} MiB")
        if not made.alive or made.door.call("GET", "/v1/health").status != 200:
            found.note("crashes", "it answers no longer")
        for line in made.errors():
            found.note("errors in the log", line)
        if differences := made.door.get("/v1/ledger/verify")["differences"]:
            found.note("crashes", "the ledger differs", differences)
        _judge_sink(found, the_sink, caller.asked)
    return found.measured(f"{grown_mib:.0f} MiB more")
