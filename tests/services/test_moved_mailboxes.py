"""What a book that moves or removes a mailbox does to what was sent, waits, or is under way."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from mailplaned.domain.bindings import Demand
from mailplaned.domain.governed_time import GovernedTime
from mailplaned.domain.ids import MESSAGE, parse_id
from mailplaned.domain.message import State
from mailplaned.domain.outcomes import Outcome, RecipientReport, Reply, Report, Stage
from mailplaned.domain.policy import Account, Cap, Policy, SendingDomain, Workload, Workspace
from mailplaned.domain.records import Claim, Message
from mailplaned.domain.windows import Per
from mailplaned.services.claiming import claim
from mailplaned.services.messages import resolve
from mailplaned.services.pauses import Replan, replan
from mailplaned.services.recovery import adopt, rebuild, recover
from mailplaned.services.settling import record
from mailplaned.store.rows import Scopes
from mailplaned.store.transaction import SqlTransaction
from tests.fakes.clock import EPOCH_US
from tests.fakes.random_seeded import SeededRandom
from tests.fakes.store_inline import memory_database
from tests.fakes.store_kit import ANA, BEN, put_in, small_book

ONE_A_DAY = (Cap(limit=1, per=Per.DAY),)


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    connection = memory_database()
    yield connection
    connection.close()


def desk(database: sqlite3.Connection, policy: Policy) -> SqlTransaction:
    time = GovernedTime(None, wall_us=EPOCH_US, boot_us=0, boot_id="one")
    random = SeededRandom()
    tx = SqlTransaction(database, Scopes(database), None, EPOCH_US, random)  # type: ignore[arg-type]
    tx.memory = rebuild(tx, policy, time)
    tx.memory.claiming = True
    return tx


def in_acme(**changes: object) -> Policy:
    return small_book(**changes)


def of_account() -> Policy:
    relay = Account(name="relay", workspace="acme", provider="smtp", caps=ONE_A_DAY)
    other = Account(name="other", workspace="acme", provider="smtp")
    return in_acme(accounts={"relay": relay, "other": other})


def of_domain() -> Policy:
    domain = SendingDomain(name="acme.example", workspace="acme", caps=ONE_A_DAY)
    return in_acme(domains={"acme.example": domain})


def of_workspace() -> Policy:
    return in_acme(caps=ONE_A_DAY)


def of_recipient_domain() -> Policy:
    cold = Workload(name="cold", workspace="acme", recipient_domain=ONE_A_DAY[0])
    return in_acme(workloads={"cold": cold})


def without_ana(policy: Policy) -> Policy:
    acme = policy.workspaces["acme"]
    boxes = {BEN: acme.mailboxes[BEN]}
    changed = replace(acme, mailboxes=boxes, paths={})
    return replace(policy, hash="book-2", workspaces={**policy.workspaces, "acme": changed})


def with_ana_on(policy: Policy, account: str) -> Policy:
    acme = policy.workspaces["acme"]
    boxes = {**acme.mailboxes, ANA: replace(acme.mailboxes[ANA], account=account)}
    changed = replace(acme, mailboxes=boxes)
    return replace(policy, hash="book-2", workspaces={**policy.workspaces, "acme": changed})


def with_ana_at_beta(policy: Policy) -> Policy:
    """The whole domain goes to another client, with Ana; Ben is gone."""
    beta = Workspace(
        name="beta",
        accounts={"relay": Account(name="relay", workspace="beta", provider="smtp")},
        domains={"acme.example": SendingDomain(name="acme.example", workspace="beta")},
        mailboxes={ANA: replace(policy.workspaces["acme"].mailboxes[ANA], workspace="beta")},
    )
    acme = replace(policy.workspaces["acme"], mailboxes={}, domains={}, paths={})
    return replace(policy, hash="book-2", workspaces={"acme": acme, "beta": beta})


def begun(tx: SqlTransaction) -> Claim:
    put_in(tx)
    (claimed,) = tx.effects.begun
    return claimed


def finish(tx: SqlTransaction, claimed: Claim, outcome: Outcome) -> None:
    reply = Reply(code=250, text="ok")
    recipients = tuple(
        RecipientReport(address=address, outcome=outcome, reply=reply)
        for address in claimed.addresses
    )
    report = Report(outcome=outcome, stage=Stage.DOT, reply=reply, recipients=recipients)
    record(
        tx,
        claimed.message,
        claimed.recipients,
        report,
        account=claimed.account.key,
        jitter=0.5,
    )


def ben_is_refused(tx: SqlTransaction) -> bool:
    asked = Demand(mailbox=BEN, workload="cold", recipients=1, domains=(("example.org", 1),))
    return tx.memory.governor.refusal(asked, tx.now_us) is not None


def stored(tx: SqlTransaction, shown: str | None) -> Message:
    id_ = parse_id(MESSAGE, shown or "")
    assert id_ is not None
    message = tx.message(id_)
    assert message is not None
    return message


def as_the_tables_say(tx: SqlTransaction) -> bool:
    fresh = rebuild(tx, tx.memory.policy, tx.memory.time)
    return (
        tx.memory.governor.differences(fresh.governor, tx.now_us) == []
        and tx.memory.in_flight == fresh.in_flight
    )


BOOKS = [of_account, of_domain, of_workspace, of_recipient_domain]


@pytest.mark.parametrize("book", BOOKS)
def test_a_wider_cap_counts_what_a_removed_mailbox_has_sent(
    database: sqlite3.Connection, book: Callable[[], Policy]
) -> None:
    tx = desk(database, book())
    finish(tx, begun(tx), Outcome.ACCEPTED)
    adopt(tx, without_ana(book()))
    assert ben_is_refused(tx)
    assert as_the_tables_say(tx)


@pytest.mark.parametrize("outcome", [Outcome.ACCEPTED, Outcome.UNKNOWN])
@pytest.mark.parametrize("book", BOOKS)
def test_a_mailbox_removed_during_an_attempt_still_counts_in_wider_caps(
    database: sqlite3.Connection, book: Callable[[], Policy], outcome: Outcome
) -> None:
    tx = desk(database, book())
    claimed = begun(tx)
    adopt(tx, without_ana(book()))
    assert ben_is_refused(tx)
    finish(tx, claimed, outcome)
    assert ben_is_refused(tx)
    assert as_the_tables_say(tx)


def test_an_account_counts_what_a_mailbox_sent_before_it_moved_to_another(
    database: sqlite3.Connection,
) -> None:
    tx = desk(database, of_account())
    finish(tx, begun(tx), Outcome.ACCEPTED)
    adopt(tx, with_ana_on(of_account(), "other"))
    assert ben_is_refused(tx)
    assert as_the_tables_say(tx)


def test_an_attempt_ends_on_the_account_it_began_on(database: sqlite3.Connection) -> None:
    tx = desk(database, of_account())
    claimed = begun(tx)
    adopt(tx, with_ana_on(of_account(), "other"))
    finish(tx, claimed, Outcome.REJECTED_RECIPIENT)
    assert not ben_is_refused(tx)
    assert as_the_tables_say(tx)


def test_a_persons_word_frees_the_account_of_an_unknown_attempt(
    database: sqlite3.Connection,
) -> None:
    tx = desk(database, of_account())
    claimed = begun(tx)
    finish(tx, claimed, Outcome.UNKNOWN)
    adopt(tx, with_ana_on(of_account(), "other"))
    resolve(tx, claimed.message.id, sent=False, actor="op", reason="looked")
    assert not ben_is_refused(tx)
    assert as_the_tables_say(tx)


def test_recovery_knows_the_account_of_an_attempt(database: sqlite3.Connection) -> None:
    before = desk(database, of_account())
    begun(before)
    before.flush()
    tx = desk(database, with_ana_on(of_account(), "other"))
    assert recover(tx) == 1
    assert ben_is_refused(tx)
    assert as_the_tables_say(tx)


def test_a_message_never_leaves_by_another_workspaces_account(
    database: sqlite3.Connection,
) -> None:
    tx = desk(database, small_book())
    tx.memory.claiming = False
    waiting = put_in(tx).id  # type: ignore[union-attr]
    adopt(tx, with_ana_at_beta(small_book()))
    tx.memory.claiming = True
    claim(tx, [ANA])
    assert tx.effects.begun == []
    message = stored(tx, waiting)
    assert message.state is State.HELD
    assert message.reason == "the book has this mailbox in another workspace"
    adopt(tx, small_book())
    step = Replan()
    while not step.done:
        step = replan(tx, ANA, "the book changed", step)
    claim(tx, [ANA])
    assert stored(tx, waiting).state is State.SENDING
    assert as_the_tables_say(tx)


def test_what_waits_for_a_provider_that_is_not_supported_is_held(
    database: sqlite3.Connection,
) -> None:
    tx = desk(database, small_book())
    tx.memory.claiming = False
    waiting = put_in(tx).id  # type: ignore[union-attr]
    gmail = Account(name="relay", workspace="acme", provider="gmail", supported=False)
    adopt(tx, small_book(accounts={"relay": gmail}))
    tx.memory.claiming = True
    claim(tx, [ANA])
    assert tx.effects.begun == []
    assert stored(tx, waiting).state is State.HELD
    assert as_the_tables_say(tx)
