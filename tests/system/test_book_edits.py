"""The book is changed by command: by whom it may be, as a whole, and never without a trace."""

from __future__ import annotations

import http.client
import json
import os
import socket
import threading
from random import Random
from typing import Any

import pytest

from tests.fakes.process_daemon import SHIM, Daemon, workspace
from tests.fakes.process_http import Door, Reply
from tests.fakes.process_person import Person
from tests.fakes.process_wait import until

ANA = "ana@acme.example"
KILLS = 6

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can call as somebody else")

PEOPLE = {
    "boss": (0, "owner", []),
    "olga": (61001, "owner", []),
    "anna": (61002, "admin", ["acme"]),
    "otto": (61003, "operator", ["acme"]),
    "vera": (61004, "viewer", []),
}


def member(name: str, role: str, uid: int, workspaces: list[str]) -> str:
    return (
        f'\n[[member]]  # {name}\nname = "{name}"\nuid = {uid}\nrole = "{role}"\n'
        f"workspaces = {json.dumps(workspaces)}\n"
    )


@pytest.fixture
def office(the_daemon: Daemon) -> Daemon:
    """A daemon with two workspaces, and people of every kind who can reach it."""
    people = "".join(member(name, role, uid, at) for name, (uid, role, at) in PEOPLE.items())
    people += member("olga", "viewer", 61001, ["bolt"])
    the_daemon.write("mailplane.toml", SHIM + people)
    the_daemon.write("workspaces/acme.toml", "# Acme, since 2019\n" + workspace(9, ANA))
    the_daemon.write("workspaces/bolt.toml", workspace(9, "bea@bolt.example", name="bolt"))
    the_daemon.start()
    for folder in (the_daemon.socket.parent, the_daemon.socket.parent.parent):
        folder.chmod(0o711)
    the_daemon.socket.chmod(0o666)
    return the_daemon


def by(office: Daemon, name: str) -> Person:
    return Person(path=office.socket, uid=PEOPLE[name][0])


def edit(door: Door, table: str, name: str, op: str = "set", /, **values: Any) -> Reply:
    """An edit of acme's file, or of `mailplane.toml` for a person."""
    body = {"edits": [{"op": op, "table": table, "name": name, "values": values}], "probe": False}
    if table != "member":
        body["workspace"] = name if table == "workspace" else "acme"
    return door.post("/v1/book/edits", body)


def cap(limit: int) -> list[dict[str, Any]]:
    return [{"limit": limit, "per": "day"}]


def text_of(office: Daemon, name: str) -> str:
    return (office.config / name).read_text()


def files_of(office: Daemon) -> dict[str, str]:
    names = ("mailplane.toml", "workspaces/acme.toml", "workspaces/bolt.toml")
    return {name: text_of(office, name) for name in names}


def changes(office: Daemon) -> list[dict[str, Any]]:
    """The audit entries about values of the book."""
    return [entry for entry in office.door.all("/v1/audit") if "key" in entry["detail"]]


def test_an_edit_is_in_the_file_in_force_and_in_the_audit_log_under_the_persons_name(
    office: Daemon,
) -> None:
    reply = edit(by(office, "anna"), "mailbox", ANA, caps=cap(40))
    assert (reply.status, reply.json["applied"]) == (200, True)
    text = text_of(office, "workspaces/acme.toml")
    assert text.startswith("# Acme, since 2019\n")
    assert 'caps = [{ limit = 40, per = "day" }]' in text
    assert office.door.mailbox(ANA)["caps"][0]["limit"] == 40
    (entry,) = changes(office)
    assert (entry["actor"], entry["action"], entry["target"]) == ("anna", "mailbox changed", ANA)
    assert entry["workspace"] == "acme"
    assert entry["detail"] == {
        "change": "caps: not set → 40 per day",
        "file": "workspaces/acme.toml",
        "key": f"mailbox[{ANA}].caps",
        "old": None,
        "new": cap(40),
        "via": "command",
    }
    newest, first = office.door.all("/v1/book/history")
    assert (newest["actor"], newest["changes"], first["changes"]) == ("anna", 1, 0)
    assert office.door.get("/v1/health")["book"]["hash"] == newest["hash"] == reply.json["hash"]


def test_what_would_be_no_book_is_told_with_its_line_and_not_written(office: Daemon) -> None:
    before = text_of(office, "workspaces/acme.toml")
    reply = edit(by(office, "anna"), "mailbox", ANA, account="acme-rely")
    assert (reply.status, reply.json["applied"], reply.json["hash"]) == (200, False, None)
    (problem,) = reply.json["problems"]
    assert problem.startswith("workspaces/acme.toml: line ")
    assert 'unknown account, "acme-rely"; did you mean "acme-relay"?' in problem
    assert text_of(office, "workspaces/acme.toml") == before
    assert office.door.get("/v1/health")["book"]["problems"] == []
    assert changes(office) == []


@pytest.mark.parametrize(
    ("name", "table", "item", "op", "status"),
    [
        ("anna", "mailbox", ANA, "set", 200),
        ("anna", "workspace", "acme", "set", 200),
        ("anna", "workspace", "cove", "add", 403),
        ("anna", "member", "vera", "set", 403),
        ("otto", "mailbox", ANA, "set", 403),
        ("vera", "mailbox", ANA, "set", 403),
        ("olga", "mailbox", ANA, "set", 200),
        ("olga", "workspace", "cove", "add", 200),
        ("olga", "member", "vera", "set", 200),
    ],
)
def test_who_may_edit_what(
    office: Daemon, name: str, table: str, item: str, op: str, status: int
) -> None:
    values: dict[str, Any] = {
        "mailbox": {"name": "Ana"},
        "workspace": {"title": "Acme"},
        "member": {"role": "auditor"},
    }[table]
    reply = edit(by(office, name), table, item, op, **values)
    assert reply.status == status, reply.content
    denied = [entry for entry in office.door.all("/v1/audit") if entry["action"] == "denied"]
    assert [entry["actor"] for entry in denied] == ([name] if status == 403 else [])
    assert len(changes(office)) == (status == 200)


def test_a_book_put_in_place_of_another_takes_leave_for_all_that_it_changes(
    office: Daemon,
) -> None:
    files = files_of(office)
    files["workspaces/bolt.toml"] += '\n[retention]\naudit = "1y"\n'
    amy = member("amy", "admin", 61005, [])
    assert edit(by(office, "boss"), "member", "amy", "add", uid=61005, role="admin").json["applied"]
    files["mailplane.toml"] = text_of(office, "mailplane.toml")
    amy_door = Person(path=office.socket, uid=61005)
    assert amy_door.post("/v1/book/apply", {"files": files}).json["applied"]
    files["mailplane.toml"] += amy.replace("amy", "zoe").replace("61005", "61006")
    refused = amy_door.post("/v1/book/apply", {"files": files})
    assert (refused.status, refused.code) == (403, "not-permitted")
    assert "zoe" not in text_of(office, "mailplane.toml")
    assert by(office, "anna").post("/v1/book/apply", {"files": files}).status == 403
    assert by(office, "boss").post("/v1/book/apply", {"files": files}).json["applied"]


def test_nobody_raises_their_own_role(office: Daemon) -> None:
    refused = edit(by(office, "olga"), "member", "olga", role="admin", workspaces=["bolt"])
    assert (refused.status, refused.code) == (403, "not-permitted")
    assert "may not raise their own role to admin in bolt" in refused.json["detail"]
    taken_out = edit(by(office, "olga"), "member", "olga", "remove", workspaces=["bolt"])
    assert taken_out.status == 403, "without the entry olga would be owner there"
    assert edit(by(office, "boss"), "member", "olga", "remove", workspaces=["bolt"]).status == 200


@pytest.mark.parametrize(
    ("name", "entry"), [("else", ""), ("olga", member("olga", "viewer", 61009, ["bolt"]))]
)
def test_another_name_or_another_uid_is_no_way_to_a_higher_role(
    office: Daemon, name: str, entry: str
) -> None:
    files = files_of(office)
    before = files["mailplane.toml"]
    after = before.replace(member("olga", "viewer", 61001, ["bolt"]), entry)
    files["mailplane.toml"] = after.replace('"olga"', f'"{name}"')
    refused = by(office, "olga").post("/v1/book/apply", {"files": files})
    assert (refused.status, refused.code) == (403, "not-permitted"), refused.content
    assert "may not raise their own role to owner in bolt" in refused.json["detail"]
    assert text_of(office, "mailplane.toml") == before


def test_who_may_not_change_a_workspace_may_not_rename_it(office: Daemon) -> None:
    for role, workspaces in (("admin", []), ("viewer", ["bolt"])):
        values = {"uid": 61005, "role": role, "workspaces": workspaces}
        assert edit(by(office, "boss"), "member", "amy", "add", **values).json["applied"]
    files = files_of(office)
    amy = Person(path=office.socket, uid=61005)
    bolt = files["workspaces/bolt.toml"]
    files["workspaces/bolt.toml"] = bolt.replace('name = "bolt"', 'name = "cove"')
    alone = amy.post("/v1/book/apply", {"files": files})
    assert not alone.json["applied"], "her entry for bolt would be for nothing"
    files["workspaces/new.toml"] = '[workspace]\nname = "bolt"\n'
    refused = amy.post("/v1/book/apply", {"files": files})
    assert (refused.status, refused.code) == (403, "not-permitted"), refused.content
    assert text_of(office, "workspaces/bolt.toml") == bolt


def test_the_last_owner_can_not_be_removed(office: Daemon) -> None:
    assert edit(by(office, "boss"), "member", "olga", "remove", workspaces=[]).json["applied"]
    for op, values in (("remove", {}), ("set", {"role": "viewer"})):
        refused = edit(by(office, "boss"), "member", "boss", op, **values)
        assert (refused.status, refused.code) == (409, "conflict")
        assert "the last owner can't be removed" in refused.json["detail"]


def test_who_is_owner_by_running_the_daemon_does_not_lock_everybody_out(
    the_daemon: Daemon,
) -> None:
    the_daemon.write("workspaces/acme.toml", workspace(9, ANA))
    the_daemon.start()
    refused = edit(the_daemon.door, "member", "me", "add", uid=os.getuid(), role="viewer")
    assert (refused.status, refused.code) == (409, "conflict")
    values = {"uid": 61001, "role": "owner", "workspaces": ["acme"]}
    assert edit(the_daemon.door, "member", "olga", "add", **values).json["applied"]
    people = the_daemon.door.get("/v1/people")["items"]
    assert [(one["name"], one["role"]) for one in people if not one["workspaces"]] == [
        ("owner", "owner")
    ]


def test_a_slow_login_keeps_nobody_waiting_and_who_loses_a_role_meanwhile_has_lost_it(
    office: Daemon,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        values = {"provider": "smtp", "host": "127.0.0.1", "port": server.getsockname()[1]}
        add = {"op": "add", "table": "account", "name": "slow", "values": values | {"tls": "none"}}
        body = {"workspace": "acme", "edits": [add]}
        replies = list[Reply]()
        anna = by(office, "anna")
        thread = threading.Thread(
            target=lambda: replies.append(anna.post("/v1/book/edits", body)), daemon=True
        )
        thread.start()
        peer, _ = server.accept()
        with peer:
            demoted = edit(
                by(office, "boss"), "member", "anna", role="operator", workspaces=["acme"]
            )
            assert demoted.json["applied"]
            peer.sendall(b"220 at last\r\n")
            peer.recv(1000)
            peer.sendall(b"250 ok\r\n")
            thread.join(30)
    assert replies[0].status == 403, replies[0].content
    assert "slow" not in text_of(office, "workspaces/acme.toml")


def test_a_person_of_one_workspace_learns_nothing_of_another_by_an_edit(office: Daemon) -> None:
    anna = by(office, "anna")
    taken = edit(anna, "mailbox", "bea@bolt.example", "add", account="acme-relay")
    assert taken.json["applied"] is False
    assert "workspaces/bolt.toml" not in taken.content.decode()
    there, not_there = (
        anna.post("/v1/book/edits", {"workspace": name, "edits": []}) for name in ("bolt", "dolt")
    )
    assert (there.status, there.content) == (not_there.status, not_there.content)
    office.write("workspaces/bolt.toml", 'name = "broken secret plans"\n')
    until(lambda: office.door.get("/v1/health")["book"]["problems"], "word of the problem")
    for reply in (
        edit(anna, "mailbox", ANA, name="Ana"),
        anna.post("/v1/book/edits", {"workspace": "bolt", "edits": []}),
        anna.post("/v1/book/diff", {}),
        anna.call("GET", "/v1/book/history"),
    ):
        assert reply.status in (403, 409, 422)
        assert "plans" not in reply.content.decode()
        assert "bolt.toml" not in reply.content.decode()


def test_what_was_saved_just_before_other_files_replace_it_is_told_too(office: Daemon) -> None:
    files = files_of(office)
    retention = '\n[retention]\naudit = "1y"\n'
    office.write("workspaces/bolt.toml", files["workspaces/bolt.toml"] + retention)
    assert by(office, "olga").post("/v1/book/apply", {"files": files}).status == 403
    assert by(office, "boss").post("/v1/book/apply", {"files": files}).json["applied"]
    told = [(entry["action"], entry["detail"]["via"]) for entry in changes(office)]
    assert told == [("retention added", "file"), ("retention removed", "command")]


def test_the_difference_of_files_that_are_not_in_force_changes_nothing(office: Daemon) -> None:
    files = files_of(office)
    files["workspaces/acme.toml"] += '\n[retention]\naudit = "1y"\n'
    reply = by(office, "vera").post("/v1/book/diff", {"files": files})
    assert [found["text"] for found in reply.json["differences"]] == ["retention added: audit 1y"]
    assert reply.json["hash"] != office.door.get("/v1/health")["book"]["hash"]
    other = by(office, "vera").post("/v1/book/diff", {"files": {"../acme.toml": ""}})
    assert other.json["problems"] == [
        "'../acme.toml': file: not the name of a file of the book; rename it"
    ]
    assert changes(office) == []


def test_a_folder_that_can_not_be_written_is_told_and_nothing_happens(office: Daemon) -> None:
    (office.config / "workspaces/.acme.toml.part").mkdir()
    reply = edit(by(office, "boss"), "mailbox", ANA, name="Ana")
    assert (reply.status, reply.code) == (409, "conflict")
    assert "can't be written" in reply.json["detail"]
    assert changes(office) == []


def test_what_changed_while_the_daemon_was_down_is_told_at_its_start(office: Daemon) -> None:
    office.stop()
    text = text_of(office, "workspaces/acme.toml")
    office.write("workspaces/acme.toml", text.replace(f'"{ANA}"', f'"{ANA}"\nname = "Ana"', 1))
    office.start()
    (entry,) = changes(office)
    assert (entry["actor"], entry["detail"]["key"]) == ("boss", f"mailbox[{ANA}].name")
    assert (entry["detail"]["new"], entry["detail"]["via"]) == ("Ana", "file")


class Editor(threading.Thread):
    """Raises the cap of a mailbox by one, again and again, until the daemon is gone."""

    def __init__(self, door: Door, first: int) -> None:
        super().__init__(daemon=True)
        self._door = door
        self.limit = first
        self.acknowledged: list[int] = []
        self.start()

    def is_under_way(self) -> bool:
        return len(self.acknowledged) > 2

    def run(self) -> None:
        while True:
            self.limit += 1
            try:
                reply = edit(self._door, "mailbox", ANA, caps=cap(self.limit))
            except (OSError, http.client.HTTPException, ValueError):
                return
            if reply.status != 200 or not reply.json["applied"]:
                return
            self.acknowledged.append(self.limit)


def test_a_kill_amid_edits_leaves_a_whole_book_and_no_change_without_its_entry(
    office: Daemon,
) -> None:
    chance, acknowledged, limit = Random(4), list[int](), 0
    for _ in range(KILLS):
        editor = Editor(office.door, limit)
        until(editor.is_under_way, "some edits")
        threading.Event().wait(chance.random() / 10)
        office.kill()
        editor.join(30)
        assert not editor.is_alive()
        acknowledged += editor.acknowledged
        limit = editor.limit
        office.start()
        assert not (office.state / "book.pending").exists()
    told = [(entry["detail"]["old"], entry["detail"]["new"]) for entry in changes(office)]
    assert [new for _, new in told[:-1]] == [old for old, _ in told[1:]], "one after the other"
    assert set(acknowledged) <= {new[0]["limit"] for _, new in told}
    in_file = f"limit = {told[-1][1][0]['limit']},"
    assert in_file in text_of(office, "workspaces/acme.toml")
    assert {entry["actor"] for entry in changes(office)} == {"boss"}
    assert {entry["detail"]["via"] for entry in changes(office)} == {"command"}
    print(f"{KILLS} kills amid {len(told)} edits, {len(acknowledged)} of them acknowledged")
