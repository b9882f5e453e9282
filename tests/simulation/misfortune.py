"""What goes wrong by itself: kills, restarts of the host, clocks that leap, full disks."""

from __future__ import annotations

from collections.abc import Callable

from mailplaned.domain.windows import DAY_US, HOUR_US
from tests.simulation.world import World, seconds


class Misfortune:
    """Strikes at random times until it is told to rest."""

    def __init__(self, world: World, every_s: float) -> None:
        self._world = world
        self._every_s = every_s
        self.active = True

    def start(self) -> None:
        self._world.after(self._world.rng.expovariate(1 / self._every_s), self._strike)

    def rest(self) -> None:
        """No more of it, and what can be mended is mended."""
        self.active = False
        self._disk_is_fine()
        self._world.clock.jumped_us = 0

    def _strike(self) -> None:
        if not self.active:
            return
        strikes: list[Callable[[], None]] = [self._kill, self._kill, self._kill]
        strikes += [self._world.stop, self._restart_host, self._jump, self._jump, self._fill_disk]
        self._world.rng.choice(strikes)()
        self.start()

    def _kill(self) -> None:
        """At any step from now on, of which each is a moment between two others."""
        self._world.loop.after_steps(self._world.rng.randrange(3000), self._world.kill)

    def _restart_host(self) -> None:
        world = self._world
        if world.clock.jumped_us == 0:  # a new run of the host has only its wall clock to believe
            world.kill()
            world.clock.restart_host()
            world.note("host restarted")

    def _jump(self) -> None:
        world = self._world
        if world.life is None or not world.life.ready:
            return  # nobody could tell a leap from time that has really passed
        jump_us = world.rng.choice([0, HOUR_US, -HOUR_US, 3 * DAY_US, -3 * DAY_US])
        world.clock.jumped_us = jump_us
        world.note("clock jumped", jump_us)

    def _fill_disk(self) -> None:
        world = self._world
        if world.database.in_transaction:
            return
        world.database.execute("PRAGMA query_only = ON")
        world.note("disk full")
        world.after(seconds(world.rng.choice([HOUR_US // 60, HOUR_US])), self._disk_is_fine)

    def _disk_is_fine(self) -> None:
        self._world.database.execute("PRAGMA query_only = OFF")
