"""The daemon of a run: perhaps with a planted bug, under a tracer, or in a namespace."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.fakes.process_daemon import SHIM, Daemon, short_folder
from tests.fakes.process_http import Door
from tests.fakes.process_wait import until
from tests.fakes.sink_process import Sink

ROOT = Path(__file__).parents[2]
_SINK = ROOT / "tests" / "fakes" / "sink_server.py"
RETRY = '\n[dispatch]\nretry = ["1s", "1s", "2s"]\n'
"""So that a run sees the end of what is tried again."""


SOON_S = 60
"""A slot beyond this is one that a cap has moved."""


class Host(Daemon):
    """One state directory and its daemon. `prefix` is put before its command."""

    def __init__(
        self,
        folder: Path,
        twins: Sequence[str] = (),
        prefix: Sequence[str] = (),
        environment: dict[str, str] | None = None,
    ) -> None:
        super().__init__(folder, environment)
        self.twins = tuple(twins)
        self.prefix = tuple(prefix)
        self.port: int | None = None
        """The shim's, once it is ready."""
        self.write("mailplane.toml", SHIM + RETRY)

    def spawn(self) -> subprocess.Popen[bytes]:
        """Start a process on these folders, and no more than that."""
        module = ["tests.chaos.planted", ",".join(self.twins)] if self.twins else ["mailplaned"]
        places = ["--config", self.config, "--state", self.state, "--socket", self.socket]
        with self.log_path.open("ab") as log:
            return subprocess.Popen(
                [*self.prefix, sys.executable, "-m", *module, *map(str, places)],
                cwd=ROOT,
                stderr=log,
                env={**os.environ, **self._environment},
            )

    def start(self) -> Host:
        """Start it and wait until it is ready."""
        self.port = None
        super().start()
        self.port = self.shim_port
        return self

    def try_start(self, within_s: float = 20) -> int | None:
        """Start it; None when it is ready, its exit code when it ended before."""
        self.port = None
        self._log_from = self.log_path.stat().st_size if self.log_path.exists() else 0
        self.process = process = self.spawn()
        until(lambda: process.poll() is not None or self._is_ready(), "ready, or an end", within_s)
        if process.poll() is not None:
            self.process = None
            return process.wait()
        self.port = self.shim_port
        return None

    def _is_ready(self) -> bool:
        return any(line.get("event") == "ready" for line in self.log())

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self.process is not None and self.process.poll() is None

    def errors(self) -> list[dict[str, Any]]:
        """What the present run has logged as an error."""
        return [line for line in self.log() if line["level"] in {"error", "critical"}]

    def shim_door(self, token: str) -> Door | None:
        """The shim, None while the daemon is not up."""
        return None if self.port is None else Door(port=self.port, token=token)

    def idle(self) -> bool:
        """Whether nothing is due or under way: what still waits, waits for a cap.

        Asked in this order, a message can't slip past by moving on in between.
        """
        soon = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + SOON_S))
        return not any(
            item["slot_at"] is None or item["slot_at"] < soon
            for state in ("deferred", "queued", "sending", "deferred", "queued")
            for item in self.door.get(f"/v1/messages?state={state}&limit=1000")["items"]
        )

    def drain(self, within_s: float = 60) -> None:
        """Wait until it has nothing to do; that long from the last time that less was left."""
        end, least = time.monotonic() + within_s, 2**62
        while not self.idle():
            left = self.door.get("/v1/health")["waiting"]
            if left < least:
                end, least = time.monotonic() + within_s, left
            assert time.monotonic() < end, f"still at work: {self._at_work()}, {self.errors()[-3:]}"
            time.sleep(0.02 + min(0.5, left / 10_000))  # a long list takes its time, too

    def _at_work(self) -> dict[str, Any]:
        """What is left to do, and one message of each kind with its story."""
        found: dict[str, Any] = {}
        for state in ("sending", "queued", "deferred"):
            if items := self.door.all(f"/v1/messages?state={state}"):
                found[state] = (len(items), self.door.message(items[0]["id"]))
        return found


@contextmanager
def host(
    twins: Sequence[str] = (),
    prefix: Sequence[str] = (),
    environment: dict[str, str] | None = None,
) -> Iterator[Host]:
    """A host in a folder of its own, not started; whatever runs at the end is killed."""
    with short_folder() as folder:
        made = Host(folder, twins, prefix, environment)
        try:
            yield made
        finally:
            if made.process is not None:
                made.kill()


@contextmanager
def sink_in(folder: Path, prefix: Sequence[str]) -> Iterator[Sink]:
    """A sink whose command has a prefix: in a namespace, say."""
    folder.mkdir(exist_ok=True)
    command = [*prefix, sys.executable, str(_SINK), str(folder / "ledger.jsonl")]
    process = subprocess.Popen([*command, str(folder / "control.json")], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield Sink(folder, int(process.stdout.readline()))
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()
