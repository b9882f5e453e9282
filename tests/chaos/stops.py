"""Pauses and suppressions against a queue in full flow: after the answer nothing begins (G7).

The times of attempts and pauses are the daemon's own, read from its tables after it has stopped;
what the sink took while a pause held and nothing was under way is counted apart.
"""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Self

from tests.chaos.host import Host, host
from tests.chaos.verdict import Measured
from tests.fakes.process_daemon import to, workspace
from tests.fakes.process_wait import until
from tests.fakes.sink_process import Sink, sink

MAILBOXES = 24
THREADS = 8
BATCH = MAILBOXES
AHEAD = 500
"""How many messages may wait: the flow never ends, and the queue stays small."""

_BREATH_S = 0.02

LONGEST_SEND_S = 2.0
WATCHED = 100
"""One pause in so many is held until nothing is under way, and the sink is watched."""

_BOXES = [f"box{n}@acme.example" for n in range(MAILBOXES)]


class Flow:
    """Messages to all mailboxes without end, each to a recipient of a numbered set."""

    def __init__(self, made: Host, recipients: int) -> None:
        self._made = made
        self._recipients = recipients
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.asked = 0
        """How many messages have been handed in, or are just being so."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join(30)

    def _run(self) -> None:
        door, number = self._made.door, 0
        while not self._ending.is_set():
            if door.get("/v1/health")["waiting"] > AHEAD:
                time.sleep(_BREATH_S)
                continue
            bodies = []
            for _ in range(BATCH):
                recipient = f"kim+{number % self._recipients}@there.example"
                bodies.append(to(recipient, _BOXES[number % MAILBOXES]))
                number += 1
            time.sleep(_BREATH_S)
            self.asked = number
            door.post("/v1/messages", {"messages": bodies})


def _run(
    twins: Sequence[str],
    recipients: int,
    cases: int,
    race: Callable[[Host, Sink, Flow, int], int],
    late: Callable[[sqlite3.Connection], int],
) -> tuple[int, int, int, int]:
    """Late attempts by the tables, late messages at the sink, attempts, messages taken."""
    with host(twins) as made, sink(made.log_path.parent / "sink") as the_sink:
        made.write("workspaces/acme.toml", workspace(the_sink.port, *_BOXES))
        made.start()
        with Flow(made, recipients) as flow:
            until(lambda: the_sink.count() > MAILBOXES, "the flow", 20)
            with ThreadPoolExecutor(THREADS) as pool:
                seen = sum(pool.map(lambda n: race(made, the_sink, flow, n), range(cases)))
        assert made.stop() == 0
        connection = sqlite3.connect(made.state / "mailplane.db")
        try:
            (attempts,) = connection.execute("SELECT count(*) FROM attempts").fetchone()
            return late(connection), seen, int(attempts), the_sink.count()
        finally:
            connection.close()


def pauses(cases: int, twins: Sequence[str]) -> Measured:
    """Pause and resume that often, over all mailboxes, while messages flow."""
    held = [threading.Lock() for _ in _BOXES]
    chance = random.Random(random.SystemRandom().getrandbits(32))

    def race(made: Host, the_sink: Sink, flow: Flow, number: int) -> int:
        del flow
        box, seen = _BOXES[number % MAILBOXES], 0
        with held[number % MAILBOXES]:
            reply = made.door.post(f"/v1/mailboxes/{box}/pause", {"reason": "a race"})
            assert reply.status == 201, reply.content
            if number % WATCHED == 0:
                door = made.door
                end = time.monotonic() + LONGEST_SEND_S
                while door.mailbox(box)["sending"] and time.monotonic() < end:
                    time.sleep(0.01)
                before = the_sink.by_sender()[box]
                time.sleep(0.05)
                seen = the_sink.by_sender()[box] - before
            elif number % 4 == 0:
                time.sleep(chance.uniform(0, 0.01))
            reply = made.door.post(f"/v1/mailboxes/{box}/resume", {"reason": "over"})
            assert reply.status == 200, reply.content
        return seen

    late, seen, attempts, taken = _run(twins, 10_000, cases, race, _begun_while_paused)
    return Measured(
        number=late + seen,
        cases=cases,
        details=f"begun while paused {late}, seen at the sink {seen}; "
        f"{attempts} attempts, {taken} taken",
        more={"attempts": attempts},
    )


def suppressions(cases: int, twins: Sequence[str]) -> Measured:
    """Suppress that many recipients, each once, while messages to all of them flow."""

    def race(made: Host, the_sink: Sink, flow: Flow, number: int) -> int:
        del the_sink
        while flow.asked <= number:  # its first message has only just been handed in
            time.sleep(0.001)
        body = {"address": f"kim+{number}@there.example", "workspace": "acme"}
        reply = made.door.post("/v1/suppressions", body)
        assert reply.status == 201, reply.content
        return 0

    late, _, attempts, taken = _run(twins, cases, cases, race, _begun_to_suppressed)
    return Measured(
        number=late,
        cases=cases,
        details=f"begun after it {late}; {attempts} attempts, {taken} taken",
        more={"attempts": attempts},
    )


def _begun_while_paused(connection: sqlite3.Connection) -> int:
    (count,) = connection.execute(
        "SELECT count(*) FROM attempts a JOIN pauses p ON p.scope_id = a.mailbox_id"
        " WHERE a.begun_at > p.created_at AND (p.lifted_at IS NULL OR a.begun_at < p.lifted_at)"
    ).fetchone()
    return int(count)


def _begun_to_suppressed(connection: sqlite3.Connection) -> int:
    (count,) = connection.execute(
        "SELECT count(*) FROM attempts a JOIN recipients r USING (message_id)"
        " JOIN suppressions s ON s.address = r.address WHERE a.begun_at > s.created_at"
    ).fetchone()
    return int(count)
