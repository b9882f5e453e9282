"""The daemon as its operator starts it: a process with folders, signals and a log."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.fakes.process_http import Door
from tests.fakes.process_wait import until

SHIM = '[shim]\nlisten = "127.0.0.1:0"\n'


class Daemon:
    """One state directory and the daemon on it, which can be started, stopped and killed."""

    def __init__(self, folder: Path, environment: dict[str, str] | None = None) -> None:
        self.config = folder / "config"
        self.state = folder / "state"
        self.socket = folder / "run" / "mailplane.sock"
        self.log_path = folder / "log"
        self.process: subprocess.Popen[bytes] | None = None
        self._environment = environment or {}
        self._log_from = 0
        self.write("mailplane.toml", SHIM)

    def write(self, name: str, text: str) -> None:
        """Put a file of the book in place as an editor does, at once."""
        path = self.config / name
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}.new")
        fresh.write_text(text)
        fresh.replace(path)

    def spawn(self) -> subprocess.Popen[bytes]:
        """Start a process on these folders, and no more than that."""
        places = ["--config", self.config, "--state", self.state, "--socket", self.socket]
        with self.log_path.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "mailplaned", *map(str, places)],
                stderr=log,
                env={**os.environ, **self._environment},
            )

    def start(self) -> Daemon:
        """Start it and wait until it is ready."""
        self._log_from = self.log_path.stat().st_size if self.log_path.exists() else 0
        self.process = self.spawn()
        until(self._ready, f"the daemon ready; its log: {self.log_path}", 20)
        return self

    def _ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log_path.read_text()
        return any(line.get("event") == "ready" for line in self.log())

    def log(self) -> list[dict[str, Any]]:
        """The log of the present run, its JSON lines only."""
        content = self.log_path.read_bytes()[self._log_from :]
        return [json.loads(line) for line in content.split(b"\n")[:-1] if line.startswith(b"{")]

    @property
    def pid(self) -> int:
        """The process."""
        assert self.process is not None
        return self.process.pid

    @property
    def shim_port(self) -> int:
        """The port that the kernel gave the shim."""
        ready = next(line for line in self.log() if line.get("event") == "ready")
        return int(ready["shim"].rpartition(":")[2])

    @property
    def door(self) -> Door:
        """The operator socket."""
        return Door(path=self.socket)

    def token(self, workspace: str = "acme") -> str:
        """A new token."""
        reply = self.door.post("/v1/tokens", {"name": "test", "workspace": workspace})
        assert reply.status == 201, reply.content
        return str(reply.json["token"])

    def shim(self, token: str | None = None) -> Door:
        """The shim, with a token or without."""
        return Door(port=self.shim_port, token=token)

    def kill(self) -> None:
        """SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)
        self.process = None

    def terminate(self) -> None:
        """SIGTERM, without waiting."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)

    def wait(self, within_s: float = 30) -> int:
        """The exit code."""
        assert self.process is not None
        code = self.process.wait(within_s)
        self.process = None
        return code

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.terminate()
        return self.wait()

    def memory_kib(self) -> int:
        """Resident memory (proc(5), VmRSS)."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0])


@contextmanager
def daemon(folder: Path, environment: dict[str, str] | None = None) -> Iterator[Daemon]:
    """A daemon that is not started yet; whatever runs at the end is killed."""
    made = Daemon(folder, environment)
    try:
        yield made
    finally:
        if made.process is not None:
            made.kill()


@contextmanager
def short_folder() -> Iterator[Path]:
    """A folder whose name leaves room for a socket (108 bytes, unix(7))."""
    path = Path(tempfile.mkdtemp(prefix="mp-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def workspace(
    port: int,
    *mailboxes: str,
    name: str = "acme",
    head: str = "",
    account: str = "",
    domain: str = "",
    tail: str = "",
) -> str:
    """A workspace file: mailboxes are `address` or `address; more = "lines"` at one relay."""
    text = [f'[workspace]\nname = "{name}"\n{head}\n']
    text.append(
        f'[[account]]\nname = "{name}-relay"\nprovider = "smtp"\nhost = "127.0.0.1"\n'
        f'port = {port}\ntls = "none"\n{account}\n'
    )
    domains = {box.partition(";")[0].rpartition("@")[2]: None for box in mailboxes}
    text += [f'[[domain]]\nname = "{found}"\n{domain}\n' for found in domains]
    for box in mailboxes:
        address, _, lines = box.partition(";")
        text.append(
            f'[[mailbox]]\naddress = "{address}"\naccount = "{name}-relay"\n{lines.strip()}\n'
        )
    return "\n".join([*text, tail])


def to(recipient: str, mailbox: str = "ana@acme.example", **more: Any) -> dict[str, Any]:
    """A submission."""
    return {"mailbox": mailbox, "to": [recipient], "subject": "hello", "text": "Hello.\n", **more}
