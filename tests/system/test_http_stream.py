"""The live stream: a snapshot, then changes; no row twice or missing; nobody slow is waited for."""

from __future__ import annotations

import json
import os
import select
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

from mailplaned.doors.http.subscriber import BACKLOG_BYTES
from tests.fakes.process_daemon import SHIM, Daemon, to, workspace
from tests.fakes.process_http import Door
from tests.fakes.process_wait import stays, until
from tests.fakes.sink_process import Sink

IDLE_READERS = 6
GROWTH_KIB = 50 * 1024


@dataclass(frozen=True)
class Frame:
    id: str
    kind: str
    data: dict[str, Any]
    at_s: float


class Reader:
    """A connection to the stream that reads frames as they come."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._file = sock.makefile("rb")
        self.last_id = ""
        head = self._file.readline()
        assert b" 200 " in head, head
        self.headers = b"".join(iter(self._file.readline, b"\r\n"))
        self._chunk = b""

    def close(self) -> None:
        """Hang up."""
        self._file.close()

    def _line(self) -> bytes:
        """A line out of the chunks (RFC 9112 §7.1) of the body; empty at its end."""
        while b"\n" not in self._chunk:
            size = int(self._file.readline() or b"0", 16)
            self._chunk += self._file.read(size)
            self._file.readline()
            if not size:
                return b""
        line, _, self._chunk = self._chunk.partition(b"\n")
        return line + b"\n"

    def frames(self, for_s: float) -> Iterator[Frame]:
        """Frames until that long has gone by, or the daemon closes."""
        end = time.monotonic() + for_s
        id_ = kind = data = ""
        while time.monotonic() < end and (line := self._line().decode()):
            name, _, value = line.rstrip("\n").partition(": ")
            if name == "id":
                id_ = value
            elif name == "event":
                kind = value
            elif name == "data":
                data = value
            elif not name and data:
                self.last_id = id_
                yield Frame(id_, kind, json.loads(data), time.monotonic())
                data = ""


@contextmanager
def reading(door: Door, last_id: str = "", query: str = "") -> Iterator[Reader]:
    with door.socket() as sock:
        resume = f"Last-Event-ID: {last_id}\r\n" if last_id else ""
        sock.sendall(f"GET /v1/stream{query} HTTP/1.1\r\nHost: x\r\n{resume}\r\n".encode())
        reader = Reader(sock)
        try:
            yield reader
        finally:
            reader.close()


def events_until(reader: Reader, count: int) -> list[int]:
    """The cursors of the next so many events."""
    found: list[int] = []
    for frame in reader.frames(20):
        if frame.kind == "event":
            found.append(frame.data["event"]["cursor"])
            if len(found) == count:
                break
    return found


def test_a_snapshot_comes_first_and_a_heartbeat_every_second(
    the_sink: Sink, the_daemon: Daemon
) -> None:
    boxes = [f"{name}@acme.example" for name in ("ana", "ben")]
    the_daemon.write("workspaces/acme.toml", workspace(the_sink.port, *boxes))
    with reading(the_daemon.start().door) as reader:
        assert b"text/event-stream" in reader.headers
        frames = list(reader.frames(2.6))
    first = frames[0]
    assert first.kind == "snapshot"
    assert [view["address"] for view in first.data["mailboxes"]] == boxes
    assert (first.data["actor"], first.data["role"]) == ("owner", "owner")
    beats = [frame for frame in frames if frame.kind == "heartbeat"]
    assert len(beats) in {2, 3}
    assert beats[0].data["findings"] == []


def test_changes_come_at_most_four_times_a_second_and_only_of_what_changed(
    the_sink: Sink, the_daemon: Daemon
) -> None:
    boxes = [f"{name}@acme.example" for name in ("ana", "ben")]
    the_daemon.write("workspaces/acme.toml", workspace(the_sink.port, *boxes))
    door = the_daemon.start().door
    changes: list[Frame] = []
    with reading(door) as reader:
        frames = reader.frames(15)
        begun_s = next(frames).at_s
        for _ in range(10):
            door.post("/v1/messages", {"messages": [to("kim@there.example")] * 5})
            changes += [frame for frame in islice(frames, 5) if frame.kind == "change"]
            last = changes[-1].data["mailboxes"][0] if changes else {}
        for frame in frames:
            if last.get("sent_24h") == 50 and not last["waiting"] + last["sending"]:
                break
            if frame.kind == "change":
                changes.append(frame)
                last = frame.data["mailboxes"][0]
    assert (last["sent_24h"], the_sink.count()) == (50, 50)
    assert changes[-1].data["totals"]["sent_24h"] == 50
    took_s = changes[-1].at_s - begun_s
    assert 2 <= len(changes) <= 4 * took_s + 1
    named = {view["address"] for frame in changes for view in frame.data["mailboxes"]}
    assert named == {"ana@acme.example"}


def test_events_have_no_gap_and_no_repetition_across_reconnects_wherever_the_line_was_cut(
    the_sink: Sink, the_daemon: Daemon
) -> None:
    the_daemon.write("workspaces/acme.toml", workspace(the_sink.port, "ana@acme.example"))
    door = the_daemon.start().door
    seen: list[int] = []
    last_id = ""
    for cut in (1, 7, 150, 3, 400, 40, 1):
        bodies = [to(f"kim+{n}@there.example") for n in range(250)]
        assert door.post("/v1/messages", {"messages": bodies}).status == 202
        with reading(door, last_id) as reader:
            seen += events_until(reader, cut)
            last_id = reader.last_id
    the_sink.settled(250 * 7)
    until(lambda: door.get("/v1/health")["sending"] == 0, "the end of all sending")
    everything = [event["cursor"] for event in door.all("/v1/events")]
    with reading(door, last_id) as reader:
        seen += events_until(reader, len(everything) - everything.index(seen[-1]) - 1)
    assert seen == everything[everything.index(seen[0]) :]


def test_a_thousand_events_at_once_let_no_reader_go_that_keeps_up(
    the_sink: Sink, the_daemon: Daemon
) -> None:
    the_daemon.write("workspaces/acme.toml", workspace(the_sink.port, "ana@acme.example"))
    door = the_daemon.start().door
    door.post("/v1/mailboxes/ana@acme.example/pause", {"reason": "so that they wait"})
    with reading(door) as reader:
        assert events_until(reader, 1)
        bodies = [to(f"kim+{n}@there.example") for n in range(1000)]
        assert door.post("/v1/messages", {"messages": bodies}).status == 202
        cursors = events_until(reader, 1000)
    assert cursors == list(range(cursors[0], cursors[0] + 1000))


def test_who_sees_one_workspace_is_told_nothing_of_another(
    the_sink: Sink, the_daemon: Daemon
) -> None:
    member = f'[[member]]\nname = "bo"\nuid = {os.getuid()}\nrole = "operator"\n'
    the_daemon.write("mailplane.toml", f'{SHIM}{member}workspaces = ["acme"]\n')
    token = "mp_" + "b" * 43
    the_daemon.state.mkdir(mode=0o700)
    (the_daemon.state / "beta.token").write_text(token)
    for name in ("acme", "beta"):
        book = workspace(the_sink.port, f"ana@{name}.example", name=name)
        the_daemon.write(f"workspaces/{name}.toml", book)
    door = the_daemon.start().door
    with reading(door) as reader:
        found: list[str] = []
        for frame in reader.frames(1.5):
            if not found:
                the_daemon.shim(token).send(to("kim@there.example", "ana@beta.example"))
                door.send(to("kim@there.example", "ana@acme.example"))
            found.append(json.dumps(frame.data))
    assert any("ana@acme.example" in text for text in found[1:])
    assert [text for text in found if "beta" in text] == []


def test_who_is_no_longer_a_member_is_told_nothing_more(the_sink: Sink, the_daemon: Daemon) -> None:
    own = f'[[member]]\nname = "bo"\nuid = {os.getuid()}\nrole = "viewer"\n'
    other = f'[[member]]\nname = "al"\nuid = {os.getuid() + 1}\nrole = "owner"\n'
    the_daemon.write("mailplane.toml", SHIM + own)
    the_daemon.write("workspaces/acme.toml", workspace(the_sink.port))
    with reading(the_daemon.start().door) as reader:
        frames = reader.frames(8)
        assert next(frames).kind == "snapshot"
        the_daemon.write("mailplane.toml", SHIM + other)
        asked = time.monotonic()
        for _ in frames:
            pass
        assert time.monotonic() - asked < 6
    assert the_daemon.door.call("GET", "/v1/mailboxes").status == 403


def test_readers_that_do_not_read_are_hung_up_on_and_memory_stays_bounded(
    the_sink: Sink, the_daemon: Daemon
) -> None:
    boxes = [f"box{number}@acme.example" for number in range(40)]
    the_daemon.write("workspaces/acme.toml", workspace(the_sink.port, *boxes))
    door = the_daemon.start().door
    idle = [door.socket() for _ in range(IDLE_READERS)]
    before = the_daemon.memory_kib()
    peak = 0
    try:
        for sock in idle:
            sock.sendall(b"GET /v1/stream HTTP/1.1\r\nHost: x\r\n\r\n")
        # Each pause makes every later change of every mailbox larger.
        for number in range(140):
            assert door.post("/v1/everything/pause", {"reason": "r" * 500}).status == 201
            peak = max(peak, the_daemon.memory_kib())
            if number > 100 and not stays(lambda: not all(map(_hung_up, idle)), 0.2):
                break
        assert all(map(_hung_up, idle))
        with reading(door) as reader:
            assert next(reader.frames(5)).kind == "snapshot"
    finally:
        for sock in idle:
            sock.close()
    print(f"memory grew by {peak - before} KiB beside {IDLE_READERS} readers that do not read")
    assert peak - before < IDLE_READERS * 2 * BACKLOG_BYTES // 1024 + GROWTH_KIB


def _hung_up(sock: socket.socket) -> bool:
    """Whether the other end is gone, without taking what it has sent."""
    poll = select.poll()
    poll.register(sock, select.POLLHUP)
    return bool(poll.poll(0))
