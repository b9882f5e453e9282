"""What really goes to a terminal: the dashboard as a process of its own on a pseudo-terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from mailplane_wire.resources import LogAudit, LogEvent, StreamMessage
from tests.fakes.daemon_stand_in import StandIn
from tests.fakes.wire_rows import audit, event, mailbox, pause

pytestmark = pytest.mark.xdist_group("tui")

HOSTILE = "[/nope] \x1b]52;c;AAAA\x07 \x9b2J \u202e[@click=app.quit]x[/]"
DEADLINE_S = 20.0

RUN = """
import sys
from pathlib import Path
from mailplane_tui.app import run
from mailplane_wire.paths import Places
place = Path(sys.argv[1])
sys.exit(run(Places(config=place, state=place, socket=place / "sock"), workspace="acme"))
"""


def read_until(terminal: int, wanted: bytes, seen: bytes = b"") -> bytes:
    """What came from the terminal, up to and with what is wanted."""
    deadline = time.monotonic() + DEADLINE_S
    while wanted not in seen:
        assert time.monotonic() < deadline, seen[-2000:]
        if select.select([terminal], [], [], 0.1)[0]:
            seen += os.read(terminal, 65536)
    return seen


def test_hostile_text_and_colours_stay_off_the_terminal(tmp_path: Path) -> None:
    row = mailbox(
        "eve@acme.example",
        state="paused",
        last_reply=HOSTILE,
        pauses=[pause(1, "mailbox:eve@acme.example", reason=HOSTILE)],
    )
    logs: list[StreamMessage] = [
        LogEvent(event=event(1, "bounced", row.address, detail={"reply": HOSTILE})),
        LogAudit(entry=audit(1, HOSTILE, HOSTILE)),
    ]
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 140, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "NO_COLOR": "1", "LC_ALL": "C.UTF-8"}
    with StandIn(tmp_path / "sock", mailboxes={row.address: row}, logs=logs):
        process = subprocess.Popen(
            [sys.executable, "-c", RUN, str(tmp_path)],
            stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        try:
            seen = read_until(ours, b"\\x1b]52")
            os.write(ours, b"6")
            seen = read_until(ours, b"[6 Events]", seen)
            os.write(ours, b"q")
            seen = read_until(ours, b"\x1b[?1049l", seen)
            assert process.wait(DEADLINE_S) == 0
        finally:
            process.kill()
            os.close(ours)
    seen = re.sub(rb"\x1b\]22;[a-z-]*\x07", b"", seen)  # Textual's own: the pointer's shape
    for raw in (b"\x1b]52", b"\x07", b"\xc2\x9b", "\u202e".encode()):
        assert raw not in seen
    colours = {code for sgr in re.findall(rb"\x1b\[([\d;]*)m", seen) for code in sgr.split(b";")}
    assert colours <= {b"0", b"1", b"2", b"4", b"7", b"39", b"49"}
