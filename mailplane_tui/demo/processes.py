"""The demo's two children: the stand-in provider and the daemon. Each is ended by its pid."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Final

from mailplane_wire.client import Client, DaemonUnreachable
from mailplane_wire.paths import Places

_START_S: Final = 15.0
_LOOK_S: Final = 0.05
_STOP_S: Final = 30.0


class DidNotStart(Exception):
    """A child that the demo needs did not come up; the text says why."""


class Child:
    """A process in a session of its own, so that a ctrl-c at the terminal is the demo's alone."""

    def __init__(self, command: list[str], *, stdout: IO[bytes] | int, stderr: IO[bytes]) -> None:
        environment = {k: v for k, v in os.environ.items() if k != "NOTIFY_SOCKET"}
        self.process = subprocess.Popen(  # noqa: S603 - our own interpreter, no shell
            # -P: what lies in the folder that one happens to be in must not be imported.
            [sys.executable, "-P", "-m", *command],
            stdin=subprocess.PIPE,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
            env=environment,
        )

    def stop(self) -> int:
        """End it, politely first; its exit code."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        if self.process.stdout is not None:
            self.process.stdout.close()
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(timeout=_STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def start_sink(ledger: Path, port: int, log: IO[bytes]) -> tuple[Child, int]:
    """The stand-in provider and its port. Raises DidNotStart."""
    child = Child(
        ["mailplane_tui.demo.sink", str(ledger), str(port)], stdout=subprocess.PIPE, stderr=log
    )
    assert child.process.stdout is not None
    line = child.process.stdout.readline()
    if not line.strip().isdigit():
        child.stop()
        raise DidNotStart(f"the stand-in provider did not start on port {port}; see {log.name}")
    return child, int(line)


def start_daemon(places: Places, log: IO[bytes]) -> tuple[Child, str]:
    """A daemon that answers on its socket, and the address of its shim. Raises DidNotStart."""
    command = ["mailplaned", "--config", str(places.config), "--state", str(places.state)]
    command += ["--socket", str(places.socket)]
    path = Path(str(log.name))
    begun_at = path.stat().st_size
    child = Child(command, stdout=subprocess.DEVNULL, stderr=log)
    client = Client(places.socket, timeout_s=2.0)
    try:
        for _ in range(int(_START_S / _LOOK_S)):
            if child.process.poll() is not None:
                break
            shim = _shim_in(path, begun_at)
            if shim is not None and _answers(client):
                return child, shim
            time.sleep(_LOOK_S)
    except BaseException:
        child.stop()
        raise
    child.stop()
    said = path.read_bytes()[begun_at:].decode(errors="replace").strip().splitlines()
    raise DidNotStart(f"the daemon did not start: {said[-1] if said else 'it left no word'}")


def _answers(client: Client) -> bool:
    try:
        client.call("GET", "/v1/health")
    except DaemonUnreachable:
        return False
    return True


def _shim_in(log: Path, begun_at: int) -> str | None:
    """The shim's address, which the daemon logs when it is ready: the book let it take any port."""
    for line in log.read_bytes()[begun_at:].splitlines():
        if line.startswith(b"{"):
            try:
                said = json.loads(line)
            except ValueError:
                continue
            if said.get("event") == "ready":
                return str(said["shim"])
    return None
