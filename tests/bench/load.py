"""The source of our side: a process of its own that posts prebuilt requests over a Unix socket.

It shares the cores with what it measures, so it is one epoll loop without a parser: a request is
bytes, an answer is its status and its length.
"""

from __future__ import annotations

import json
import select
import socket
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.processes import Unfit

_ROOT = Path(__file__).parents[2]
_TIMEOUT_S = 120.0
_RECV_BYTES = 1 << 18
_ACCEPTED = b'"id":"msg_'
"""Stands once in the answer for each message that was accepted."""

_LINE = "We met at the fair in May and you asked how the new line is doing so far.\n"
_TEXT_BYTES = 4_560
"""With the header fields that mailplane writes this makes a message of 5,120 bytes."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """What to send: `count` messages from `mailboxes` in turn, `batch` to a call.

    `later` (a time) lets them wait instead of going out. `rate` is calls a second; 0 is as fast as
    the answers come. `first` numbers the first message, so that no two runs send the same.
    """

    socket: str
    mailboxes: list[str]
    count: int
    connections: int
    first: int = 0
    batch: int = 1
    later: str | None = None
    rate: float = 0.0
    text_bytes: int = _TEXT_BYTES


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What came of an order. Times from the moment a call was due to the end of its answer."""

    seconds: float
    accepted: int
    statuses: dict[str, int]
    p50_ms: float
    p99_ms: float
    max_ms: float
    cpu_s: float

    @property
    def per_s(self) -> float:
        """Messages accepted in a second."""
        return self.accepted / self.seconds


class Source:
    """A started source; its requests are built when this returns, and leave on `go`."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.load"],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._tell(json.dumps(vars(order)))
        self._hear()

    def go(self) -> None:
        """Let it send."""
        self._tell("go")

    def result(self) -> Sent:
        """Wait for its end. Raises Unfit unless every message was accepted."""
        sent = Sent(**json.loads(self._hear()))
        self.close()
        if sent.accepted != self._order.count:
            raise Unfit(f"{sent.accepted} of {self._order.count} accepted: {sent.statuses}")
        return sent

    def close(self) -> None:
        """End it, wherever it is."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        if self._process.poll() is None:
            self._process.terminate()
        self._process.wait(10)

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()

    def _hear(self) -> bytes:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise Unfit("the source ended early; its words are above")
        return line


def send(order: Order) -> Sent:
    """Send and wait for the last answer."""
    source = Source(order)
    try:
        source.go()
        return source.result()
    finally:
        source.close()


# --- in the process ------------------------------------------------------------------------------


class _Connection:
    __slots__ = ("from_s", "got", "socket", "want")

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(_TIMEOUT_S)
        self.socket.connect(path)
        self.got = b""
        self.want = -1
        self.from_s = 0.0

    def take(self) -> bytes | None:
        """The answer, once all of it is there."""
        data = self.socket.recv(_RECV_BYTES)
        if not data:
            raise SystemExit("the daemon hung up")
        self.got += data
        if self.want < 0:
            head, mark, _ = self.got.partition(b"\r\n\r\n")
            if not mark:
                return None
            at = head.lower().index(b"content-length: ") + 16
            self.want = len(head) + 4 + int(head[at:].split(b"\r\n", 1)[0])
        if len(self.got) < self.want:
            return None
        answer = self.got
        self.got, self.want = b"", -1
        return answer


def run(requests: list[bytes], path: str, connections: int, rate: float) -> dict[str, Any]:
    """Send all requests; statuses, seconds and latencies."""
    poll = select.epoll()
    idle = [_Connection(path) for _ in range(connections)]
    by_number = {connection.socket.fileno(): connection for connection in idle}
    for number in by_number:
        poll.register(number, select.EPOLLIN)
    statuses: Counter[bytes] = Counter()
    latencies: list[float] = []
    accepted = sent = 0
    clock = time.perf_counter
    start_s, cpu_s = clock(), time.process_time()
    while len(latencies) < len(requests):
        now_s = clock()
        due = len(requests) if not rate else min(len(requests), int((now_s - start_s) * rate) + 1)
        while idle and sent < due:
            connection = idle.pop()
            connection.from_s = start_s + sent / rate if rate else clock()
            connection.socket.sendall(requests[sent])
            sent += 1
        wait_s = _TIMEOUT_S
        if rate and sent < len(requests) and idle:
            wait_s = max(0.0, start_s + sent / rate - clock())
        for number, _ in poll.poll(wait_s):
            connection = by_number[number]
            answer = connection.take()
            if answer is not None:
                latencies.append(clock() - connection.from_s)
                statuses[answer[9:12]] += 1
                accepted += answer.count(_ACCEPTED)
                idle.append(connection)
    seconds = clock() - start_s
    latencies.sort()
    return {
        "seconds": seconds,
        "accepted": accepted,
        "statuses": {status.decode(): count for status, count in statuses.items()},
        "p50_ms": 1e3 * latencies[len(latencies) // 2],
        "p99_ms": 1e3 * latencies[int(len(latencies) * 0.99)],
        "max_ms": 1e3 * latencies[-1],
        "cpu_s": time.process_time() - cpu_s,
    }


def build(order: Order) -> list[bytes]:
    """Every request of an order, ready for the wire."""
    text = (_LINE * (order.text_bytes // len(_LINE) + 1))[: order.text_bytes - 1] + "\n"
    fields = {
        "workload": "cold",
        "subject": "How the new line is doing",
        "text": text,
        "expires_in": "20d",
    }
    if order.later is not None:
        fields["not_before"] = order.later
    common = json.dumps(fields)[1:-1].encode()
    bodies = [
        b'{"mailbox":"%s","to":["kim.%d@dest%d.example"],%s}'
        % (order.mailboxes[n % len(order.mailboxes)].encode(), n, n % 50, common)
        for n in range(order.first, order.first + order.count)
    ]
    if order.batch > 1:
        starts = range(0, len(bodies), order.batch)
        calls = [bodies[at : at + order.batch] for at in starts]
        bodies = [b'{"messages":[' + b",".join(call) + b"]}" for call in calls]
    head = (
        b"POST /v1/messages HTTP/1.1\r\nHost: mailplane\r\n"
        b"Content-Type: application/json\r\nContent-Length: "
    )
    return [head + b"%d\r\n\r\n" % len(body) + body for body in bodies]


def main() -> None:
    order = Order(**json.loads(sys.stdin.readline()))
    requests = build(order)
    print("ready", flush=True)
    sys.stdin.readline()
    found = run(requests, order.socket, order.connections, order.rate)
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
