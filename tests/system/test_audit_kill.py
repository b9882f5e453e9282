"""kill -9 at any moment: every change has its entry, and no entry is without its change."""

from __future__ import annotations

import http.client
import json
import os
import random
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from tests.fakes.audit_compare import changes_in, unpaired
from tests.fakes.audit_kit import DATABASE
from tests.fakes.process_daemon import Daemon, workspace
from tests.fakes.process_wait import until

KILLS = 8
WRITERS = 3
ROOT = Path(__file__).parents[2]


def test_killed_before_each_statement_of_a_change_in_turn(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fakes.audit_compare", str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'daemon'}:{ROOT}"},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    print(f"killed before {len(found) - 1} statements")
    assert len(found) > 20
    assert [one[0] for one in found] == list(range(1, len(found) + 1))
    assert {killed for _, killed, *_ in found[:-1]} == {True}
    assert found[-1][1:3] == [False, 3], "the last one ran to its end"
    assert {changes for _, _, changes, _, _ in found} == {0, 3}, "all three or none"
    assert [one for one in found if one[3] or one[4]] == []


class Writers:
    """Threads that change things until they are told to stop, and note what was acknowledged."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._stop = threading.Event()
        self.acknowledged: list[tuple[str, str]] = []
        """Kind and id of what was answered."""
        self._threads = [
            threading.Thread(target=self._change, args=(number,), daemon=True)
            for number in range(WRITERS)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _change(self, writer: int) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            name = f"/v1/mailboxes/{('ana', 'ben')[number % 2]}@acme.example"
            body = {"reason": f"{writer}.{number} for kim@there.example"}
            self._post("suppress", "/v1/suppressions", {"address": f"k{writer}.{number}@x.example"})
            self._post("pause", f"{name}/pause", body)
            self._post("resume", f"{name}/resume", body)

    def _post(self, kind: str, target: str, body: dict[str, Any]) -> None:
        try:
            reply = self._daemon.door.post(target, body)
        except (OSError, http.client.HTTPException):
            time.sleep(0.01)
            return
        if reply.status == 201:
            self.acknowledged.append((kind, reply.json["id"]))


def test_killed_under_a_load_of_changes(the_daemon: Daemon) -> None:
    seed = int(os.environ.get("MAILPLANE_SEED") or random.SystemRandom().getrandbits(32))
    print(f"seed {seed}")
    chance = random.Random(seed)
    boxes = ("ana@acme.example", "ben@acme.example")
    the_daemon.write("workspaces/acme.toml", workspace(1, *boxes))
    writers = Writers(the_daemon)
    counts = []
    for kill in range(KILLS):
        the_daemon.start()
        before = len(writers.acknowledged)
        until(lambda before=before: len(writers.acknowledged) > before + 5, "changes", 30)  # type: ignore[misc]
        time.sleep(chance.uniform(0, 0.2))
        the_daemon.kill()
        assert unpaired(the_daemon.state) == ({}, {}), kill
        counts.append(changes_in(the_daemon.state).total())
    writers.stop()
    the_daemon.start()
    door = the_daemon.door
    print(f"changes after each kill {counts}, acknowledged {len(writers.acknowledged)}")
    assert counts == sorted(set(counts)), "every kill met changes"
    ids = {row["id"] for row in door.all("/v1/pauses?lifted=true") + door.all("/v1/suppressions")}
    assert not {id_ for _, id_ in writers.acknowledged} - ids, "acknowledged and lost"
    seqs = [row["seq"] for row in door.all("/v1/audit")]
    assert seqs == list(range(1, len(seqs) + 1))
    verified = subprocess.run(
        [
            Path(sys.executable).with_name("mailplane"),
            "--json",
            "--socket",
            str(the_daemon.socket),
            "audit",
            "verify",
        ],
        capture_output=True,
        text=True,
    )
    assert verified.returncode == 0, verified.stdout + verified.stderr
    report = json.loads(verified.stdout)
    assert (report["entries"], report["covered"]) == (len(seqs), len(seqs))
    assert the_daemon.stop() == 0
    assert unpaired(the_daemon.state) == ({}, {})


def test_the_comparison_sees_what_is_not_paired(the_daemon: Daemon) -> None:
    the_daemon.write("workspaces/acme.toml", workspace(1, "ana@acme.example"))
    the_daemon.start()
    the_daemon.door.post("/v1/suppressions", {"address": "kim@there.example"})
    the_daemon.door.post("/v1/everything/pause", {"reason": "test"})
    the_daemon.stop()
    assert unpaired(the_daemon.state) == ({}, {})
    connection = sqlite3.connect(the_daemon.state / DATABASE, isolation_level=None)
    connection.execute("DELETE FROM suppressions")
    connection.execute(
        "INSERT INTO pauses SELECT randomblob(16), scope_id, workspace_id, reason, actor, origin, "
        "created_at, until_at, NULL, NULL, NULL FROM pauses"
    )
    connection.close()
    alone, without = unpaired(the_daemon.state)
    assert [kind for kind, *_ in alone] == ["pause"]
    assert [kind for kind, *_ in without] == ["suppress"]
