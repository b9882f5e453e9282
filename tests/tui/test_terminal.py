"""What really goes to a terminal: the dashboard as a process of its own on a pseudo-terminal."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mailplane_wire.resources import LogAudit, LogEvent, StreamMessage
from tests.fakes.daemon_stand_in import StandIn
from tests.fakes.process_terminal import Terminal
from tests.fakes.wire_rows import audit, event, mailbox, pause

pytestmark = pytest.mark.xdist_group("tui")

HOSTILE = "[/nope] \x1b]52;c;AAAA\x07 \x9b2J \u202e[@click=app.quit]x[/]"


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
    with StandIn(tmp_path / "sock", mailboxes={row.address: row}, logs=logs):
        terminal = Terminal(tmp_path, rows=40, columns=140)
        try:
            seen = terminal.read_until(b"\\x1b]52")
            terminal.press("6")
            seen = terminal.read_until(b"[6 Events]", seen)
            seen, code = terminal.quit(seen)
        finally:
            terminal.close()
    assert code == 0
    seen = re.sub(rb"\x1b\]22;[a-z-]*\x07", b"", seen)  # Textual's own: the pointer's shape
    for raw in (b"\x1b]52", b"\x07", b"\xc2\x9b", "\u202e".encode()):
        assert raw not in seen
    colours = {code for sgr in re.findall(rb"\x1b\[([\d;]*)m", seen) for code in sgr.split(b";")}
    assert colours <= {b"0", b"1", b"2", b"4", b"7", b"39", b"49"}
