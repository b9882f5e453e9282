"""After the answer nothing begins: pauses and suppressions against a queue in full flow."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest

from tests.fakes.process_daemon import Daemon, to, workspace
from tests.fakes.process_http import Door
from tests.fakes.process_wait import stays, until
from tests.fakes.sink_process import Sink

RACES = 12


def flood(door: Door, count: int, recipient: str = "kim+{}@there.example") -> None:
    """Fill the queue."""
    bodies = [to(recipient.format(n)) for n in range(count)]
    reply = door.post("/v1/messages", {"messages": bodies})
    assert all("id" in answer for answer in reply.json["results"]), reply.json["results"][0]


def begun(door: Door) -> list[str]:
    """When each attempt began."""
    found = door.all("/v1/messages")
    tried = [one["id"] for one in found if one["state"] not in {"queued", "held", "scheduled"}]
    return [attempt["begun_at"] for id_ in tried for attempt in door.message(id_)["attempts"]]


def test_after_a_pause_is_answered_no_attempt_begins_whatever_was_queued(
    the_sink: Sink, the_daemon: Daemon
) -> None:
    the_daemon.write("workspaces/acme.toml", workspace(the_sink.port, "ana@acme.example"))
    door = the_daemon.start().door
    chance = random.Random(7)
    scopes: list[dict[str, Any]] = [
        {"mailbox": "ana@acme.example"},
        {"domain": "acme.example"},
        {"workspace": "acme"},
        {"everything": True},
    ]
    since = ""
    for race in range(RACES):
        flood(door, 40)
        time.sleep(chance.uniform(0, 0.03))
        reply = door.post("/v1/pauses", {"scope": scopes[race % len(scopes)], "reason": "a race"})
        assert reply.status == 201
        until(lambda: door.get("/v1/health")["sending"] == 0, "what was on the wire to end")
        late = [at for at in begun(door) if since < at and at > reply.json["created_at"]]
        assert late == [], f"race {race}"
        count = the_sink.count()
        assert stays(lambda count=count: the_sink.count() == count, 0.05)  # type: ignore[misc]
        lifted = door.call("DELETE", f"/v1/pauses/{reply.json['id']}", {"reason": "it is over"})
        assert lifted.status == 200
        the_sink.settled(40 * (race + 1))
        since = max(begun(door))
    assert len({one.id for one in the_sink.taken()}) == 40 * RACES


def test_a_pause_survives_kill_9_and_lifting_it_lets_the_held_messages_go(
    the_sink: Sink, the_daemon: Daemon
) -> None:
    the_daemon.write("workspaces/acme.toml", workspace(the_sink.port, "ana@acme.example"))
    door = the_daemon.start().door
    paused = door.post("/v1/mailboxes/ana@acme.example/pause", {"reason": "complaints"})
    answer = door.send(to("kim@there.example"))
    assert (answer["state"], answer["decision"]["verdict"]) == ("held", "hold")
    assert answer["decision"]["reason"] == "complaints"
    the_daemon.kill()
    door = the_daemon.start().door
    view = door.mailbox("ana@acme.example")
    assert view["state"] == "paused"
    assert [pause["id"] for pause in view["pauses"]] == [paused.json["id"]]
    assert stays(lambda: the_sink.count() == 0, 0.3)
    done = door.post("/v1/mailboxes/ana@acme.example/resume", {"reason": "solved"})
    assert done.json == {"lifted": [paused.json["id"]]}
    (taken,) = the_sink.settled(1)
    assert taken.id == answer["id"]
    actions = [entry["action"] for entry in door.all("/v1/audit")]
    assert actions == ["start", "book applied", "pause", "start", "resume"]


def test_a_pause_with_an_end_ends_by_itself(the_sink: Sink, the_daemon: Daemon) -> None:
    the_daemon.write("workspaces/acme.toml", workspace(the_sink.port, "ana@acme.example"))
    door = the_daemon.start().door
    until_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 2))
    body = {"scope": {"mailbox": "ana@acme.example"}, "reason": "a breather", "until": until_at}
    assert door.post("/v1/pauses", body).status == 201
    door.send(to("kim@there.example"))
    (taken,) = the_sink.settled(1)
    assert taken.at >= time.mktime(time.strptime(until_at, "%Y-%m-%dT%H:%M:%SZ")) - time.timezone
    assert door.get("/v1/pauses")["items"] == []


def test_lifting_one_of_two_pauses_leaves_the_other(the_sink: Sink, the_daemon: Daemon) -> None:
    the_daemon.write("workspaces/acme.toml", workspace(the_sink.port, "ana@acme.example"))
    door = the_daemon.start().door
    first = door.post("/v1/mailboxes/ana@acme.example/pause", {"reason": "one"}).json["id"]
    second = door.post("/v1/mailboxes/ana@acme.example/pause", {"reason": "two"}).json["id"]
    door.send(to("kim@there.example"))
    assert door.call("DELETE", f"/v1/pauses/{first}", {"reason": "done"}).status == 200
    assert [pause["id"] for pause in door.mailbox("ana@acme.example")["pauses"]] == [second]
    assert stays(lambda: the_sink.count() == 0, 0.2)
    assert door.call("DELETE", f"/v1/pauses/{first}", {"reason": "done"}).status == 409
    assert door.call("DELETE", f"/v1/pauses/{second}", {"reason": "done"}).status == 200
    the_sink.settled(1)


def test_pauses_can_be_listed_for_one_workspace(the_sink: Sink, the_daemon: Daemon) -> None:
    for name in ("acme", "beta"):
        book = workspace(the_sink.port, f"ana@{name}.example", name=name)
        the_daemon.write(f"workspaces/{name}.toml", book)
    door = the_daemon.start().door
    for body in (
        {"scope": {"workspace": "acme"}, "reason": "one"},
        {"scope": {"mailbox": "ana@beta.example"}, "reason": "two"},
        {"scope": {"everything": True}, "reason": "three"},
    ):
        assert door.post("/v1/pauses", body).status == 201
    listed = {
        name: [item["reason"] for item in door.get(f"/v1/pauses{name}")["items"]]
        for name in ("", "?workspace=acme", "?workspace=beta")
    }
    assert listed == {
        "": ["one", "two", "three"],
        "?workspace=acme": ["one", "three"],
        "?workspace=beta": ["two", "three"],
    }


def test_after_a_suppression_is_answered_nothing_more_goes_to_that_recipient(
    the_sink: Sink, the_daemon: Daemon
) -> None:
    the_daemon.write("workspaces/acme.toml", workspace(the_sink.port, "ana@acme.example"))
    door = the_daemon.start().door
    chance = random.Random(11)
    for race in range(RACES):
        recipient = f"Kim.{race}@there.example"
        bodies = [to(recipient if n % 2 else f"other+{n}@there.example") for n in range(40)]
        results = door.post("/v1/messages", {"messages": bodies}).json["results"]
        time.sleep(chance.uniform(0, 0.03))
        reply = door.post("/v1/suppressions", {"address": recipient.lower(), "workspace": "acme"})
        assert reply.status == 201
        ids = [answer["id"] for answer in results]
        until(lambda ids=ids: _ended(door, ids), "an end of all", 15)  # type: ignore[misc]
        mine = [door.message(id_) for id_ in ids[1::2]]
        for message in mine:
            if message["state"] == "suppressed":
                assert message["attempts"] == []
            else:
                (attempt,) = message["attempts"]
                assert attempt["begun_at"] <= reply.json["created_at"]
                if attempt["ended_at"] > reply.json["created_at"]:
                    assert message["id"] in reply.json["in_flight"]
        at_sink = {one.id for one in the_sink.taken()}
        assert {message["id"] for message in mine if message["state"] == "suppressed"}.isdisjoint(
            at_sink
        )
        assert set(ids[0::2]) <= at_sink, "others are not touched"
        refused = door.post("/v1/messages", to(recipient))
        assert (refused.status, refused.code) == (422, "suppressed")
        assert refused.json["recipient"] == recipient.lower()


def _ended(door: Door, ids: list[str]) -> bool:
    waiting = {"queued", "sending", "scheduled", "deferred"}
    states = {one["id"]: one["state"] for one in door.all("/v1/messages")}
    return all(states[id_] not in waiting for id_ in ids)


@pytest.mark.parametrize(
    ("suppressed", "written"),
    [
        ("kim@there.example", "KIM@There.Example"),
        ("zoe\u0308@there.example", "Zo\u00eb@there.example"),
        ("\u00c9ric@there.example", "e\u0301ric@there.example"),
        ("kim@b\u00fccher.example", "kim@xn--bcher-kva.example"),
    ],
)
def test_a_suppression_holds_however_the_address_is_written(
    the_sink: Sink, the_daemon: Daemon, suppressed: str, written: str
) -> None:
    the_daemon.write("workspaces/acme.toml", workspace(the_sink.port, "ana@acme.example"))
    door = the_daemon.start().door
    assert door.post("/v1/suppressions", {"address": suppressed}).status == 201
    refused = door.post("/v1/messages", to(written))
    assert (refused.status, refused.code) == (422, "suppressed")
    body = {"workspace": "acme", "addresses": [written, "lee@there.example"]}
    assert len(door.post("/v1/suppressions/check", body).json["items"]) == 1


def test_a_suppressed_domain_and_an_unsuppressed_recipient(
    the_sink: Sink, the_daemon: Daemon
) -> None:
    the_daemon.write("workspaces/acme.toml", workspace(the_sink.port, "ana@acme.example"))
    door = the_daemon.start().door
    made = door.post("/v1/suppressions", {"address": "@there.example", "ground": "objection"})
    before = len(door.all("/v1/messages"))
    refused = door.post("/v1/messages", to("Kim@THERE.example"))
    assert (refused.status, refused.code) == (422, "suppressed")
    assert len(door.all("/v1/messages")) == before
    gone = door.call("DELETE", f"/v1/suppressions/{made.json['id']}", {"reason": "agreed again"})
    assert gone.status == 200
    door.send(to("Kim@THERE.example"))
    the_sink.settled(1)
