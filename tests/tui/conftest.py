"""The dashboard on a stand-in daemon, driven by keys."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC
from pathlib import Path

import pytest
from textual.pilot import Pilot

from mailplane_tui.app import Dashboard
from mailplane_tui.glyphs import UNICODE
from mailplane_wire.client import Client
from tests.fakes.daemon_stand_in import StandIn
from tests.fakes.wire_rows import cap, mailbox, pause

DEADLINE_S = 8.0


class Driver:
    """Presses keys and waits for what they lead to; never for a time alone."""

    def __init__(self, app: Dashboard, pilot: Pilot[int]) -> None:
        self.app = app
        self.pilot = pilot

    async def press(self, *keys: str) -> None:
        """Press keys and let the app handle them."""
        await self.pilot.press(*keys)

    async def type(self, text: str) -> None:
        """Type a text, once fields take it: they are deaf for a moment after they open."""
        opened = self.app.clock()
        await self.until(lambda: self.app.clock() - opened > 0.25)
        names = {" ": "space", ":": "colon", "!": "exclamation_mark", "-": "minus"}
        await self.pilot.press(*(names.get(character, character) for character in text))

    async def until(self, true: Callable[[], object]) -> None:
        """Wait until it is true."""
        deadline = time.monotonic() + DEADLINE_S
        while not true():
            if time.monotonic() > deadline:
                raise AssertionError(f"never came true; the screen was:\n{self.screen}")
            await self.pilot.pause(0.02)

    async def shows(self, text: str) -> None:
        """Wait until the text stands on the screen."""
        await self.until(lambda: text in self.screen)

    async def hides(self, text: str) -> None:
        """Wait until the text no longer stands on the screen."""
        await self.until(lambda: text not in self.screen)

    @property
    def screen(self) -> str:
        """What stands on the screen."""
        width, height = self.app.size
        lines = self.app.screen._compositor.render_strips()
        return "\n".join(strip.text[:width] for strip in lines[:height])


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[StandIn]:
    """A stand-in that listens; a test fills it before it opens the dashboard."""
    with StandIn(tmp_path / "sock") as stand_in:
        yield stand_in


@asynccontextmanager
async def dashboard(
    daemon: StandIn,
    *,
    size: tuple[int, int] = (80, 24),
    workspace: str | None = "acme",
    readonly: bool = False,
) -> AsyncIterator[Driver]:
    """The dashboard on that daemon; waits for the first snapshot if there will be one."""
    client = Client(daemon.path, timeout_s=5.0)
    app = Dashboard(client, workspace=workspace, readonly=readonly, glyphs=UNICODE, zone=UTC)
    async with app.run_test(size=size, notifications=True) as pilot:
        driver = Driver(app, pilot)
        if daemon.path.exists():
            await driver.until(lambda: app.model.now)
        yield driver


def fill(daemon: StandIn) -> None:
    """Three mailboxes of one workspace, one of another."""
    rows = [
        mailbox("anna@acme.example"),
        mailbox("ben@acme.example", state="near", unknown=2, caps=[cap(sent=45, unknown=2)]),
        mailbox(
            "dave@acme.example",
            state="held",
            state_reason="rule bounce-5pct",
            pauses=[pause(1, "mailbox:dave@acme.example", actor="rule:bounce-5pct")],
        ),
        mailbox("iris@beta.example", workspace="beta"),
    ]
    daemon.workspaces = ("acme", "beta")
    daemon.mailboxes = {row.address: row for row in rows}
