"""What a person of one workspace can learn of another: nothing, by any route and any stream.

Everything that belongs to the other workspace carries one word, so that a leak is found by looking
for the word. The walk covers the route table: a route that is added is walked without being named.
"""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mailplaned.doors.http.resources import NAMED
from mailplaned.doors.http.routes import ROUTES, Route
from tests.fakes.process_daemon import SHIM, Daemon, short_folder, to, workspace
from tests.fakes.process_http import Door, Reply
from tests.fakes.process_person import Person
from tests.fakes.process_wait import until
from tests.fakes.sink_process import sink

WORD = "quagga"
OTHER = f"ida@{WORD}.example"
ANA = "ana@acme.example"
ROLES = {"admin": 61001, "operator": 61002, "auditor": 61003, "viewer": 61004}

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can call as somebody else")


@dataclass(frozen=True)
class House:
    daemon: Daemon

    def person(self, role: str) -> Person:
        return Person(path=self.daemon.socket, uid=ROLES[role])


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with short_folder() as folder, sink(folder / "sink") as provider:
        made = Daemon(folder)
        members = "".join(
            f'[[member]]\nname = "{role}"\nuid = {uid}\nrole = "{role}"\nworkspaces = ["acme"]\n'
            for role, uid in ROLES.items()
        )
        owner = '[[member]]\nname = "boss"\nuid = 0\nrole = "owner"\n'
        made.write("mailplane.toml", SHIM + owner + members)
        made.write("workspaces/acme.toml", workspace(provider.port, ANA))
        other = workspace(
            provider.port,
            OTHER,
            name=WORD,
            tail=f'[[path]]\nname = "{WORD}-way"\ntiers = [["{OTHER}"]]\n',
        )
        made.write(f"workspaces/{WORD}.toml", other)
        made.start()
        try:
            for folder_above in (folder, made.socket.parent):
                folder_above.chmod(0o711)
            made.socket.chmod(0o666)
            yield House(made)
        finally:
            if made.process is not None:
                made.kill()


def stir(house: House) -> dict[str, str]:
    """Do one of everything in the other workspace; the ids that came of it."""
    door = house.daemon.door
    door.post(f"/v1/mailboxes/{OTHER}/resume", {"reason": f"{WORD} is well"})
    sent = door.send(to(f"kim@{WORD}-there.example", OTHER))
    pause = door.post("/v1/pauses", {"scope": {"mailbox": OTHER}, "reason": f"{WORD} is ill"}).json
    gone = {"address": f"max@{WORD}-there.example", "workspace": WORD}
    suppression = door.post("/v1/suppressions", gone).json
    token = door.post("/v1/tokens", {"name": f"{WORD}-crm", "workspace": WORD}).json
    secret = {"name": f"{WORD}-spare", "workspace": WORD, "value": "x"}
    door.post("/v1/secrets", secret)
    until(lambda: door.message(sent["id"])["attempts"], "an attempt in the other workspace", 15)
    return {
        "msg": sent["id"],
        "pse": pause["id"],
        "sup": suppression["id"],
        "tok": token["id"],
    }


def plain(reply: Reply) -> str:
    """An answer without the times at which it was made."""
    text = reply.content.decode()
    return re.sub(r'"(now|started_at|created_at|last_used_at)": ?"[^"]*"', "", text)


def walk(door: Door) -> dict[str, str]:
    """The answers of every route that lists something."""
    lists = [route.path for route in ROUTES if route.method == "GET" and "{" not in route.path]
    lists += [f"/v1/names?of={kind}" for kind in NAMED]
    return {path: plain(door.call("GET", path)) for path in lists}


def test_a_name_that_another_workspace_uses_for_a_secret_is_free_here(house: House) -> None:
    theirs = {"name": "relay-password", "workspace": WORD, "value": "x"}
    assert house.daemon.door.post("/v1/secrets", theirs).status == 201
    door = house.person("admin")
    mine = {"name": "relay-password", "workspace": "acme", "value": "y"}
    assert door.call("DELETE", "/v1/secrets/relay-password", {"reason": "no"}).status == 404
    assert door.post("/v1/secrets", mine).status == 201
    for_all = {"name": "relay-password", "value": "z"}
    assert house.daemon.door.post("/v1/secrets", for_all).status == 201
    assert door.call("DELETE", "/v1/secrets/relay-password", {"reason": "mine"}).status == 200
    assert door.call("DELETE", "/v1/secrets/relay-password", {"reason": "no"}).status == 404
    left = house.daemon.door.get("/v1/secrets")["items"]
    owners = {row["workspace"] for row in left if row["name"] == "relay-password"}
    assert owners == {None, WORD}


@pytest.mark.parametrize("role", ROLES)
def test_what_another_workspace_does_changes_no_answer(house: House, role: str) -> None:
    door = house.person(role)
    walk(door)  # what this role may not do is in the audit log from here on
    before = walk(door)
    stir(house)
    after = walk(door)
    assert len(after) > 12
    assert after == before
    assert WORD not in "".join(after.values())


def bodies(word: str) -> dict[str, dict[str, Any]]:
    """A body for each route that takes one, that speaks of the workspace of that word."""
    at, reason = f"ida@{word}.example", {"reason": "why not"}
    named = {"name": f"{word}-new", "workspace": word}
    return {
        "/v1/messages": to("kim@there.example", at),
        "/v1/preflight": to("kim@there.example", at),
        "/v1/messages/{id}/resolve": {"outcome": "sent", **reason},
        "/v1/pauses": {"scope": {"mailbox": at}, **reason},
        "/v1/suppressions": {"address": "kim@there.example", "workspace": word},
        "/v1/suppressions/check": {"addresses": ["a@b.example"], "workspace": word},
        "/v1/tokens": named,
        "/v1/tokens/{id}/rotate": {},
        "/v1/secrets": {**named, "value": "x"},
        "/v1/secrets/{name}/rotate": {"value": "x"},
    }


def targets(route: Route, word: str, ids: dict[str, str]) -> Iterator[str]:
    """The route with every name and id that could mean something of the other workspace."""
    found = {"{id}": list(ids.values()), "{address}": [f"ida@{word}.example"]}
    found["{name}"] = [f"ida@{word}.example", f"{word}.example", word, f"{word}-spare"]
    slot = next((slot for slot in found if slot in route.path), None)
    for path in (
        [route.path.replace(slot, value) for value in found[slot]] if slot else [route.path]
    ):
        yield path
        if "workspace" in route.query:
            yield f"{path}?workspace={word}"


@pytest.mark.parametrize("role", ROLES)
def test_what_is_there_in_another_workspace_is_answered_like_what_is_nowhere(
    house: House, role: str
) -> None:
    door = house.person(role)
    there = stir(house)
    nowhere = {
        kind: id_[:-3] + ("000" if id_[-3:] != "000" else "111") for kind, id_ in there.items()
    }
    absent = "dragon"
    asked = 0
    for route in ROUTES:
        pairs = zip(targets(route, WORD, there), targets(route, absent, nowhere), strict=True)
        for real, unreal in pairs:
            answers = [
                door.call(
                    route.method,
                    target,
                    bodies(word).get(route.path, {"reason": "why not"}) if route.body else None,
                )
                for target, word in ((real, WORD), (unreal, absent))
            ]
            found, missing = (plain(answer) for answer in answers)
            for kind, id_ in there.items():
                found = found.replace(id_, nowhere[kind])
            assert answers[0].status == answers[1].status, (route, real, found)
            assert found.replace(WORD, absent) == missing, (route, real)
            asked += 1
    assert asked > len(ROUTES)
    assert house.daemon.door.message(there["msg"])["state"] in {
        "accepted",
        "unknown",
        "queued",
        "held",
    }


@pytest.mark.parametrize("role", ROLES)
def test_the_stream_carries_nothing_of_another_workspace(house: House, role: str) -> None:
    ends = datetime.now(UTC) + timedelta(days=1)  # a finding, for those who see all workspaces
    secret = {"name": f"{WORD}-ends", "workspace": WORD, "value": "x"}
    house.daemon.door.post("/v1/secrets", secret | {"expires_at": ends.isoformat()})
    with socket.socket(socket.AF_UNIX) as sock:
        os.seteuid(ROLES[role])
        try:
            sock.connect(str(house.daemon.socket))
        finally:
            os.seteuid(0)
        sock.sendall(b"GET /v1/stream HTTP/1.1\r\nHost: mailplane\r\n\r\n")
        sock.settimeout(20)
        heard = b""
        while b"snapshot" not in heard:
            heard += sock.recv(65536)
        stir(house)
        beats = heard.count(b"event: heartbeat") + 3
        while heard.count(b"event: heartbeat") < beats:
            heard += sock.recv(65536)
    assert WORD.encode() not in heard
    counts = re.findall(rb'"(?:waiting|sending|unknown|sent_24h)":(\d+)', heard)
    assert counts
    assert set(counts) == {b"0"}


def test_a_token_of_one_workspace_hears_of_no_other_by_any_route_of_the_shim(house: House) -> None:
    door = house.daemon.shim(house.daemon.token("acme"))
    before = walk(door)
    ids = stir(house)
    assert walk(door) == before
    for route in (route for route in ROUTES if route.shim and route.method == "GET"):
        for target in targets(route, WORD, ids):
            answer = door.call("GET", target)
            told = answer.content.decode().replace(target.rpartition("/")[2], "")
            assert answer.status in {200, 404, 422}, (target, answer)
            assert WORD not in told.replace(f"'{WORD}'", ""), (target, told)


def test_a_persons_other_role_holds_in_its_workspace_only(house: House) -> None:
    entry = f'[[member]]\nname = "viewer"\nuid = {ROLES["viewer"]}\n'
    text = (house.daemon.config / "mailplane.toml").read_text()
    house.daemon.write(
        "mailplane.toml", f'{text}{entry}role = "operator"\nworkspaces = ["{WORD}"]\n'
    )
    door = house.person("viewer")
    until(lambda: len(door.get("/v1/workspaces?workspace=acme")["items"]) == 1, "the book", 10)
    until(lambda: door.call("GET", f"/v1/workspaces?workspace={WORD}").status == 200, "seen", 10)
    asked = {"reason": "because"}
    assert door.post(f"/v1/mailboxes/{OTHER}/pause", asked).status == 201
    refused = door.post(f"/v1/mailboxes/{ANA}/pause", asked)
    assert (refused.status, refused.code) == (403, "not-permitted")
    assert json.loads(refused.content)["detail"] == "viewer (viewer) may not pause in acme"
