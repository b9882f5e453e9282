"""One simulated run: a host, a daemon that comes and goes, a provider, and what was promised when.

Everything the world does happens in callbacks of the loop that belong to no life of the daemon, so
that the world goes on when the daemon is killed.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import sqlite3
from collections.abc import Callable, Coroutine, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import Any, TypeVar

from mailplaned.core import Core
from mailplaned.domain import ids
from mailplaned.domain.policy import Policy
from mailplaned.domain.windows import DAY_US, SECOND_US
from mailplaned.doors.http.context import Surface
from mailplaned.ports import StoreFault, Transaction
from tests.fakes.clock import EPOCH_US, PatientClock, VirtualClock
from tests.fakes.notary import MemoryNotary
from tests.fakes.random_seeded import SeededRandom
from tests.fakes.store_inline import InlineConnections, memory_database
from tests.fakes.transports_scripted import Handed, NullSigner, Provider, Temper
from tests.simulation.doors import Doors, Reply
from tests.simulation.loop import LIFE, VirtualLoop

T = TypeVar("T")

STORMY = Temper(
    rejected_recipient=3,
    rejected_message=1,
    blocked_sender=0.3,
    quota=0.5,
    transient=6,
    partly=20,
    lost_answer=3,
    slow=3,
)
CALM = Temper(rejected_recipient=2, partly=10)


class Killed(BaseException):
    """The daemon ends here, in the middle of a transaction."""


@dataclass(slots=True)
class Life:
    """One run of the daemon."""

    number: int
    context: Context
    core: Core
    stop: asyncio.Event
    task: asyncio.Task[None] | None = None
    ready: bool = False
    answers: dict[int, Callable[[Any], None]] = field(default_factory=dict)
    """What to tell the callers that are waiting."""


@dataclass(frozen=True, slots=True)
class Promise:
    """Something acknowledged that forbids attempts between two moments of governor time."""

    what: str
    matches: Callable[[Handed], bool]
    from_us: int
    key: object = None
    until_us: int = 2**62


class World:
    """The run. `problems` is what was found to be wrong while it went."""

    def __init__(
        self,
        seed: int,
        policy: Policy,
        *,
        epoch_us: int = EPOCH_US,
        make_core: Callable[..., Core] = Core,
        make_provider: type[Provider] = Provider,
    ) -> None:
        self.rng = random.Random(seed)
        self.make_core = make_core
        self.loop = VirtualLoop(random.Random(seed + 1))
        self.clock = VirtualClock(self.loop, epoch_us)
        self.house_clock = PatientClock(self.loop, self.clock)
        self.random = SeededRandom(seed + 2)
        self.database = memory_database()
        self.notary = MemoryNotary()
        self.outside = copy_context()
        self.provider = make_provider(
            random.Random(seed + 3),
            lambda: self.clock.true_us,
            self.outside,
            self._note_handed,
            STORMY,
        )
        self.policy = policy
        """The book as it lies on the disk."""
        self.policies: list[tuple[int, Policy]] = []
        """From when on each policy may have been in force, in governor time."""
        self.restarts_s: Sequence[float] = (1, 30, 600, 7200)
        """How long it may take until an ended daemon is started again."""
        self.life: Life | None = None
        self.lives = 0
        self.alive: list[list[int]] = []
        """From which step of the loop to which each life lasted."""
        self.commits = 0
        """How often something became durable, if `kill_at_commit` counts that."""
        self._doors: Doors | None = None
        self.problems: list[str] = []
        self.promises: list[Promise] = []
        self.judged: set[str] = set()
        """Messages that a person called sent: for all recipients, though some may not have been."""
        self.counts: dict[str, int] = {}
        self._trace = hashlib.sha256()
        self.trace_tail: list[str] = []
        self._calls = 0

    # --- time and trace ---------------------------------------------------------------------------

    def after(self, seconds: float, function: Callable[..., object], *args: object) -> None:
        """Do something later, whatever becomes of the daemon."""
        self.loop.call_later(seconds, function, *args, context=self.outside)

    def note(self, what: str, *details: object) -> None:
        """Add a line to the trace."""
        line = f"{self.clock.true_us} {what} {' '.join(map(str, details))}"
        self._trace.update(line.encode())
        self.trace_tail.append(line)
        del self.trace_tail[:-300]
        self.counts[what] = self.counts.get(what, 0) + 1

    @property
    def trace_hash(self) -> str:
        return self._trace.hexdigest()[:16]

    def wrong(self, what: str) -> None:
        self.problems.append(f"{self.clock.true_us}: {what}")

    # --- the daemon's lives -----------------------------------------------------------------------

    def start_daemon(self) -> None:
        """Start a daemon on what is on the disk."""
        assert self.life is None
        self.lives += 1
        self.note("start")
        latency = random.Random(self.rng.random())
        connections = _Connections(self.database, lambda: latency.choice([0.0, 0.0, 0.002, 0.02]))
        core = self.make_core(
            connections=connections,
            transports={"smtp": self.provider},
            signer=NullSigner(),
            notary=self.notary,
            clock=self.clock,
            random=self.random,
        )
        core.upkeep._clock = self.house_clock
        core.dispatcher.longest_sleep_us = DAY_US  # whoever forgets to wake it, is found out
        context = copy_context()
        context.run(LIFE.set, self.lives)
        stop = context.run(asyncio.Event)
        life = self.life = Life(self.lives, context, core, stop)
        self.alive.append([self.loop.steps, 2**62])
        self.policies.append((self.clock.true_us, self.policy))
        life.task = self.loop.create_task(self._live(life, self.policy), context=context)

    async def _live(self, life: Life, policy: Policy) -> None:
        async with life.core.running(policy):
            if self._doors is None:
                self._doors = Doors(life.core, policy, self.clock, self.random)
            await self._doors.open(life.core, policy)
            life.ready = True
            await life.stop.wait()
        self.note("stopped")
        self._forget(life)

    def stop(self) -> None:
        """Ask the daemon to end."""
        life = self.life
        if life is not None and life.ready:
            self.note("stop")
            life.context.copy().run(life.stop.set)

    def kill(self) -> None:
        """End the daemon in the middle of whatever it is doing."""
        life = self.life
        if life is None:
            return
        self._judge_end(life)
        self.note("kill")
        self.loop.end_life(life.number)
        if self.database.in_transaction:
            self.database.execute("ROLLBACK")
        self.provider.cut()
        self._forget(life)

    def strike(self) -> None:
        """Kill the daemon at the point that this run is about."""
        if self.life is not None:
            self.note("struck")
            self.kill()

    def kill_at_commit(self, number: int, *, durable: bool) -> None:
        """Kill the daemon at its commit of that number, once it is durable or just before.

        With 0 none is struck, and `commits` counts.
        """

        def watch(done: bool) -> None:
            self.commits += not done
            if self.commits == number and done is durable:
                self.loop.after_steps(0, self.strike)
                raise Killed

        self.database.watch = watch

    def _forget(self, life: Life) -> None:
        self.life = None
        self.alive[-1][1] = self.loop.steps
        callers = [life.answers[key] for key in sorted(life.answers)]
        for on_answer in callers:
            on_answer(None)
        self.after(self.rng.choice(self.restarts_s), self.start_daemon)

    def check_life(self) -> None:
        """A daemon that died by itself is a fault."""
        life = self.life
        if life is not None and life.task is not None and life.task.done():
            self.kill()  # on a full disk it does not start; whoever runs it tries again
        for fault_text in self.loop.faults:
            self.wrong(f"uncaught: {fault_text}")
        self.loop.faults.clear()

    def _judge_end(self, life: Life) -> None:
        """A life that has ended by itself may only have found no disk to start on."""
        if life.task is None or not life.task.done():
            return
        fault = life.task.exception()
        while isinstance(fault, BaseExceptionGroup):
            fault = fault.exceptions[0]
        if life.ready or not isinstance(fault, StoreFault):
            self.wrong(f"the daemon died of {fault!r}")

    @property
    def doors(self) -> Doors:
        """There from the first life on."""
        assert self._doors is not None
        return self._doors

    # --- asking the daemon ------------------------------------------------------------------------

    def call(
        self, ask: Callable[[Core], Coroutine[Any, Any, T]], on_answer: Callable[[T | None], None]
    ) -> None:
        """Ask the daemon something; the answer is None when it is not there, or dies before."""
        life = self.life
        if life is None or not life.ready or life.stop.is_set():
            on_answer(None)
            return
        self._calls += 1
        number = self._calls

        async def asked() -> None:
            try:
                answer: T | None = await ask(life.core)
            except StoreFault:
                answer = None
            if life.answers.pop(number, None) is not None:
                self.outside.copy().run(on_answer, answer)

        life.answers[number] = on_answer
        self.loop.create_task(asked(), context=life.context.copy())

    def request(
        self,
        surface: Surface,
        method: str,
        path: str,
        body: object,
        on_answer: Callable[[Reply | None], None],
        *,
        workspace: str,
    ) -> None:
        """Ask by one of the doors; no answer where the daemon could do nothing now."""
        life = self.life

        async def ask(core: Core) -> Reply | None:
            reply = await self.doors.ask(surface, method, path, body, workspace)
            if reply.status == 500 and not self.disk_is_full and life and not life.stop.is_set():
                self.wrong(f"{method} {path} was answered {reply.json}")
            return reply if reply.status < 500 else None

        self.call(ask, on_answer)

    @property
    def disk_is_full(self) -> bool:
        """Whether nothing can be written at present."""
        return bool(self.database.execute("PRAGMA query_only").fetchone()[0])

    def write(
        self, change: Callable[[Transaction], T], on_answer: Callable[[T | None], None]
    ) -> None:
        """Have the daemon make a change."""
        self.call(lambda core: core.store.write(change), on_answer)

    # --- the outside of the wire ------------------------------------------------------------------

    def _note_handed(self, handed: Handed) -> None:
        """An attempt reached the provider: look up when it began, and that it is durable."""
        self.note("handed", handed.mailbox, handed.message, *handed.recipients)
        if self.database.in_transaction:
            self.wrong("a transport was called inside a transaction")
        row = self.database.execute(
            "SELECT number, begun_at, charged FROM attempts "
            "WHERE message_id = ? AND ended_at IS NULL",
            (ids.parse_id(ids.MESSAGE, handed.message),),
        ).fetchone()
        if row is None or not row[2]:
            self.wrong(f"{handed.message} was handed over without a charge on disk")
            return
        handed.number, handed.begun_us = row[0], row[1]

    # --- the run ----------------------------------------------------------------------------------

    def run_for(self, duration_us: int) -> None:
        """Let time pass, looking at the daemon's health now and then."""
        until = self.loop.time() + duration_us / 1e6
        while self.loop.time() < until and not self.problems:
            self.loop.run_to(min(until, self.loop.time() + 600))
            self.check_life()

    def close(self) -> None:
        """End the run."""
        if self.life is not None:
            self.loop.end_life(self.life.number)
        self.loop.close()
        self.database.close()


class _Connections(InlineConnections):
    """Those of a daemon that may die inside a transaction; nobody there is told of it."""

    async def write(self, function: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await super().write(function)
        except Killed:
            await asyncio.get_running_loop().create_future()
            raise


def seconds(duration_us: int) -> float:
    return duration_us / SECOND_US
