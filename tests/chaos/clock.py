"""The host's clock leaps under a live daemon, and the host sleeps (libfaketime, a control file).

Only the wall clock is faked: with FAKETIME_DONT_FAKE_MONOTONIC both CLOCK_MONOTONIC and
CLOCK_BOOTTIME stay true, as they do on a host whose clock somebody sets. The sink's clock is real,
so what it took in the minute that a run lasts is what fits into one window of an hour.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.chaos.host import Host, host
from tests.chaos.verdict import Measured, Skipped
from tests.fakes.process_daemon import to, workspace
from tests.fakes.process_wait import until
from tests.fakes.sink_process import Sink, sink

_LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))

LEAPS = ("+1h", "-1h", "+3d", "-3d", "+61m", "-25h", "+8d", "-8d", "+0")
"""Read by libfaketime as offsets from the true time."""

AHEAD = frozenset({"+1h", "+3d", "+61m", "+8d"})
"""Those that have to be told as a finding."""

HOURLY, DAILY = 12, 20
_SETTLE_S = 1.6
"""Longer than the round of a second in which the daemon looks at what has come due."""

ANA, BEN, CAL = "ana@acme.example", "ben@acme.example", "cal@acme.example"
BOOK = [
    f"{ANA}; caps = [{{ limit = {HOURLY}, per = 'hour' }}]",
    f"{BEN}; caps = [{{ limit = {DAILY}, per = 'day' }}]",
    f"{CAL}; caps = [{{ limit = {HOURLY}, per = 'hour', window = 'calendar' }}]",
]
LIMITS = {ANA: HOURLY, BEN: DAILY, CAL: HOURLY}


class FakeClock:
    """The wall clock of one daemon."""

    def __init__(self, control: Path) -> None:
        self._control = control
        self.leap("+0")

    def leap(self, offset: str) -> None:
        """Set it, in one step."""
        fresh = self._control.with_suffix(".new")
        fresh.write_text(offset + "\n")
        fresh.replace(self._control)


@contextmanager
def clocked(twins: Sequence[str]) -> Iterator[tuple[Host, Sink, FakeClock]]:
    """A started daemon with a clock of its own."""
    if not _LIBRARIES:
        raise Skipped("not installed: libfaketime")
    with host(twins) as made, sink(made.log_path.parent / "sink") as the_sink:
        control = made.log_path.parent / "clock"
        clock = FakeClock(control)
        made._environment = {
            "LD_PRELOAD": str(_LIBRARIES[0]),
            "FAKETIME_TIMESTAMP_FILE": str(control),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }
        made.write("workspaces/acme.toml", workspace(the_sink.port, *BOOK))
        made.start()
        yield made, the_sink, clock


def leaps(cases: int, twins: Sequence[str]) -> Measured:
    """Set the clock that often while messages wait for room; then believe one leap."""
    wrong: list[str] = []
    with clocked(twins) as (made, the_sink, clock):
        door = made.door
        for number in range(cases):
            offset = LEAPS[number % len(LEAPS)]
            clock.leap(offset)
            for box in LIMITS:
                bodies = [to(f"kim+{number}-{n}@there.example", box) for n in range(8)]
                reply = door.post("/v1/messages", {"messages": bodies})
                if reply.status != 202:
                    wrong.append(f"{offset}: a submission was answered {reply.status}")
            time.sleep(_SETTLE_S)
            found = door.get("/v1/health")["findings"]
            told = any("clock" in words for words in found)
            if told != (offset in AHEAD):
                wrong.append(f"{offset}: its findings are {found}")
        over = _over(the_sink)
        before = the_sink.by_sender()
        clock.leap("+2d")
        time.sleep(_SETTLE_S)
        accepted = door.post("/v1/clock/accept", {"reason": "it is that late"})
        if accepted.status != 200 or door.get("/v1/health")["findings"]:
            wrong.append("accepting the clock did not clear the finding")
        end = time.monotonic() + 5
        while the_sink.by_sender()[ANA] < before[ANA] + HOURLY and time.monotonic() < end:
            time.sleep(0.05)
        after = the_sink.by_sender() - before
        if after[ANA] < HOURLY:
            wrong.append("what waited did not go when the clock was accepted")
        moved = [e for e in door.all("/v1/events") if e["kind"] == "slot_moved"]
        if not any("clock" in event["detail"]["cause"] for event in moved):
            wrong.append("what went late did not say that it was the clock")
        over += sum(max(0, after[box] - limit) for box, limit in LIMITS.items())
        differences = door.get("/v1/ledger/verify")["differences"]
    return Measured(
        number=over + len(wrong) + len(differences),
        cases=cases,
        details=f"over a cap {over}, ledger differences {len(differences)}, at the sink "
        f"{sum(before.values())} and after accepting {sum(after.values())}; "
        f"{'; '.join(wrong) or 'nothing else'}",
    )


def suspend(cases: int, twins: Sequence[str]) -> Measured:
    """Stop the process, let three days go by on the wall, and let it go on.

    The host has no suspend to test with: its boot clock did not count the days here, so they are
    a leap that is not believed, and nothing that waited may go.
    """
    over = late = 0
    with clocked(twins) as (made, the_sink, clock):
        door = made.door
        for number in range(cases):
            for box in LIMITS:
                for n in range(DAILY + 5):
                    door.send(to(f"kim+{number}-{n}@there.example", box))
            until(lambda: the_sink.by_sender()[BEN] >= DAILY, "the caps used up", 20)
            made.drain()
            before = the_sink.count()
            os.kill(made.pid, signal.SIGSTOP)
            clock.leap(f"+{3 * (number + 1)}d")
            time.sleep(0.3)
            os.kill(made.pid, signal.SIGCONT)
            time.sleep(_SETTLE_S)
            late += the_sink.count() - before
            for n in range(HOURLY):
                door.send(to(f"lee+{number}-{n}@there.example", ANA))
            time.sleep(_SETTLE_S)
            over = _over(the_sink)
    return Measured(
        number=over + late,
        cases=cases,
        details=f"over a cap {over}, sent on waking {late}",
    )


def _over(the_sink: Sink) -> int:
    taken = the_sink.by_sender()
    return sum(max(0, taken[box] - limit) for box, limit in LIMITS.items())
