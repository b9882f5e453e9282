"""The doctor on real set-ups: nothing to mend on a sound one, else a fix for each thing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.name_server import name_server
from tests.fakes.process_daemon import SHIM, Daemon, workspace
from tests.fakes.sink_process import Sink

ANA = 'ana@acme.example; caps = [{limit = 5, per = "day"}]'


def doctor(made: Daemon, *flags: str) -> subprocess.CompletedProcess[str]:
    places = ["--config", made.config, "--state", made.state, "--socket", made.socket]
    return subprocess.run(
        [sys.executable, "-m", "mailplane_tui", "doctor", *map(str, places), *flags],
        capture_output=True,
        text=True,
        timeout=60,
    )


def checks(made: Daemon) -> dict[str, dict[str, Any]]:
    items = json.loads(doctor(made, "--json").stdout)["items"]
    return {item["check"]: item for item in items}


def test_a_sound_set_up_has_no_fault(the_daemon: Daemon, the_sink: Sink) -> None:
    the_daemon.write("workspaces/acme.toml", workspace(the_sink.port, ANA))
    the_daemon.start()
    said = doctor(the_daemon)
    assert said.returncode == 0, said.stdout
    assert "account acme/acme-relay: 127.0.0.1:" in said.stdout
    assert f"vault key: {the_daemon.state / 'vault.key'}" in said.stdout
    assert "DNS: nothing to ask" in said.stdout
    assert " 0 faults" in said.stdout
    assert "FAULT" not in said.stdout


def test_each_thing_that_is_wrong_is_named_with_its_fix(the_daemon: Daemon, the_sink: Sink) -> None:
    login = 'username = "acme"\nsecret = "relay-password"'
    the_daemon.write("workspaces/acme.toml", workspace(1, ANA, account=login))
    the_daemon.write("workspaces/beta.toml", workspace(1, "bo@beta.example", name="beta"))
    the_daemon.start()
    the_daemon.write("workspaces/broken.toml", "[workspace")
    (the_daemon.state / "mailplane.db").chmod(0o644)
    the_daemon.socket.chmod(0o666)
    (the_daemon.config / "workspaces/acme.toml").chmod(0o666)
    found = checks(the_daemon)
    faults = {name for name, check in found.items() if check["status"] == "fault"}
    assert {"state folder", "operator socket", "account acme/acme-relay"} <= faults
    assert "mailplane.db (0644)" in found["state folder"]["detail"]
    assert found["book folder"]["detail"].endswith(
        "all can write " + str(the_daemon.config / "workspaces/acme.toml")
    )
    assert found["state folder"]["fix"] == f"chmod -R go= {the_daemon.state}"
    assert "relay-password" in found["account acme/acme-relay"]["detail"]
    assert found["account beta/beta-relay"]["fix"].startswith("mend host, port, tls")
    assert found["finding"]["fix"].startswith("mailplane secret set relay-password, with --work")
    assert doctor(the_daemon).returncode == 1


def test_the_resolvers_of_the_book_are_asked_about_its_domains(
    the_daemon: Daemon, the_sink: Sink
) -> None:
    with name_server({"acme.com": "acme.com. 60 IN MX 10 mx.acme.com."}) as server:
        the_daemon.write("mailplane.toml", f'{SHIM}[dns]\nresolvers = ["{server}"]\n')
        the_daemon.write("workspaces/acme.toml", workspace(the_sink.port, ANA, "bo@acme.com"))
        the_daemon.write("workspaces/gone.toml", workspace(the_sink.port, "c@g.com", name="gone"))
        the_daemon.start()
        found = checks(the_daemon)
    assert found["domain acme.com"]["detail"] == "mail to it goes to mx.acme.com"
    assert found["domain g.com"]["status"] == "fault"
    assert found["domain g.com"]["fix"].endswith("[[domain]] of gone")
    assert f"2 of 2 names asked of {server}" in found["DNS"]["detail"]


def test_a_key_that_the_next_start_would_miss_is_told_while_there_is_time(
    the_daemon: Daemon,
) -> None:
    the_daemon.start()
    vault_key, audit_key = the_daemon.state / "vault.key", the_daemon.state / "audit.key"
    vault_key.unlink()
    audit_key.chmod(0o644)
    found = checks(the_daemon)
    assert found["vault key"]["detail"].startswith(f"{vault_key} is gone")
    assert found["vault key"]["fix"].endswith("or: mailplane secret rekey")
    assert found["audit key"]["detail"] == f"{audit_key}: has mode 0644"
    assert found["audit key"]["fix"] == "make it 0600"
    assert found["state folder"]["status"] == "ok", "nothing is told twice"
    assert the_daemon.door.post("/v1/vault/rekey", {}).status == 200
    audit_key.chmod(0o600)
    found = checks(the_daemon)
    assert found["vault key"]["status"] == found["audit key"]["status"] == "ok"
    vault_key.write_bytes(b"MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=\n")
    audit_key.unlink()
    found = checks(the_daemon)
    assert found["vault key"]["detail"].endswith("is another now")
    assert found["audit key"]["detail"] == f"{audit_key} is gone"
    assert "backup" in found["audit key"]["fix"]


def test_without_a_daemon_it_says_how_to_start_one(the_daemon: Daemon) -> None:
    said = doctor(the_daemon)
    assert said.returncode == 1
    assert "do: mailplane init, then mailplane up" in said.stdout
    the_daemon.start()
    the_daemon.stop()
    assert "do: mailplane up" in doctor(the_daemon).stdout


def test_a_clock_that_is_long_past_is_a_finding(the_daemon: Daemon, the_sink: Sink) -> None:
    libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not libraries:
        pytest.skip("needs libfaketime")
    the_daemon._environment = {
        "LD_PRELOAD": str(libraries[0]),
        "FAKETIME": "@1970-01-02 00:00:00",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }
    the_daemon.write("workspaces/acme.toml", workspace(the_sink.port, "ana@acme.example"))
    the_daemon.start()
    words = "the wall clock is long past; set it, then restart the daemon"
    assert the_daemon.door.get("/v1/health")["findings"] == [words]
    checks = the_daemon.door.get("/v1/doctor")["items"]
    told = [(one["check"], one["status"]) for one in checks if "past" in one["detail"]]
    assert told == [("clock", "fault")]
