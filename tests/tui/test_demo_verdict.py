"""The demo's judge: it has to turn red when there is something to be red about."""

from __future__ import annotations

import pytest

from mailplane_tui.demo.sink import Entry
from mailplane_tui.demo.verdict import Limit, Submitted, Verdict, above_rolling, judge, violations

HOUR = 3_600_000_000
START = 1_767_222_000_000_000  # 2025-12-31 23:00 UTC


def limit(count: int, per: str = "hour", **more: object) -> Limit:
    values: dict[str, object] = {
        "scope": "mailbox:ana@acme.example",
        "senders": frozenset({"ana@acme.example"}),
        "limit": count,
        "per": per,
        "calendar": False,
        "recipients": False,
        "zone": "UTC",
    }
    return Limit(**(values | more))  # type: ignore[arg-type]


def took(at_us: int, id_: str = "", *, event: str = "accepted", recipients: int = 1) -> Entry:
    return Entry(
        at_us=START + at_us,
        event=event,
        sender="ana@acme.example",
        recipients=[f"{n}@kim.example" for n in range(recipients)],
        id=id_ or f"msg_{at_us}",
        taken=event == "accepted",
    )


@pytest.mark.parametrize(
    ("units", "above"),
    [
        ([], 0),
        ([(0, 1), (1, 1), (2, 1)], 0),
        ([(0, 1), (1, 1), (2, 1), (3, 1)], 1),
        ([(0, 1), (1, 1), (2, 1), (HOUR, 1)], 0),  # the first has left the window
        ([(0, 1), (1, 1), (2, 1), (HOUR - 1, 1)], 1),  # it has not
        ([(HOUR - 2, 1), (HOUR - 1, 1), (HOUR, 1), (HOUR + 1, 1)], 1),  # over a full hour
        ([(0, 3), (HOUR, 3)], 0),
        ([(0, 2), (1, 3)], 2),
        ([(3, 1), (0, 1), (2, 1), (1, 1)], 1),  # the order of the ledger is no matter
    ],
)
def test_no_window_of_an_hour_holds_more_than_three(
    units: list[tuple[int, int]], above: int
) -> None:
    assert above_rolling(units, 3, HOUR) == above


def test_a_planted_violation_turns_the_verdict_red() -> None:
    ledger = [took(n) for n in range(4)]
    assert verdict(ledger, limits=[limit(4)]).clean
    red = verdict(ledger, limits=[limit(4), limit(3)])
    assert red.cap_violations == 1
    assert not red.clean


def test_a_message_left_unanswered_counts_against_the_cap() -> None:
    assert violations(limit(1), [took(0), took(1, event="dropped")]) == 1


def test_what_another_mailbox_sent_does_not_count() -> None:
    assert violations(limit(1, senders=frozenset({"ben@acme.example"})), [took(0), took(1)]) == 0


def test_recipients_count_one_by_one_where_the_cap_says_so() -> None:
    ledger = [took(0, recipients=2), took(1, recipients=2)]
    assert violations(limit(3), ledger) == 0
    assert violations(limit(3, recipients=True), ledger) == 1


def test_a_calendar_day_begins_at_midnight_of_its_zone() -> None:
    ledger = [took(0), took(HOUR)]  # 23:00 and 00:00 in UTC; 00:00 and 01:00 in Berlin
    assert violations(limit(1, "day", calendar=True), ledger) == 0
    assert violations(limit(1, "day", calendar=True, zone="Europe/Berlin"), ledger) == 1
    assert violations(limit(1, "week", calendar=True), ledger) == 1


def test_what_was_accepted_and_is_nowhere_is_lost() -> None:
    messages = [submitted("msg_1"), submitted("msg_2"), submitted("msg_3")]
    states = {"msg_2": "scheduled", "msg_3": "accepted"}
    found = verdict([took(0, "msg_1")], submitted=messages, states=states)
    assert found.lost == 1  # msg_3: the daemon says sent, and the sink has not seen it
    assert not found.clean


def test_a_message_whose_recipients_were_all_refused_is_not_lost() -> None:
    entry = Entry(at_us=START, event="refused", sender="ana@acme.example", recipients=["a@b.c"])
    found = verdict([entry], submitted=[submitted("msg_1", "a@b.c")])
    assert (found.bounced, found.lost) == (1, 0)
    assert verdict([entry], submitted=[submitted("msg_1", "a@b.c", "d@e.f")]).lost == 1


def test_an_id_taken_twice_is_a_duplicate() -> None:
    found = verdict([took(0, "msg_1"), took(1, "msg_1")])
    assert (found.sent, found.duplicated, found.clean) == (1, 1, False)


def test_an_earlier_run_counts_in_the_windows_only() -> None:
    found = verdict([took(0), took(1)], before=1, limits=[limit(1)])
    assert (found.sent, found.cap_violations) == (1, 1)


def submitted(id_: str, *recipients: str) -> Submitted:
    return Submitted(id=id_, recipients=recipients or (f"{id_}@kim.example",), state="queued")


def verdict(
    ledger: list[Entry],
    *,
    submitted: list[Submitted] | None = None,
    before: int = 0,
    limits: list[Limit] | None = None,
    states: dict[str, str] | None = None,
) -> Verdict:
    return judge(
        submitted=submitted or [],
        rejected=0,
        ledger=ledger,
        before=before,
        limits=limits or [],
        states=states or {},
    )
