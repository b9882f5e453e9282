"""Watching the book's folder: what an editor does to a file is told, once it is over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mailplaned.book.watch import changes


async def _next(told: AsyncIterator[None]) -> None:
    await asyncio.wait_for(anext(told), 8)


async def _drained(told: AsyncIterator[None]) -> None:
    async for _ in told:
        pass


@pytest.mark.parametrize("exists", [True, False])
async def test_a_change_of_the_book_is_told(tmp_path: Path, exists: bool) -> None:
    folder = tmp_path / "config"
    if exists:
        (folder / "workspaces").mkdir(parents=True)
    stop = asyncio.Event()
    told = changes(folder, stop)
    await _next(told)  # watching has begun
    if not exists:
        (folder / "workspaces").mkdir(parents=True)
        await _next(told)
        await _next(told)  # watching the folder itself has begun
    draft = folder / "workspaces" / "beta.tmp"
    draft.write_text("")
    draft.rename(folder / "workspaces" / "beta.toml")
    await _next(told)
    stop.set()
    await asyncio.wait_for(_drained(told), 8)
