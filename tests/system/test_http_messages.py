"""What is asked about messages and logs, on a running daemon."""

from __future__ import annotations

from tests.fakes.process_daemon import Daemon, to, workspace
from tests.fakes.sink_process import Sink


def test_a_waiting_message_can_be_canceled_without_a_body(
    the_sink: Sink, the_daemon: Daemon
) -> None:
    the_daemon.write("workspaces/acme.toml", workspace(the_sink.port, "ana@acme.example"))
    door = the_daemon.start().door
    door.post("/v1/everything/pause", {"reason": "so that all wait"})
    first, second = door.send(to("kim@there.example")), door.send(to("lee@there.example"))
    bare = door.call("POST", f"/v1/messages/{first['id']}/cancel")
    assert (bare.status, bare.json["state"]) == (200, "canceled")
    assert "canceled" in bare.json["reason"]
    said = door.post(f"/v1/messages/{second['id']}/cancel", {"reason": "a wrong list"})
    assert "a wrong list" in said.json["reason"]
    again = door.call("POST", f"/v1/messages/{first['id']}/cancel")
    assert (again.status, again.code) == (409, "conflict")
    door.post("/v1/everything/resume", {"reason": "on"})
    door.send(to("max@there.example"))
    (taken,) = the_sink.settled(1)
    assert taken.recipients == ("max@there.example",)


def test_the_newest_rows_of_both_logs_can_be_asked_for(the_sink: Sink, the_daemon: Daemon) -> None:
    for name in ("acme", "beta"):
        book = workspace(the_sink.port, f"ana@{name}.example", name=name)
        the_daemon.write(f"workspaces/{name}.toml", book)
    door = the_daemon.start().door
    for number in range(6):
        name = ("acme", "beta")[number % 2]
        body = {"scope": {"workspace": name}, "reason": f"reason {number}"}
        assert door.post("/v1/pauses", body).status == 201
    for log, place in (("events", "cursor"), ("audit", "seq")):
        newest = door.get(f"/v1/{log}?last=3")
        assert newest["next"] is None
        rows = door.all(f"/v1/{log}")
        assert [row[place] for row in newest["items"]] == [row[place] for row in rows][-3:]
        beta = door.get(f"/v1/{log}?last=2&workspace=beta")["items"]
        assert [row["detail"]["reason"] for row in beta] == ["reason 3", "reason 5"]
        both = door.call("GET", f"/v1/{log}?last=2&after=1")
        assert (both.status, both.fields) == (422, {"last"})
        first = door.get(f"/v1/{log}?limit=2&workspace=acme")
        rest = door.get(f"/v1/{log}?limit=9&workspace=acme&after={first['next']}")
        whole = [*first["items"], *rest["items"]]
        assert whole == [row for row in rows if row["workspace"] == "acme"]


def test_words_that_are_kept_are_one_printable_line_of_bounded_length(
    the_daemon: Daemon,
) -> None:
    the_daemon.write("workspaces/acme.toml", workspace(1, "ana@acme.example"))
    door = the_daemon.start().door
    for hostile in ("\x1b[2J", "a\u202eb", "", " ", "x" * 600):
        for target, body, field in (
            ("/v1/pauses", {"scope": {"everything": True}, "reason": hostile}, "reason"),
            ("/v1/suppressions", {"address": "a@x.example", "origin": hostile}, "origin"),
            ("/v1/suppressions", {"address": "a@x.example", "ground": hostile}, "ground"),
            ("/v1/tokens", {"name": hostile, "workspace": "acme"}, "name"),
        ):
            reply = door.post(target, body)
            assert (reply.status, reply.fields) == (422, {field}), (hostile, target)
    for listed in ("/v1/pauses", "/v1/suppressions", "/v1/tokens"):
        assert door.get(listed)["items"] == []
    assert [entry["action"] for entry in door.all("/v1/audit")] == ["start", "book applied"]
