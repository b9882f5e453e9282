"""A clean stop, and what the service manager is told."""

from __future__ import annotations

import http.client
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.process_daemon import Daemon, daemon, to, workspace
from tests.fakes.process_http import Reply
from tests.fakes.process_wait import until
from tests.fakes.sink_process import Sink

SLOW_S = 1.5


def attempt(the_daemon: Daemon, key: str) -> Reply | None:
    """A submission; None when nobody takes it."""
    try:
        return the_daemon.door.post("/v1/messages", to("late@there.example", idempotency_key=key))
    except (OSError, http.client.HTTPException):
        return None


def test_sigterm_admits_no_more_finishes_the_wire_and_leaves_everything_settled(
    the_sink: Sink, the_daemon: Daemon
) -> None:
    boxes = [f"{name}@acme.example" for name in ("ana", "ben")]
    the_daemon.write("workspaces/acme.toml", workspace(the_sink.port, *boxes))
    the_sink.control(delay_s=SLOW_S)
    door = the_daemon.start().door
    for box in boxes:
        door.post("/v1/messages", {"messages": [to("kim@there.example", box) for _ in range(10)]})
    until(lambda: door.get("/v1/health")["sending"] == 8, "four connections of each mailbox")
    the_daemon.terminate()
    until(lambda: "stopping" in the_daemon.log_path.read_text(), "word of the stop")
    late = [attempt(the_daemon, f"late {number}") for number in range(5)]
    assert all(reply is None or (reply.status, reply.code) == (503, "stopping") for reply in late)
    assert the_daemon.wait() == 0
    assert not the_daemon.socket.exists()
    taken = {one.id for one in the_sink.taken()}
    assert len(taken) == 8, "what was on the wire was finished, and nothing begun"
    the_sink.control(delay_s=0)
    the_daemon.write("mailplane.toml", '[shim]\nlisten = "127.0.0.1:0"\n# as it was\n')
    door = the_daemon.start().door
    assert door.get("/v1/health")["unknown"] == 0
    the_sink.settled(20)
    assert len({one.id for one in the_sink.taken()}) == 20
    until(lambda: len(door.all("/v1/messages?state=accepted")) == 20, "the rest to be accepted")
    assert door.get("/v1/ledger/verify")["differences"] == []


def test_a_stop_closes_the_streams_of_its_readers(the_sink: Sink, the_daemon: Daemon) -> None:
    the_daemon.write("workspaces/acme.toml", workspace(the_sink.port, "ana@acme.example"))
    door = the_daemon.start().door
    with door.socket() as reader:
        reader.sendall(b"GET /v1/stream HTTP/1.1\r\nHost: x\r\n\r\n")
        assert reader.recv(65536).startswith(b"HTTP/1.1 200")
        begun = time.monotonic()
        assert the_daemon.stop() == 0
        assert time.monotonic() - begun < 4
        while reader.recv(65536):
            pass


@pytest.fixture
def notified(folder: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(folder / "notify"))
        sock.settimeout(10)
        yield sock


def test_the_service_manager_hears_ready_watchdog_and_stopping(
    folder: Path, notified: socket.socket
) -> None:
    environment = {"NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": "2000000"}
    with daemon(folder / "d", environment) as made:
        made.start()
        assert notified.recv(100) == b"READY=1"
        begun = time.monotonic()
        heard = [notified.recv(100) for _ in range(3)]
        assert heard == [b"WATCHDOG=1"] * 3
        assert time.monotonic() - begun < 4, "at least every second of a limit of two"
        made.terminate()
        last = notified.recv(100)
        while last == b"WATCHDOG=1":
            last = notified.recv(100)
        assert last == b"STOPPING=1"
        assert made.wait() == 0


def test_a_watchdog_meant_for_another_process_is_none_of_ours(
    folder: Path, notified: socket.socket
) -> None:
    environment = {
        "NOTIFY_SOCKET": str(folder / "notify"),
        "WATCHDOG_USEC": "2000000",
        "WATCHDOG_PID": str(os.getpid()),
    }
    with daemon(folder / "d", environment) as made:
        made.start()
        assert notified.recv(100) == b"READY=1"
        notified.settimeout(1.5)
        with pytest.raises(TimeoutError):
            notified.recv(100)


def test_a_daemon_without_a_service_manager_that_listens_starts_all_the_same(folder: Path) -> None:
    with daemon(folder / "d", {"NOTIFY_SOCKET": str(folder / "nobody")}) as made:
        assert made.start().stop() == 0
