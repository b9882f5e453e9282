"""What a provider does to a message, and what becomes of it: evidence, charge and next try."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.fakes.process_daemon import Daemon, daemon, short_folder, to, workspace
from tests.fakes.process_wait import stays, until
from tests.fakes.sink_process import Sink, sink

CAP = "caps = [{ limit = 50, per = 'day' }]"
BOXES = [
    "temporary",
    "bounces",
    "too-large",
    "amid",
    "after",
    "not-sent",
    "sent",
    "stall",
    "killed",
    "several",
]


@pytest.fixture(scope="module")
def house() -> Iterator[tuple[Daemon, Sink]]:
    """One daemon with a mailbox for each test, so that each can look at its own charges."""
    with short_folder() as folder, sink(folder / "sink") as provider, daemon(folder) as made:
        boxes = [f"{name}@acme.example; {CAP}" for name in BOXES]
        made.write("workspaces/acme.toml", workspace(provider.port, *boxes))
        made.start()
        yield made, provider


def settled(daemon: Daemon, body: dict[str, Any]) -> dict[str, Any]:
    """Submit a message; how it is shown after its first attempt."""
    id_ = daemon.door.send(body)["id"]
    return until(lambda: _ended(daemon.door.message(id_)), "the end of an attempt", 15)


def _ended(message: dict[str, Any]) -> dict[str, Any] | None:
    return message if any(attempt["ended_at"] for attempt in message["attempts"]) else None


def spent(daemon: Daemon, address: str) -> tuple[int, int]:
    """How much of its cap a mailbox has sent, and how much is unknown."""
    (cap,) = daemon.door.mailbox(address)["caps"]
    return cap["sent"], cap["unknown"]


@pytest.mark.parametrize("code", ["421", "451"])
def test_a_temporary_refusal_is_deferred_to_a_later_slot_and_not_charged(
    house: tuple[Daemon, Sink], code: str
) -> None:
    the_daemon, the_sink = house
    found = settled(the_daemon, to(f"{code}+1@there.example", "temporary@acme.example"))
    (attempt,) = found["attempts"]
    assert found["state"] == "deferred"
    assert found["slot_at"] > attempt["ended_at"]
    assert (attempt["outcome"], attempt["stage"]) == ("transient", "rcpt")
    assert not attempt["charged"]
    assert attempt["reply"].startswith(code)
    assert spent(the_daemon, "temporary@acme.example") == (0, 0)
    assert all(one.sender != "temporary@acme.example" for one in the_sink.taken())


def test_no_such_user_is_a_bounce_and_not_charged(house: tuple[Daemon, Sink]) -> None:
    the_daemon, _ = house
    found = settled(the_daemon, to("550+1@there.example", "bounces@acme.example"))
    assert found["state"] == "bounced"
    (recipient,) = found["recipients"]
    assert recipient["state"] == "bounced"
    assert recipient["reply"].startswith("550 5.1.1")
    assert "bounced" in {event["kind"] for event in found["events"]}
    assert the_daemon.door.mailbox("bounces@acme.example")["bounced_24h"] == 1
    assert spent(the_daemon, "bounces@acme.example") == (0, 0)


def test_a_message_refused_at_data_has_failed_and_is_not_charged(
    house: tuple[Daemon, Sink],
) -> None:
    the_daemon, _ = house
    found = settled(the_daemon, to("552+1@there.example", "too-large@acme.example"))
    (attempt,) = found["attempts"]
    assert (found["state"], attempt["outcome"]) == ("failed", "rejected_message")
    assert attempt["reply"].startswith("552")
    assert spent(the_daemon, "too-large@acme.example") == (0, 0)


def test_a_line_cut_before_the_dot_is_deferred_and_not_charged(house: tuple[Daemon, Sink]) -> None:
    the_daemon, the_sink = house
    long = to("before-dot+1@there.example", "amid@acme.example", text="word " * 2_400_000)
    found = settled(the_daemon, long)
    (attempt,) = found["attempts"]
    assert (found["state"], attempt["outcome"]) == ("deferred", "transient")
    assert not attempt["charged"]
    assert spent(the_daemon, "amid@acme.example") == (0, 0)
    assert all(one.sender != "amid@acme.example" for one in the_sink.taken())


def test_a_line_cut_after_the_dot_is_unknown_charged_and_never_tried_again(
    house: tuple[Daemon, Sink],
) -> None:
    the_daemon, the_sink = house
    found = settled(the_daemon, to("after-dot+1@there.example", "after@acme.example"))
    (attempt,) = found["attempts"]
    assert (found["state"], attempt["outcome"], attempt["charged"]) == ("unknown", "unknown", True)
    assert found["slot_at"] is None
    view = the_daemon.door.mailbox("after@acme.example")
    assert view["unknown"] == 1
    (cap,) = view["caps"]
    assert (cap["sent"], cap["unknown"], cap["free"]) == (0, 1, 49)
    assert stays(lambda: len(of(the_sink, "after@acme.example")) == 1, 0.3)


def of(the_sink: Sink, sender: str) -> list[str]:
    """What the sink took from a mailbox, by id."""
    return [str(one.id) for one in the_sink.taken() if one.sender == sender]


def test_an_unknown_resolved_as_sent_is_accepted_and_stays_charged(
    house: tuple[Daemon, Sink],
) -> None:
    the_daemon, the_sink = house
    found = settled(the_daemon, to("after-dot+1@there.example", "sent@acme.example"))
    reply = resolve(the_daemon, found["id"], "sent")
    assert (reply["state"], reply["recipients"][0]["state"]) == ("accepted", "accepted")
    assert spent(the_daemon, "sent@acme.example") == (1, 0)
    again = the_daemon.door.post(
        f"/v1/messages/{found['id']}/resolve", {"outcome": "not_sent", "reason": "no"}
    )
    assert (again.status, again.code) == (409, "conflict")
    assert of(the_sink, "sent@acme.example") == [found["id"]]


def test_an_unknown_resolved_as_not_sent_gives_its_unit_back_and_goes_again(
    house: tuple[Daemon, Sink],
) -> None:
    the_daemon, the_sink = house
    found = settled(the_daemon, to("after-dot+1@there.example", "not-sent@acme.example"))
    reply = resolve(the_daemon, found["id"], "not_sent")
    assert reply["state"] in {"deferred", "sending"}
    until(lambda: len(of(the_sink, "not-sent@acme.example")) == 2, "a second try")
    shown = until(
        lambda: _attempts(the_daemon.door.message(found["id"]), 2), "the end of the second try"
    )
    assert [attempt["charged"] for attempt in shown["attempts"]] == [False, True]
    assert spent(the_daemon, "not-sent@acme.example") == (0, 1)
    actions = [entry["action"] for entry in the_daemon.door.all("/v1/audit")]
    assert "resolve not-sent" in actions


def _attempts(message: dict[str, Any], count: int) -> dict[str, Any] | None:
    ended = [attempt for attempt in message["attempts"] if attempt["ended_at"]]
    return message if len(ended) == count else None


def resolve(daemon: Daemon, id_: str, outcome: str) -> dict[str, Any]:
    reply = daemon.door.post(
        f"/v1/messages/{id_}/resolve", {"outcome": outcome, "reason": "seen in the sent folder"}
    )
    assert reply.status == 200, reply.content
    found: dict[str, Any] = reply.json
    return found


def test_a_provider_that_stalls_keeps_one_message_and_stops_no_other_mailbox(
    house: tuple[Daemon, Sink],
) -> None:
    the_daemon, the_sink = house
    the_sink.control(released=False)
    stalled = the_daemon.door.send(to("stall+1@there.example", "stall@acme.example"))["id"]
    until(lambda: the_daemon.door.message(stalled)["state"] == "sending", "a stalled message")
    other = settled(the_daemon, to("kim@there.example", "several@acme.example"))
    same = settled(the_daemon, to("kim@there.example", "stall@acme.example"))
    assert (other["state"], same["state"]) == ("accepted", "accepted")
    assert the_daemon.door.message(stalled)["state"] == "sending"
    the_sink.control(released=True)
    until(lambda: the_daemon.door.message(stalled)["state"] == "accepted", "the released message")


def test_recipients_of_one_message_each_have_their_own_end(house: tuple[Daemon, Sink]) -> None:
    the_daemon, _ = house
    body = to("kim@there.example", "several@acme.example", cc=["550+9@there.example"])
    found = settled(the_daemon, {**body, "bcc": ["451+9@there.example"]})
    states = {one["address"]: one["state"] for one in found["recipients"]}
    assert states == {
        "kim@there.example": "accepted",
        "550+9@there.example": "bounced",
        "451+9@there.example": "waiting",
    }
    assert found["state"] == "deferred"


def test_a_message_on_the_wire_when_the_daemon_is_killed_is_unknown_and_charged(
    the_sink: Sink, the_daemon: Daemon
) -> None:
    the_daemon.write("workspaces/acme.toml", workspace(the_sink.port, f"ana@acme.example; {CAP}"))
    id_ = the_daemon.start().door.send(to("stall+1@there.example"))["id"]
    until(lambda: the_daemon.door.message(id_)["state"] == "sending", "a stalled message")
    the_daemon.kill()
    found = the_daemon.start().door.message(id_)
    assert (found["state"], found["attempts"][0]["outcome"]) == ("unknown", "unknown")
    assert spent(the_daemon, "ana@acme.example") == (0, 1)
    assert the_daemon.door.get("/v1/health")["unknown"] == 1
    assert the_sink.count() == 0


def test_refused_credentials_pause_the_mailbox_and_keep_the_message(
    the_sink: Sink, the_daemon: Daemon
) -> None:
    book = workspace(
        the_sink.port, f"ana@acme.example; {CAP}", account='username = "ana"\nsecret = "relay"'
    )
    the_daemon.write("workspaces/acme.toml", book)
    the_sink.control(password="k8trOQzv9 canary")
    secrets = the_daemon.state / "secrets"
    the_daemon.state.mkdir(mode=0o700)
    secrets.mkdir(mode=0o700)
    secret = secrets / "relay"
    secret.touch(mode=0o600)
    secret.write_text("q7wrongB2 canary\n")
    the_daemon.start()
    found = settled(the_daemon, to("kim@there.example"))
    assert found["attempts"][0]["outcome"] == "blocked_sender"
    until(lambda: the_daemon.door.message(found["id"])["state"] == "held", "the message held")
    view = the_daemon.door.mailbox("ana@acme.example")
    (pause,) = view["pauses"]
    assert (view["state"], pause["origin"], pause["until"]) == ("error", "provider", None)
    assert "535" in pause["reason"]
    assert spent(the_daemon, "ana@acme.example") == (0, 0)
    resume = "/v1/mailboxes/ana@acme.example/resume"
    refused = the_daemon.door.post(resume, {"reason": "tried again"})
    assert refused.status == 409, "what a provider stopped has to be acknowledged"
    secret.write_text("k8trOQzv9 canary\n")
    done = the_daemon.door.post(resume, {"reason": "password mended", "acknowledge": True})
    assert done.status == 200
    the_sink.settled(1)
    until(lambda: the_daemon.door.message(found["id"])["state"] == "accepted", "the kept message")
    everything = b"".join(
        path.read_bytes() for path in [the_daemon.log_path, *the_daemon.state.glob("mailplane.db*")]
    )
    assert b"canary" not in everything, "a password got into the log or the database"
