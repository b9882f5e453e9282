"""kill -9 at any moment: nothing that was answered is lost, nothing leaves twice, no cap is passed.

The truth is the sink's ledger. The sender is an honest one: what was not answered it sends again,
under the same idempotency key.
"""

from __future__ import annotations

import http.client
import os
import random
import threading
import time
from collections import Counter
from typing import Any

from tests.fakes.process_daemon import Daemon, to, workspace
from tests.fakes.process_wait import until
from tests.fakes.sink_process import Sink

KILLS = 30
MESSAGES = 2_000
BATCH = 20
SENDERS = 3

LIMITS = {
    "ana@acme.example": 150,
    "ben@acme.example": 300,
    "cat@acme.example": 1_000_000,
    "dan@second.example": 1_000_000,
}
DOMAIN_LIMIT = 900
BOOK = [f"{box}; caps = [{{ limit = {limit}, per = 'hour' }}]" for box, limit in LIMITS.items()]
DOMAIN = f"caps = [{{ limit = {DOMAIN_LIMIT}, per = 'day' }}]"


class Senders:
    """Threads that send every message until it is answered, through all restarts."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._left = [
            to(f"kim+{n}@there.example", list(LIMITS)[n % len(LIMITS)], idempotency_key=f"k{n}")
            for n in range(MESSAGES)
        ]
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._send, daemon=True) for _ in range(SENDERS)]
        self.answered: dict[str, str] = {}
        """Idempotency key → message id."""
        self.changed: list[str] = []
        """Keys that were answered with two different ids."""
        self.quota = 0
        """How many may have been answered by now: the sending is spread over all the kills."""

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _send(self) -> None:
        while batch := self._take():
            if not self._post(batch):
                with self._lock:
                    self._left[:0] = batch
                time.sleep(0.01)

    def _take(self) -> list[dict[str, Any]]:
        until(lambda: len(self.answered) < self.quota, "leave to go on", 60)
        with self._lock:
            batch, self._left[:BATCH] = self._left[:BATCH], []
            return batch

    def _post(self, batch: list[dict[str, Any]]) -> bool:
        try:
            reply = self._daemon.door.post("/v1/messages", {"messages": batch})
        except (OSError, http.client.HTTPException):
            return False
        if reply.status != 202:
            return False
        for body, answer in zip(batch, reply.json["results"], strict=True):
            key = body["idempotency_key"]
            with self._lock:
                if self.answered.setdefault(key, answer["id"]) != answer["id"]:
                    self.changed.append(key)
        return True


def test_killed_at_30_random_points_nothing_is_lost_doubled_or_over_a_cap(
    the_sink: Sink, the_daemon: Daemon
) -> None:
    seed = int(os.environ.get("MAILPLANE_SEED") or random.SystemRandom().getrandbits(32))
    print(f"seed {seed}")
    chance = random.Random(seed)
    the_daemon.write("workspaces/acme.toml", workspace(the_sink.port, *BOOK, domain=DOMAIN))
    senders = Senders(the_daemon)
    senders.start()
    for kill in range(1, KILLS + 1):
        senders.quota = MESSAGES * kill // KILLS
        if kill % 3:
            the_daemon.start()
            time.sleep(chance.uniform(0.0, 0.35))
        else:  # while it starts: amid the rebuilding, the recovery, the opening of the doors
            the_daemon.process = the_daemon.spawn()
            time.sleep(chance.uniform(0.2, 0.6))
        the_daemon.kill()
    the_daemon.start()
    senders.quota = MESSAGES + 1
    senders.join()
    door = the_daemon.door
    until(lambda: door.get("/v1/health")["sending"] == 0 and _idle(the_daemon), "an end", 30)

    shown = {message["id"]: message for message in door.all("/v1/messages")}
    states = {id_: message["state"] for id_, message in shown.items()}
    taken = the_sink.taken()
    times = Counter(one.id for one in taken)
    accepted = {id_ for id_, state in states.items() if state == "accepted"}
    unknown = {id_ for id_, state in states.items() if state == "unknown"}
    print(
        f"kills {KILLS}, {KILLS // 3} of them amid a start, messages {MESSAGES}, "
        f"states {dict(Counter(states.values()))}, "
        f"sink {len(taken)}, unknown that arrived {len(unknown & times.keys())}"
    )

    assert unknown, "no kill met a message on the wire: this run shows nothing"
    assert not senders.changed, "one key has one message"
    assert len(senders.answered) == MESSAGES
    assert set(senders.answered.values()) == states.keys(), "lost, or made up"
    assert {id_: count for id_, count in times.items() if count > 1} == {}, "sent twice"
    assert times.keys() <= accepted | unknown, "sent, and the daemon does not say so"
    assert accepted <= times.keys(), "said to be accepted, and the sink never took it"
    assert set(states.values()) <= {"accepted", "unknown", "scheduled"}, "stranded"

    at_sink = Counter(one.sender for one in taken)
    charged = Counter(shown[id_]["mailbox"] for id_ in accepted | unknown)
    for box, limit in LIMITS.items():
        assert at_sink[box] <= charged[box] <= limit, box
        view = door.mailbox(box)
        assert view["unknown"] == sum(shown[id_]["mailbox"] == box for id_ in unknown)
        assert view["caps"][0]["sent"] + view["caps"][0]["unknown"] == charged[box]
    domain = sum(count for box, count in charged.items() if box.endswith("@acme.example"))
    assert domain <= DOMAIN_LIMIT
    assert charged["ana@acme.example"] == LIMITS["ana@acme.example"], "room is used up"
    assert charged["dan@second.example"] == MESSAGES // len(LIMITS)
    assert door.get("/v1/ledger/verify")["differences"] == []


def _idle(daemon: Daemon) -> bool:
    """Whether nothing is due any more: what waits, waits for a cap."""
    door = daemon.door
    waiting = door.all("/v1/messages?state=queued") + door.all("/v1/messages?state=deferred")
    return not waiting and not door.all("/v1/messages?state=sending")
