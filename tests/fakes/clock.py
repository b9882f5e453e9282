"""Clocks that tests move: one by hand, one that goes with a virtual event loop."""

from __future__ import annotations

import asyncio
from contextlib import suppress

EPOCH_US = 1_772_323_200_000_000
"""2026-03-01 00:00 UTC, where time begins in tests."""


class ManualClock:
    """`ports.Clock` that stands still until a test moves it. `wall_us` may be set apart."""

    def __init__(self, wall_us: int = EPOCH_US) -> None:
        self.wall = wall_us
        self.boot = 1_000_000
        self.host_run = "boot-1"

    def wall_us(self) -> int:
        return self.wall

    def boot_us(self) -> int:
        return self.boot

    def boot_id(self) -> str:
        return self.host_run

    def advance(self, duration_us: int) -> None:
        """Let time pass on both clocks."""
        self.wall += duration_us
        self.boot += duration_us

    async def sleep_us(self, duration_us: int) -> None:
        self.advance(duration_us)

    async def wait_us(self, event: asyncio.Event, duration_us: int) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(0):
                await event.wait()
        if not event.is_set():
            self.advance(duration_us)
        return event.is_set()


class VirtualClock:
    """`ports.Clock` of a loop whose time is virtual. The wall may jump, a host may be restarted."""

    def __init__(self, loop: asyncio.AbstractEventLoop, epoch_us: int = EPOCH_US) -> None:
        self._loop = loop
        self._epoch_us = epoch_us
        self.jumped_us = 0
        """How far the wall clock is off; the boot clock is true."""
        self._host_began_us = 0
        self._host_run = 0

    @property
    def true_us(self) -> int:
        """Time as the world outside knows it."""
        return self._epoch_us + round(self._loop.time() * 1e6)

    def restart_host(self) -> None:
        """The boot clock begins anew, the wall clock goes on as it was set."""
        self._host_run += 1
        self._host_began_us = self.true_us

    def wall_us(self) -> int:
        return self.true_us + self.jumped_us

    def boot_us(self) -> int:
        return self.true_us - self._host_began_us

    def boot_id(self) -> str:
        return f"boot-{self._host_run}"

    async def sleep_us(self, duration_us: int) -> None:
        await asyncio.sleep(duration_us / 1e6)

    async def wait_us(self, event: asyncio.Event, duration_us: int) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(duration_us / 1e6):
                await event.wait()
        return event.is_set()


class PatientClock(VirtualClock):
    """The clock that upkeep is given: it looks less often than once a second, to save steps."""

    def __init__(self, loop: asyncio.AbstractEventLoop, of: VirtualClock) -> None:
        super().__init__(loop)
        self._of = of
        self.period_us = 60_000_000

    def boot_us(self) -> int:
        return self._of.boot_us()

    async def wait_us(self, event: asyncio.Event, duration_us: int) -> bool:
        return await super().wait_us(event, max(duration_us, self.period_us))
