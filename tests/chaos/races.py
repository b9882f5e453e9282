"""Many at once: for the last slot (G6), under one idempotency key, and for one state (G22)."""

from __future__ import annotations

import subprocess
import time
from collections import Counter
from collections.abc import Sequence

from tests.chaos.crowd import crowd
from tests.chaos.host import Host, host
from tests.chaos.verdict import Measured
from tests.fakes.process_daemon import to, workspace
from tests.fakes.process_http import Door
from tests.fakes.process_wait import until
from tests.fakes.sink_process import sink

PROCESSES, SUBMITTERS = 4, 50
CALLERS = 100
STARTS_WITHIN_S = 90
TEMPFAIL = 75


def _doors(made: Host) -> list[Door]:
    """Half the processes come by the socket, half by the shim."""
    shim = made.shim(made.token())
    return [made.door, shim] * (PROCESSES // 2)


def last_slot(cases: int, twins: Sequence[str]) -> Measured:
    """A mailbox with room for one, and 200 who want it; the next mailbox, and 200 again."""
    boxes = [f"box{n}@acme.example" for n in range(cases)]
    rounds = [
        [to(f"kim+{n}@there.example", box, on_cap="reject") for n in range(PROCESSES * SUBMITTERS)]
        for box in boxes
    ]
    book = [f"{box}; caps = [{{ limit = 1, per = 'hour' }}]" for box in boxes]
    statuses: Counter[int] = Counter()
    with host(twins) as made, sink(made.log_path.parent / "sink") as the_sink:
        made.write("workspaces/acme.toml", workspace(the_sink.port, *book))
        made.start()
        with crowd(_doors(made), rounds) as callers:
            for _ in boxes:
                statuses.update(status for status, _ in callers.round())
        made.drain()
        taken = the_sink.by_sender()
    words = ", ".join(f"{count} × {status}" for status, count in sorted(statuses.items()))
    return Measured(
        number=sum(taken.values()),
        cases=cases,
        details=f"{len(taken)} mailboxes with a winner at the sink, {words}",
        more={"most_for_one": max(taken.values(), default=0)},
    )


def idempotency(cases: int, twins: Sequence[str]) -> Measured:
    """100 callers at once for each key; the number is of the messages beyond one for each key."""
    box = "ana@acme.example"
    rounds = [
        [to(f"kim+{key}@there.example", box, idempotency_key=f"k{key}") for _ in range(CALLERS)]
        for key in range(cases)
    ]
    several = refused = 0
    with host(twins) as made, sink(made.log_path.parent / "sink") as the_sink:
        made.write("workspaces/acme.toml", workspace(the_sink.port, box))
        made.start()
        with crowd(_doors(made), rounds) as callers:
            for _ in rounds:
                answers = callers.round()
                several += len({id_ for _, id_ in answers}) - 1
                refused += sum(status not in {200, 202} for status, _ in answers)
        made.drain()
        taken = the_sink.count()
    return Measured(
        number=abs(taken - cases) + several + refused,
        cases=cases,
        details=f"{CALLERS} callers each, {taken} messages at the sink, "
        f"ids beyond one {several}, other answers {refused}",
    )


def starts(cases: int, twins: Sequence[str]) -> Measured:
    """Start that many on one state directory in the same instant; how many live."""
    with host(twins) as made, sink(made.log_path.parent / "sink") as the_sink:
        made.write("workspaces/acme.toml", workspace(the_sink.port, "ana@acme.example"))
        made.start()
        kept = made.door.send(to("kim@there.example"))["id"]
        made.drain()
        made.stop()
        made._log_from = made.log_path.stat().st_size
        started = [made.spawn() for _ in range(cases)]
        try:
            end = time.monotonic() + STARTS_WITHIN_S
            while time.monotonic() < end and not _decided(made, started):
                time.sleep(0.1)
            alive = [process for process in started if process.poll() is None]
            polite = [process.returncode for process in started].count(TEMPFAIL)
            door = made.door
            until(made.socket.exists, "a socket")
            answers = door.get("/v1/health")["pid"] in {process.pid for process in alive}
            known = door.message(kept)["state"] == "accepted"
        finally:
            for process in started:
                process.kill()
                process.wait(10)
    return Measured(
        number=len(alive),
        cases=cases,
        details=f"{polite} said who has it, the living one answers: {answers}, "
        f"and knows what was sent: {known}",
        more={"polite": polite, "answers": answers and known},
    )


def _decided(made: Host, started: Sequence[subprocess.Popen[bytes]]) -> bool:
    """Whether each of them is ready or has ended."""
    content = made.log_path.read_bytes()[made._log_from :]
    ended = sum(process.poll() is not None for process in started)
    return content.count(b'"ready"') + ended >= len(started)
