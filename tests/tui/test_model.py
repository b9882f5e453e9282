"""The model shows what the daemon said, says how old that is, and never guesses."""

from __future__ import annotations

import msgspec
import pytest

from mailplane_tui.fleet import SORTS, Fleet, tightest
from mailplane_tui.model import Link, Log, Model
from mailplane_wire.resources import Change, EventView, Heartbeat, LogEvent, MailboxView, Snapshot
from tests.fakes.daemon_stand_in import StandIn
from tests.fakes.wire_rows import NOW, cap, event, mailbox, pause


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def snapshot(*rows: MailboxView, workspaces: tuple[str, ...] = ("acme",)) -> Snapshot:
    """A stream's first message."""
    from pathlib import Path

    boxes = {row.address: row for row in rows}
    return StandIn(Path("unused"), mailboxes=boxes, workspaces=workspaces).snapshot()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def model_of(clock: Clock, *rows: MailboxView, workspaces: tuple[str, ...] = ("acme",)) -> Model:
    model = Model(clock)
    model.fold(snapshot(*rows, workspaces=workspaces), clock())
    return model


def test_trouble_comes_first(clock: Clock) -> None:
    rows = [
        mailbox(f"{state}@a.example", state=state)
        for state in ("ready", "near", "full", "paused", "held", "error")
    ]
    assert [a.partition("@")[0] for a in model_of(clock, *rows).fleet.order] == [
        "error", "held", "paused", "full", "near", "ready",
    ]  # fmt: skip


def test_a_change_touches_only_its_rows(clock: Clock) -> None:
    model = model_of(clock, mailbox("a@x.example"), mailbox("b@x.example", waiting=1))
    model.take_dirty()
    model.fold(Change(now=NOW, mailboxes=[mailbox("b@x.example", waiting=9)]), clock())
    assert model.take_dirty() == {"b@x.example"}
    assert model.take_dirty() == set()
    assert model.mailboxes["b@x.example"].waiting == 9


def test_what_is_removed_leaves_the_list(clock: Clock) -> None:
    model = model_of(clock, mailbox("a@x.example"), mailbox("b@x.example"))
    model.fold(Change(now=NOW, removed=["b@x.example", "never@x.example"]), clock())
    assert model.fleet.order == ["a@x.example"]


def test_counts_are_the_daemons_whatever_rows_have_come(clock: Clock) -> None:
    rows = [
        mailbox("a@x.example", state="held", waiting=1, unknown=2),
        mailbox("b@x.example", waiting=3),
        mailbox("c@y.example", state="held", waiting=5, workspace="beta"),
    ]
    model = model_of(clock, workspaces=("acme", "beta"))
    sums = snapshot(*rows, workspaces=("acme", "beta")).workspaces
    model.fold(Change(now=NOW, mailboxes=rows[:1], workspaces=sums), clock())
    found = []
    for name in (None, "acme", "beta"):
        model.switch(name)
        count = model.count
        found.append((count.mailboxes, count.states["held"], count.waiting, count.unknown))
    assert found == [(3, 2, 9, 2), (2, 1, 4, 2), (1, 1, 5, 0)]


@pytest.mark.parametrize(
    ("sort", "before", "now", "moves"),
    [
        ("state", {"waiting": 1}, {"waiting": 9}, False),
        ("state", {}, {"state": "held"}, True),
        ("waiting", {"waiting": 1}, {"waiting": 9}, True),
        ("today", {"caps": [cap(sent=1)]}, {"caps": [cap(sent=1), cap("week", sent=9)]}, False),
        ("today", {"caps": [cap(sent=1)]}, {"caps": [cap(sent=2)]}, True),
        ("bounces", {"bounced_7d": 1}, {"bounced_7d": 3}, True),
        ("next", {}, {"next_slot_at": None}, True),
    ],
)
def test_a_list_is_sorted_anew_only_when_a_change_moves_a_mailbox(
    clock: Clock, sort: str, before: dict[str, object], now: dict[str, object], *, moves: bool
) -> None:
    model = model_of(clock, mailbox("a@x.example", **before), mailbox("b@x.example"))
    model.fleet.sort = sort
    model.arrange()
    clock.now += 2.1
    model.fold(Change(now=NOW, mailboxes=[mailbox("a@x.example", **(before | now))]), clock())
    order = model.fleet.order
    model.arrange_if_due()
    wanted = sorted(model.mailboxes.values(), key=SORTS[sort][1])
    assert model.fleet.order == [row.address for row in wanted]
    assert (
        model.fleet.moves(mailbox("a@x.example", **before), model.mailboxes["a@x.example"]) is moves
    )
    assert moves or model.fleet.order is order


def test_a_change_brings_a_mailbox_into_a_filter_and_out_of_it(clock: Clock) -> None:
    model = model_of(clock, mailbox("a@x.example"), mailbox("b@x.example"))
    model.fleet.set_filter("state:held")
    model.arrange()
    for state, shown in (("held", ["a@x.example"]), ("ready", [])):
        clock.now += 2.1
        model.fold(Change(now=NOW, mailboxes=[mailbox("a@x.example", state=state)]), clock())
        assert model.arrange_if_due()
        assert model.fleet.order == shown


def test_numbers_are_live_then_late_then_offline(clock: Clock) -> None:
    model = Model(clock)
    seen = [model.link]
    model.fold(snapshot(), clock())
    for step in (0, 3.5, 7):
        clock.now += step
        seen.append(model.link)
    model.fold(Heartbeat(now=NOW), clock())
    seen.append(model.link)
    assert seen == [Link.NEVER, Link.LIVE, Link.LATE, Link.OFFLINE, Link.LIVE]


def test_a_lost_link_is_offline_at_once_and_keeps_its_data(clock: Clock) -> None:
    model = model_of(clock, mailbox("a@x.example"))
    model.lost("hung up", clock() + 4)
    assert (model.link, model.retry_in_s) == (Link.OFFLINE, 4)
    assert model.fleet.order == ["a@x.example"]


def test_rows_rest_after_a_key_and_between_two_sorts(clock: Clock) -> None:
    model = model_of(clock, mailbox("a@x.example"), mailbox("b@x.example"))
    model.fold(Change(now=NOW, mailboxes=[mailbox("b@x.example", state="held")]), clock())
    assert not model.arrange_if_due()
    clock.now += 2.1
    model.touch()
    assert not model.arrange_if_due()
    clock.now += 1.6
    assert model.arrange_if_due()
    assert model.fleet.order == ["b@x.example", "a@x.example"]


def test_the_cursor_stays_on_its_mailbox_when_the_order_changes(clock: Clock) -> None:
    model = model_of(clock, mailbox("a@x.example"), mailbox("b@x.example"), mailbox("c@x.example"))
    model.fleet.cursor = "b@x.example"
    model.fold(Change(now=NOW, mailboxes=[mailbox("c@x.example", state="held")]), clock())
    model.arrange()
    assert (model.fleet.cursor, model.fleet.line_of_cursor()) == ("b@x.example", 2)


def test_the_cursor_takes_the_same_line_when_its_mailbox_goes(clock: Clock) -> None:
    model = model_of(clock, mailbox("a@x.example"), mailbox("b@x.example"), mailbox("c@x.example"))
    model.fleet.cursor = "b@x.example"
    model.fold(Change(now=NOW, removed=["b@x.example"]), clock())
    assert model.fleet.cursor == "c@x.example"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", "abc"),
        ("acme", "ab"),
        ("!acme", "c"),
        ("state:held", "b"),
        ("state:held,ready acme", "ab"),
        ("!state:held", "ac"),
        ("BOUNCE", "b"),
        ("domain:other", "c"),
        ("!", "abc"),
        ("state:", ""),
    ],
)
def test_filters(text: str, shown: str) -> None:
    rows = {
        "a": mailbox("a@acme.example"),
        "b": mailbox("b@acme.example", state="held", state_reason="rule Bounce-5pct"),
        "c": mailbox("c@other.example", state="near"),
    }
    fleet = Fleet()
    fleet.sort = "address"
    fleet.set_filter(text)
    fleet.arrange(rows, None)
    assert "".join(address[0] for address in fleet.order) == shown


def test_an_unknown_filter_key_is_named_and_changes_nothing() -> None:
    fleet = Fleet()
    fleet.set_filter("acme")
    fleet.set_filter("colour:red")
    assert fleet.filter == "acme"
    assert "colour" in (fleet.filter_fault or "")


def test_a_selection_is_kept_per_workspace(clock: Clock) -> None:
    rows = [mailbox("a@x.example"), mailbox("b@y.example", workspace="beta")]
    model = model_of(clock, *rows, workspaces=("acme", "beta"))
    assert model.workspace is None
    model.switch("acme")
    model.fleet.toggle()
    model.switch("beta")
    assert (model.fleet.order, model.fleet.selected) == (["b@y.example"], set())
    model.switch("acme")
    assert model.fleet.targets() == ["a@x.example"]


def test_one_workspace_is_entered_by_itself(clock: Clock) -> None:
    assert model_of(clock, mailbox("a@x.example")).workspace == "acme"


def test_the_tightest_cap_is_the_one_with_least_left() -> None:
    row = mailbox(
        "a@x.example", caps=[cap(limit=50, sent=10), cap(limit=1000, sent=995), cap("week")]
    )
    found = tightest(row, "day")
    assert found is not None
    assert found.limit == 1000
    assert tightest(row, "hour") is None


def test_an_action_is_pending_until_the_row_shows_its_pause(clock: Clock) -> None:
    model = model_of(clock, mailbox("a@x.example"))
    model.expect(["a@x.example"], "pause")
    model.fold(Change(now=NOW, mailboxes=[mailbox("a@x.example", waiting=5)]), clock())
    assert "a@x.example" in model.pending
    model.answered("a@x.example", present={"pau_1"})
    assert "a@x.example" in model.pending
    paused = mailbox("a@x.example", state="paused", pauses=[pause(1, "mailbox:a@x.example")])
    model.fold(Change(now=NOW, mailboxes=[paused]), clock())
    assert not model.pending


def test_an_action_without_effect_is_told_after_five_seconds(clock: Clock) -> None:
    model = model_of(clock, mailbox("a@x.example"))
    model.expect(["a@x.example"], "pause")
    assert model.overdue() == {}
    clock.now += 5
    assert model.overdue() == {"a@x.example": "pause"}
    assert not model.pending


def test_undo_is_offered_once_and_for_thirty_seconds(clock: Clock) -> None:
    model = Model(clock)
    model.remember_undo(["pau_1"], "a")
    undo = model.take_undo()
    assert undo is not None
    assert undo.pauses == ("pau_1",)
    assert model.take_undo() is None
    model.remember_undo(["pau_2"], "b")
    clock.now += 30
    assert model.take_undo() is None


def test_a_log_is_bounded_and_drops_what_a_resumed_stream_repeats() -> None:
    log: Log[EventView] = Log(lambda entry: entry.cursor, length=3)
    for number in (1, 2, 2, 3, 4, 4):
        log.append(event(number, "accepted", "a@x.example"))
    assert [entry.cursor for entry in log.entries] == [2, 3, 4]
    assert [entry.cursor for entry in log.since(3)] == [4]
    assert [entry.cursor for entry in log.since(0)] == [2, 3, 4]


def test_events_are_folded_into_the_tail(clock: Clock) -> None:
    model = model_of(clock, mailbox("a@x.example"))
    model.fold(LogEvent(event=event(1, "bounced", "a@x.example")), clock())
    assert [entry.kind for entry in model.events.entries] == ["bounced"]


def test_a_snapshot_after_a_restart_replaces_everything(clock: Clock) -> None:
    model = model_of(clock, mailbox("a@x.example"), mailbox("b@x.example"))
    model.fold(msgspec.structs.replace(snapshot(mailbox("b@x.example")), role="viewer"), clock())
    assert (list(model.mailboxes), model.role) == (["b@x.example"], "viewer")
    assert model.count.mailboxes == 1
