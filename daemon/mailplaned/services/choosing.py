"""Where and when a submission goes, or why it does not: suppression, route, governor."""

from __future__ import annotations

from typing import NamedTuple

from mailplaned.domain.bindings import Demand
from mailplaned.domain.caps import NEVER_US, Standing
from mailplaned.domain.governor import Plan
from mailplaned.domain.message import RecipientState
from mailplaned.domain.policy import Mailbox, OnCap, Workspace
from mailplaned.domain.records import Pause, Recipient
from mailplaned.domain.roles import Caller
from mailplaned.domain.routing import NoRoute, Route, route
from mailplaned.domain.windows import DAY_US, SECOND_US
from mailplaned.ports import Transaction
from mailplaned.services.answers import Decision, Refused, Submission
from mailplaned.services.settling import demand_of

LONGEST_LIFE_US = 30 * DAY_US
"""The longest `expires_in`."""

CLOCK_SLACK_US = 60 * SECOND_US
"""How far in the past a `not_before` may lie: the sender's clock is not ours."""


class Choice(NamedTuple):
    """Where and when a submission goes. No plan: it is held by `pause`."""

    workspace: Workspace
    mailbox: Mailbox
    path: str | None
    demand: Demand
    plan: Plan | None
    pause: Pause | None
    expires_us: int


def choose(
    tx: Transaction, workspace: Workspace, caller: Caller, submission: Submission
) -> Choice | Refused:
    """Suppression, then the route, then the governor."""
    times = _times(tx, workspace, submission)
    if isinstance(times, Refused):
        return times
    earliest_us, expires_us = times
    addresses = [recipient.address for recipient in submission.composed.recipients]
    if tx.memory.suppressions:
        hits = tx.suppressed(workspace.name, addresses)
        if hits:
            return Refused(
                code="suppressed",
                recipient=hits[0].address,
                detail=f"{hits[0].address} is suppressed ({hits[0].origin}: {hits[0].ground})",
            )
    if tx.memory.waiting >= tx.memory.policy.settings.waiting_messages:
        return Refused(
            code="store-full",
            detail=f"{tx.memory.waiting} messages wait already; the book allows no more",
        )
    found = _route(workspace, caller, submission)
    if isinstance(found, Refused):
        return found
    count, domains = demand_of(addresses)
    asked = Demand(mailbox="", workload=submission.workload, recipients=count, domains=domains)
    choice = _best(tx, workspace, found, asked, earliest_us, expires_us)
    return _allowed(tx, workspace, submission, choice)


def _times(
    tx: Transaction, workspace: Workspace, submission: Submission
) -> tuple[int, int] | Refused:
    life_us = submission.expires_in_us or workspace.expires_in_us
    if not 0 < life_us <= LONGEST_LIFE_US:
        return Refused(
            code="invalid",
            field="expires_in",
            detail=f"expires_in has to be more than 0 and at most {LONGEST_LIFE_US // DAY_US}d",
        )
    expires_us = tx.now_us + life_us
    earliest_us = submission.not_before_us
    if earliest_us is None:
        return tx.now_us, expires_us
    if earliest_us < tx.now_us - CLOCK_SLACK_US:
        return Refused(code="invalid", field="not_before", detail="not_before is in the past")
    if earliest_us >= expires_us:
        return Refused(
            code="invalid",
            field="not_before",
            detail="not_before is later than the message lives; raise expires_in, "
            f"at most {LONGEST_LIFE_US // DAY_US}d",
        )
    return max(earliest_us, tx.now_us), expires_us


def _route(workspace: Workspace, caller: Caller, submission: Submission) -> Route | Refused:
    mailbox = submission.mailbox
    if mailbox is None and submission.path is None:
        sender = submission.composed.sender
        rules = workspace.workloads.get(submission.workload)
        if sender in workspace.mailboxes and not (rules and rules.paths):
            mailbox = sender
    found = route(workspace, workload=submission.workload, mailbox=mailbox, path=submission.path)
    if isinstance(found, NoRoute):
        return Refused(code=found.code, field=found.field, detail=found.detail, mailbox=mailbox)
    tiers = found.tiers
    if caller.scope.mailboxes is not None:
        tiers = tuple(tuple(m for m in tier if caller.covers(m.address)) for tier in tiers)
        if not any(tiers):
            return Refused(
                code="not-permitted",
                mailbox=mailbox,
                detail=f"{caller.name} may send from {', '.join(sorted(caller.scope.mailboxes))} "
                "only",
            )
    accounts = workspace.accounts
    able = [tuple([m for m in tier if accounts[m.account].supported]) for tier in tiers]
    if not any(able):
        account = accounts[found.tiers[0][0].account]
        return Refused(
            code="invalid",
            field="mailbox",
            detail=f"account {account.name} uses provider {account.provider}, "
            "which this version can't send through",
        )
    return Route(path=found.path, tiers=tuple([tier for tier in able if tier]))


def _best(
    tx: Transaction,
    workspace: Workspace,
    found: Route,
    asked: Demand,
    earliest_us: int,
    expires_us: int,
) -> Choice:
    """The first tier with a mailbox that can go at once; else whichever can go first."""
    governor = tx.memory.governor
    chosen: Mailbox | None = None
    demand = asked
    plan: Plan | None = None
    pause: Pause | None = None
    for tier in found.tiers:
        for mailbox in tier:
            pauses = tx.memory.active_pauses(mailbox, found.path)
            if pauses:
                if chosen is None:
                    chosen, pause = mailbox, pauses[0]
                continue
            own = Demand(mailbox.address, asked.workload, asked.recipients, asked.domains)
            other = governor.plan(own, earliest_us, tx.now_us)
            if plan is None or _rank(other) < _rank(plan):
                chosen, demand, plan, pause = mailbox, own, other, None
        if plan is not None and plan.slot_us <= earliest_us:
            break
    assert chosen is not None, "a route has at least one mailbox"
    return Choice(
        workspace=workspace,
        mailbox=chosen,
        path=found.path,
        demand=demand if plan is not None else asked._replace(mailbox=chosen.address),
        plan=plan,
        pause=pause,
        expires_us=expires_us,
    )


def _rank(plan: Plan) -> tuple[int, int]:
    """Earlier is better; among equals, more room."""
    return plan.slot_us, -plan.room


def _allowed(
    tx: Transaction, workspace: Workspace, submission: Submission, choice: Choice
) -> Choice | Refused:
    """The choice, unless the submission would rather be refused than wait like this."""
    on_cap = submission.on_cap or workspace.on_cap
    address = choice.mailbox.address
    if choice.plan is None:
        if on_cap is OnCap.SCHEDULE:
            return choice
        assert choice.pause is not None
        return Refused(
            code="paused",
            mailbox=address,
            detail=f"{address} is paused: {choice.pause.reason}",
            decision=decision(tx, choice, "refuse", counted=0),
        )
    plan, slot_us = choice.plan, choice.plan.slot_us
    late = slot_us >= choice.expires_us
    if not late and (on_cap is OnCap.SCHEDULE or not plan.moved_by_cap):
        return choice
    binding = plan.binding.standing(tx.now_us) if plan.binding and plan.moved_by_cap else None
    return Refused(
        code="cap-reached",
        mailbox=address,
        detail=_words(binding, never=slot_us >= NEVER_US, late=late),
        decision=decision(tx, choice, "refuse", counted=0),
        retry_after_us=slot_us - tx.now_us if slot_us < NEVER_US else None,
    )


def _words(binding: Standing | None, *, never: bool, late: bool) -> str:
    if binding is None:
        return "the mailbox's pace leaves no slot before the message expires"
    cap = binding.cap
    words = (
        f"{binding.scope} may send {binding.limit} {cap.counts} per {cap.kind} {cap.per}: "
        f"{binding.used} used, {binding.waiting} waiting"
    )
    if never:
        return words + "; it will never have room for this message"
    return words + ("; the next slot lies past the message's expiry" if late else "")


def decision(tx: Transaction, choice: Choice, verdict: str, *, counted: int) -> Decision:
    """Why, in numbers; `counted` messages of this choice are added to what waits."""
    policy = tx.memory.policy.hash
    reason = choice.pause.reason if choice.pause else None
    rule = choice.plan.binding if choice.plan else None
    if rule is None:
        return Decision(verdict=verdict, policy=policy, reason=reason)
    binding = rule.standing(tx.now_us)
    units = counted if binding.cap.counts == "messages" else counted * choice.demand.recipients
    return Decision(
        verdict=verdict,
        policy=policy,
        scope=binding.scope,
        window=binding.cap.per,
        kind=binding.cap.kind,
        limit=binding.limit,
        used=binding.used,
        unknown=binding.unknown,
        waiting=binding.waiting + units,
        remaining=max(0, binding.remaining - units),
        resets_at_us=binding.resets_at_us,
        reason=reason,
    )


def recipients_of(submission: Submission, state: RecipientState, now_us: int) -> list[Recipient]:
    """The recipients of a submission, all in the same state."""
    return [
        Recipient(
            position=position,
            address=recipient.address,
            kind=recipient.kind,
            state=state,
            reply=None,
            updated_us=now_us,
        )
        for position, recipient in enumerate(submission.composed.recipients)
    ]
