"""The audit log as its operator has it: searched, exported, verified with and without a daemon."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.audit_kit import DATABASE, meddle
from tests.fakes.process_daemon import Daemon, daemon, short_folder, workspace

MAILPLANE = Path(sys.executable).with_name("mailplane")
BOXES = ("ana@acme.example", "ben@acme.example")


@pytest.fixture(scope="module")
def changed() -> Iterator[Daemon]:
    """A daemon after some changes in two workspaces."""
    with short_folder() as folder, daemon(folder) as made:
        made.write("workspaces/acme.toml", workspace(1, *BOXES))
        made.write("workspaces/bolt.toml", workspace(1, "bo@bolt.example", name="bolt"))
        made.start()
        door = made.door
        for number in range(8):
            door.post(f"/v1/mailboxes/{BOXES[number % 2]}/pause", {"reason": f"why {number}"})
        door.post("/v1/mailboxes/bo@bolt.example/pause", {"reason": "kim@there.example is angry"})
        door.post("/v1/suppressions", {"address": "kim@there.example", "workspace": "bolt"})
        yield made


def run(
    *arguments: str, of: Daemon | None = None, noun: str = "audit"
) -> subprocess.CompletedProcess[str]:
    """`mailplane audit …`; without a daemon there is none to be found."""
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    if of is not None:
        environment["MAILPLANE_SOCKET"] = str(of.socket)
    command = [str(MAILPLANE), noun, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def said(done: subprocess.CompletedProcess[str], code: int = 0) -> str:
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def test_what_was_exported_is_verified_with_the_export_and_the_key_alone(
    changed: Daemon, tmp_path: Path
) -> None:
    key = said(run("key", of=changed)).strip()
    exports = {"all": [], "acme": ["--workspace", "acme"]}
    for name, flags in exports.items():
        path = tmp_path / name
        said(run("export", "--output", str(path), *flags, of=changed))
        assert path.stat().st_mode & 0o777 == 0o600
        found = said(run("verify", str(path), "--public-key", key))
        assert "nothing is wrong with it" in found
    text = (tmp_path / "acme").read_text()
    assert "bolt" not in text
    assert "kim@there.example" not in text
    piped = said(run("export", "--workspace", "acme", of=changed))
    assert [json.loads(line)["type"] for line in piped.splitlines()][:2] == ["log", "entry"]

    altered = tmp_path / "altered"
    altered.write_text(text.replace("why 4", "why 5", 1))
    found = said(run("verify", str(altered), "--public-key", key), 1)
    assert "wrong: entry 7: the value of detail.reason is not the one that was sealed" in found
    other = said(run("verify", str(tmp_path / "all"), "--public-key", "0" * 64), 1)
    assert "is signed by another key" in other
    no_key = run("verify", str(tmp_path / "all"))
    assert no_key.returncode == 2
    assert "an export can't vouch for itself" in no_key.stderr
    assert run("verify", str(tmp_path / "all"), "--public-key", "no key").returncode == 2
    (tmp_path / "image").write_bytes(os.urandom(5000))
    nonsense = said(run("verify", str(tmp_path / "image"), "--public-key", key), 1)
    assert "wrong: this is no export of an audit log" in nonsense


def test_one_entry_is_proved_without_the_others(changed: Daemon, tmp_path: Path) -> None:
    path = tmp_path / "entry"
    said(run("prove", "5", "--output", str(path), of=changed))
    head, line, end = map(json.loads, path.read_text().splitlines())
    assert (line["seq"], line["personal"]["detail.reason"][1]) == (5, "why 2")
    assert head["holds"] == "entry"
    key = said(run("key", of=changed)).strip()
    report = json.loads(said(run("verify", "--json", str(path), "--public-key", key)))
    assert (report["entries"], report["findings"]) == (1, [])
    line["personal"]["detail.reason"][1] = "why 3"
    path.write_text("\n".join(map(json.dumps, (head, line, end))))
    said(run("verify", str(path), "--public-key", key), 1)
    assert run("prove", "4000", of=changed).returncode == 1


def test_the_log_of_a_running_daemon_is_verified_and_a_copy_that_was_meddled_with_is_not(
    changed: Daemon, tmp_path: Path
) -> None:
    found = said(run("verify", of=changed))
    assert "nothing is wrong with it" in found
    assert "holds         the whole log" in found
    with short_folder() as folder, daemon(folder) as other:
        shutil.copytree(changed.config, other.config, dirs_exist_ok=True)
        shutil.copytree(changed.state, other.state)
        meddle(other.state, "UPDATE audit SET action = 'resume' WHERE seq = 5")
        other.start()
        assert "wrong: entry 5 was altered" in said(run("verify", of=other), 1)
        kept = said(run("key", of=changed)).strip()
        assert said(run("key", of=other)).strip() == kept
        assert said(run("verify", "--public-key", kept, of=other), 1)
        other.stop()

        meddle(other.state, "DELETE FROM audit_personal WHERE seq > 7",
               "DELETE FROM audit WHERE seq > 7")  # fmt: skip
        other.start()
        health = other.door.get("/v1/health")
        assert health["status"] == "degraded"
        assert "entries 8 to" in health["findings"][0]
        report = json.loads(said(run("verify", "--json", of=other), 1))
        assert [one["entry"] for one in report["findings"]] == [5, 8]
        checks = json.loads(said(run("--json", of=other, noun="doctor"), 1))["items"]
        (ours,) = [check for check in checks if check["check"] == "audit log"]
        assert ours["status"] == "fault"
        assert ours["detail"].startswith("entry 5 was altered")
        assert any(row["action"] == "audit gap" for row in other.door.all("/v1/audit"))


def test_a_search_is_a_filter_of_the_list(changed: Daemon) -> None:
    def found(query: str) -> list[int]:
        return [row["seq"] for row in changed.door.all(f"/v1/audit?{query}")]

    everything = changed.door.all("/v1/audit")
    assert found("action=pause&target=ana@acme") == [3, 5, 7, 9]
    assert found("workspace=bolt") == [11, 12]
    assert found("target=ben&workspace=bolt") == []
    first, last = everything[5]["at"], everything[8]["at"]
    between = [row["seq"] for row in everything if first <= row["at"] < last]
    assert found(f"since={first}&until={last}") == between
    page = changed.door.get("/v1/audit?action=pause&limit=2")
    assert [row["seq"] for row in page["items"]] == [3, 4]
    assert page["next"] == "4"
    for query in ("since=yesterday", "actor=", "action=%0a", "target=x&last=3"):
        assert changed.door.call("GET", f"/v1/audit?{query}").status == 422, query
    lines = said(run("search", "ana@", of=changed))
    assert lines.count("\n") == 4
    assert "why 0" in lines


def test_an_address_is_forgotten_and_the_log_still_verifies(changed: Daemon) -> None:
    address = "kim@there.example"
    refused = run("redact", address, "--reason", "asked", of=changed)
    assert refused.returncode == 1
    assert "can't be put back" in refused.stderr
    done = said(run("redact", "--yes", address, "--reason", "asked to be forgotten", of=changed))
    assert done == "1 values were taken out\n"
    shown = next(row for row in changed.door.all("/v1/audit") if row["seq"] == 11)
    assert shown["detail"]["reason"] == "(redacted)"
    assert address not in json.dumps(changed.door.all("/v1/audit"))
    report = json.loads(said(run("verify", "--json", of=changed)))
    assert (report["redacted"], report["findings"]) == (1, [])
    for body in ({"address": "kim"}, {"address": "a@b"}, {"address": address, "reason": ""}):
        reply = changed.door.post("/v1/audit/redact", {"reason": "why", **body})
        assert reply.status == 422, body


def test_what_is_new_is_signed_at_a_stop(tmp_path: Path) -> None:
    with short_folder() as folder, daemon(folder) as made:
        made.write("workspaces/acme.toml", workspace(1, *BOXES))
        made.start()
        made.door.post("/v1/everything/pause", {"reason": "the end of the day"})
        assert made.stop() == 0
        lines = (made.state / "audit-checkpoints.jsonl").read_text().splitlines()
        connection = sqlite3.connect(made.state / DATABASE)
        (last,) = connection.execute("SELECT max(seq) FROM audit").fetchone()
        connection.close()
        assert json.loads(lines[-1])["size"] == last == 3
        modes = {path.name: path.stat().st_mode & 0o777 for path in made.state.iterdir()}
        assert modes["audit.key"] == modes["audit-checkpoints.jsonl"] == 0o600

        (made.state / "audit.key").chmod(0o604)
        refused = made.spawn()
        assert refused.wait(30) == 78
        assert "audit.key: has mode 0604; make it 0600" in made.log_path.read_text()
