"""The vault of a running daemon: secrets go in by the command line, mail goes out by them."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.fakes.audit_kit import DATABASE
from tests.fakes.process_daemon import Daemon, to, workspace
from tests.fakes.process_wait import until
from tests.fakes.sink_process import Sink

ANA = "ana@acme.example"
PASSWORD = "correct-horse-battery"
NEWER = "staple-correct-horse"
LOGIN = 'username = "acme"\nsecret = "relay-password"'


def mailplane(
    daemon: Daemon, *arguments: str, value: str | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mailplane_tui", *arguments, "--socket", str(daemon.socket)],
        input=value or "",
        capture_output=True,
        text=True,
        timeout=30,
    )


def listed(daemon: Daemon, name: str = "relay-password") -> dict[str, object]:
    found = json.loads(mailplane(daemon, "secret", "list", "--json").stdout)["items"]
    row: dict[str, object] = next(row for row in found if row["name"] == name)
    return row


@pytest.fixture
def started(the_daemon: Daemon, the_sink: Sink) -> Daemon:
    the_sink.control(password=PASSWORD)
    the_daemon.write("workspaces/acme.toml", workspace(the_sink.port, ANA, account=LOGIN))
    return the_daemon.start()


def finding(daemon: Daemon) -> str:
    return " ".join(daemon.door.get("/v1/health")["findings"])


def sends(daemon: Daemon, recipient: str) -> None:
    sent = daemon.door.send(to(recipient, ANA))
    until(
        lambda: daemon.door.message(sent["id"])["state"] == "accepted",
        f"the message to {recipient} accepted",
        15,
    )


def test_mail_leaves_by_a_secret_that_was_set_rotated_rekeyed_and_survives_a_kill(
    started: Daemon, the_sink: Sink
) -> None:
    assert "mailplane secret set relay-password" in finding(started)
    done = mailplane(
        started, "secret", "set", "relay-password", "--workspace", "acme", value=f"{PASSWORD}\n"
    )
    assert (done.returncode, done.stdout) == (0, "sealed relay-password of acme (version 1)\n"), (
        done
    )
    assert "secret" not in finding(started)
    sends(started, "kim@there.example")

    done = mailplane(started, "secret", "rekey", "--yes")
    assert (done.returncode, done.stdout) == (0, "sealed 1 secrets under a new key\n"), done
    started.kill()
    started.start()
    sends(started, "lee@there.example")

    the_sink.control(password=NEWER)
    whose = ["relay-password", "--workspace", "acme"]
    done = mailplane(started, "secret", "rotate", *whose, value=NEWER)
    assert done.returncode == 0, done
    started.stop()
    started.start()
    row = listed(started)
    assert (row["version"], row["kept"], row["workspace"]) == (2, "sealed", "acme")
    assert row["last_used_at"] is not None
    assert row["used_by"] == ["account acme/acme-relay"]
    sends(started, "max@there.example")


def test_no_value_is_in_the_database_the_log_an_answer_or_the_audit(
    started: Daemon, the_sink: Sink
) -> None:
    mailplane(started, "secret", "set", "relay-password", value=PASSWORD)
    mailplane(started, "secret", "rotate", "relay-password", value=PASSWORD)
    sends(started, "kim@there.example")
    said = json.dumps(started.door.get("/v1/secrets")) + json.dumps(started.door.get("/v1/audit"))
    started.stop()
    assert "secret set" in said
    assert "secret rotate" in said
    assert PASSWORD not in said
    for path in [started.log_path, *Path(started.state).rglob("*")]:
        assert path.is_dir() or PASSWORD.encode() not in path.read_bytes(), path


def test_a_secret_is_never_an_argument_and_an_empty_one_is_refused(started: Daemon) -> None:
    assert mailplane(started, "secret", "set", "relay-password", PASSWORD).returncode == 2
    refused = mailplane(started, "secret", "set", "relay-password")
    assert refused.returncode == 1
    assert refused.stderr == "mailplane: there is no value on standard input\n"


def test_what_the_book_names_can_not_be_removed_and_the_refusal_says_where(
    started: Daemon,
) -> None:
    mailplane(started, "secret", "set", "relay-password", value=PASSWORD)
    refused = mailplane(started, "secret", "remove", "relay-password", "--reason", "tidy", "--yes")
    assert refused.returncode == 1
    assert "the book names it: account acme/acme-relay" in refused.stderr
    mailplane(started, "secret", "set", "spare", value="x")
    for reason in ("  ", "tidy\x1b[2J"):
        hostile = mailplane(started, "secret", "remove", "spare", "--reason", reason, "--yes")
        assert "has to be 1 to 500 printable characters" in hostile.stderr
    assert (
        mailplane(started, "secret", "remove", "spare", "--reason", "tidy", "--yes").returncode == 0
    )
    again = mailplane(started, "secret", "set", "relay-password", value="other")
    assert "rotate it instead" in again.stderr


def test_each_workspace_has_names_of_its_own_beside_those_for_all(started: Daemon) -> None:
    started.write("workspaces/beta.toml", '[workspace]\nname = "beta"\n')
    until(lambda: len(started.door.get("/v1/workspaces")["items"]) == 2, "the second workspace")
    name = "relay-password"
    for more in (["--workspace", "beta"], [], ["--workspace", "acme"]):
        assert mailplane(started, "secret", "set", name, *more, value=PASSWORD).returncode == 0
    found = json.loads(mailplane(started, "secret", "list", "--json").stdout)["items"]
    used = {row["workspace"]: row["used_by"] for row in found if row["name"] == name}
    assert used == {None: [], "acme": ["account acme/acme-relay"], "beta": []}
    assert finding(started) == ""
    done = mailplane(started, "secret", "rotate", name, "--workspace", "beta", value="x")
    assert done.stdout == f"rotated {name} of beta (version 2)\n"
    sends(started, "kim@there.example")
    for more in (["--workspace", "beta"], []):
        line = ["secret", "remove", name, *more, "--reason", "tidy", "--yes"]
        assert mailplane(started, *line).returncode == 0
    (left,) = json.loads(mailplane(started, "secret", "list", "--json").stdout)["items"]
    assert (left["workspace"], left["version"]) == ("acme", 1)
    for verb, more in (("rotate", []), ("remove", ["--reason", "tidy", "--yes"])):
        again = mailplane(started, "secret", verb, name, *more, value="x")
        assert "there is a secret 'relay-password' of acme; say whose you mean" in again.stderr
    missing = mailplane(started, "secret", "rotate", name, "--workspace", "beta", value="x")
    assert "there is no secret 'relay-password' of 'beta' in the vault" in missing.stderr


def test_a_row_that_does_not_open_is_named_with_whose_it_is_and_troubles_no_other(
    started: Daemon,
) -> None:
    started.write("workspaces/beta.toml", '[workspace]\nname = "beta"\n')
    until(lambda: len(started.door.get("/v1/workspaces")["items"]) == 2, "the second workspace")
    name = "relay-password"
    for more in (["--workspace", "beta"], [], ["--workspace", "acme"]):
        assert mailplane(started, "secret", "set", name, *more, value=PASSWORD).returncode == 0
    started.kill()
    with closing(sqlite3.connect(started.state / DATABASE)) as database, database:
        database.execute("UPDATE secrets SET content = zeroblob(40) WHERE workspace = 'beta'")
    started.start()
    sends(started, "kim@there.example")
    refused = mailplane(started, "secret", "rekey", "--yes")
    assert "does not open relay-password of beta; rotate or remove these" in refused.stderr
    rows = json.loads(mailplane(started, "secret", "list", "--json").stdout)["items"]
    assert {row["workspace"]: bool(row["problem"]) for row in rows} == {
        None: False, "acme": False, "beta": True,
    }  # fmt: skip
    (fix,) = {row["problem"].rpartition("; mailplane ")[2] for row in rows if row["problem"]}
    assert mailplane(started, *fix.split(), value="x").returncode == 0
    assert mailplane(started, "secret", "rekey", "--yes").stdout.startswith("sealed 3 secrets")
    started.kill()
    started.start()
    sends(started, "lee@there.example")


def test_a_secret_near_its_expiry_and_one_past_it_are_findings(started: Daemon) -> None:
    for name, expires in (("relay-password", "2020-01-01T00:00:00Z"), ("later", "2099-01-01")):
        mailplane(started, "secret", "set", name, "--expires", expires, value=PASSWORD)
    assert 'secret "relay-password" has expired' in finding(started)
    assert "later" not in finding(started)


def test_a_key_file_that_others_can_read_stops_the_start(started: Daemon) -> None:
    started.stop()
    (started.state / "vault.key").chmod(0o644)
    process = started.spawn()
    assert process.wait(20) == 78
    assert "vault.key: has mode 0644; make it 0600" in started.log_path.read_text()
