"""The daemon without its process.

`main` gives it the real world; the simulation a fake clock, an in-memory database and scripted
transports.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from mailplaned.audit_ports import Notary
from mailplaned.domain.policy import Policy
from mailplaned.domain.windows import SECOND_US
from mailplaned.ports import Clock, Random, Signer, Transport
from mailplaned.services.audit import AuditLog
from mailplaned.services.dispatch import Dispatcher
from mailplaned.services.pauses import pause_restored
from mailplaned.services.recovery import NOT_RUNNING, missed, rebuild, recover
from mailplaned.services.upkeep import Upkeep
from mailplaned.store.store import Connections, SqliteStore

WIRE_LIMIT_US = 20 * SECOND_US
"""How long a stop waits for what is on the wire; what is not answered by then is unknown."""


class Core:
    """Store, dispatch and upkeep of one daemon."""

    def __init__(
        self,
        *,
        connections: Connections,
        transports: Mapping[str, Transport],
        signer: Signer,
        notary: Notary,
        clock: Clock,
        random: Random,
        restored: Path | None = None,
    ) -> None:
        """`restored` is a file that, if it is there, names the backup that the state is from."""
        self._clock = clock
        self._random = random
        self._restored = restored
        self.transports = transports
        self.store = SqliteStore(connections, clock, rebuild, random)
        self.dispatcher = Dispatcher(
            store=self.store, transports=transports, signer=signer, clock=clock, random=random
        )
        self.upkeep = Upkeep(self.store, clock)
        self.audit = AuditLog(self.store, notary, clock)
        self.store.on_commit(self.dispatcher.note_commit)
        self.store.on_commit(self.upkeep.note_commit)
        self.store.on_commit(self.audit.note_commit)

    async def start(self) -> int:
        """Account for the last run; how many messages are unknown since then.

        The store's `run` is started in a task of the caller's group before this.
        """
        if self._restored is not None and self._restored.exists():
            made_at = self._restored.read_text()
            await self.store.write(partial(pause_restored, made_at=made_at, random=self._random))
            self._restored.unlink()
        unknown = await self.store.write(recover)
        self.upkeep.ask(await self.store.write(missed), NOT_RUNNING)
        await self.audit.begin()
        return unknown

    @asynccontextmanager
    async def running(
        self, policy: Policy, before: Callable[[], Awaitable[None]] | None = None
    ) -> AsyncIterator[asyncio.TaskGroup]:
        """The core at work; on leaving it finishes what is on the wire and commits.

        `before` is done once the store is there and before anything is sent. The task group is for
        what else has to run beside it: if any of it fails, all of it ends.
        """
        await self.store.start(policy)
        async with asyncio.TaskGroup() as group:
            group.create_task(self.store.run(), name="store")
            await self.start()
            if before is not None:
                await before()
            sending = group.create_task(self.dispatcher.run(), name="dispatch")
            house = group.create_task(self.upkeep.run(), name="upkeep")
            auditing = group.create_task(self.audit.run(), name="audit")
            yield group
            await self.dispatcher.stop()
            _, late = await asyncio.wait([sending], timeout=WIRE_LIMIT_US / 1e6)
            for task in late:
                task.cancel()
            await asyncio.wait([sending])
            self.upkeep.stop()
            await asyncio.wait([house])
            for transport in self.transports.values():
                await transport.close()
            self.audit.stop()
            await asyncio.wait([auditing])
            self.store.stop()
