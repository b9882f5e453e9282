"""A core at work over a database in memory, on a virtual loop, for a scene of a test."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any

from mailplaned.core import Core
from mailplaned.domain.ids import MESSAGE, parse_id
from mailplaned.domain.message import State
from mailplaned.domain.policy import Policy
from mailplaned.domain.windows import DAY_US, HOUR_US
from mailplaned.services.answers import Admitted, Submission
from tests.fakes.clock import PatientClock, VirtualClock
from tests.fakes.notary import MemoryNotary
from tests.fakes.random_seeded import SeededRandom
from tests.fakes.store_inline import InlineConnections, memory_database
from tests.fakes.store_kit import put_in
from tests.fakes.transports_scripted import NullSigner, Provider, Temper
from tests.simulation.loop import VirtualLoop


@dataclass
class Desk:
    """A core at work, with its provider and its clock."""

    core: Core
    provider: Provider
    clock: VirtualClock
    random: SeededRandom
    database: sqlite3.Connection

    async def submit(self, made: Submission | None = None) -> Admitted:
        answer = await self.core.store.write(lambda tx: put_in(tx, made))
        assert isinstance(answer, Admitted), answer
        return answer

    async def state(self, answer: Admitted) -> State:
        id_ = parse_id(MESSAGE, answer.id or "")
        assert id_ is not None
        message = await self.core.store.read(lambda reader: reader.message(id_))
        assert message is not None
        return message.state

    async def sleep(self, duration_us: int) -> None:
        await self.clock.sleep_us(duration_us)

    @property
    def handed(self) -> list[int]:
        """When each attempt arrived, in µs since the first."""
        times = [handed.at_us for handed in self.provider.journal]
        return [at - times[0] for at in times]


Play = Callable[[Desk], Coroutine[Any, Any, None]]


def play(policy: Policy, *scenes: Play, temper: Temper | None = None) -> None:
    """Run scenes in virtual time, each in a life of its own of the daemon, an hour apart."""
    loop = VirtualLoop(random.Random(1))
    clock = VirtualClock(loop)
    provider = Provider(
        random.Random(2), lambda: clock.true_us, copy_context(), temper=temper or Temper()
    )
    database = memory_database()

    async def whole() -> None:
        for scene in scenes:
            async with open_desk(policy, provider, clock, database) as desk:
                await scene(desk)
            await clock.sleep_us(HOUR_US)

    task = loop.create_task(whole())
    loop.run_to(60 * DAY_US / 1e6)
    loop.close()
    database.close()
    assert task.done(), "a scene has not come to its end"
    task.result()


@asynccontextmanager
async def open_desk(
    policy: Policy, provider: Provider, clock: VirtualClock, database: sqlite3.Connection
) -> AsyncIterator[Desk]:
    """A core that runs until the block ends."""
    core = Core(
        connections=InlineConnections(database),
        transports={"smtp": provider},
        signer=NullSigner(),
        notary=MemoryNotary(),
        clock=clock,
        random=(bits := SeededRandom(3)),
    )
    core.upkeep._clock = PatientClock(asyncio.get_running_loop(), clock)
    async with core.running(policy):
        yield Desk(core, provider, clock, bits, database)
