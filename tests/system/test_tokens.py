"""Machines' tokens: what each is limited to, when it ends, how it is changed for another."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.fakes.process_daemon import Daemon, to, workspace
from tests.fakes.process_http import Door
from tests.fakes.sink_process import Sink

ANA, BEN = "ana@acme.example", "ben@acme.example"


@pytest.fixture
def started(the_daemon: Daemon, the_sink: Sink) -> Daemon:
    tail = (
        '[[path]]\nname = "both"\ntiers = [["ana@acme.example"], ["ben@acme.example"]]\n'
        '[workload.cold]\npaths = ["both"]\n'
    )
    the_daemon.write("workspaces/acme.toml", workspace(the_sink.port, ANA, BEN, tail=tail))
    return the_daemon.start()


def make(daemon: Daemon, **limits: Any) -> dict[str, Any]:
    reply = daemon.door.post("/v1/tokens", {"name": "crm", "workspace": "acme", **limits})
    assert reply.status == 201, reply.content
    made: dict[str, Any] = reply.json
    return made


def shim(daemon: Daemon, **limits: Any) -> Door:
    return daemon.shim(make(daemon, **limits)["token"])


def test_a_token_of_one_workload_can_neither_send_nor_see_other_mail(started: Daemon) -> None:
    scoped = shim(started, workloads=["cold"])
    assert scoped.post("/v1/messages", to("kim@there.example", ANA, workload="cold")).status == 202
    refused = scoped.post("/v1/messages", to("kim@there.example", ANA, workload="manual"))
    assert (refused.status, refused.code) == (403, "not-permitted")
    assert "token:crm may not send manual mail" in refused.json["detail"]
    other = started.door.send(to("lee@there.example", ANA, workload="manual"))
    assert scoped.call("GET", f"/v1/messages/{other['id']}").status == 404
    cancel = scoped.post(f"/v1/messages/{other['id']}/cancel", {"reason": "x"})
    assert cancel.status == 404
    seen = {item["workload"] for item in scoped.get("/v1/messages")["items"]}
    assert seen == {"cold"}
    assert scoped.call("GET", "/v1/events").status == 403


def test_a_token_of_one_mailbox_sends_from_it_whatever_the_path_has_in_front(
    started: Daemon,
) -> None:
    scoped = shim(started, mailboxes=[BEN])
    by_path = {"path": "both", "workload": "cold", "to": ["kim@there.example"],
               "subject": "s", "text": "t"}  # fmt: skip
    assert scoped.send(by_path)["mailbox"] == BEN
    refused = scoped.post("/v1/messages", to("kim@there.example", ANA, workload="cold"))
    assert (refused.status, refused.code) == (403, "not-permitted")
    assert [box["address"] for box in scoped.get("/v1/mailboxes")["items"]] == [BEN]
    assert scoped.call("GET", f"/v1/mailboxes/{ANA}").status == 404


def test_a_token_of_one_action_may_do_nothing_else(started: Daemon) -> None:
    reads = shim(started, actions=["read"])
    assert reads.call("GET", "/v1/messages").status == 200
    refused = reads.post("/v1/messages", to("kim@there.example", ANA))
    assert refused.code == "not-permitted"
    sends = shim(started, actions=["submit"])
    sent = sends.send(to("kim@there.example", ANA))
    assert sends.call("GET", "/v1/messages").code == "not-permitted"
    assert sends.call("GET", f"/v1/messages/{sent['id']}").status == 404


@pytest.mark.parametrize(
    ("limits", "field"),
    [
        ({"workloads": ["colt"]}, "workloads"),
        ({"mailboxes": ["nobody@acme.example"]}, "mailboxes"),
        ({"actions": ["pause"]}, "actions[0]"),
        ({"workloads": []}, "workloads"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "tomorrow"}, "expires_at"),
    ],
)
def test_a_limit_that_means_nothing_is_refused_by_its_name(
    started: Daemon, limits: dict[str, Any], field: str
) -> None:
    refused = started.door.post("/v1/tokens", {"name": "crm", "workspace": "acme", **limits})
    assert refused.status == 422
    assert refused.fields == {field}


def test_a_rotated_token_goes_on_for_its_overlap_and_a_revoked_one_ends_at_once(
    started: Daemon,
) -> None:
    old = make(started, workloads=["cold"])
    new = started.door.post(f"/v1/tokens/{old['id']}/rotate", {"overlap": "1h"}).json
    assert (new["workloads"], new["name"]) == (["cold"], "crm")
    assert new["token"] != old["token"]
    for made in (old, new):
        assert started.shim(made["token"]).call("GET", "/v1/mailboxes").status == 200
    listed = {row["id"]: row for row in started.door.get("/v1/tokens")["items"]}
    ends = datetime.fromisoformat(listed[old["id"]]["expires_at"])
    assert timedelta(minutes=58) < ends - datetime.now(UTC) <= timedelta(hours=1)
    assert listed[new["id"]]["expires_at"] is None

    at_once = started.door.post(f"/v1/tokens/{new['id']}/rotate", {"overlap": "0s"}).json
    assert started.shim(new["token"]).call("GET", "/v1/mailboxes").status == 401
    assert started.door.call("DELETE", f"/v1/tokens/{at_once['id']}").status == 200
    assert started.shim(at_once["token"]).call("GET", "/v1/mailboxes").status == 401
    assert started.shim(old["token"]).call("GET", "/v1/mailboxes").status == 200


def test_limits_and_last_use_outlive_a_restart(started: Daemon) -> None:
    made = make(started, workloads=["cold"], mailboxes=[BEN], actions=["submit", "read"])
    assert started.shim(made["token"]).call("GET", "/v1/mailboxes").status == 200
    before = started.door.get("/v1/tokens")["items"]
    started.stop()
    started.start()
    after = started.door.get("/v1/tokens")["items"]
    assert after == before
    assert after[0]["last_used_at"] is not None
    scoped = started.shim(made["token"])
    assert [box["address"] for box in scoped.get("/v1/mailboxes")["items"]] == [BEN]


def test_a_denial_is_in_the_audit_log_once_for_each_minute(started: Daemon) -> None:
    scoped = shim(started, workloads=["cold"])
    for _ in range(5):
        scoped.post("/v1/messages", to("kim@there.example", ANA, workload="manual"))
    denied = [row for row in started.door.get("/v1/audit")["items"] if row["action"] == "denied"]
    assert [(row["actor"], row["target"]) for row in denied] == [("token:crm", "POST /v1/messages")]
    assert "may not send manual mail" in denied[0]["detail"]["reason"]
    assert denied[0]["workspace"] == "acme"
