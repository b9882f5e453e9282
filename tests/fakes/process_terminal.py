"""What an operator sees: the dashboard, or a command line, as a process on a pseudo-terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

DEADLINE_S = 30.0

_RUN = """
import sys
from pathlib import Path
from mailplane_tui.app import run
from mailplane_wire.paths import Places
place = Path(sys.argv[1])
sys.exit(run(Places(config=place, state=place, socket=place / "sock"), workspace="acme"))
"""


def at_terminal(arguments: list[str], environment: dict[str, str]) -> tuple[int, bytes]:
    """Run `mailplane` where all three streams are a terminal; its exit code, and what was seen."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "mailplane_tui", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **environment},
        start_new_session=True,
    )
    os.close(theirs)
    seen = b""
    try:
        while select.select([ours], [], [], DEADLINE_S)[0] and (part := os.read(ours, 65536)):
            seen += part
    except OSError:  # EIO: the other end is closed (pty(7))
        pass
    finally:
        os.close(ours)
    return process.wait(DEADLINE_S), seen


class Terminal:
    """A running dashboard on the daemon at `sock` in a folder; `before` is code that runs first."""

    def __init__(self, folder: Path, *, rows: int, columns: int, before: str = "") -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._process = subprocess.Popen(
            [sys.executable, "-c", before + _RUN, str(folder)],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm-256color", "NO_COLOR": "1", "LC_ALL": "C.UTF-8"},
            start_new_session=True,
        )
        os.close(theirs)

    def press(self, key: str) -> None:
        """Press a key."""
        os.write(self._ours, key.encode())

    def read_until(self, wanted: bytes, seen: bytes = b"") -> bytes:
        """What came to the terminal, up to and with what is wanted. Raises TimeoutError."""
        deadline = time.monotonic() + DEADLINE_S
        while wanted not in seen:
            if time.monotonic() > deadline:
                raise TimeoutError(seen[-2000:])
            if select.select([self._ours], [], [], 0.1)[0]:
                seen += os.read(self._ours, 65536)
        return seen

    def quit(self, seen: bytes = b"") -> tuple[bytes, int]:
        """Press q; what came until it had given the screen back, and its exit code."""
        self.press("q")
        seen = self.read_until(b"\x1b[?1049l", seen)
        return seen, self._process.wait(DEADLINE_S)

    def close(self) -> None:
        """End it in any case."""
        self._process.kill()
        self._process.wait(10)
        os.close(self._ours)
