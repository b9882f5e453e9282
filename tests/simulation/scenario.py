"""A short run with a script, in which everything happens once, for kills at every point of it.

Three doors, every outcome, caps of each kind that bind, pauses, a suppression, a cancel, a new
book, a kill and a stop, and a person who looks into what is unknown. It begins two and a half
minutes before a clock change, and is the same each time but for what a kill changes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

from mailplaned.core import Core
from mailplaned.domain.policy import (
    Account,
    Cap,
    Counts,
    Delivery,
    Mailbox,
    OnCap,
    Pace,
    Path,
    Policy,
    SendingDomain,
    Workload,
    Workspace,
)
from mailplaned.domain.windows import HOUR_US, MINUTE_US, SECOND_US, Kind, Per, to_us
from mailplaned.doors.http.context import Surface
from mailplaned.services.answers import Submission
from mailplaned.services.compose import Recipient
from tests.fakes.transports_scripted import Handed, Provider, Temper
from tests.simulation.operators import Operators
from tests.simulation.run import Result, be_quiet, conclude
from tests.simulation.senders import TEMPLATE, Senders
from tests.simulation.world import World

START_US = to_us(datetime.fromisoformat("2026-03-29T00:57:30Z"))
"""At 01:00 UTC the clocks of Berlin go from 02:00 to 03:00."""

ANA, BEN, CAL = "ana@acme.example", "ben@acme.example", "cal@bolt.example"
STORM_US = 6 * MINUTE_US
STEP_US = HOUR_US // 2

SOCKET, SHIM = Surface.OPERATOR, Surface.SHIM
HOURLY = Cap(limit=3, per=Per.HOUR)


class Predicted(Provider):
    """What comes of the first attempt stands in the recipient's name: `quota-1@dest-a.example`."""

    def fate(self, handed: Handed) -> str:
        wanted = handed.recipients[0].partition("-")[0]
        first = sum(other.message == handed.message for other in self.journal) == 1
        return wanted if first and wanted in Temper.__slots__ else "accepted"


def policy() -> Policy:
    """The book that the run begins with."""
    acme = Workspace(
        name="acme",
        zone=ZoneInfo("Europe/Berlin"),
        caps=(Cap(limit=10, per=Per.HOUR),),
        accounts={"relay": _account("acme", Cap(limit=20, per=Per.DAY))},
        domains={
            "acme.example": SendingDomain(
                name="acme.example",
                workspace="acme",
                caps=(Cap(limit=9, per=Per.HOUR, counts=Counts.RECIPIENTS),),
            )
        },
        mailboxes={
            ANA: _mailbox(
                ANA,
                "acme",
                replace(HOURLY, kind=Kind.CALENDAR),
                Cap(limit=12, per=Per.DAY, kind=Kind.CALENDAR),
                shares={"transactional": 2},
            ),
            BEN: _mailbox(BEN, "acme", HOURLY, pace=Pace(min_gap_us=20 * SECOND_US)),
        },
        paths={"main": Path(name="main", workspace="acme", tiers=((ANA,), (BEN,)))},
        workloads={
            "cold": Workload(
                name="cold", workspace="acme", recipient_domain=Cap(limit=2, per=Per.HOUR)
            )
        },
    )
    bolt = Workspace(
        name="bolt",
        zone=ZoneInfo("America/New_York"),
        accounts={"relay": _account("bolt")},
        domains={"bolt.example": SendingDomain(name="bolt.example", workspace="bolt")},
        mailboxes={CAL: _mailbox(CAL, "bolt", HOURLY)},
        workloads={
            "transactional": Workload(
                name="transactional", workspace="bolt", delivery=Delivery.AT_LEAST_ONCE
            )
        },
    )
    return Policy(hash="book-0", workspaces={"acme": acme, "bolt": bolt})


def _account(workspace: str, *caps: Cap) -> Account:
    return Account(name="relay", workspace=workspace, provider="smtp", caps=caps, connections=2)


def _mailbox(address: str, workspace: str, *caps: Cap, **more: object) -> Mailbox:
    return Mailbox(
        address=address,
        workspace=workspace,
        domain=address.partition("@")[2],
        account="relay",
        caps=caps,
        **more,  # type: ignore[arg-type]
    )


def _lowered(book: Policy) -> Policy:
    """The next book: lower caps, and another zone."""
    acme, bolt = book.workspaces["acme"], book.workspaces["bolt"]
    ana = acme.mailboxes[ANA]
    lower = replace(ana, caps=(replace(ana.caps[0], limit=2), *ana.caps[1:]))
    acme = replace(
        acme, caps=(Cap(limit=8, per=Per.HOUR),), mailboxes={**acme.mailboxes, ANA: lower}
    )
    bolt = replace(bolt, zone=ZoneInfo("Asia/Kolkata"))
    return replace(book, hash="book-1", workspaces={"acme": acme, "bolt": bolt})


class Script:
    """The run, up to its calm."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._number = 0
        self.senders = Senders(world, per_day=0)
        self.operators = Operators(world, self.senders, every_s=0)

    def start(self) -> None:
        """Put everything on the clock."""
        for at_s, act in self._acts():
            self._world.after(at_s, act)
        self._look_into_unknown()

    def _acts(self) -> list[tuple[float, Callable[[], None]]]:
        operators, world = self.operators, self._world
        canceled = self._cold("ok-9@dest-c.example", path="main", later_us=HOUR_US)
        last = self._cold("ok-8@dest-b.example", BEN, expires_us=15 * MINUTE_US)
        return [
            (0.30, self._hands_in(SOCKET, self._cold("ok-1@dest-a.example", ANA))),
            (0.30, self._hands_in(SHIM, *self._first_batch())),
            (0.35, self._hands_in(None, self._cold("lost_answer-1@dest-c.example", ANA))),
            (1.00, self._hands_in(SOCKET, *self._second_batch(), canceled)),
            (1.40, self._hands_in(None, self._bolt("slow-1@dest-b.example"))),
            (1.50, self._hands_in(SHIM, self._bolt("blocked_sender-1@dest-a.example"))),
            (1.60, self._hands_in(SHIM, self._bolt("quota-1@dest-a.example"))),
            (3.00, lambda: operators.suppress("ok-4@dest-b.example", "acme")),
            (4.00, lambda: operators.pause("mailbox", BEN, "acme", None, 30)),
            (5.00, self._hands_in(SOCKET, self._cold("ok-5@dest-b.example", BEN))),
            (5.10, self._hands_in(SHIM, self._cold("ok-6@dest-b.example", BEN, reject=True))),
            (6.00, lambda: self._cancel(canceled)),
            (8.00, lambda: operators.reload(_lowered(world.policy))),
            (10.3, world.kill),
            (90.0, lambda: operators.resume("mailbox", CAL)),
            (500.0, lambda: operators.resume("mailbox", CAL)),
            (160.0, self._hands_in(SHIM, self._cold("transient-2@dest-c.example", ANA))),
            (161.0, self._hands_in(SOCKET, self._bolt("lost_answer-2@dest-c.example"))),
            (170.0, self._hands_in(SOCKET, self._cold("slow-2@dest-b.example", path="main"))),
            (170.9, world.stop),
            (240.0, lambda: operators.pause("mailbox", BEN, "acme", HOUR_US // 2, 7200)),
            (250.0, self._hands_in(SHIM, last)),
        ]

    def _first_batch(self) -> list[Submission]:
        return [
            self._cold("transient-1@dest-b.example", ANA, workload="transactional"),
            self._cold("rejected_recipient-1@dest-b.example", ANA),
            self._cold("rejected_message-1@dest-c.example", BEN),
            self._cold("partly-1@dest-b.example", BEN, more=("ok-2@dest-c.example",)),
        ]

    def _second_batch(self) -> list[Submission]:
        return [
            self._cold("ok-3@dest-a.example", path="main"),
            self._cold("ok-4@dest-b.example", path="main", later_us=MINUTE_US),
        ]

    def _bolt(self, address: str) -> Submission:
        return self._cold(address, CAL, workspace="bolt", workload="transactional")

    def _cold(
        self,
        address: str,
        mailbox: str | None = None,
        *,
        more: tuple[str, ...] = (),
        workspace: str = "acme",
        workload: str = "cold",
        path: str | None = None,
        later_us: int | None = None,
        expires_us: int = 8 * HOUR_US,
        reject: bool = False,
    ) -> Submission:
        self._number += 1
        return Submission(
            composed=replace(
                TEMPLATE,
                recipients=tuple(Recipient(address=a, kind="to") for a in (address, *more)),
            ),
            workspace=workspace,
            mailbox=mailbox,
            path=path,
            workload=workload,
            idempotency_key=f"key-{self._number}",
            fingerprint=hashlib.sha256(address.encode()).digest(),
            not_before_us=None if later_us is None else START_US + later_us,
            expires_in_us=expires_us,
            on_cap=OnCap.REJECT if reject else None,
            metadata="{}",
        )

    def _hands_in(self, door: Surface | None, *submissions: Submission) -> Callable[[], None]:
        return lambda: self.senders.hand_in(submissions, door)

    def _cancel(self, submission: Submission) -> None:
        for sent in self.senders.sent.values():
            if sent.submission is submission:
                self.operators.cancel(sent.id)
                return

    def _look_into_unknown(self) -> None:
        self.operators.settle_unknown()
        self._world.after(STEP_US / 1e6, self._look_into_unknown)


def play(
    seed: int,
    strike: Callable[[World], None] = lambda world: None,
    make_core: Callable[..., Core] = Core,
) -> tuple[Result, World]:
    """Run it to its end. `strike` sets up the kill, if there is to be one."""
    be_quiet()
    world = World(seed, policy(), epoch_us=START_US, make_core=make_core, make_provider=Predicted)
    world.restarts_s = (1, 20, 400)
    script = Script(world)
    strike(world)
    world.start_daemon()
    script.start()
    try:
        world.run_for(STORM_US)
        result = conclude(seed, world, script.senders, script.operators, STEP_US)
        return result, world
    finally:
        world.close()
