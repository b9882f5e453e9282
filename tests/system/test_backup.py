"""The drill: a backup made amid traffic, verified, restored elsewhere, compared, and held."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.process_daemon import Daemon, daemon, short_folder, to, workspace
from tests.fakes.process_wait import stays, until
from tests.fakes.sink_process import Sink

ANA, BEN = "ana@acme.example", "ben@acme.example"
CAPS = f'{ANA}; caps = [{{limit = 4, per = "day"}}]'


def mailplane(
    made: Daemon, *arguments: str, as_json: bool = True
) -> subprocess.CompletedProcess[str]:
    places = ["--config", str(made.config), "--state", str(made.state)]
    places += ["--socket", str(made.socket), *(["--json"] if as_json else [])]
    return subprocess.run(
        [sys.executable, "-m", "mailplane_tui", *arguments, *places],
        capture_output=True,
        text=True,
        timeout=60,
    )


def answer(made: Daemon, *arguments: str) -> dict[str, Any]:
    done = mailplane(made, *arguments)
    assert done.returncode == 0, done
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture
def started(the_daemon: Daemon, the_sink: Sink) -> Daemon:
    the_daemon.write("workspaces/acme.toml", workspace(the_sink.port, CAPS, BEN))
    the_daemon.start()
    gone = {"address": "gone@there.example", "workspace": "acme"}
    assert the_daemon.door.post("/v1/suppressions", gone).status == 201
    secret = {"name": "spare", "workspace": "acme", "value": "s3cret-v4lue"}
    assert the_daemon.door.post("/v1/secrets", secret).status == 201
    for number in range(8):
        the_daemon.door.send(to(f"kim{number}@there.example", ANA))
    until(lambda: len(the_sink.taken()) == 4, "four messages at the sink", 15)
    return the_daemon


def image(made: Daemon) -> dict[str, Any]:
    """What has to be the same: ledger, queue, suppressions, secrets' names, the change log."""
    door = made.door
    queue = {row["id"]: (row["state"], row["slot_at"]) for row in door.all("/v1/messages?")}
    standing = [(cap["sent"], cap["unknown"], cap["waiting"]) for cap in door.mailbox(ANA)["caps"]]
    assert door.get("/v1/ledger/verify")["differences"] == []
    return {
        "queue": queue,
        "ledger": standing,
        "suppressions": door.get("/v1/suppressions")["items"],
        "secrets": [(row["name"], row["version"]) for row in door.get("/v1/secrets")["items"]],
    }


def test_what_is_restored_equals_what_was_and_sends_nothing_until_a_person_says_so(
    started: Daemon, the_sink: Sink, tmp_path: Path
) -> None:
    file = tmp_path / "acme.tar"
    before = image(started)
    made = answer(started, "backup", "create", str(file), "--keys")
    assert made["counts"]["charges"] == 4
    assert made["counts"]["waiting"] == 4
    assert made["left_out"] == []
    assert file.stat().st_mode & 0o777 == 0o600
    assert answer(started, "backup", "verify", str(file)) == made
    audit = started.door.all("/v1/audit?")
    started.stop()

    with short_folder() as folder, daemon(folder) as other:
        (other.config / "mailplane.toml").unlink()
        assert answer(other, "backup", "restore", str(file)) == made
        other.start()
        restored = image(other)
        held = {row: ("held", None) for row, (state, _) in before["queue"].items()
                if state == "scheduled"}  # fmt: skip
        assert restored["queue"] == before["queue"] | held
        assert restored["ledger"] == before["ledger"]
        assert restored["suppressions"] == before["suppressions"]
        assert restored["secrets"] == before["secrets"]
        first = [row for row in audit if row["action"] != "backup create"]
        assert other.door.all("/v1/audit?")[: len(first)] == first
        assert mailplane(other, "audit", "verify").returncode == 0

        sent = other.door.send(to("lee@there.example", BEN))
        assert sent["state"] == "held"
        assert stays(lambda: len(the_sink.taken()) == 4, 1.0)
        (pause,) = other.door.get("/v1/pauses")["items"]
        assert pause["reason"].startswith(f"restored from a backup of {made['made_at']}")
        other.kill()
        other.start()
        assert stays(lambda: len(the_sink.taken()) == 4, 1.0)
        lifted = mailplane(other, "pause", "lift", pause["id"], "--reason", "looked")
        assert lifted.returncode == 1
        why = ("--reason", "looked", "--acknowledge")
        assert mailplane(other, "pause", "lift", pause["id"], *why).returncode == 0
        until(lambda: len(the_sink.taken()) == 5, "the held message at the sink", 15)
        assert the_sink.taken()[-1].recipients == ("lee@there.example",)
        other.kill()


def test_without_keys_a_backup_tells_no_secret_and_names_what_it_left_out(
    started: Daemon, tmp_path: Path
) -> None:
    made = answer(started, "backup", "create")
    assert made["left_out"] == ["audit.key", "vault.key"]
    content = Path(made["path"]).read_bytes()
    key = (started.state / "vault.key").read_bytes()
    assert key.strip() not in content
    assert b"s3cret-v4lue" not in content
    started.stop()
    with short_folder() as folder, daemon(folder) as other:
        said = mailplane(other, "backup", "restore", made["path"], as_json=False).stdout
        assert f"put into {other.state}: audit.key, vault.key\n" in said
        other.start()
        (secret,) = other.door.get("/v1/secrets")["items"]
        assert secret["name"] == "spare"
        assert "put that key back" in secret["problem"]


def test_nothing_that_is_there_is_overwritten(started: Daemon, tmp_path: Path) -> None:
    file = tmp_path / "there.tar"
    file.write_text("mine")
    assert "nothing is overwritten" in mailplane(started, "backup", "create", str(file)).stderr
    made = answer(started, "backup", "create")
    assert "is in use by the mailplaned" in mailplane(
        started, "backup", "restore", made["path"]
    ).stderr  # fmt: skip
    started.stop()
    refused = mailplane(started, "backup", "restore", made["path"])
    assert refused.returncode == 1
    assert "move the state folder away first" in refused.stderr


Change = Callable[[Path], None]


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _add(path: Path) -> None:
    with tarfile.open(path, "a") as archive:
        entry = tarfile.TarInfo("../../escaped")
        entry.size = 1
        archive.addfile(entry, io.BytesIO(b"x"))


def _link(path: Path) -> None:
    with tarfile.open(path) as archive:
        members = [(m, archive.extractfile(m)) for m in archive.getmembers()]
        fresh = io.BytesIO()
        with tarfile.open(fileobj=fresh, mode="w") as out:
            for member, file in members:
                if member.name == "mailplane.db":
                    member.type, member.linkname, member.size = tarfile.SYMTYPE, "/etc/passwd", 0
                    file = None
                out.addfile(member, file)
    path.write_bytes(fresh.getvalue())


def _empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("change", [_cut, _flip, _add, _link, _empty])
def test_a_backup_that_was_changed_is_refused_and_leaves_nothing_behind(
    started: Daemon, tmp_path: Path, change: Change
) -> None:
    file = tmp_path / "x.tar"
    answer(started, "backup", "create", str(file))
    change(file)
    with short_folder() as folder, daemon(folder) as other:
        for verb in ("verify", "restore"):
            refused = mailplane(other, "backup", verb, str(file))
            assert (refused.returncode, refused.stdout) == (1, "")
            assert str(file) in refused.stderr
            assert "Traceback" not in refused.stderr
        assert [path.name for path in other.state.iterdir()] == ["lock"]
