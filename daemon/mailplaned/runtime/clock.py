"""The only file that reads the host's clocks and sleeps."""

from __future__ import annotations

import asyncio
import secrets
import time
from contextlib import suppress
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class SystemClock:
    """`ports.Clock` of this host."""

    def __init__(self) -> None:
        try:
            self._boot_id = _BOOT_ID.read_text().strip()
        except OSError:  # then no two runs count as the same boot, and the wall clock decides
            self._boot_id = secrets.token_hex(16)

    def wall_us(self) -> int:
        """See `ports.Clock`."""
        return time.time_ns() // 1000

    def boot_us(self) -> int:
        """See `ports.Clock`. CLOCK_BOOTTIME counts on through suspend, CLOCK_MONOTONIC does not."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000

    def boot_id(self) -> str:
        """See `ports.Clock`."""
        return self._boot_id

    async def sleep_us(self, duration_us: int) -> None:
        """See `ports.Clock`."""
        await asyncio.sleep(duration_us / 1e6)

    async def wait_us(self, event: asyncio.Event, duration_us: int) -> bool:
        """See `ports.Clock`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(duration_us / 1e6):
                await event.wait()
        return event.is_set()


_ENTROPY_BYTES = 4096


class SystemRandom:
    """`ports.Random` of this host. It asks the kernel for much at a time: each call costs."""

    def __init__(self) -> None:
        self._pool = b""
        self._used = 0

    def bits(self, count: int) -> int:
        """See `ports.Random`."""
        size = -(-count // 8)
        if self._used + size > len(self._pool):
            self._pool, self._used = secrets.token_bytes(_ENTROPY_BYTES), 0
        taken = self._pool[self._used : self._used + size]
        self._used += size
        return int.from_bytes(taken) >> (8 * size - count)
