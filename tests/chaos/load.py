"""Senders over every door: what is not answered is sent again under the same idempotency key."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Sequence
from typing import Any

from tests.chaos.host import Host
from tests.fakes.process_daemon import to, workspace
from tests.fakes.process_http import Door, Reply
from tests.fakes.process_wait import until

LIMITS = {
    "ana@acme.example": 150,
    "ben@acme.example": 300,
    "cat@acme.example": 1_000_000,
    "dan@second.example": 1_000_000,
}
DOMAIN_LIMIT = 900
BOOK = [f"{box}; caps = [{{ limit = {limit}, per = 'hour' }}]" for box, limit in LIMITS.items()]
BOOK.append("zoe@third.example")
"""Sends nothing, and can be paused without anybody waiting for it."""

DOMAIN = f"caps = [{{ limit = {DOMAIN_LIMIT}, per = 'day' }}]"


def book(port: int) -> str:
    """All of it at one relay. Only acme.example has a cap: dan's messages flow to the end."""
    open_domain = 'name = "second.example"'
    return workspace(port, *BOOK, domain=DOMAIN).replace(f"{open_domain}\n{DOMAIN}", open_domain)


LANES = (("socket", 1), ("socket", 20), ("shim", 1), ("shim", 20))
"""Which door, and how many messages in a request."""

AHEAD = 3_000
"""More than the senders can send in one life of the daemon."""

TOO_MANY = 429
LIFE = "30d"
"""Long enough for whatever slot the caps leave."""

_PAUSE_S = 0.01


class Load:
    """Threads that send until `stop`, through all restarts, as fast as `quota` allows."""

    def __init__(self, host: Host, token: str, lanes: Sequence[tuple[str, int]] = LANES) -> None:
        self._host = host
        self._token = token
        self._mailboxes = tuple(LIMITS)
        self._lock = threading.Lock()
        self._again: list[dict[str, Any]] = []
        self._next = 0
        self._ending = False
        self._threads = [
            threading.Thread(target=self._send, args=lane, daemon=True) for lane in lanes
        ]
        self.answered: dict[str, str] = {}
        """Idempotency key → message id, for what was accepted."""
        self.refused: list[str] = []
        """Keys that a cap had no room for, however long they wait."""
        self.strange: list[str] = []
        """Refusals that nothing here asks for: a run with one has tested something else."""
        self.changed: list[str] = []
        """Keys that were answered with two different ids."""
        self.statuses: dict[int, int] = {}
        """How often each status was answered."""
        self.faults: list[bytes] = []
        """Answers of 500, 503 and the like."""
        self.quota = 0
        """How many new messages may have been made by now."""

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    @property
    def made(self) -> int:
        """How many messages have been made."""
        return self._next

    def keep_busy(self) -> None:
        """Let so many messages be made that there is always one under way."""
        self.quota = self._next + AHEAD

    def spent(self) -> bool:
        """Whether all that was allowed is answered."""
        with self._lock:
            return len(self.answered) + len(self.refused) >= self.quota

    def finish(self, within_s: float = 60) -> None:
        """Make no more; wait until every message is answered, and end."""
        with self._lock:
            self.quota = self._next
        until(self.spent, f"answers to all of {self.quota} messages", within_s)
        self.stop()

    def stop(self) -> None:
        """End, answered or not."""
        self._ending = True
        for thread in self._threads:
            thread.join(40)

    def _send(self, door: str, size: int) -> None:
        while not self._ending:
            bodies = self._take(size)
            if not bodies:
                time.sleep(_PAUSE_S)
            elif not self._post(door, bodies, batch=size > 1):
                with self._lock:
                    self._again += bodies
                time.sleep(_PAUSE_S)

    def _take(self, size: int) -> list[dict[str, Any]]:
        with self._lock:
            taken, self._again = self._again[:size], self._again[size:]
            while len(taken) < size and self._next < self.quota:
                mailbox = self._mailboxes[self._next % len(self._mailboxes)]
                key = f"k{self._next}"
                body = to(
                    f"kim+{self._next}@there.example",
                    mailbox,
                    idempotency_key=key,
                    expires_in=LIFE,
                )
                taken.append(body)
                self._next += 1
            return taken

    def _post(self, door: str, bodies: list[dict[str, Any]], *, batch: bool) -> bool:
        entrance: Door | None = self._host.door
        if door == "shim":
            entrance = self._host.shim_door(self._token)
        if entrance is None:
            return False
        try:
            reply = entrance.post("/v1/messages", {"messages": bodies} if batch else bodies[0])
        except (OSError, http.client.HTTPException):
            return False
        with self._lock:
            self._count(reply)
            if reply.status == TOO_MANY:
                self.refused += [body["idempotency_key"] for body in bodies]
                return True
            if reply.status not in {200, 202}:
                if reply.status < 500:
                    self.strange.append(str(reply.content)[:300])
                return False
            answers = reply.json["results"] if batch else [reply.json]
            for body, answer in zip(bodies, answers, strict=True):
                key = body["idempotency_key"]
                if "id" not in answer and answer["status"] == TOO_MANY:
                    self.refused.append(key)  # its slot would lie beyond its life
                elif "id" not in answer:
                    self.strange.append(str(answer)[:300])
                elif self.answered.setdefault(key, answer["id"]) != answer["id"]:
                    self.changed.append(key)
        return True

    def _count(self, reply: Reply) -> None:
        self.statuses[reply.status] = self.statuses.get(reply.status, 0) + 1
        if reply.status >= 500:
            self.faults.append(reply.content)
