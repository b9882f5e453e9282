"""Tells when the book may have changed on disk. It never reads the book."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Final

from watchfiles import awatch

DEBOUNCE_MS: Final = 250
"""A checkout of many files or an editor's rename-and-replace is over within this time."""

_LOOK_AGAIN_MS: Final = 500
"""How often it is asked whether the watched folder is still the one at that name."""


async def changes(folder: Path, stop: asyncio.Event) -> AsyncIterator[None]:
    """Yield whenever something in `folder` may have changed, until `stop` is set.

    The folder is watched, not its files, so a file that is replaced is seen. While the folder does
    not exist, its nearest existing parent is watched in its place. It also yields once soon after
    each time that watching began, since what happened just before is seen by nobody.
    """
    while not stop.is_set():
        watched = _nearest_existing(folder)
        identity = _identity(watched)
        batches = awatch(
            watched,
            watch_filter=None,
            debounce=DEBOUNCE_MS,
            step=50,
            stop_event=stop,
            rust_timeout=_LOOK_AGAIN_MS,
            yield_on_timeout=True,
            recursive=watched == folder,
        )
        begun = False
        async with aclosing(batches):
            async for batch in batches:
                replaced = _nearest_existing(folder) != watched or _identity(watched) != identity
                if replaced or not begun or (batch and watched == folder):
                    yield None
                begun = True
                if replaced:
                    break


def _nearest_existing(folder: Path) -> Path:
    return next((place for place in (folder, *folder.parents) if place.is_dir()), Path("/"))


def _identity(place: Path) -> tuple[int, int] | None:
    try:
        facts = place.stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino
