"""Governor time: elapsed time, which no setting of a clock can shorten or stretch.

Rolling windows are about elapsed time, and the host's wall clock can be set. While the host is up
the boot clock says how much time has really passed, so governor time goes by it alone: a clock set
back stops nothing, and one set forward opens no window early. Calendar windows are about the wall
clock as well; the `Frame` tells how far the two are apart, so that a cap can hold in both.
"""

from __future__ import annotations

from dataclasses import dataclass

from mailplaned.domain.windows import SECOND_US

TOLERANCE_US = 60 * SECOND_US
"""How far the wall clock may be ahead before a person is told."""


class Frame:
    """How far the wall clock is from governor time, in whole seconds, as microseconds."""

    __slots__ = ("shift_us",)

    def __init__(self) -> None:
        self.shift_us = 0


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
        self.frame = Frame()
        self.ahead_us = 0
        """How far the wall clock is ahead beyond belief, at the last reading; 0 when it is not."""
        self.read(wall_us=wall_us, boot_us=boot_us)

    def read(self, *, wall_us: int, boot_us: int) -> int:
        """Governor time now, in microseconds since the epoch."""
        elapsed_us = boot_us - self._boot_us
        if elapsed_us > 0:
            self._governed_us += elapsed_us
            self._boot_us = boot_us
        shift_us = wall_us - self._governed_us
        self.ahead_us = shift_us if shift_us > TOLERANCE_US else 0
        self.frame.shift_us = shift_us // SECOND_US * SECOND_US if abs(shift_us) > SECOND_US else 0
        return self._governed_us

    def believe(self, wall_us: int) -> None:
        """A person confirmed the wall clock: go forward to it, never back."""
        self._governed_us = max(self._governed_us, wall_us)
        self.ahead_us = 0

    def forget(self, anchor: Anchor) -> None:
        """Go back to an anchor of this run: what was believed since has not been kept."""
        self._governed_us, self._boot_us = anchor.governed_us, anchor.boot_us

    @property
    def anchor(self) -> Anchor:
        """What to store."""
        return Anchor(governed_us=self._governed_us, boot_us=self._boot_us, boot_id=self._boot_id)
