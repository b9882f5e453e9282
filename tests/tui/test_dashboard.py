"""The dashboard end to end: keys in, requests on a real socket out, the stream back on screen."""

from __future__ import annotations

import re

import msgspec
import pytest
from textual.strip import Strip

from mailplane_tui import themes
from mailplane_tui.actions import ACTIONS
from mailplane_tui.app import Dashboard
from mailplane_tui.pausing import Pausing
from mailplane_tui.views.detail import DetailScreen
from mailplane_tui.views.logs import AuditTail, EventTail
from mailplane_tui.views.mailboxes import MailboxesView
from mailplane_tui.views.main import MainScreen
from mailplane_tui.widgets.fleet_table import FleetTable
from mailplane_wire.resources import Change, LogAudit, LogEvent
from tests.fakes.daemon_stand_in import StandIn
from tests.fakes.wire_rows import NOW, audit, event, mailbox, pause
from tests.tui.conftest import dashboard, fill

pytestmark = pytest.mark.xdist_group("tui")

HOSTILE = "[/nope] \x1b]52;c;AA\x07\u202e[@click=app.quit]x[/] [bold"


def message(subject: str) -> dict[str, object]:
    """A message of the list, as far as the screen shows it."""
    return {
        "id": "msg_1", "state": "queued", "reason": None, "workspace": "acme",
        "mailbox": "dave@acme.example", "workload": "cold", "path": None, "subject": subject,
        "message_id": "<1@acme.example>", "size": 1, "created_at": NOW, "updated_at": NOW,
        "slot_at": None, "not_before": None, "expires_at": NOW, "metadata": {},
    }  # fmt: skip


async def test_trouble_is_on_the_first_screen_with_its_reason(daemon: StandIn) -> None:
    fill(daemon)
    async with dashboard(daemon) as driver:
        wanted = ["dave@acme.example", "ben@acme.example", "anna@acme.example"]
        listed = re.compile(r"^[▌ ] (\S+@\S+) ", re.MULTILINE)
        await driver.until(lambda: listed.findall(driver.screen) == wanted)
        assert "iris" not in driver.screen
        assert "acknowledge" in driver.screen


async def test_pause_is_p_and_enter_and_shows_when_the_daemon_says_so(daemon: StandIn) -> None:
    fill(daemon)
    async with dashboard(daemon) as driver:
        await driver.press("G", "p")
        await driver.shows("Pause anna@acme.example")
        await driver.press("enter")
        await driver.shows("‖ paused")
        await driver.shows("Paused anna@acme.example; u undoes")
        assert daemon.requests[-1].body == {
            "scope": {
                "mailbox": "anna@acme.example", "domain": None, "path": None, "workspace": None,
                "everything": None,
            },
            "reason": "paused by hand",
            "until": None,
        }  # fmt: skip


async def test_undo_lifts_the_pause_just_made_and_no_other(daemon: StandIn) -> None:
    fill(daemon)
    async with dashboard(daemon) as driver:
        await driver.press("p")
        await driver.shows("Pause dave@acme.example")
        await driver.press("enter")
        await driver.shows("u undo")
        await driver.press("u")
        await driver.until(lambda: daemon.requests[-1].method == "DELETE")
        await driver.shows("Undone")
        left = daemon.mailboxes["dave@acme.example"].pauses
        assert [item.id for item in left] == ["pau_1"]
        await driver.press("u")
        await driver.shows("Nothing to undo")


async def test_a_selection_is_paused_with_a_reason_and_an_end(daemon: StandIn) -> None:
    fill(daemon)
    async with dashboard(daemon) as driver:
        await driver.press("space", "space", "p")
        await driver.shows("Pause 2 mailboxes")
        await driver.type("outage")
        await driver.press("tab", "right", "enter")
        await driver.shows("Paused 2 mailboxes")
        bodies = [
            (r.body["scope"]["mailbox"], r.body["reason"], r.body["until"]) for r in daemon.requests
        ]
        assert bodies == [
            ("dave@acme.example", "outage", "2026-11-24T15:02:11Z"),
            ("ben@acme.example", "outage", "2026-11-24T15:02:11Z"),
        ]


async def test_a_rules_hold_is_resumed_by_y_and_never_by_enter(daemon: StandIn) -> None:
    fill(daemon)
    async with dashboard(daemon) as driver:
        await driver.press("r")
        await driver.shows("Resume dave@acme.example")
        await driver.press("enter")
        await driver.shows("a reason is needed")
        await driver.type("list cleaned")
        await driver.press("enter")
        await driver.shows("acknowledge and resume")
        await driver.press("enter", "enter")
        assert daemon.requests == []
        await driver.press("y")
        await driver.shows("Resumed dave@acme.example")
        sent = daemon.requests[-1]
        assert sent.path == "/v1/mailboxes/dave%40acme.example/resume"
        assert sent.body["acknowledge"] is True
        assert sent.body["reason"] == "list cleaned"


async def test_an_operators_pause_is_resumed_with_a_reason(daemon: StandIn) -> None:
    paused = mailbox(
        "anna@acme.example", state="paused", pauses=[pause(1, "mailbox:anna@acme.example")]
    )
    daemon.mailboxes = {paused.address: paused}
    async with dashboard(daemon) as driver:
        await driver.shows("vendor outage")
        await driver.press("r")
        await driver.type("over")
        await driver.press("enter")
        await driver.shows("● ready")
        assert daemon.requests[-1].body["acknowledge"] is False


async def test_a_refusal_is_told_in_the_daemons_words(daemon: StandIn) -> None:
    fill(daemon)
    daemon.refuse = f"you may not {HOSTILE}"
    async with dashboard(daemon) as driver:
        await driver.press("G", "p")
        await driver.shows("Pause anna")
        await driver.press("enter")
        await driver.shows("you may not [/nope]")
        await driver.until(lambda: not driver.app.model.pending)
        assert "‖" not in driver.screen


@pytest.mark.parametrize(
    ("role", "readonly", "workspace", "why"),
    [
        ("viewer", False, "acme", "your role is viewer"),
        ("operator", True, "acme", "opened read-only"),
    ],
)
async def test_what_may_not_be_done_says_why_and_asks_nothing(
    daemon: StandIn, role: str, readonly: bool, workspace: str | None, why: str
) -> None:
    fill(daemon)
    daemon.role = role
    async with dashboard(daemon, readonly=readonly, workspace=workspace) as driver:
        await driver.press("p")
        await driver.shows(why)
        assert daemon.requests == []


async def test_in_the_view_of_all_one_clients_mailbox_can_be_paused_but_not_two_clients_at_once(
    daemon: StandIn,
) -> None:
    fill(daemon)
    async with dashboard(daemon, workspace=None) as driver:
        await driver.press("p")
        await driver.shows("reason")
        await driver.press("escape", "*", "p")
        await driver.shows("nothing is changed across workspaces")
        assert daemon.requests == []


async def test_workspaces_are_switched_by_digit_and_back_by_minus(daemon: StandIn) -> None:
    fill(daemon)
    async with dashboard(daemon) as driver:
        await driver.press("w")
        await driver.shows("Switch workspace")
        await driver.press("3")
        await driver.shows("iris@beta.example")
        assert "anna" not in driver.screen
        await driver.press("-")
        await driver.shows("anna@acme.example")
        await driver.press("w")
        await driver.shows("Switch workspace")
        await driver.press("b", "e", "t", "enter")
        await driver.shows("iris@beta.example")


async def test_a_filter_acts_at_each_key_and_escape_clears_it(daemon: StandIn) -> None:
    fill(daemon)
    async with dashboard(daemon) as driver:
        await driver.press("/")
        await driver.type("!state:held")
        await driver.hides("dave@acme.example")
        await driver.press("enter")
        await driver.shows("2 of 3 shown")
        await driver.press("/")
        await driver.type("zzz")
        await driver.shows("0 of 3 match")
        await driver.press("escape")
        await driver.shows("3 of 3 shown")
        await driver.shows("dave@acme.example")


async def test_the_sort_is_chosen_and_turned_round(daemon: StandIn) -> None:
    fill(daemon)
    async with dashboard(daemon) as driver:
        await driver.press("s")
        await driver.shows("Sort by")
        await driver.press("2")
        await driver.shows("sort: address")
        assert driver.app.model.fleet.order[0] == "anna@acme.example"
        await driver.press("S")
        assert driver.app.model.fleet.order[0] == "dave@acme.example"


async def test_detail_shows_messages_and_events_and_goes_to_the_neighbour(daemon: StandIn) -> None:
    fill(daemon)
    daemon.logs = [LogEvent(event=event(1, "bounced", "dave@acme.example"))]
    daemon.messages = [message("Hello \x1b[2J")]
    async with dashboard(daemon) as driver:
        await driver.press("enter")
        await driver.shows("Mailboxes > dave@acme.example")
        await driver.shows("Hello \\x1b[2J")
        await driver.shows("k***@firm.example")
        await driver.press("]")
        await driver.shows("Mailboxes > ben@acme.example")
        await driver.press("escape")
        await driver.shows("3 of 3 shown")
        assert driver.app.model.fleet.cursor == "ben@acme.example"


@pytest.mark.parametrize("key", ["1", "5"])
async def test_a_tail_begins_with_the_newest_entry_in_sight(daemon: StandIn, key: str) -> None:
    fill(daemon)
    daemon.logs = [LogAudit(entry=audit(n, f"change-{n}", "acme")) for n in range(1, 201)]
    async with dashboard(daemon, size=(140, 40)) as driver:
        await driver.press(key)
        await driver.shows("change-200")


async def test_a_tail_follows_until_somebody_moves_up(daemon: StandIn) -> None:
    fill(daemon)
    daemon.logs = [LogAudit(entry=audit(n, f"change-{n}", "acme")) for n in range(1, 41)]
    async with dashboard(daemon) as driver:
        await driver.press("5")
        await driver.shows("change-40")
        await driver.press("k")
        await driver.shows("frozen")
        daemon.say(LogAudit(entry=audit(41, "change-41", "acme")))
        await driver.shows("1 newer")
        assert "change-41" not in driver.screen
        await driver.press("g")
        await driver.shows("change-1 ")
        await driver.press("G")
        await driver.shows("change-41")
        await driver.shows("following")


async def test_events_of_another_workspace_stay_out_of_sight(daemon: StandIn) -> None:
    fill(daemon)
    theirs = event(2, "bounced", "iris@beta.example", workspace="beta")
    daemon.logs = [
        LogEvent(event=event(1, "accepted", "anna@acme.example")),
        LogEvent(event=theirs),
    ]
    async with dashboard(daemon) as driver:
        await driver.press("6")
        await driver.shows("accepted")
        assert "bounced" not in driver.screen


async def test_what_needs_a_person_stands_behind_the_status_and_goes_again(daemon: StandIn) -> None:
    fill(daemon)
    daemon.findings = ['secret "relay" expires in 5 days; mailplane secret rotate relay', "b"]
    async with dashboard(daemon, size=(140, 40)) as driver:
        await driver.shows(
            '! secret "relay" expires in 5 days; mailplane secret rotate relay (and 1'
        )
        await driver.shows("book b ")
        daemon.findings = []
        await driver.until(lambda: "! secret" not in driver.screen)
    daemon.findings = ["the disk is full"]
    async with dashboard(daemon, size=(80, 24)) as driver:
        await driver.shows("! the disk is full")


async def test_hostile_text_is_shown_as_text_everywhere(daemon: StandIn) -> None:
    row = mailbox(
        "eve[/]@acme.example",
        name=HOSTILE,
        paths=[HOSTILE],
        account=HOSTILE,
        state="paused",
        state_reason=HOSTILE,
        last_reply=HOSTILE,
        pauses=[pause(1, "mailbox:eve[/]@acme.example", reason=HOSTILE, actor=HOSTILE)],
    )
    daemon.mailboxes = {row.address: row}
    daemon.workspaces = ("acme", HOSTILE)
    daemon.problems = [HOSTILE]
    daemon.findings = [HOSTILE, HOSTILE]
    daemon.messages = [message(HOSTILE)]
    daemon.logs = [
        LogEvent(event=event(1, HOSTILE, row.address, detail={"reply": HOSTILE})),
        LogAudit(entry=audit(1, HOSTILE, HOSTILE, actor=HOSTILE)),
    ]
    async with dashboard(daemon, size=(140, 40)) as driver:
        for keys in (
            (), ("5",), ("6",), ("1", "w"), ("escape", "p"), ("escape", "r"), ("escape", "?"),
            ("escape", "enter"), ("y",), ("escape", "P"), ("escape", "ctrl+r"), ("/",),
        ):  # fmt: skip
            await driver.press(*keys)
            await driver.pilot.pause()
            seen = driver.screen
            assert not set(seen) & set("\x1b\x07\u202e"), keys
        await driver.press("escape")
        await driver.shows("\\x1b]52")


async def test_a_single_change_repaints_a_single_line(
    daemon: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [mailbox(f"box{n:05d}@acme.example") for n in range(10_000)]
    daemon.mailboxes = {row.address: row for row in rows}
    painted: list[int] = []
    render_line = FleetTable.render_line

    def recorded(table: FleetTable, y: int) -> Strip:
        painted.append(y)
        return render_line(table, y)

    monkeypatch.setattr(FleetTable, "render_line", recorded)
    async with dashboard(daemon) as driver:
        await driver.shows("box00000@acme.example")
        await driver.pilot.pause()
        painted.clear()
        daemon.say(Change(now=NOW, mailboxes=[mailbox("box00003@acme.example", waiting=77)]))
        await driver.until(lambda: painted)
        assert set(painted) == {2 + 3}
        await driver.shows("77")
        await driver.press("G")
        await driver.shows("box09999@acme.example")


async def test_what_is_on_the_screen_comes_first_while_everything_changes(daemon: StandIn) -> None:
    rows = [mailbox(f"box{n:05d}@acme.example") for n in range(3_000)]
    daemon.mailboxes = {row.address: row for row in rows}
    async with dashboard(daemon) as driver:
        await driver.shows("box00000@acme.example")
        await driver.press("G")
        await driver.until(lambda: rows[-1].address in daemon.shown)
        daemon.put(*(msgspec.structs.replace(row, waiting=77) for row in rows))
        await driver.until(lambda: driver.app.model.mailboxes[rows[-1].address].waiting == 77)
        assert driver.app.model.count.waiting == 77 * len(rows)
        await driver.until(lambda: driver.app.model.mailboxes[rows[1_500].address].waiting == 77)


async def test_the_wide_layout_has_detail_and_audit(daemon: StandIn) -> None:
    fill(daemon)
    daemon.logs = [LogAudit(entry=audit(1, "pause", "mailbox:anna@acme.example"))]
    async with dashboard(daemon, size=(140, 40)) as driver:
        await driver.shows("DETAIL")
        await driver.shows("AUDIT")
        await driver.shows("PROVIDER")


async def test_a_tiny_terminal_says_so(daemon: StandIn) -> None:
    fill(daemon)
    async with dashboard(daemon, size=(38, 10)) as driver:
        await driver.shows("38x10 is too small")


def test_every_action_has_somebody_who_does_it() -> None:
    doers = (MailboxesView, AuditTail, EventTail, DetailScreen, MainScreen, Pausing, Dashboard)
    for action in ACTIONS:
        assert any(hasattr(doer, action.name) for doer in doers), action.id


async def test_help_comes_from_the_registry(daemon: StandIn) -> None:
    fill(daemon)
    async with dashboard(daemon, size=(100, 60)) as driver:
        await driver.press("?")
        await driver.shows("Leave the dashboard; the daemon keeps sending")
        await driver.shows("a rule or a provider stopped it")
        await driver.press("escape")
        await driver.hides("Leave the dashboard")


async def test_the_palette_finds_an_action(daemon: StandIn) -> None:
    fill(daemon)
    async with dashboard(daemon) as driver:
        await driver.press(":")
        await driver.type("dark/light")
        await driver.press("enter", "enter")
        await driver.until(lambda: driver.app.theme == themes.LIGHT.name)


async def test_no_color_leaves_no_colour_on_the_screen(
    daemon: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    fill(daemon)
    async with dashboard(daemon) as driver:
        await driver.shows("dave@acme.example")
        svg = driver.app.export_screenshot()
        for colour in themes.DARK.variables.values():
            assert colour not in svg


async def test_quit_leaves_with_success(daemon: StandIn) -> None:
    fill(daemon)
    async with dashboard(daemon) as driver:
        await driver.press("q")
        await driver.until(lambda: driver.app.return_value == 0)
