"""Readers of the stream that do not read, or a byte a second: the daemon does not pay for them."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.chaos.host import Host, host
from tests.chaos.verdict import Measured
from tests.fakes.process_daemon import to, workspace
from tests.fakes.process_wait import until
from tests.fakes.sink_process import Sink, sink

_STREAM = b"GET /v1/stream HTTP/1.1\r\nHost: mailplane\r\n\r\n"
MESSAGES = 6_000
BATCH = 200
BOXES = [f"box{n}@acme.example" for n in range(8)]
LET_GO_S = 20


def measure(cases: int, twins: Sequence[str]) -> Measured:
    """Memory in MiB that so many slow readers cost while messages are sent; half read a little."""
    with host(twins) as made, sink(made.log_path.parent / "sink") as the_sink:
        boxes = [f"{box}; caps = [{{ limit = 100000, per = 'day' }}]" for box in BOXES]
        made.write("workspaces/acme.toml", workspace(the_sink.port, *boxes))
        made.start()
        alone_s = _send(made, the_sink)
        before_kib = made.memory_kib()
        with _readers(made, cases) as readers:
            beside_s = _send(made, the_sink)
            grown_mib = (made.memory_kib() - before_kib) / 1024
            until(made.idle, "nothing to do", 30)
        until(lambda: _connections(made) <= 1, "the readers let go", LET_GO_S)
        fresh = made.door.socket()
        fresh.sendall(_STREAM)
        served = b"200 OK" in fresh.recv(4096)
        fresh.close()
        errors = len(made.errors())
    return Measured(
        number=round(grown_mib, 1) if served and not errors else 10_000,
        cases=len(readers),
        details=f"MiB; {MESSAGES} messages in {beside_s:.1f} s, without readers {alone_s:.1f} s; "
        f"a new reader is served: {served}, errors in the log: {errors}",
        more={"rate_ratio": round(alone_s / beside_s, 2)},
    )


def _send(made: Host, the_sink: Sink) -> float:
    """How long it takes to send them all."""
    began, before = time.monotonic(), the_sink.count()
    for start in range(0, MESSAGES, BATCH):
        bodies = [
            to(f"kim+{n}@there.example", BOXES[n % len(BOXES)]) for n in range(start, start + BATCH)
        ]
        assert made.door.post("/v1/messages", {"messages": bodies}).status == 202
    until(lambda: the_sink.count() >= before + MESSAGES, "all of it at the sink", 120)
    return time.monotonic() - began


@contextmanager
def _readers(made: Host, count: int) -> Iterator[list[socket.socket]]:
    """Readers with buffers as small as may be; every other one reads a byte a second."""
    readers = []
    ending = threading.Event()
    for _ in range(count):
        reader = made.door.socket()
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        reader.sendall(_STREAM)
        readers.append(reader)

    def sip() -> None:
        while not ending.wait(1):
            for reader in readers[::2]:
                reader.setblocking(False)
                try:
                    reader.recv(1)
                except OSError:
                    continue

    thread = threading.Thread(target=sip, daemon=True)
    thread.start()
    try:
        yield readers
    finally:
        ending.set()
        thread.join(5)
        for reader in readers:
            reader.close()


def _connections(made: Host) -> int:
    """How many sockets of the operator's kind the daemon has open beside the listener."""
    lines = Path("/proc/net/unix").read_text().splitlines()
    return sum(line.endswith(str(made.socket)) for line in lines) - 1
