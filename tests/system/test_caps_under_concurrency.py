"""A cap is a cap, however many come at once and by whichever door (DESIGN §3, promise 1)."""

from __future__ import annotations

from collections import Counter
from typing import Any

from mailplaned.domain.ledger import HAND_OFF_GUARD_US
from tests.fakes.process_daemon import Daemon, to, workspace
from tests.fakes.process_http import Reply
from tests.fakes.process_submitter import Submitter
from tests.fakes.process_wait import stays
from tests.fakes.sink_process import Sink

DAY_S = 86_400
CAPPED = "ana@acme.example; caps = [{ limit = 50, per = 'day' }]"


def submit_200(daemon: Daemon, **more: Any) -> list[Reply]:
    """Two hundred submissions from four processes at once, half by the shim, half by the socket."""
    doors = [daemon.door, daemon.door, daemon.shim(daemon.token()), daemon.shim(daemon.token())]
    senders = [
        Submitter(door, [to(f"kim+{part}-{n}@there.example", **more) for n in range(50)])
        for part, door in enumerate(doors)
    ]
    for sender in senders:
        sender.go()
    return [reply for sender in senders for reply in sender.replies()]


def test_200_at_once_by_both_doors_give_exactly_50_at_the_sink_and_150_slots(
    the_sink: Sink, the_daemon: Daemon
) -> None:
    the_daemon.write("workspaces/acme.toml", workspace(the_sink.port, CAPPED))
    replies = submit_200(the_daemon.start(), expires_in="5d")
    assert Counter(reply.status for reply in replies) == {202: 200}
    states = Counter(reply.json["state"] for reply in replies)
    assert states == {"queued": 50, "scheduled": 150}
    scheduled = [reply.json for reply in replies if reply.json["state"] == "scheduled"]
    assert all(answer["decision"]["verdict"] == "schedule" for answer in scheduled)
    assert all(answer["slot_at"] for answer in scheduled)
    the_sink.settled(50)
    assert stays(lambda: the_sink.count() == 50, 0.5)
    taken = the_sink.taken()
    assert len({one.id for one in taken}) == 50
    assert len(the_daemon.door.all("/v1/messages?state=accepted")) == 50
    assert len(the_daemon.door.all("/v1/messages?state=scheduled")) == 150
    (cap,) = the_daemon.door.mailbox("ana@acme.example")["caps"]
    assert (cap["sent"], cap["waiting"], cap["free"]) == (50, 150, 0)


def test_200_at_once_that_would_rather_be_refused_give_50_at_the_sink_and_150_times_429(
    the_sink: Sink, the_daemon: Daemon
) -> None:
    the_daemon.write("workspaces/acme.toml", workspace(the_sink.port, CAPPED))
    replies = submit_200(the_daemon.start(), on_cap="reject")
    assert Counter(reply.status for reply in replies) == {202: 50, 429: 150}
    for refused in (reply for reply in replies if reply.status == 429):
        wait_s = int(refused.headers["retry-after"])
        assert DAY_S - 60 < wait_s <= DAY_S + HAND_OFF_GUARD_US // 1_000_000
        decision = refused.json["decision"]
        assert (decision["scope"], decision["limit"]) == ("mailbox:ana@acme.example", 50)
        assert (decision["window"], decision["kind"]) == ("day", "rolling")
        assert (decision["verdict"], decision["remaining"]) == ("refuse", 0)
    the_sink.settled(50)
    assert stays(lambda: the_sink.count() == 50, 0.5)
    assert len(the_daemon.door.all("/v1/messages")) == 50


def test_caps_of_several_scopes_hold_at_once(the_sink: Sink, the_daemon: Daemon) -> None:
    boxes = [f"{name}@acme.example; caps = [{{ limit = 30, per = 'hour' }}]" for name in "abc"]
    book = workspace(
        the_sink.port,
        *boxes,
        "d@second.example; caps = [{ limit = 30, per = 'week' }]",
        head="caps = [{ limit = 70, per = 'day' }]",
        domain="caps = [{ limit = 50, per = 'day' }]",
    )
    the_daemon.write("workspaces/acme.toml", book)
    door = the_daemon.start().door
    senders = ["a@acme.example", "b@acme.example", "c@acme.example", "d@second.example"]
    for sender in senders:
        bodies = [to(f"kim+{n}@there.example", sender, on_cap="reject") for n in range(40)]
        door.post("/v1/messages", {"messages": bodies})
    the_sink.settled(70)
    assert stays(lambda: the_sink.count() == 70, 0.5)
    counted = the_sink.by_sender()
    assert counted == {"a@acme.example": 30, "b@acme.example": 20, "d@second.example": 20}
