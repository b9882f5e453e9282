"""Hostile text from providers and senders on its way to an operator's terminal."""

from __future__ import annotations

import contextlib
import copy
import io
import os
import re
import threading
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mailplane_tui import explain
from mailplane_tui.cli.main import main
from mailplane_tui.formats import Format
from mailplane_tui.glyphs import UNICODE
from mailplane_tui.lines import Line, fit_line, plain, width_of
from mailplane_wire.problems import problem
from mailplane_wire.resources import LogAudit, LogEvent
from tests.chaos.hostile import inputs
from tests.chaos.hostile.bugs import planted
from tests.chaos.hostile.found import Found, try_each
from tests.chaos.verdict import Measured
from tests.fakes import operator_socket
from tests.fakes.daemon_stand_in import StandIn
from tests.fakes.process_daemon import short_folder
from tests.fakes.process_terminal import Terminal
from tests.fakes.wire_rows import audit, cap, event, mailbox, pause

KINDS = ("crashes", "escapes", "lines of another width", "markup obeyed")
_NOW = datetime(2026, 11, 24, 14, 2, 11, tzinfo=UTC)


def unsafe(text: str) -> set[str]:
    """The characters that a terminal obeys, or that hide or reorder others."""
    return {
        character
        for character in text
        if not character.isprintable() or unicodedata.category(character) in {"Cf", "Co", "Cn"}
    }


# --- what the dashboard puts on a line ------------------------------------------------------------


def _lines(text: str, width: int) -> Iterator[Line]:
    words = Format(UNICODE, UTC)
    held = pause(1, f"path:{text}", reason=text, actor=text)
    limit = cap(sent=3, unknown=1, waiting=2)
    row = mailbox(
        "eve@acme.example", state="paused", state_reason=text, last_reply=text, name=text,
        account=text, provider=text, paths=[text, "main"], pauses=[held, held], workspace=text,
    )  # fmt: skip
    other = mailbox(text, state=text, state_reason=text, pauses=[])
    yield words.event(
        event(1, text, text, recipient=text, detail={"reply": text, text: text}), width, ()
    )
    yield words.audit(
        audit(1, text, text, actor=text, detail={"reason": text, text: [text]}), width, ()
    )
    yield words.cap(limit, _NOW, 10)
    for shown in (row, other):
        yield from explain.strip(shown, words, _NOW, ())
        yield from explain.details(shown, words, _NOW, (), bar=10)


def _judge_lines(found: Found, text: str) -> None:
    for width in (80, 200):
        for made in _lines(text, width):
            shown = fit_line(made, width)
            if unsafe(plain(shown)):
                found.note("escapes", "dashboard", text, plain(shown))
            if width_of(shown) != width:
                found.note("lines of another width", width, text, plain(shown))


# --- what the command line prints -----------------------------------------------------------------

_VERBS = (
    ("status",), ("mailbox", "list"), ("mailbox", "show", "ana@acme.example"), ("domain", "list"),
    ("path", "list"), ("pause", "list"), ("message", "list"), ("message", "show", "msg_1"),
    ("event", "tail", "--after", "25"), ("audit", "tail"), ("token", "list"), ("workspace", "list"),
    ("ledger", "verify"), ("book", "status"), ("send", "--to", "k@x.example", "--text", "hi"),
    ("preflight", "--to", "k@x.example", "--text", "hi"), ("suppression", "list"),
)  # fmt: skip
_STRANGERS = frozenset((
    "subject", "reason", "reply", "detail", "name", "title", "actor", "state_reason", "last_reply",
    "workload", "path", "findings", "problems", "notices", "scope", "target", "selector",
    "dkim_selector", "account", "stage", "outcome", "differences",
))  # fmt: skip
"""Keys whose text somebody else may have written."""


def _poisoned(value: Any, text: str, *, ours: bool = False) -> Any:
    """The reply with this text wherever a stranger's could stand."""
    if isinstance(value, dict):
        return {key: _poisoned(item, text, ours=key in _STRANGERS) for key, item in value.items()}
    if isinstance(value, list):
        return [_poisoned(item, text, ours=ours) for item in value]
    if isinstance(value, str) and (ours or operator_socket.EVIL in value):
        return text
    return value


class CommandLine:
    """The command line in this process, on a stand-in that answers with hostile text."""

    def __init__(self, daemon: operator_socket.Daemon) -> None:
        self._daemon = daemon
        self._calls = 0

    def judge(self, found: Found, text: str) -> None:
        """One verb, each in its turn, for a person and for a script."""
        verb = _VERBS[self._calls // 2 % len(_VERBS)]
        flags = ("--json",) if self._calls % 2 else ()
        refused = self._calls % 7 == 0
        self._calls += 1
        self._daemon.replies = _poisoned(copy.deepcopy(operator_socket.REPLIES), text)
        self._daemon.events = _poisoned(operator_socket.EVENTS, text)
        if refused:
            said = problem("invalid", text)
            self._daemon.replies = dict.fromkeys(self._daemon.replies, said)
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main([*flags, *verb])
        printed = out.getvalue() + err.getvalue()
        if "a fault in mailplane" in printed:
            found.note("crashes", verb, flags, text, printed)
        if unsafe(printed.replace("\n", "")):
            found.note("escapes", verb, flags, text, printed)


@contextmanager
def _command_line(folder: Path) -> Iterator[CommandLine]:
    path = folder / "cli.sock"
    before = os.environ.get("MAILPLANE_SOCKET")
    os.environ["MAILPLANE_SOCKET"] = str(path)
    with operator_socket.Daemon(str(path)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield CommandLine(server)
        finally:
            server.shutdown()
            thread.join()
            del os.environ["MAILPLANE_SOCKET"]
            if before is not None:
                os.environ["MAILPLANE_SOCKET"] = before


# --- what reaches a terminal ----------------------------------------------------------------------

_ROWS, _COLUMNS = 120, 240
_AT_ONCE = 100
_OWN = re.compile(
    rb"\x1b\[(?:\d*(?:;\d*)?H|(?:0|1|2|4|7|39|49)?(?:;(?:0|1|2|4|7|39|49))*m|\?(?:2026|25|7)[hl]|K)"
    rb"|\x1b\]22;[a-z-]*\x07"
)
"""What Textual sends itself while it runs without colours: moving, styles, the pointer's shape."""

_LONGEST_OWN = 32

_UNESCAPED = "from mailplane_tui import scrub; scrub._escape = chr"
"""`bugs.no_escaping`, for a process of its own."""


class Screen:
    """The event log on a terminal, which a stand-in fills."""

    def __init__(self, terminal: Terminal, daemon: StandIn) -> None:
        self._terminal = terminal
        self._daemon = daemon
        self._number = 0
        self._rest = b""
        terminal.read_until(b"eve@acme.example")
        terminal.press("6")
        terminal.read_until(b"[6 Events]")

    def judge(self, found: Found, texts: Sequence[str]) -> None:
        """Show them all at once and note what the terminal got that is no plain text."""
        for text in texts:
            self._number += 1
            row = mailbox("eve@acme.example", state="paused", last_reply=text, state_reason=text)
            self._daemon.put(row)
            self._daemon.say(
                LogEvent(event=event(self._number, "bounced", row.address, detail={"reply": text}))
            )
            self._daemon.say(LogAudit(entry=audit(self._number, "pause", text, actor=text)))
        self._number += 1
        mark = f"[b]batch-{self._number}[/b]"
        last = event(self._number, "bounced", "eve@acme.example", detail={"reply": mark})
        self._daemon.say(LogEvent(event=last))
        try:
            seen = self._terminal.read_until(mark.encode(), self._rest)
        except TimeoutError as missing:
            found.note("markup obeyed", mark, str(missing)[-600:], texts[:3])
            return
        except OSError:
            found.note("crashes", "the dashboard is gone", texts[:3])
            raise
        # What it draws next may have begun.
        at = seen.rfind(b"\x1b", -_LONGEST_OWN)
        self._rest = seen[at:] if at >= 0 else b""
        left = _OWN.sub(b"", seen[: len(seen) - len(self._rest)]).decode("utf-8", "replace")
        if bad := unsafe(left) - {"\r", "\n"}:
            at = min(left.index(character) for character in bad)
            found.note("escapes", "terminal", sorted(bad), left[max(0, at - 80) : at + 80])

    def quit(self, found: Found) -> None:
        """End it as an operator does."""
        _, code = self._terminal.quit()
        if code:
            found.note("crashes", "the dashboard ended with", code)


@contextmanager
def _screen(folder: Path, twins: Sequence[str]) -> Iterator[Screen]:
    row = mailbox("eve@acme.example")
    before = _UNESCAPED if "no-escaping" in twins else ""
    with StandIn(folder / "sock", mailboxes={row.address: row}) as daemon:
        terminal = Terminal(folder, rows=_ROWS, columns=_COLUMNS, before=before)
        try:
            yield Screen(terminal, daemon)
        finally:
            terminal.close()


# --- the run --------------------------------------------------------------------------------------


def measure(cases: int, twins: Sequence[str]) -> Measured:
    """Texts that reached a terminal as more than text: by lines, by verbs, and on a real one."""
    found = Found(KINDS)
    shown: list[str] = []
    with (
        short_folder() as folder,
        planted(twins),
        _command_line(folder) as commands,
        _screen(folder, twins) as screen,
    ):

        def check(text: str) -> None:
            _judge_lines(found, text)
            commands.judge(found, text)
            if "\ud800" not in text and "\udfff" not in text:  # no JSON of UTF-8 can hold them
                shown.append(text)
            if len(shown) == _AT_ONCE:
                screen.judge(found, shown)
                shown.clear()

        try_each(found, cases, inputs.text("kim@there.example", "250 2.0.0 OK"), check)
        screen.judge(found, shown)
        screen.quit(found)
    return found.measured()
