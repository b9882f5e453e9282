"""The dashboard on a real pseudo-terminal, before a daemon that changes rows four times a second.

The stand-in speaks from this process, so the time of the dashboard's own process is the
dashboard's alone.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from mailplane_wire.resources import MailboxView
from tests.bench.figures import Report, Scale, middle, say, short, spread
from tests.bench.processes import Unfit, end, own_cpu_s, rss_mib
from tests.fakes.daemon_stand_in import StandIn
from tests.fakes.wire_rows import cap, mailbox

_LINES, _COLUMNS = 40, 140
_HZ = 4
_VISIBLE = 36
_BUSY = 1_000
"""Rows in a tick: the mailboxes that 4,000 messages a second can touch, each another one."""
_WITHIN_S = 60.0
_QUIET_S = 0.06

_DASHBOARD = """
import sys
from pathlib import Path
from mailplane_tui.app import run
from mailplane_wire.paths import Places
place = Path(sys.argv[1])
sys.exit(run(Places(config=place, state=place, socket=place / "sock"), workspace="acme"))
"""

_BASE = """
from textual.app import App
from textual.widgets import Footer, Header, Static
class Base(App):
    def compose(self):
        yield Header()
        yield Static("base ready")
        yield Footer()
Base().run()
"""


class Terminal:
    """A program on a pseudo-terminal whose screen somebody reads."""

    def __init__(self, code: str, *arguments: str) -> None:
        self._ours, theirs = pty.openpty()
        size = struct.pack("HHHH", _LINES, _COLUMNS, 0, 0)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, size)
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        environment.pop("NO_COLOR", None)
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            stdin=theirs, stdout=theirs, stderr=theirs,
            env={**environment, "LC_ALL": "C.UTF-8"}, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)

    def read_for(self, seconds: float) -> bytes:
        """What comes in a time."""
        seen, end_s = b"", time.monotonic() + seconds
        while (left_s := end_s - time.monotonic()) > 0:
            seen += self._read(left_s)
        return seen

    def read_until(self, wanted: bytes) -> None:
        """Read on until something has come. Raises Unfit when it does not."""
        seen, end_s = b"", time.monotonic() + _WITHIN_S
        while wanted not in seen:
            if time.monotonic() > end_s or self.process.poll() is not None:
                raise Unfit(f"the terminal never showed {wanted!r}; it ended in {seen[-300:]!r}")
            seen += self._read(0.1)

    def press_ms(self, key: bytes) -> float:
        """From a key to the first byte of what it changes, once the screen is quiet."""
        while self._read(_QUIET_S):
            pass
        start_s = time.perf_counter()
        os.write(self._ours, key)
        while not self._read(1.0):
            if time.perf_counter() - start_s > _WITHIN_S:
                raise Unfit("a key changed nothing")
        return 1e3 * (time.perf_counter() - start_s)

    def close(self) -> None:
        """End the program."""
        end(self.process)
        os.close(self._ours)

    def _read(self, wait_s: float) -> bytes:
        if not select.select([self._ours], [], [], wait_s)[0]:
            return b""
        try:
            return os.read(self._ours, 1 << 18)
        except OSError:  # EIO: the program has ended
            return b""


def measure_dashboard(folder: Path, scale: Scale) -> Report:
    """Processor time while rows change, latency of a key, memory over a minimal app."""
    base_mib = _base_mib(scale.rest_s)
    rows = [
        mailbox(f"box{n:05}@d{n % 50}.example", caps=_caps(n), waiting=n % 7)
        for n in range(scale.mailboxes)
    ]
    with _running(folder, rows) as (stand_in, terminal):
        terminal.read_for(scale.rest_s)
        idle_mib = rss_mib(terminal.process.pid)
        keys = [terminal.press_ms(b"\x1b[B") for _ in range(scale.keys)]
        found = {
            name: _watched(stand_in, terminal, changing, scale.dashboard_s)
            for name, changing in (
                ("none", []),
                ("one_row", rows[:1]),
                ("one_percent", rows[:: max(1, len(rows) // (len(rows) // 100 or 1))]),
                ("visible", rows[:_VISIBLE]),
                ("busy", rows[:_BUSY]),
                ("all", rows),
            )
        }
        after_mib = rss_mib(terminal.process.pid)
    shares = {name: watched["cpu_of_a_core"] for name, watched in found.items()}
    say("  " + ", ".join(f"{name} {share:.4f}" for name, share in shares.items()))
    if (slowest := min(found[name]["ticks_per_s"] for name in shares if name != "none")) < 3.5:
        say(f"  the stand-in came to {slowest} changes a second only, not {_HZ}")
    report = Report()
    report.goals = {
        "dashboard_cpu_10k_4hz": max(shares.values()),
        "dashboard_cpu_10k_4hz_usual": shares["one_percent"],
        "dashboard_key_p50_ms": middle(keys),
        "dashboard_rss_mib_over_base": short(idle_mib - base_mib),
    }
    report.support["dashboard"] = {
        "rows": len(rows),
        "changing": found,
        "key_ms": spread(keys),
        "rss_mib": {
            "base": short(base_mib), "idle": short(idle_mib), "after": short(after_mib),
        },
    }  # fmt: skip
    return report


def _caps(n: int) -> list[object]:
    return [cap("day", sent=n % 40, waiting=4), cap("week", limit=250, sent=n % 200)]


def _base_mib(rest_s: float) -> float:
    terminal = Terminal(_BASE)
    try:
        terminal.read_until(b"base ready")
        terminal.read_for(rest_s)
        return rss_mib(terminal.process.pid)
    finally:
        terminal.close()


@contextmanager
def _running(folder: Path, rows: list[MailboxView]) -> Iterator[tuple[StandIn, Terminal]]:
    mailboxes = {row.address: row for row in rows}
    with StandIn(folder / "sock", mailboxes=mailboxes, heartbeat_s=1.0) as stand_in:
        terminal = Terminal(_DASHBOARD, str(folder))
        try:
            terminal.read_until(b"box00001")
            yield stand_in, terminal
        finally:
            terminal.close()


def _watched(
    stand_in: StandIn, terminal: Terminal, rows: list[MailboxView], seconds: float
) -> dict[str, float]:
    """What the dashboard takes while these rows change, and how many of them it was told."""
    ticks = itertools.count()
    stop = threading.Event()

    def change() -> None:
        due_s = time.monotonic()
        for number in ticks:
            caps = _caps(number)
            stand_in.put(
                *(
                    msgspec.structs.replace(row, waiting=number % 90, sent_7d=number, caps=caps)
                    for row in rows
                )
            )
            due_s += 1 / _HZ
            if stop.wait(max(0.0, due_s - time.monotonic())):
                return

    changer = threading.Thread(target=change, daemon=True)
    changer.start()
    try:
        terminal.read_for(1 / _HZ)
        start_s, before_s = time.monotonic(), own_cpu_s(terminal.process.pid)
        first, told = next(ticks), stand_in.told
        terminal.read_for(seconds)
        used_s, took_s = own_cpu_s(terminal.process.pid) - before_s, time.monotonic() - start_s
        return {
            "cpu_of_a_core": short(used_s / took_s),
            "ticks_per_s": short((next(ticks) - 1 - first) / took_s),
            "mailboxes_told_per_s": short((stand_in.told - told) / took_s),
        }
    finally:
        stop.set()
        changer.join()
        terminal.read_for(1 / _HZ)
