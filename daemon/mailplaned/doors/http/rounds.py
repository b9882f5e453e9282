"""Which mailboxes are looked at in a tick of the stream. Pure.

To look at one takes the writer's time, and to show it a reader's, so a tick has a bound however
many have changed: what is on somebody's screen comes first, the others in the order in which they
changed, and what finds no room waits for the next ticks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import islice
from typing import Final

CHANGED: Final = 500
"""How many are looked at in a tick because they changed, beside those that are on a screen: with
four ticks a second all of 10,000 within five seconds."""

SWEPT: Final = 100
"""How many are looked at in a tick though nothing was heard of them: windows roll on, and others
use up a cap that they share."""

SHOWN_TICKS: Final = 4
"""In how many ticks all that is on a screen is looked at again: once a second."""


class Rounds:
    """What is due to be looked at."""

    def __init__(self) -> None:
        self._changed: dict[str, None] = {}
        self._sweep: list[str] = []
        self._shown: list[str] = []

    def note(self, addresses: Iterable[str]) -> None:
        """These have changed; who waits already keeps its place."""
        self._changed.update(dict.fromkeys(addresses))

    def take(self, shown: Collection[str], everyone: Collection[str]) -> list[str]:
        """Those of this tick, the urgent ones first, each once."""
        seen = [address for address in shown if address in self._changed][:CHANGED]
        for address in seen:
            del self._changed[address]
        others = list(islice(self._changed, CHANGED))
        for address in others:
            del self._changed[address]
        self._shown = self._shown or list(shown)
        self._sweep = self._sweep or list(everyone)
        at = -(-len(shown) // SHOWN_TICKS)
        swept = self._shown[:at] + self._sweep[:SWEPT]
        del self._shown[:at], self._sweep[:SWEPT]
        return list(dict.fromkeys(seen + others + swept))
