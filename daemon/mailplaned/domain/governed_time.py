"""Governor time: never goes back, and does not believe a clock that leaps.

Windows are about elapsed time, and the host's wall clock can be set. While the host is up, the
boot clock says how much time has really passed; the wall clock may only slow-steer it. So a clock
set back opens no window twice, and a clock set forward opens none early.
"""

from __future__ import annotations

from dataclasses import dataclass

from mailplaned.domain.windows import SECOND_US

TOLERANCE_US = 60 * SECOND_US
"""The most that the wall clock may run ahead of elapsed time and still be followed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """The last known pair of governor time and boot clock; stored with every commit."""

    governed_us: int
    boot_us: int
    boot_id: str


class GovernedTime:
    """Turns readings of the wall and boot clocks into governor time."""

    def __init__(self, anchor: Anchor | None, *, wall_us: int, boot_us: int, boot_id: str) -> None:
        self._boot_id = boot_id
        if anchor is not None and anchor.boot_id == boot_id and boot_us >= anchor.boot_us:
            self._governed_us, self._boot_us = anchor.governed_us, anchor.boot_us
        else:  # another run of the host: nothing says how long it was down but the wall clock
            last_us = anchor.governed_us if anchor is not None else 0
            self._governed_us, self._boot_us = max(wall_us, last_us), boot_us
        self.ahead_us = 0
        """How far the wall clock is ahead beyond belief, at the last reading; 0 when believed."""
        self.read(wall_us=wall_us, boot_us=boot_us)

    def read(self, *, wall_us: int, boot_us: int) -> int:
        """Governor time now, in microseconds since the epoch."""
        expected_us = self._governed_us + max(0, boot_us - self._boot_us)
        ahead_us = wall_us - expected_us
        if 0 <= ahead_us <= TOLERANCE_US:
            expected_us = wall_us
        self.ahead_us = ahead_us if ahead_us > TOLERANCE_US else 0
        self._governed_us, self._boot_us = expected_us, max(boot_us, self._boot_us)
        return expected_us

    def believe(self, wall_us: int) -> None:
        """A person confirmed the wall clock: go forward to it, never back."""
        self._governed_us = max(self._governed_us, wall_us)
        self.ahead_us = 0

    @property
    def anchor(self) -> Anchor:
        """What to store."""
        return Anchor(governed_us=self._governed_us, boot_us=self._boot_us, boot_id=self._boot_id)
