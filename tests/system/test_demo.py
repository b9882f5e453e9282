"""The demo as a newcomer runs it: a process on a machine that has no configuration."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mailplane_tui.demo.book import FULL, NEAR, PAUSED
from mailplane_tui.demo.sink import read_ledger
from mailplane_wire.client import Client, DaemonUnreachable
from tests.fakes.process_wait import until

KEYS = ["accepted", "rejected", "scheduled", "sent", "bounced", "unknown",
        "cap_violations", "lost", "duplicated"]  # fmt: skip


@contextmanager
def demo(home: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A running demo whose home and temporary folder are `home`; nothing else is known to it."""
    kept = ("PATH", "LANG", "SYSTEMROOT", "LD_LIBRARY_PATH")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    environment |= {"HOME": str(home), "TMPDIR": str(home / "tmp")}
    (home / "tmp").mkdir()
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "mailplane_tui", "demo", *arguments],
        cwd=home,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=40)


def test_the_demo_keeps_every_promise_and_shows_each_state() -> None:
    with tempfile.TemporaryDirectory() as home:
        kept = Path(home) / "kept"
        arguments = ("--headless", "--seconds", "6", "--json", "--keep", str(kept))
        with demo(Path(home), *arguments) as process:
            client = Client(kept / "state" / "mailplane.sock")
            until(lambda: states(client) == {"near", "full", "paused"}, "each state", 30)
            out, told = process.communicate(timeout=90)
        assert process.returncode == 0, told
        verdict: dict[str, int] = json.loads(out.splitlines()[-1])
        assert list(verdict) == KEYS
        for name in ("cap_violations", "lost", "duplicated"):
            assert verdict[name] == 0, verdict
        for name in ("accepted", "rejected", "scheduled", "sent", "bounced", "unknown"):
            assert verdict[name] > 0, verdict
        ledger = read_ledger(kept / "sink.jsonl")
        assert verdict["sent"] == sum(entry.event == "accepted" for entry in ledger)
        addresses = {entry.sender for entry in ledger}.union(*(e.recipients for e in ledger))
        assert all(address.endswith(".example") for address in addresses)
        assert PAUSED not in {entry.sender for entry in ledger}


def test_an_interrupted_demo_leaves_nothing_behind() -> None:
    with tempfile.TemporaryDirectory() as home:
        with demo(Path(home), "--headless", "--seconds", "60") as process:
            sockets = until(
                lambda: list(Path(home).glob("tmp/*/state/mailplane.sock")), "a socket", 30
            )
            client = Client(sockets[0])
            daemon = until(lambda: pid(client), "an answer", 30)
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=40)
        assert process.returncode == 1
        with pytest.raises(ProcessLookupError):
            os.kill(daemon, 0)
        assert [found.name for found in Path(home).rglob("*")] == ["tmp"]


def states(client: Client) -> set[str]:
    """The states of the three mailboxes that are there to be looked at."""
    try:
        rows: list[dict[str, Any]] = client.call("GET", "/v1/mailboxes")["items"]
    except DaemonUnreachable:
        return set()
    assert len(rows) == 12
    assert len({row["workspace"] for row in rows}) == 3
    return {row["state"] for row in rows if row["address"] in {NEAR, FULL, PAUSED}}


def pid(client: Client) -> int | None:
    try:
        found: int = client.call("GET", "/v1/health")["pid"]
    except DaemonUnreachable:
        return None
    return found
