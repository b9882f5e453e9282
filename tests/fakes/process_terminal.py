"""The dashboard as an operator has it: a process of its own on a pseudo-terminal, in no colours."""

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
