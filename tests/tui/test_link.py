"""What the dashboard shows when the daemon is away, comes back, or has a book it can't use."""

from __future__ import annotations

import pytest

from tests.fakes.daemon_stand_in import StandIn
from tests.fakes.wire_rows import mailbox
from tests.tui.conftest import dashboard, fill

pytestmark = pytest.mark.xdist_group("tui")


async def test_the_link_breaks_and_comes_back(daemon: StandIn) -> None:
    fill(daemon)
    async with dashboard(daemon) as driver:
        daemon.stop()
        await driver.shows("OFFLINE")
        await driver.shows("mailplane up --detach")
        assert "STATE?" in driver.screen
        assert "anna@acme.example" in driver.screen
        await driver.press("p")
        await driver.shows("can't be reached")
        daemon.mailboxes["anna@acme.example"] = mailbox("anna@acme.example", state="full")
        daemon.start()
        await driver.press("R")
        await driver.shows("◆ full")
        await driver.shows("The daemon is back")
        assert daemon.resumed_from[0] is None
        assert daemon.resumed_from[-1] is not None


async def test_without_a_daemon_the_screen_says_how_to_start_one(daemon: StandIn) -> None:
    daemon.stop()
    async with dashboard(daemon, workspace=None) as driver:
        await driver.until(lambda: "mailplane up --detach" in " ".join(driver.screen.split()))
        await driver.shows("not connected")
        daemon.start()
        await driver.press("R")
        await driver.shows("mailplane init")


async def test_a_book_that_does_not_load_is_told(daemon: StandIn) -> None:
    fill(daemon)
    daemon.problems = ["acme.toml:12: limit must be positive"]
    async with dashboard(daemon) as driver:
        await driver.shows("acme.toml:12: limit must be positive")
