"""What stands in the cells, by the numbers."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from msgspec import structs

from mailplane_tui import explain
from mailplane_tui.columns import Cell, columns_for
from mailplane_tui.formats import Format, short
from mailplane_tui.glyphs import ASCII, UNICODE, glyphs_for
from mailplane_tui.lines import plain, width_of
from mailplane_tui.views.reasons import end_choices
from tests.fakes.wire_rows import audit, cap, event, mailbox, pause

TEXT = Format(UNICODE, UTC)
NOW = datetime(2026, 11, 24, 14, 2, 11, tzinfo=UTC)

HOSTILE = "[/nope] \x1b]52;c;AA\x07 \u202e[@click=app.quit]x[/]"


@pytest.mark.parametrize(
    ("sent", "unknown", "waiting", "bar"),
    [
        (0, 0, 0, "········"),
        (50, 0, 0, "████████"),
        (49, 0, 0, "███████·"),
        (1, 0, 0, "█·······"),
        (45, 2, 0, "██████▓·"),
        (25, 5, 10, "████▓▒▒·"),
        (40, 0, 400, "██████▒▒"),
        (50, 0, 400, "████████"),
        (60, 1, 4, "███████▓"),
        (48, 1, 1, "██████▓▒"),
    ],
)
def test_a_bar_shows_every_part_that_is_there(
    sent: int, unknown: int, waiting: int, bar: str
) -> None:
    shown = plain(TEXT.bar(cap(sent=sent, unknown=unknown, waiting=waiting), 8))
    assert len(shown) == 8
    assert shown == bar


def test_a_missing_cap_is_a_dash() -> None:
    assert plain(TEXT.bar(None, 8)).rstrip() == "—"


@pytest.mark.parametrize(
    ("number", "shown"), [(0, "0"), (9999, "9999"), (12_345, "12k"), (1_250_000, "1.2M")]
)
def test_counts_fit_five_cells(number: int, shown: str) -> None:
    assert short(number) == shown


@pytest.mark.parametrize(
    ("time", "shown"),
    [
        (None, "—"),
        ("2026-11-24T14:05:00Z", "14:05"),
        ("2026-11-26T08:00:00Z", "Thu 08"),
        ("2027-01-03T08:00:00Z", "3 Jan"),
    ],
)
def test_a_slot_fits_six_cells(time: str | None, shown: str) -> None:
    assert TEXT.when(time, NOW) == shown


@pytest.mark.parametrize("width", [20, 38, 60, 78, 92, 100, 110, 138, 200])
@pytest.mark.parametrize("every", [True, False])
def test_columns_never_exceed_the_table(width: int, every: bool) -> None:
    columns = columns_for(width, every_workspace=every)
    cell = Cell(row=mailbox("日本語@" + "x" * 80, name=HOSTILE), text=TEXT, now=NOW, pending=True)
    total = 0
    for column, cells in columns:
        assert width_of(column.draw(cell, cells)) == cells, column.title
        total += cells + 1
    assert total <= max(width, 21)


def test_the_first_columns_to_go_are_the_least_urgent() -> None:
    titles = [column.title for column, _ in columns_for(70, every_workspace=False)]
    assert titles == ["MAILBOX", "STATE", "TODAY", "WEEK", "WAIT", "NEXT"]


def test_more_pauses_than_one_are_counted() -> None:
    pauses = [pause(1, "mailbox:a@x.example"), pause(2, "domain:x.example")]
    row = mailbox("a@x.example", state="paused", pauses=pauses)
    assert TEXT.state(row)[0] == "‖ paused+1"
    assert TEXT.state(row, pending=True)[0] == "… paused+1"


def test_a_log_row_masks_recipients_and_shows_no_control_character() -> None:
    row = event(1, "bounced", "a@x.example", detail={"reply": f"550 kim@firm.example {HOSTILE}"})
    shown = plain(TEXT.event(row, 200, {"a@x.example"}))
    assert "k***@firm.example" in shown
    assert "kim@" not in shown
    assert "\x1b" not in shown
    assert "a@x.example" in shown


def test_an_audit_row_keeps_mailboxes_and_masks_other_addresses() -> None:
    ours = audit(1, "pause", "mailbox:a@x.example")
    theirs = audit(2, "suppress", "suppression:kim@firm.example")
    assert "a@x.example" in plain(TEXT.audit(ours, 120, {"a@x.example"}))
    assert "kim" not in plain(TEXT.audit(theirs, 120, {"a@x.example"}))


def test_a_change_of_the_book_is_told_in_words() -> None:
    caps = [{"limit": 40, "per": "day"}]
    change = {"change": "caps: not set → 40 per day", "file": "workspaces/x.toml", "via": "command"}
    entry = audit(1, "mailbox changed", "a@x.example")
    entry = structs.replace(entry, detail={**change, "key": "mailbox[a]", "old": None, "new": caps})
    shown = plain(TEXT.audit(entry, 160, {"a@x.example"}))
    assert shown.endswith("caps: not set → 40 per day file=workspaces/x.toml")


def test_details_name_every_pause_and_cap_and_what_to_press() -> None:
    row = mailbox(
        "a@x.example",
        state="held",
        unknown=2,
        caps=[cap("week", limit=250, sent=10), cap("day", sent=45, unknown=2)],
        pauses=[
            pause(1, "mailbox:a@x.example", reason=HOSTILE, actor="rule:bounces"),
            pause(2, "workspace:acme"),
        ],
    )
    shown = "\n".join(plain(spans) for spans in explain.details(row, TEXT, NOW, (), bar=10))
    for part in (
        "\\x1b]52",
        "also since",
        "47 of 50, 2 unknown",
        "10 of 250",
        "acknowledge",
    ):
        assert part in shown
    assert "\x1b" not in shown


def test_a_mailbox_paused_with_its_workspace_says_so() -> None:
    row = mailbox("a@x.example", state="paused", pauses=[pause(1, "workspace:acme")])
    assert "workspace acme" in explain.advice(row)


@pytest.mark.parametrize(
    ("state", "pauses", "advice"),
    [
        ("ready", [], "p pauses it"),
        ("full", [], "goes on by itself"),
        ("error", [], "put right in the book"),
        ("paused", ["mailbox:a@x.example"], "r resumes it; mail stays"),
        ("paused", ["workspace:acme", "mailbox:a@x.example"], "r resumes it; mail stays"),
        ("paused", ["everything"], "everything is paused"),
    ],
)
def test_the_advice_fits_what_stops_the_mailbox(state: str, pauses: list[str], advice: str) -> None:
    stops = [pause(number, scope) for number, scope in enumerate(pauses)]
    assert advice in explain.advice(mailbox("a@x.example", state=state, pauses=stops))


def test_a_mailbox_with_unknown_messages_says_how_they_are_resolved() -> None:
    assert "message resolve" in explain.advice(mailbox("a@x.example", state="ready", unknown=2))


def test_times_in_a_log_row_are_readable() -> None:
    detail = {"slot_at": "2026-11-25T08:00:00.5Z", "was_us": 1_795_532_531_000_000, "n": 0}
    row = event(1, "slot_moved", "a@x.example", detail=detail)
    assert "slot=Wed 08:00 was=15:02 n=0" in plain(TEXT.event(row, 200, ()))


def test_the_ends_of_a_pause_lie_ahead_in_wire_time() -> None:
    assert end_choices(NOW, TEXT) == [
        ("I resume it", None),
        ("1 h", "2026-11-24T15:02:11Z"),
        ("tomorrow 08:00", "2026-11-25T08:00:00Z"),
        ("Monday 08:00", "2026-11-30T08:00:00Z"),
    ]


def test_a_locale_without_utf8_gets_ascii() -> None:
    assert glyphs_for("UTF-8") is UNICODE
    assert glyphs_for("ANSI_X3.4-1968") is ASCII
    bar = plain(Format(ASCII, UTC).bar(cap(sent=25, unknown=5, waiting=10), 8))
    assert bar == "####?++."
