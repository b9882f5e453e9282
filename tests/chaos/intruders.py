"""Requests without full credentials (G11), and requests that are too much (G17)."""

from __future__ import annotations

import base64
import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.chaos.host import Host, host
from tests.chaos.verdict import Measured
from tests.fakes.process_daemon import to, workspace
from tests.fakes.sink_process import Sink, sink
from tests.system import test_http_guard as matrix

MIB = 2**20
BOX = "ana@acme.example"


@contextmanager
def _housed(twins: Sequence[str]) -> Iterator[tuple[Host, Sink]]:
    with host(twins) as made, sink(made.log_path.parent / "sink") as the_sink:
        made.write("workspaces/acme.toml", workspace(the_sink.port, BOX))
        made.start()
        yield made, the_sink


def credentials(cases: int, twins: Sequence[str]) -> Measured:
    """Every wrong header times every route: how many are answered with anything but 4xx."""
    asked = let_in = 0
    with _housed(twins) as (made, _):
        shim = matrix.Shim(made)
        good_host, good_token = matrix.GOOD_HOST, matrix.GOOD_TOKEN
        for method, target in [*matrix.SHIM_ROUTES, *matrix.OPERATOR_ROUTES]:
            replies = [shim.ask(method, target, hosts, good_token) for hosts in matrix.BAD_HOSTS]
            replies += [
                shim.ask(method, target, good_host, good_token, [header])
                for header in matrix.BROWSER_HEADERS
            ]
            replies += [shim.ask(method, target, good_host, t) for t in matrix.BAD_TOKENS]
            asked += len(replies)
            let_in += sum(not 400 <= reply.status < 500 for reply in replies)
        messages = len(made.door.all("/v1/messages"))
    del cases
    return Measured(
        number=let_in + messages - 1,
        cases=asked,
        details=f"let in {let_in}, messages that came of it {messages - 1}",
    )


def bombs(cases: int, twins: Sequence[str]) -> Measured:
    """MiB that the daemon has grown after so many requests of each kind that are too much."""
    statuses: dict[int, int] = {}
    with _housed(twins) as (made, _):
        door = made.door
        for n in range(50):
            door.send(to(f"kim+{n}@there.example"))
        made.drain()
        made.door.post("/v1/messages", _large())  # the largest that is fair, once
        made.drain()
        before_kib = made.memory_kib()
        for _ in range(cases):
            for body in _bombs():
                with contextlib.suppress(OSError):
                    status = door.post("/v1/messages", body).status
                    statuses[status] = statuses.get(status, 0) + 1
        made.drain()
        grown_mib = (made.memory_kib() - before_kib) / 1024
        faults = sum(count for status, count in statuses.items() if status >= 500)
        errors = len(made.errors())
        answers = door.post("/v1/messages", to("lee@there.example")).status == 202
    return Measured(
        number=round(grown_mib, 1) if answers and not faults and not errors else 10_000,
        cases=cases,
        details=f"MiB; answers {dict(sorted(statuses.items()))}, errors in the log {errors}, "
        f"it answers afterwards: {answers}",
    )


def _large() -> bytes:
    attachment = {
        "filename": "a.bin",
        "content": base64.b64encode(os.urandom(8 * MIB)).decode(),
    }
    return json.dumps(to("kim@there.example", attachments=[attachment])).encode()


def _bombs() -> Iterator[bytes]:
    yield b'{"text": "' + b"x" * (60 * MIB) + b'"}'
    yield b'{"to": ' + b"[" * (2 * MIB) + b"]" * (2 * MIB) + b"}"
    yield b'{"metadata": ' + b'{"a":' * MIB + b"1" + b"}" * MIB + b"}"
    yield json.dumps({"messages": [to("kim@there.example", "nobody@acme.example")] * 1000}).encode()
    yield json.dumps(to("kim@there.example", subject="x" * (20 * MIB))).encode()
    yield json.dumps({"mailbox": BOX, "to": ["kim@there.example"], "raw": _nested(3_000)}).encode()
    wide = "".join(f"X-{n}: y\r\n" for n in range(200_000))
    raw = f"From: {BOX}\r\nTo: kim@there.example\r\n{wide}\r\nx\r\n"
    yield json.dumps({"mailbox": BOX, "to": ["kim@there.example"], "raw": _encoded(raw)}).encode()


def _nested(depth: int) -> str:
    """A MIME message in a MIME message, and so on."""
    parts = [f"From: {BOX}\r\nTo: kim@there.example\r\nSubject: x\r\nMIME-Version: 1.0\r\n"]
    parts += [
        f'Content-Type: multipart/mixed; boundary="b{level}"\r\n\r\n--b{level}\r\n'
        for level in range(depth)
    ]
    parts.append("Content-Type: text/plain\r\n\r\nx\r\n")
    parts += [f"--b{level}--\r\n" for level in reversed(range(depth))]
    return _encoded("".join(parts))


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
