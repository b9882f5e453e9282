"""What was promised against what happened: the answers, the daemon's word, the sink's ledger."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.chaos.host import Host
from tests.chaos.load import DOMAIN_LIMIT, LIMITS, Load
from tests.fakes.process_daemon import to
from tests.fakes.sink_process import Sink

ENDS = frozenset({"accepted", "unknown", "scheduled", "deferred", "expired"})
"""Where a message may be when nothing is due and the sink refuses nothing: ended, or at a cap.

It expires when its life is over, or as soon as no window before that has room for it any more.
"""

ENOUGH = 5
"""Messages for each case, at least."""


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Each of these counts something that must not be."""

    lost: int
    """Acknowledged, and gone or stranded; said to be accepted, and never taken; or expired while
    there was room."""
    doubled: int
    over: int
    """Messages beyond a cap, at the sink."""
    untold: int
    """At the sink, and the daemon does not say that they are or may be."""
    uncharged: int
    """Messages that left and are not counted against their mailbox."""
    changed: int
    """Keys with two messages."""
    strange: int
    """Refusals for no reason."""
    example: str
    """The story of one message that is lost, or nothing."""
    acknowledged: int
    taken: int
    unknown: int
    expired: int

    @property
    def wrong(self) -> int:
        """All of it."""
        return (
            self.lost
            + self.doubled
            + self.over
            + self.untold
            + self.uncharged
            + self.changed
            + self.strange
        )

    def counted(self, cases: int) -> int:
        """The cases, if there was a load worth the name in them; a quiet run has shown nothing."""
        return cases if min(self.acknowledged, self.taken) >= ENOUGH * cases else 0

    @property
    def words(self) -> str:
        """In words."""
        return (
            f"lost {self.lost}, twice {self.doubled}, over a cap {self.over}, untold {self.untold},"
            f" uncharged {self.uncharged}, keys with two {self.changed}; "
            f"acknowledged {self.acknowledged}, at the sink {self.taken}, unknown {self.unknown}, "
            f"expired {self.expired}{self.example}"
        )

    @property
    def figures(self) -> dict[str, float]:
        """For the JSON."""
        return {
            "acknowledged": self.acknowledged,
            "at_sink": self.taken,
            "unknown": self.unknown,
        }


def tally(
    host: Host,
    sink: Sink,
    load: Load,
    limits: Mapping[str, int] = LIMITS,
    domain_limit: int = DOMAIN_LIMIT,
) -> Tally:
    """Compare, once the daemon is idle. All of the run has to fit into the shortest window."""
    shown = {message["id"]: message for message in host.door.all("/v1/messages")}
    states = {id_: message["state"] for id_, message in shown.items()}
    taken = sink.taken()
    times = Counter(one.id for one in taken)
    told = {id_ for id_, state in states.items() if state in {"accepted", "unknown"}}
    acknowledged = set(load.answered.values())
    gone = [id_ for id_ in acknowledged if states.get(id_) not in ENDS]
    gone += expired_early(host, [shown[id_] for id_ in acknowledged & states.keys()])
    claimed = [id_ for id_, state in states.items() if state == "accepted" and id_ not in times]
    at_sink = Counter(one.sender for one in taken)
    over = sum(max(0, at_sink[box] - limit) for box, limit in limits.items())
    in_domain = sum(count for box, count in at_sink.items() if box.endswith("@acme.example"))
    charged = Counter(shown[id_]["mailbox"] for id_ in told)
    uncharged = 0
    for box in limits:
        (cap, *_) = host.door.mailbox(box)["caps"]
        uncharged += max(0, charged[box] - cap["sent"] - cap["unknown"])
        uncharged += max(0, at_sink[box] - cap["sent"] - cap["unknown"])
    return Tally(
        lost=len(gone) + len(claimed),
        doubled=sum(count - 1 for count in times.values() if count > 1),
        over=over + max(0, in_domain - domain_limit),
        untold=len(times.keys() - told),
        uncharged=uncharged,
        changed=len(load.changed),
        strange=len(load.strange),
        example=_story(host, [*gone, *claimed])
        + "".join(f"; {words}" for words in load.strange[:1]),
        acknowledged=len(acknowledged),
        taken=len(taken),
        unknown=sum(state == "unknown" for state in states.values()),
        expired=sum(state == "expired" for state in states.values()),
    )


def expired_early(host: Host, messages: list[dict[str, Any]]) -> list[str]:
    """Messages that expired though another with no more time left would get a slot."""
    expired: dict[str, list[dict[str, Any]]] = {}
    for message in messages:
        if message["state"] == "expired":
            expired.setdefault(message["mailbox"], []).append(message)
    early = []
    for mailbox, ended in expired.items():
        last = max(datetime.fromisoformat(message["expires_at"]) for message in ended)
        left_s = int(last.timestamp() - time.time())
        asked = to("kim@there.example", mailbox, expires_in=f"{left_s}s")
        if left_s > 0 and host.door.post("/v1/preflight", asked).status == 200:
            early += [message["id"] for message in ended]
    return early


def _story(host: Host, ids: list[str]) -> str:
    if not ids:
        return ""
    reply = host.door.call("GET", f"/v1/messages/{ids[0]}")
    return f"; for example {reply.content.decode()}"
