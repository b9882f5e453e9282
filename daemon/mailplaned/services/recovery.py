"""From the tables to a daemon that can decide: memory rebuilt, the last run accounted for."""

from __future__ import annotations

from mailplaned.domain.governed_time import GovernedTime
from mailplaned.domain.ledger import HAND_OFF_GUARD_US
from mailplaned.domain.memory import Memory
from mailplaned.domain.message import RecipientState, lost
from mailplaned.domain.policy import Policy
from mailplaned.domain.windows import WEEK_US
from mailplaned.ports import Transaction
from mailplaned.services.settling import record

NOT_RUNNING = "the daemon was not running"

_LEDGER_SPAN_US = 8 * WEEK_US // 7
"""A day more than the longest window: a calendar week with a clock change is 169 hours long."""


def rebuild(tx: Transaction, policy: Policy, time: GovernedTime) -> Memory:
    """Memory as the tables say it should be, under a policy."""
    memory = Memory(policy, time)
    anchor = tx.anchor()
    since_us = (anchor.governed_us if anchor else 0) - _LEDGER_SPAN_US
    memory.load(tx.charges(since_us), tx.waiting())
    for mailbox, count in tx.held_counts().items():
        memory.held[mailbox] = count
        memory.waiting += count
    for mailbox, at_us in tx.bounces(since_us):
        memory.note_bounce(mailbox, at_us)
    memory.event_seq.update(tx.event_ends())
    memory.chain = tx.chain()
    memory.suppressions = tx.suppression_count()
    for pause in tx.pauses(lifted=False):
        memory.add_pause(pause)
    return memory


def recover(tx: Transaction) -> int:
    """Account for what was on the wire when the last run ended: it is unknown, and stays charged.

    Returns how many messages that were. What begins late from now on tells why.
    """
    tx.memory.stalled = tx.now_us, NOT_RUNNING
    found = tx.sending()
    for message in found:
        recipients = tx.recipients(message.id)
        addresses = [r.address for r in recipients if r.state is RecipientState.SENDING]
        report = lost(addresses, why="the daemon stopped during the attempt")
        account = tx.attempts(message.id)[-1].account
        record(tx, message, recipients, report, account=account, jitter=0.5)
    return len(found)


def missed(tx: Transaction) -> list[str]:
    """Mailboxes that need new slots since no daemon ran.

    Slots have gone by, or messages are held by a pause that has ended or a book that has changed,
    or the book no longer has the mailbox.
    """
    memory = tx.memory
    late_us = tx.now_us - HAND_OFF_GUARD_US
    found = []
    for workspace in memory.policy.workspaces.values():
        for address in workspace.mailboxes:
            planned = memory.governor.mailbox_track(address).planned
            if (planned and planned[0] < late_us) or memory.held[address]:
                found.append(address)
    return [*found, *sorted(memory.orphans)]


def adopt(tx: Transaction, policy: Policy) -> list[str]:
    """Put a new policy in force; the mailboxes whose waiting messages need new slots.

    Those are all whose caps can have changed; they get them after the commit.
    """
    old = tx.memory
    tx.memory = rebuild(tx, policy, old.time)
    tx.memory.carry_on(old)
    changed = []
    for workspace in policy.workspaces.values():
        before = old.policy.workspaces.get(workspace.name)
        same_around = before is not None and (
            before.caps == workspace.caps
            and before.zone == workspace.zone
            and before.workloads == workspace.workloads
        )
        for mailbox in workspace.mailboxes.values():
            if (
                same_around
                and before is not None
                and before.mailboxes.get(mailbox.address) == mailbox
                and before.accounts.get(mailbox.account) == workspace.accounts[mailbox.account]
                and before.domains.get(mailbox.domain) == workspace.domains[mailbox.domain]
            ):
                continue
            changed.append(mailbox.address)
    tx.effects.touched.update(changed)
    changed += sorted(tx.memory.orphans)
    tx.effects.replans.update(dict.fromkeys(changed, "the book changed"))
    return changed
