"""Python's collector of cycles, kept away from what stays: ten thousand mailboxes are no garbage.

A full collection looks at every object there is, for 60 ms with so many, while all else stands.
"""

from __future__ import annotations

import gc

_THRESHOLDS = (20_000, 20, 50)
"""Rarer than Python's own (700, 10, 10): what a message leaves behind is no cycle, and looking for
one costs a twentieth of admitting it."""


def rest() -> None:
    """Collect nothing while very much is made that stays."""
    gc.disable()


def settle() -> None:
    """From now on collect again, but look no more at what there is."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
    gc.enable()
