"""The one entrance, over the real tables in memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace

import pytest

from mailplaned.domain.governed_time import GovernedTime
from mailplaned.domain.ids import MESSAGE, parse_id
from mailplaned.domain.policy import Cap, OnCap, Policy, Workload
from mailplaned.domain.records import Suppression
from mailplaned.domain.roles import Caller, Role
from mailplaned.domain.windows import DAY_US, HOUR_US, MINUTE_US, Per
from mailplaned.services.admission import preflight, submit
from mailplaned.services.answers import Admitted, Refused
from mailplaned.services.messages import cancel
from mailplaned.services.pauses import pause
from mailplaned.services.recovery import rebuild
from mailplaned.services.suppressions import suppress
from mailplaned.store.rows import Scopes
from mailplaned.store.transaction import SqlTransaction
from tests.fakes.clock import EPOCH_US
from tests.fakes.random_seeded import SeededRandom
from tests.fakes.store_inline import memory_database
from tests.fakes.store_kit import ANA, BEN, SEQUENCER, put_in, small_book, submission

RANDOM = SeededRandom(11)
ONE_A_DAY = small_book(Cap(limit=1, per=Per.DAY))


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    connection = memory_database()
    yield connection
    connection.close()


def desk(
    database: sqlite3.Connection, policy: Policy = ONE_A_DAY, now_us: int = EPOCH_US
) -> SqlTransaction:
    """A transaction that is never committed; nothing is dispatched from it."""
    time = GovernedTime(None, wall_us=now_us, boot_us=0, boot_id="one")
    tx = SqlTransaction(database, Scopes(database), None, now_us, RANDOM)  # type: ignore[arg-type]
    tx.memory = rebuild(tx, policy, time)
    return tx


def rows(tx: SqlTransaction) -> list[int]:
    return [
        tx._db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        for table in ("messages", "recipients", "bodies", "attempts", "events", "idempotency")
    ]


def admitted(answer: Admitted | Refused) -> Admitted:
    assert isinstance(answer, Admitted), answer
    return answer


def refused(answer: Admitted | Refused) -> Refused:
    assert isinstance(answer, Refused), answer
    return answer


def test_a_preflight_answers_as_the_submission_does_and_leaves_no_trace(
    database: sqlite3.Connection,
) -> None:
    tx = desk(database)
    for _ in range(3):
        made = submission(idempotency_key=None)
        before = rows(tx)
        expected = preflight(tx, SEQUENCER, made)
        assert rows(tx) == before
        assert (
            tx.memory.governor.differences(
                rebuild(tx, tx.memory.policy, tx.memory.time).governor, tx.now_us
            )
            == []
        )
        answer = submit(tx, SEQUENCER, made, RANDOM)
        assert admitted(answer)._replace(id=None, message_id=None) == expected


def test_the_same_key_and_body_give_the_same_answer_and_one_message(
    database: sqlite3.Connection,
) -> None:
    tx = desk(database)
    first = admitted(put_in(tx, submission(idempotency_key="k")))
    again = admitted(put_in(tx, submission(idempotency_key="k")))
    assert again == first._replace(replayed=True)
    assert rows(tx)[0] == 1


def test_the_same_key_with_another_body_is_refused(database: sqlite3.Connection) -> None:
    tx = desk(database)
    put_in(tx, submission(idempotency_key="k"))
    answer = refused(put_in(tx, submission(idempotency_key="k", fingerprint=b"2")))
    assert (answer.code, answer.field) == ("idempotency-mismatch", "idempotency_key")


def test_a_refusal_is_not_kept_under_its_key(database: sqlite3.Connection) -> None:
    tx = desk(database)
    put_in(tx)
    refused(put_in(tx, submission(idempotency_key="k", on_cap=OnCap.REJECT)))
    admitted(put_in(tx, submission(idempotency_key="k")))


def test_a_full_cap_names_itself_and_when_it_has_room(database: sqlite3.Connection) -> None:
    tx = desk(database)
    put_in(tx)
    answer = refused(put_in(tx, submission(on_cap=OnCap.REJECT)))
    assert answer.code == "cap-reached"
    assert answer.decision is not None
    assert (answer.decision.scope, answer.decision.limit) == (f"mailbox:{ANA}", 1)
    assert answer.decision.remaining == 0
    assert answer.retry_after_us is not None
    assert DAY_US <= answer.retry_after_us <= DAY_US + MINUTE_US


def test_a_slot_past_the_end_of_its_life_is_refused(database: sqlite3.Connection) -> None:
    tx = desk(database)
    put_in(tx)
    answer = refused(put_in(tx, submission(expires_in_us=DAY_US)))
    assert answer.code == "cap-reached"
    assert "expiry" in answer.detail


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"workspace": "nowhere"}, "invalid", "workspace"),
        ({"mailbox": "who@acme.example"}, "unknown-mailbox", "mailbox"),
        ({"mailbox": None, "path": "nowhere"}, "invalid", "path"),
        ({"workload": "unheard-of"}, "invalid", "workload"),
        ({"expires_in_us": 31 * DAY_US}, "invalid", "expires_in"),
        ({"not_before_us": EPOCH_US - HOUR_US}, "invalid", "not_before"),
        ({"not_before_us": EPOCH_US + 9 * DAY_US}, "invalid", "not_before"),
    ],
)
def test_what_cannot_be_is_refused_by_field_and_stored_nowhere(
    database: sqlite3.Connection, changes: dict[str, object], code: str, field: str
) -> None:
    tx = desk(database)
    answer = refused(put_in(tx, submission(**changes)))
    assert (answer.code, answer.field) == (code, field)
    assert rows(tx) == [0] * 6


def test_a_workspace_that_one_may_not_see_does_not_exist(database: sqlite3.Connection) -> None:
    stranger = Caller(name="s", role=Role.SENDER, workspaces=frozenset(["bolt"]))
    viewer = Caller(name="v", role=Role.VIEWER, workspaces=frozenset(["acme"]))
    tx = desk(database)
    unseen = refused(submit(tx, stranger, submission(), RANDOM))
    nowhere = refused(submit(tx, stranger, submission(workspace="nowhere"), RANDOM))
    assert unseen.detail.replace("acme", "nowhere") == nowhere.detail
    assert refused(submit(tx, viewer, submission(), RANDOM)).code == "not-permitted"


def test_a_suppressed_recipient_is_refused_at_the_door(database: sqlite3.Connection) -> None:
    tx = desk(database)
    suppress(
        tx,
        address="@example.org",
        workspace="acme",
        origin="person",
        ground="asked",
        actor="op",
        random=RANDOM,
    )
    answer = refused(put_in(tx, submission("kim@other.example", "Kim@Example.org")))
    assert (answer.code, answer.recipient) == ("suppressed", "@example.org")


def test_a_path_takes_its_next_tier_when_the_first_is_full_or_paused(
    database: sqlite3.Connection,
) -> None:
    tx = desk(database)
    by_path = submission(mailbox=None, path="main")
    assert admitted(put_in(tx, by_path)).mailbox == ANA
    assert admitted(put_in(tx, by_path)).mailbox == BEN
    pause(
        tx,
        kind="mailbox",
        name=BEN,
        workspace="acme",
        reason="r",
        actor="op",
        until_us=None,
        random=RANDOM,
    )
    assert admitted(put_in(tx, by_path)).mailbox == ANA


def test_a_workload_leaves_by_its_own_paths_only(database: sqlite3.Connection) -> None:
    alone = Workload(name="cold", workspace="acme", paths=("main",), isolated=True)
    acme = ONE_A_DAY.workspaces["acme"]
    only_ana = replace(acme.paths["main"], tiers=((ANA,),))
    policy = small_book(workloads={"cold": alone}, paths={"main": only_ana})
    tx = desk(database, policy)
    assert admitted(put_in(tx, submission(mailbox=None))).path == "main"
    assert refused(put_in(tx, submission(mailbox=BEN))).code == "path-forbidden"


def test_into_a_paused_mailbox_a_message_is_held_or_refused_as_asked(
    database: sqlite3.Connection,
) -> None:
    tx = desk(database)
    pause(
        tx,
        kind="workspace",
        name="acme",
        workspace="acme",
        reason="audit",
        actor="op",
        until_us=None,
        random=RANDOM,
    )
    held = admitted(put_in(tx))
    assert (held.state, held.slot_us, held.decision.reason) == ("held", None, "audit")
    assert refused(put_in(tx, submission(on_cap=OnCap.REJECT))).code == "paused"


def test_cancelling_frees_the_slot_for_the_next(database: sqlite3.Connection) -> None:
    tx = desk(database)
    first = admitted(put_in(tx))
    id_ = parse_id(MESSAGE, first.id or "")
    assert id_ is not None
    cancel(tx, id_, actor="op", reason="r")
    assert admitted(put_in(tx)).slot_us == first.slot_us


def test_suppressing_twice_names_the_suppression_that_there_is(
    database: sqlite3.Connection,
) -> None:
    tx = desk(database)

    def again(workspace: str | None) -> Suppression:
        return suppress(
            tx,
            address="kim@example.org",
            workspace=workspace,
            origin="person",
            ground="asked",
            actor="op",
            random=RANDOM,
        )[0]

    everywhere, here = again(None), again("acme")
    assert everywhere.id != here.id
    assert again(None).id == everywhere.id
    assert again("acme").id == here.id
    assert tx.memory.suppressions == 2


@pytest.mark.parametrize("seen", [{"beta", "gamma"}, {"gamma"}, set[str]()])
def test_whose_mailbox_it_is_stays_unsaid_to_who_may_not_see_it(
    database: sqlite3.Connection, seen: set[str]
) -> None:
    tx = desk(database)
    stranger = Caller(name="bo", role=Role.OPERATOR, workspaces=frozenset(seen))
    answer = refused(submit(tx, stranger, submission(workspace=None), RANDOM))
    assert "'acme'" not in answer.detail


def test_a_known_and_an_unknown_mailbox_look_alike_to_a_stranger(
    database: sqlite3.Connection,
) -> None:
    tx = desk(database)
    stranger = Caller(name="bo", role=Role.OPERATOR, workspaces=frozenset(["beta", "gamma"]))
    answers = [
        refused(submit(tx, stranger, submission(workspace=None, mailbox=mailbox), RANDOM))
        for mailbox in (ANA, "zoe@acme.example")
    ]
    assert [answer.code for answer in answers] == ["unknown-mailbox"] * 2
