"""Submissions that are wrong, repeated, or only asked about: what is answered and what is kept."""

from __future__ import annotations

import asyncio
import base64
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.fakes.process_daemon import Daemon, daemon, short_folder, to, workspace
from tests.fakes.process_http import Door, Reply
from tests.fakes.process_wait import until
from tests.fakes.sink_process import sink

CALLERS = 100


def in_days(days: float) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).isoformat()


def raw(text: str) -> str:
    return base64.b64encode(text.encode("latin-1")).decode()


GOOD = to("kim@there.example")
BAD: dict[str, tuple[dict[str, Any], int, str, set[str]]] = {
    "unknown mailbox": (to("kim@there.example", "zoe@acme.example"), 404, "unknown-mailbox", set()),
    "mailbox of another workspace": (
        to("kim@there.example", "ana@beta.example", workspace="acme"),
        404,
        "unknown-mailbox",
        set(),
    ),
    "unknown workspace": ({**GOOD, "workspace": "nobody"}, 422, "invalid", {"workspace"}),
    "unknown path": (
        {"path": "nowhere", "workspace": "acme", "to": ["k@x.example"], "text": "t"},
        422,
        "invalid",
        {"path"},
    ),
    "bad address": ({**GOOD, "to": ["kim@there.example", "no address"]}, 422, "invalid", {"to[1]"}),
    "two addresses in one": (
        {**GOOD, "to": ["a@x.example, b@x.example"]},
        422,
        "invalid",
        {"to[0]"},
    ),
    "address with a line break": (
        {**GOOD, "cc": ["kim@there.example\r\nRCPT TO:<x@y.example>"]},
        422,
        "invalid",
        {"cc[0]"},
    ),
    "no recipient": ({**GOOD, "to": []}, 422, "invalid", {"to"}),
    "line break in the subject": (
        {**GOOD, "subject": "a\r\nBcc: x@y.example"},
        422,
        "invalid",
        {"subject"},
    ),
    "encoded line break in the subject": (
        {**GOOD, "subject": "=?utf-8?q?a=0ABcc=3A_e=40x?="},
        422,
        "invalid",
        {"subject"},
    ),
    "line break in a header": (
        {**GOOD, "headers": {"X-Campaign": "a\nBcc: x@y.example"}},
        422,
        "invalid",
        {"headers.X-Campaign"},
    ),
    "control character in a header": (
        {**GOOD, "headers": {"X-Campaign": "a\x00b"}},
        422,
        "invalid",
        {"headers.X-Campaign"},
    ),
    "line break in a header's name": (
        {**GOOD, "headers": {"X-A: b\r\nBcc": "x@y.example"}},
        422,
        "invalid",
        {"headers.X-A: b\\r\\nBcc"},
    ),
    "Bcc as a header": (
        {**GOOD, "headers": {"Bcc": "x@y.example"}},
        422,
        "invalid",
        {"headers.Bcc"},
    ),
    "broken base64 of an attachment": (
        {**GOOD, "attachments": [{"name": "a.pdf", "content": "no base64!"}]},
        422,
        "invalid",
        {"attachments[0].content"},
    ),
    "broken base64 of a raw message": (
        {"mailbox": "ana@acme.example", "raw": "%%%"},
        422,
        "invalid",
        {"raw"},
    ),
    "broken MIME": (
        {"mailbox": "ana@acme.example", "raw": raw("this is: not\r\nmail at all")},
        422,
        "invalid",
        {"raw"},
    ),
    "unknown field": ({**GOOD, "colour": "red"}, 422, "invalid", {"colour"}),
    "unknown field of an attachment": (
        {**GOOD, "attachments": [{"name": "a", "content": "", "size": 3}]},
        422,
        "invalid",
        {"attachments[0].size"},
    ),
    "wrong types": (
        {**GOOD, "to": "kim@there.example", "subject": 5, "headers": ["a"]},
        422,
        "invalid",
        {"to", "subject", "headers"},
    ),
    "not_before in the past": (
        {**GOOD, "not_before": in_days(-1)},
        422,
        "invalid",
        {"not_before"},
    ),
    "not_before a year ahead": (
        {**GOOD, "not_before": in_days(365)},
        422,
        "invalid",
        {"not_before"},
    ),
    "not_before without a zone": (
        {**GOOD, "not_before": "2026-12-01T08:00:00"},
        422,
        "invalid",
        {"not_before"},
    ),
    "expires_in that is none": ({**GOOD, "expires_in": "soon"}, 422, "invalid", {"expires_in"}),
    "expires_in of a year": ({**GOOD, "expires_in": "365d"}, 422, "invalid", {"expires_in"}),
    "on_cap that is none": ({**GOOD, "on_cap": "explode"}, 422, "invalid", {"on_cap"}),
    "key too long": ({**GOOD, "idempotency_key": "k" * 300}, 422, "invalid", {"idempotency_key"}),
    "several at once": (
        {**GOOD, "to": ["nobody"], "subject": "a\nb", "not_before": "soon", "colour": 1},
        422,
        "invalid",
        {"to[0]", "subject", "not_before", "colour"},
    ),
}
"""What is sent → status, code, and the fields that the answer names."""


@pytest.fixture(scope="module")
def running() -> Iterator[Daemon]:
    with short_folder() as folder, sink(folder / "sink") as provider, daemon(folder) as made:
        for name in ("acme", "beta"):
            boxes = [
                f"ana@{name}.example",
                f"cap@{name}.example; caps = [{{ limit = 2, per = 'day' }}]",
                f"off@{name}.example",
            ]
            made.write(f"workspaces/{name}.toml", workspace(provider.port, *boxes, name=name))
        made.start()
        made.door.post("/v1/mailboxes/off@acme.example/pause", {"reason": "complaints"})
        yield made


def kept(made: Daemon) -> tuple[int, list[str], int]:
    """How many messages there are, whether the ledger is right, and the end of the event log."""
    door = made.door
    differences = door.get("/v1/ledger/verify")["differences"]
    events = door.all("/v1/events")
    return len(door.all("/v1/messages")), differences, len(events)


@pytest.mark.parametrize("what", BAD)
def test_a_bad_submission_names_what_is_wrong_and_nothing_is_kept(
    running: Daemon, what: str
) -> None:
    body, status, code, fields = BAD[what]
    before = kept(running)
    for target in ("/v1/messages", "/v1/preflight"):
        reply = running.door.post(target, body)
        assert (reply.status, reply.code) == (status, code), reply.content
        assert reply.headers["content-type"] == "application/problem+json"
        assert reply.fields == fields
        assert all(error["reason"] for error in reply.json.get("errors", []))
    assert kept(running) == before
    assert before[1] == []


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 422),
        (b"{", 422),
        (b"[]", 422),
        (b"null", 422),
        (b'"text"', 422),
        (b"\xff\xfe{}", 422),
        (b'{"subject": "\xed\xa0\x80"}', 422),
        (b"[" * 100_000, 422),
        (b'{"messages": {}}', 422),
        (b'{"messages": [], "more": 1}', 422),
        (b'{"messages": [' + b"{}," * 1000 + b"{}]}", 422),
    ],
    ids=lambda value: None if isinstance(value, int) else repr(value[:20]),
)
def test_a_body_that_is_no_submission_is_refused(
    running: Daemon, content: bytes, status: int
) -> None:
    before = kept(running)
    for target in ("/v1/messages", "/v1/preflight"):
        reply = running.door.post(target, content)
        assert (reply.status, reply.code) == (status, "invalid"), reply.content
    assert kept(running) == before


def test_a_body_of_30_mib_is_refused_as_too_large_and_nothing_is_kept(running: Daemon) -> None:
    before = kept(running)
    # Beyond what a request may hold, and beyond what a message may hold once it is decoded.
    attached = base64.b64encode(b"x" * 27_000_000).decode()
    for body in (
        to("kim@there.example", text="x" * 40 * 2**20),
        to("kim@there.example", attachments=[{"name": "a", "content": attached}]),
    ):
        reply = running.door.post("/v1/messages", body)
        assert (reply.status, reply.code) == (413, "too-large")
    assert kept(running) == before
    assert running.door.send(to("kim@there.example"))["state"] == "queued"


def test_in_a_batch_each_message_has_its_own_answer_in_order(running: Daemon) -> None:
    bodies = [GOOD, BAD["bad address"][0], BAD["unknown mailbox"][0], GOOD, {"colour": 1}]
    reply = running.door.post("/v1/messages", {"messages": bodies})
    assert reply.status == 202
    results = reply.json["results"]
    assert ["id" in one for one in results] == [True, False, False, True, False]
    assert [one.get("status") for one in results] == [None, 422, 404, None, 422]
    assert results[1]["errors"][0]["field"] == "to[1]"


# --- the same key ---------------------------------------------------------------------------------


def test_the_same_key_and_body_give_the_same_answer_and_the_mark_of_a_replay(
    running: Daemon,
) -> None:
    body = to("kim@there.example", idempotency_key="once", metadata={"campaign": "q4"})
    first = running.door.post("/v1/messages", body)
    again = running.door.post("/v1/messages", body)
    assert (first.status, again.status) == (202, 200)
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert first.json == again.json
    header = running.door.post("/v1/messages", without_key(body), {"Idempotency-Key": "once"})
    assert (header.status, header.json) == (200, first.json)
    running.kill()
    running.start()
    assert running.door.post("/v1/messages", body).json == first.json


def without_key(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name != "idempotency_key"}


def test_the_same_key_with_another_body_is_a_conflict(running: Daemon) -> None:
    body = to("kim@there.example", idempotency_key="mine")
    running.door.send(body)
    for other in (
        {**body, "subject": "another"},
        {**body, "to": ["lee@there.example"]},
        {**body, "not_before": in_days(1)},
    ):
        reply = running.door.post("/v1/messages", other)
        assert (reply.status, reply.code) == (409, "idempotency-mismatch")
    foreign = to("kim@there.example", "ana@beta.example", idempotency_key="mine")
    assert running.door.post("/v1/messages", foreign).status == 202, "keys are a workspace's own"


def test_a_key_in_the_header_and_another_in_the_body_is_refused(running: Daemon) -> None:
    body = to("kim@there.example", idempotency_key="one")
    reply = running.door.post("/v1/messages", body, {"Idempotency-Key": "two"})
    assert reply.status == 422


def test_a_hundred_callers_with_one_key_make_one_message(running: Daemon) -> None:
    before = len(running.door.all("/v1/messages"))
    body = to("kim@there.example", idempotency_key="hundred")
    replies = asyncio.run(together(running, body))
    assert Counter(reply.status for reply in replies) == {202: 1, 200: CALLERS - 1}
    assert len({reply.json["id"] for reply in replies}) == 1
    assert len(running.door.all("/v1/messages")) == before + 1


async def together(running: Daemon, body: dict[str, Any]) -> list[Reply]:
    shim = running.shim(running.token())
    doors: list[Door] = [running.door, shim]
    found = await asyncio.gather(
        *(door.post_together("/v1/messages", [body] * (CALLERS // 2)) for door in doors)
    )
    return [reply for replies in found for reply in replies]


# --- only asked about -----------------------------------------------------------------------------

ASKED = {
    "at once": to("kim@there.example"),
    "later": to("kim@there.example", not_before=in_days(1)),
    "several recipients": to("kim@there.example", cc=["a@x.example"], bcc=["b@y.example"]),
    "the last unit of a cap": to("kim@there.example", "cap@acme.example"),
    "the cap's last unit, again": to("kim@there.example", "cap@acme.example"),
    "a full cap": to("kim@there.example", "cap@acme.example"),
    "a full cap, rather refused": to("kim@there.example", "cap@acme.example", on_cap="reject"),
    "paused": to("kim@there.example", "off@acme.example"),
    "paused, rather refused": to("kim@there.example", "off@acme.example", on_cap="reject"),
}


def test_a_preflight_answers_as_the_submission_after_it_and_leaves_no_trace(
    running: Daemon,
) -> None:
    for what, body in ASKED.items():
        until(lambda: _quiet(running), "what was sent before to have its end")
        before = kept(running)
        boxes = running.door.get("/v1/mailboxes")["items"]
        asked = running.door.post("/v1/preflight", {**body, "idempotency_key": what})
        assert kept(running)[0::2] == before[0::2], what
        waiting = [box["waiting"] for box in running.door.get("/v1/mailboxes")["items"]]
        assert waiting == [box["waiting"] for box in boxes], what
        told = running.door.post("/v1/messages", {**body, "idempotency_key": what})
        assert (asked.status, told.status) in {(200, 202), (429, 429), (409, 409)}, what
        assert shape(asked) == shape(told), what


def _quiet(made: Daemon) -> bool:
    return not any(
        made.door.get(f"/v1/messages?state={state}")["items"] for state in ("queued", "sending")
    )


def shape(reply: Reply) -> dict[str, Any]:
    """An answer without what may differ: the ids, and the moment where it is now."""
    found = dict(reply.json)
    found.pop("id", None)
    found.pop("message_id", None)
    found.pop("retry_after_s", None)
    for name in ("slot_at", "detail"):
        if found.get(name):
            found[name] = str(found[name])[:16]
    found["decision"] = {**found["decision"], "resets_at": None}
    return found
