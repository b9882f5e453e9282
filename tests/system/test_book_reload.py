"""The book changes under a running daemon: as a whole, at once, or not at all."""

from __future__ import annotations

import shutil
import subprocess
from functools import partial
from typing import Any

import pytest

from mailplaned.book.load import load_here
from tests.fakes.process_daemon import Daemon, to, workspace
from tests.fakes.process_wait import stays, until
from tests.fakes.sink_process import Sink


def book(the_sink: Sink, limit: int, *more: str) -> str:
    capped = f"ana@acme.example; caps = [{{ limit = {limit}, per = 'day' }}]"
    return workspace(the_sink.port, capped, *more)


def in_force(the_daemon: Daemon) -> dict[str, Any]:
    found: dict[str, Any] = the_daemon.door.get("/v1/health")["book"]
    return found


def is_in_force(the_daemon: Daemon, hash_: str) -> bool:
    return bool(in_force(the_daemon)["hash"] == hash_)


def apply(the_daemon: Daemon, text: str) -> None:
    """Write a new book and wait until it is in force."""
    before = in_force(the_daemon)["hash"]
    the_daemon.write("workspaces/acme.toml", text)
    until(lambda: in_force(the_daemon)["hash"] != before, "the new book in force")


def limit_of(the_daemon: Daemon) -> int:
    (cap,) = the_daemon.door.mailbox("ana@acme.example")["caps"]
    return int(cap["limit"])


def test_a_raised_cap_lets_more_go_and_a_lowered_one_acts_on_the_next_attempt(
    the_sink: Sink, the_daemon: Daemon
) -> None:
    the_daemon.write("workspaces/acme.toml", book(the_sink, 5))
    door = the_daemon.start().door
    bodies = [to(f"kim+{n}@there.example", expires_in="20d") for n in range(20)]
    results = door.post("/v1/messages", {"messages": bodies}).json["results"]
    assert [one["state"] for one in results] == ["queued"] * 5 + ["scheduled"] * 15
    the_sink.settled(5)
    apply(the_daemon, book(the_sink, 12))
    the_sink.settled(12)
    assert stays(lambda: the_sink.count() == 12, 0.3)
    moved = [event for event in door.all("/v1/events") if event["kind"] == "slot_moved"]
    assert {event["detail"]["cause"] for event in moved} == {"the book changed"}
    apply(the_daemon, book(the_sink, 3))
    assert limit_of(the_daemon) == 3
    refused = door.post("/v1/messages", to("lee@there.example", on_cap="reject"))
    assert (refused.status, refused.json["decision"]["limit"]) == (429, 3)
    assert stays(lambda: the_sink.count() == 12, 0.3)
    assert the_daemon.door.get("/v1/ledger/verify")["differences"] == []
    applied = [e for e in door.all("/v1/audit") if e["action"] == "book applied"]
    assert [entry["detail"]["replanned"] for entry in applied] == [0, 1, 1]
    changed = [e["detail"] for e in door.all("/v1/audit") if e["action"] == "mailbox changed"]
    caps = [(entry["key"], entry["old"], entry["new"]) for entry in changed]
    key = "mailbox[ana@acme.example].caps"
    day = [[{"limit": limit, "per": "day"}] for limit in (5, 12, 3)]
    assert caps == [(key, day[0], day[1]), (key, day[1], day[2])]
    origins = {(entry["file"], entry["via"]) for entry in changed}
    assert origins == {("workspaces/acme.toml", "file")}


def test_a_broken_book_changes_nothing_and_says_file_line_and_reason(
    the_sink: Sink, the_daemon: Daemon
) -> None:
    the_daemon.write("workspaces/acme.toml", book(the_sink, 5))
    the_daemon.start()
    good = in_force(the_daemon)
    the_daemon.write("workspaces/acme.toml", book(the_sink, 9) + "\n[[mailbox]]\naddres = 1\n")
    found = until(lambda: in_force(the_daemon)["problems"], "word of the problem")
    health = the_daemon.door.get("/v1/health")
    assert health["status"] == "degraded"
    assert any("workspaces/acme.toml: line" in finding for finding in health["findings"])
    assert any("addres" in problem for problem in found)
    assert in_force(the_daemon)["hash"] == good["hash"]
    assert limit_of(the_daemon) == 5
    the_daemon.door.send(to("kim@there.example"))
    the_sink.settled(1)
    the_daemon.write("workspaces/acme.toml", book(the_sink, 5))
    until(lambda: the_daemon.door.get("/v1/health")["status"] == "ok", "the mended book")
    assert in_force(the_daemon)["problems"] == []


def test_a_book_cut_off_anywhere_is_never_in_force_in_part(
    the_sink: Sink, the_daemon: Daemon
) -> None:
    whole = book(the_sink, 5, "ben@acme.example")
    the_daemon.write("workspaces/acme.toml", whole)
    the_daemon.start()
    path = the_daemon.config / "workspaces" / "acme.toml"
    for cut in range(10, len(whole), len(whole) // 12):
        path.write_text(whole[:cut])
    path.write_text(whole)
    until(lambda: the_daemon.door.get("/v1/health")["status"] == "ok", "the whole book")
    assert limit_of(the_daemon) == 5


def test_a_mailbox_is_added_and_one_taken_out_keeps_its_messages(
    the_sink: Sink, the_daemon: Daemon
) -> None:
    the_daemon.write("workspaces/acme.toml", book(the_sink, 1))
    door = the_daemon.start().door
    assert door.post("/v1/messages", to("kim@there.example", "ben@acme.example")).status == 404
    apply(the_daemon, book(the_sink, 1, "ben@acme.example"))
    door.send(to("kim@there.example", "ben@acme.example"))
    the_sink.settled(1)
    first, second = (door.send(to("kim@there.example")) for _ in range(2))
    the_sink.settled(2)
    apply(the_daemon, workspace(the_sink.port, "ben@acme.example"))
    assert door.call("GET", "/v1/mailboxes/ana@acme.example").status == 404
    assert door.message(first["id"])["state"] == "accepted"
    until(lambda: door.message(second["id"])["state"] == "held", "the orphan to be held")
    apply(the_daemon, book(the_sink, 9, "ben@acme.example"))
    the_sink.settled(3)
    until(lambda: door.message(second["id"])["state"] == "accepted", "the message to go")


def test_a_config_folder_that_goes_away_keeps_the_last_book_and_says_so(
    the_sink: Sink, the_daemon: Daemon
) -> None:
    the_daemon.write("workspaces/acme.toml", book(the_sink, 5))
    the_daemon.start()
    good = in_force(the_daemon)["hash"]
    away = the_daemon.config.with_name("away")
    the_daemon.config.rename(away)
    until(lambda: in_force(the_daemon)["problems"], "word of the loss")
    assert in_force(the_daemon)["hash"] == good
    the_daemon.door.send(to("kim@there.example"))
    the_sink.settled(1)
    shutil.copytree(away, the_daemon.config)
    until(lambda: the_daemon.door.get("/v1/health")["status"] == "ok", "the book to be back")
    assert limit_of(the_daemon) == 5


def test_a_git_checkout_of_twenty_files_is_one_new_book(the_sink: Sink, the_daemon: Daemon) -> None:
    if shutil.which("git") is None:
        pytest.skip("needs git")
    identity = ("-c", "user.name=ana", "-c", "user.email=ana@acme.example")

    def git(*arguments: str) -> None:
        command = ["git", "-C", str(the_daemon.config), *identity, *arguments]
        subprocess.run(command, check=True, capture_output=True)

    hashes = []
    git("init", "-q", "-b", "first")
    for branch, limit in (("first", 5), ("second", 9)):
        for number in range(20):
            text = book(the_sink, limit).replace("acme.example", f"acme{number}.example")
            text = text.replace('"acme"', f'"acme{number}"')
            the_daemon.write(f"workspaces/acme{number}.toml", text)
        git("checkout", "-q", "-B", branch)
        git("add", ".")
        git("commit", "-q", "-m", branch)
        policy = load_here(the_daemon.config).policy
        assert policy is not None
        assert len(policy.workspaces) == 20
        hashes.append(policy.hash)
    first, second = hashes
    git("checkout", "-q", "first")
    the_daemon.start()
    for branch, expected in (("second", second), ("first", first)):
        git("checkout", "-q", branch)
        until(partial(is_in_force, the_daemon, expected), "the new book")
    applied = [
        e["detail"] for e in the_daemon.door.all("/v1/audit") if e["action"] == "book applied"
    ]
    assert [(one["old"], one["new"], one["changes"]) for one in applied] == [
        (None, first, 0),
        (first, second, 20),
        (second, first, 20),
    ]


def test_a_setting_that_acts_at_the_next_start_says_so_until_then(the_daemon: Daemon) -> None:
    the_daemon.write("mailplane.toml", '[shim]\nlisten = "127.0.0.1:0"\n')
    the_daemon.start()
    text = '[shim]\nlisten = "localhost:0"\n[operator]\nsocket_mode = "0660"\n'
    the_daemon.write("mailplane.toml", text)
    until(lambda: len(in_force(the_daemon)["notices"]) == 2, "the notices")
    assert in_force(the_daemon)["notices"] == [
        f"mailplane.toml: {key} acts when the daemon is started again"
        for key in ("[operator] socket_mode", "[shim] listen")
    ]
    the_daemon.stop()
    the_daemon.start()
    assert in_force(the_daemon)["notices"] == []
