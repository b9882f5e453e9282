"""What comes first when a daemon starts."""

from __future__ import annotations

import random
from contextvars import copy_context

from mailplaned.core import Core
from mailplaned.domain.windows import DAY_US, HOUR_US
from tests.fakes.clock import VirtualClock
from tests.fakes.notary import MemoryNotary
from tests.fakes.random_seeded import SeededRandom
from tests.fakes.store_inline import InlineConnections, memory_database
from tests.fakes.store_kit import put_in, small_book
from tests.fakes.transports_scripted import NullSigner, Provider, Temper
from tests.simulation.loop import VirtualLoop


def test_nothing_is_sent_before_it_is_written_down_by_what_book() -> None:
    loop = VirtualLoop(random.Random(1))
    clock = VirtualClock(loop)
    provider = Provider(random.Random(2), lambda: clock.true_us, copy_context(), temper=Temper())
    database = memory_database()
    core = Core(
        connections=InlineConnections(database),
        transports={"smtp": provider},
        signer=NullSigner(),
        notary=MemoryNotary(),
        clock=clock,
        random=SeededRandom(3),
    )

    async def written() -> None:
        await core.store.write(put_in)
        await clock.sleep_us(HOUR_US)
        assert list(provider.journal) == []

    async def whole() -> None:
        async with core.running(small_book(), written):
            await clock.sleep_us(HOUR_US)
        assert len(provider.journal) == 1

    task = loop.create_task(whole())
    loop.run_to(DAY_US / 1e6)
    loop.close()
    database.close()
    task.result()
