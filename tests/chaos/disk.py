"""A full disk, and one that has become read-only: refused loudly, nothing sent, and back again."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tests.chaos.host import Host, host
from tests.chaos.kill import loaded
from tests.chaos.load import Load
from tests.chaos.mounts import Ballast, disk, memory_disk
from tests.chaos.tally import Tally, tally
from tests.chaos.verdict import Measured
from tests.fakes.process_daemon import to
from tests.fakes.process_http import Reply
from tests.fakes.sink_process import Sink

FULL = 507
_LEAVE_BYTES = 96 * 1024
"""Room for a few commits more, so that the disk fills up amid the load."""

_IDLE_BOX = "zoe@third.example"
"""Nobody waits for it, so it can be paused."""

_STREAM = b"GET /v1/stream HTTP/1.1\r\nHost: mailplane\r\n\r\n"


class Watch:
    """What was done wrong while nothing could be written, and what was acknowledged then."""

    def __init__(self, made: Host, the_sink: Sink, load: Load) -> None:
        self.wrong: list[str] = []
        self._made = made
        self._sink = the_sink
        self._load = load
        self._kept: list[tuple[str, str]] = []
        self._round = 0

    @contextmanager
    def round(self) -> Iterator[None]:
        """One fault; a daemon that dies of it, or no longer answers, is wrong too."""
        self._round += 1
        self._load.statuses.pop(FULL, None)
        self._load.keep_busy()
        dashboard = self._made.door.socket()
        dashboard.sendall(_STREAM)
        try:
            yield
        except (OSError, AssertionError, http.client.HTTPException) as fault:
            self.wrong.append(f"no answer from the daemon: {type(fault).__name__}")
            if self._made.process is not None:
                self._made.kill()
        finally:
            dashboard.close()

    def while_unwritable(self, refill: Callable[[], None] = lambda: None) -> None:
        """Quiet refusals, and sends without a charge."""
        if not _comes(lambda: self._load.statuses.get(FULL, 0) > 0):
            self.wrong.append("no submission was refused")
            return
        refill()
        for what, reply in self._changes():
            # A commit that fits into what the log already has is a commit.
            if reply.status // 100 == 2:
                self._kept.append((what, str(reply.json["id"])))
            elif reply.status != FULL or not reply.json.get("detail"):
                self.wrong.append(f"{what} was answered {reply.status}")
        self._load.quota = 0
        if self._made.door.post("/v1/suppressions", self._suppression("z")).status == FULL:
            health = self._made.door.get("/v1/health")
            if health["status"] != "degraded" or not health["findings"]:
                self.wrong.append(f"its health is {health['status']}, with {health['findings']}")

    def works_again(self) -> None:
        """Whether it takes changes again, by itself."""
        door = self._made.door
        again = self._suppression("again")
        if not _comes(lambda: door.post("/v1/suppressions", again).status == 201):
            self.wrong.append("it does not work again")
        elif not _comes(lambda: door.get("/v1/health")["status"] == "ok"):
            self.wrong.append("it still says that it does not work")

    def end(self) -> Tally:
        """The whole account; what was acknowledged has to be there after a kill -9, too."""
        made = self._made
        self._load.finish()
        made.drain()
        made.kill()
        made.start()
        made.drain()
        door = made.door
        there = {one["id"] for one in door.get("/v1/suppressions")["items"]}
        there |= {one["id"] for one in door.get("/v1/pauses?lifted=true")["items"]}
        there |= {one["id"] for one in door.get("/v1/pauses")["items"]}
        there |= {one["id"] for one in door.all("/v1/messages")}
        gone = [what for what, id_ in self._kept if id_ not in there]
        self.wrong += [f"{what} was acknowledged and is gone" for what in gone]
        return tally(made, self._sink, self._load)

    def _changes(self) -> list[tuple[str, Reply]]:
        """The answers to one change of each kind that a person may rely on."""
        door = self._made.door
        pause = {"reason": f"round {self._round}"}
        return [
            ("a submission", door.post("/v1/messages", to("lee@there.example", _IDLE_BOX))),
            ("a pause", door.post(f"/v1/mailboxes/{_IDLE_BOX}/pause", pause)),
            ("a suppression", door.post("/v1/suppressions", self._suppression("y"))),
        ]

    def _suppression(self, name: str) -> dict[str, Any]:
        address = f"{name}{self._round}-{time.monotonic_ns()}@nowhere.example"
        return {"address": address, "workspace": "acme"}

    def measured(self, found: Tally, rounds: int) -> Measured:
        """The number."""
        statuses = self._load.statuses
        other = {s: n for s, n in statuses.items() if s >= 500 and s != FULL}
        told = "; ".join(dict.fromkeys(self.wrong)) or "none"
        return Measured(
            number=found.wrong + len(self.wrong) + sum(other.values()),
            cases=found.counted(rounds),
            details=f"{found.words}; wrong meanwhile: {told}; other 5xx {other or 'none'}",
            more=found.figures,
        )


def full(cases: int, twins: Sequence[str]) -> Measured:
    """Fill the disk that often under load; it has to work again without a restart.

    Every other time it is killed while the disk is full: what left then has to be known.
    """
    with memory_disk(192) as point, host(twins) as made:
        made.state = point / "state"
        ballast = Ballast(point)
        with loaded(made) as (the_sink, load):
            watch = Watch(made, the_sink, load)
            for number in range(cases):
                with watch.round():
                    time.sleep(0.05)
                    ballast.fill(_LEAVE_BYTES)
                    watch.while_unwritable(refill=lambda: ballast.fill(0))
                    if number % 2:
                        made.kill()
                ballast.drop()
                if not made.alive:
                    made.start()
                with watch.round():
                    watch.works_again()
                if not made.alive:
                    made.start()
            found = watch.end()
            made.kill()
    return watch.measured(found, cases)


def read_only(cases: int, twins: Sequence[str]) -> Measured:
    """The file system turns read-only under load, as after an error; a new mount mends it."""
    with disk() as made_disk, host(twins) as made:
        made.state = made_disk.point / "state"
        with loaded(made) as (the_sink, load):
            watch = Watch(made, the_sink, load)
            for _ in range(cases):
                with watch.round():
                    time.sleep(0.1)
                    made_disk.abort()
                    watch.while_unwritable()
                    made.kill()
                made_disk.unmount()
                made_disk.mount()
                made_disk.freeze()
                code = made.try_start()
                if code in {None, 0, 1, 70}:
                    watch.wrong.append(f"on a read-only state it started, or ended with {code}")
                made_disk.unmount()
                made_disk.mount()
                made.start()
                watch.works_again()
            found = watch.end()
            made.kill()
    return watch.measured(found, cases)


def _comes(condition: Callable[[], bool], within_s: float = 15) -> bool:
    end = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
