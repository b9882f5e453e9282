"""The one entrance: every submission, whatever the door, passes here, and in this order.

identify → idempotency → suppression → route → governor. A preflight takes the same way and leaves
no trace.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import cast

from mailplaned.domain.caps import NEVER_US, Standing
from mailplaned.domain.governor import Demand, Plan
from mailplaned.domain.ids import MESSAGE, RANDOM_BITS, Id, make_id, show_id
from mailplaned.domain.message import RecipientState, State
from mailplaned.domain.policy import Mailbox, OnCap, Workspace
from mailplaned.domain.records import KeptAnswer, Message, Pause, Recipient, RecipientKind
from mailplaned.domain.roles import Action, Caller
from mailplaned.domain.routing import NoRoute, Route, route
from mailplaned.domain.windows import DAY_US, SECOND_US
from mailplaned.ports import Random, Transaction
from mailplaned.services.compose import Composed, finish
from mailplaned.services.settling import demand_of, tell

LONGEST_LIFE_US = 30 * DAY_US
"""The longest `expires_in`."""

ANSWERS_KEPT_US = 7 * DAY_US
"""How much longer than its message can live an idempotency key is kept."""

CLOCK_SLACK_US = 60 * SECOND_US
"""How far in the past a `not_before` may lie: the sender's clock is not ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What a door hands in. Times and durations are microseconds.

    `fingerprint` is a hash of everything that makes two submissions the same.
    """

    composed: Composed
    workspace: str | None
    mailbox: str | None
    path: str | None
    workload: str
    idempotency_key: str | None
    fingerprint: bytes
    not_before_us: int | None
    expires_in_us: int | None
    on_cap: OnCap | None
    metadata: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Why: the binding cap in numbers, this submission counted in. All None when no cap applies."""

    verdict: str
    policy: str
    scope: str | None = None
    window: str | None = None
    kind: str | None = None
    limit: int | None = None
    used: int | None = None
    unknown: int | None = None
    waiting: int | None = None
    remaining: int | None = None
    resets_at_us: int | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """The answer to an accepted submission. `id` and `message_id` are None in a preflight."""

    id: str | None
    state: str
    mailbox: str
    workload: str
    path: str | None
    message_id: str | None
    slot_us: int | None
    decision: Decision
    replayed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The answer to a refused one: a problem code, words, and what it concerns."""

    code: str
    detail: str
    field: str | None = None
    decision: Decision | None = None
    mailbox: str | None = None
    recipient: str | None = None
    retry_after_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Choice:
    """Where and when a submission goes. No plan: it is held by `pause`."""

    workspace: Workspace
    mailbox: Mailbox
    path: str | None
    demand: Demand
    plan: Plan | None
    pause: Pause | None
    expires_us: int


def preflight(tx: Transaction, caller: Caller, submission: Submission) -> Admitted | Refused:
    """What `submit` would answer now, without a trace."""
    workspace = _identify(tx, caller, submission)
    if isinstance(workspace, Refused):
        return workspace
    choice = _choose(tx, workspace, submission)
    if isinstance(choice, Refused):
        return choice
    return _admitted(tx, choice, submission, id_=None, message_id=None)


def submit(
    tx: Transaction, caller: Caller, submission: Submission, random: Random
) -> Admitted | Refused:
    """Accept a submission into the queue, or refuse it. What is accepted will have one end."""
    workspace = _identify(tx, caller, submission)
    if isinstance(workspace, Refused):
        return workspace
    replayed = _replay(tx, workspace.name, submission)
    if replayed is not None:
        return replayed
    choice = _choose(tx, workspace, submission)
    if isinstance(choice, Refused):
        return choice
    id_ = make_id(tx.now_us, random.bits(RANDOM_BITS))
    shown = show_id(MESSAGE, id_)
    message_id = submission.composed.message_id or f"<{shown[4:].lower()}@{choice.mailbox.domain}>"
    answer = _admitted(tx, choice, submission, id_=shown, message_id=message_id)
    _record(tx, choice, submission, id_, answer)
    if submission.idempotency_key is not None:
        kept = KeptAnswer(
            fingerprint=submission.fingerprint, message=id_, answer=json.dumps(asdict(answer))
        )
        until_us = choice.expires_us + ANSWERS_KEPT_US
        tx.keep_answer(workspace.name, submission.idempotency_key, kept, until_us)
    return answer


# --- identify ------------------------------------------------------------------------------------


def _identify(tx: Transaction, caller: Caller, submission: Submission) -> Workspace | Refused:
    """The workspace of a submission. One that the caller may not see does not exist for it."""
    policy = tx.memory.policy
    name = submission.workspace
    asked = submission.mailbox or submission.composed.sender
    if name is None and caller.workspaces is not None and len(caller.workspaces) == 1:
        (name,) = caller.workspaces
    if name is None and asked is not None:
        found = policy.mailbox(asked)
        name = found.workspace if found is not None else None
    if name is None and len(policy.workspaces) == 1:
        (name,) = policy.workspaces
    if name is None:
        if submission.mailbox is not None:
            return _unknown_mailbox(submission.mailbox)
        return Refused(code="invalid", field="workspace", detail="say which workspace this is for")
    workspace = policy.workspaces.get(name)
    if workspace is None or not caller.sees(name):
        return Refused(code="invalid", field="workspace", detail=f"there is no workspace {name!r}")
    if not caller.may(Action.SUBMIT, name):
        return Refused(
            code="not-permitted", detail=f"{caller.name} ({caller.role}) may not submit to {name}"
        )
    return workspace


def _unknown_mailbox(address: str) -> Refused:
    return Refused(
        code="unknown-mailbox",
        field="mailbox",
        mailbox=address,
        detail=f"there is no mailbox {address}",
    )


# --- idempotency ---------------------------------------------------------------------------------


def _replay(tx: Transaction, workspace: str, submission: Submission) -> Admitted | Refused | None:
    if submission.idempotency_key is None:
        return None
    kept = tx.kept_answer(workspace, submission.idempotency_key)
    if kept is None:
        return None
    if kept.fingerprint != submission.fingerprint:
        return Refused(
            code="idempotency-mismatch",
            field="idempotency_key",
            detail=f"key {submission.idempotency_key!r} was used for another message, "
            f"{show_id(MESSAGE, kept.message)}",
        )
    fields = json.loads(kept.answer)
    fields["decision"] = Decision(**fields["decision"])
    return replace(Admitted(**fields), replayed=True)


# --- choose --------------------------------------------------------------------------------------


def _choose(tx: Transaction, workspace: Workspace, submission: Submission) -> _Choice | Refused:
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
    found = _route(workspace, submission)
    if isinstance(found, Refused):
        return found
    count, domains = demand_of(_recipients(submission, tx.now_us))
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


def _route(workspace: Workspace, submission: Submission) -> Route | Refused:
    mailbox = submission.mailbox
    if mailbox is None and submission.path is None:
        sender = submission.composed.sender
        rules = workspace.workloads.get(submission.workload)
        if sender in workspace.mailboxes and not (rules and rules.paths):
            mailbox = sender
    found = route(workspace, workload=submission.workload, mailbox=mailbox, path=submission.path)
    if isinstance(found, NoRoute):
        return Refused(code=found.code, field=found.field, detail=found.detail, mailbox=mailbox)
    able = tuple(
        tuple(m for m in tier if workspace.accounts[m.account].supported) for tier in found.tiers
    )
    if not any(able):
        account = workspace.accounts[found.tiers[0][0].account]
        return Refused(
            code="invalid",
            field="mailbox",
            detail=f"account {account.name} uses provider {account.provider}, "
            "which this version can't send through",
        )
    return Route(path=found.path, tiers=tuple(tier for tier in able if tier))


def _best(
    tx: Transaction,
    workspace: Workspace,
    found: Route,
    asked: Demand,
    earliest_us: int,
    expires_us: int,
) -> _Choice:
    """The first tier with a mailbox that can go at once; else whichever can go first."""
    best: _Choice | None = None
    held: _Choice | None = None
    for tier in found.tiers:
        for mailbox in tier:
            demand = replace(asked, mailbox=mailbox.address)
            pauses = tx.memory.active_pauses(mailbox, found.path)
            choice = _Choice(
                workspace=workspace,
                mailbox=mailbox,
                path=found.path,
                demand=demand,
                plan=None if pauses else tx.memory.governor.plan(demand, earliest_us, tx.now_us),
                pause=pauses[0] if pauses else None,
                expires_us=expires_us,
            )
            if pauses:
                held = held or choice
            elif best is None or _rank(choice) < _rank(best):
                best = choice
        if best is not None and best.plan is not None and best.plan.slot_us <= earliest_us:
            break
    chosen = best or held
    assert chosen is not None, "a route has at least one mailbox"
    return chosen


def _rank(choice: _Choice) -> tuple[int, int]:
    """Earlier is better; among equals, more room."""
    assert choice.plan is not None
    binding = choice.plan.binding
    return choice.plan.slot_us, -(binding.remaining if binding else NEVER_US)


def _allowed(
    tx: Transaction, workspace: Workspace, submission: Submission, choice: _Choice
) -> _Choice | Refused:
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
            decision=_decision(tx, choice, "refuse", counted=0),
        )
    slot_us, binding = choice.plan.slot_us, choice.plan.binding
    late = slot_us >= choice.expires_us
    if not late and (on_cap is OnCap.SCHEDULE or not choice.plan.moved_by_cap):
        return choice
    assert binding is not None or late
    return Refused(
        code="cap-reached",
        mailbox=address,
        detail=_words(binding, never=slot_us >= NEVER_US, late=late),
        decision=_decision(tx, choice, "refuse", counted=0),
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


# --- answer and record ---------------------------------------------------------------------------


def _decision(tx: Transaction, choice: _Choice, verdict: str, *, counted: int) -> Decision:
    policy = tx.memory.policy.hash
    reason = choice.pause.reason if choice.pause else None
    binding = choice.plan.binding if choice.plan else None
    if binding is None:
        return Decision(verdict=verdict, policy=policy, reason=reason)
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


def _admitted(
    tx: Transaction,
    choice: _Choice,
    submission: Submission,
    *,
    id_: str | None,
    message_id: str | None,
) -> Admitted:
    if choice.plan is None:
        state, verdict, slot_us = State.HELD, "hold", None
    elif choice.plan.slot_us <= tx.now_us:
        state, verdict, slot_us = State.QUEUED, "admit", choice.plan.slot_us
    else:
        state, verdict, slot_us = State.SCHEDULED, "schedule", choice.plan.slot_us
    return Admitted(
        id=id_,
        state=state,
        mailbox=choice.mailbox.address,
        workload=submission.workload,
        path=choice.path,
        message_id=message_id,
        slot_us=slot_us,
        decision=_decision(tx, choice, verdict, counted=1),
    )


def _recipients(submission: Submission, now_us: int) -> list[Recipient]:
    return [
        Recipient(
            position=position,
            address=recipient.address,
            kind=cast("RecipientKind", recipient.kind),
            state=RecipientState.WAITING,
            reply=None,
            updated_us=now_us,
        )
        for position, recipient in enumerate(submission.composed.recipients)
    ]


def _record(
    tx: Transaction, choice: _Choice, submission: Submission, id_: Id, answer: Admitted
) -> None:
    assert answer.id is not None
    assert answer.message_id is not None
    body = finish(
        submission.composed,
        mailbox=choice.mailbox.address,
        name=choice.mailbox.name,
        message_id=answer.message_id,
        public_id=answer.id,
        created_at_us=tx.now_us,
    )
    message = Message(
        id=id_,
        workspace=choice.workspace.name,
        mailbox=choice.mailbox.address,
        workload=submission.workload,
        path=choice.path,
        state=State(answer.state),
        reason=choice.pause.reason if choice.pause else None,
        slot_us=answer.slot_us,
        not_before_us=submission.not_before_us,
        expires_us=choice.expires_us,
        created_us=tx.now_us,
        updated_us=tx.now_us,
        tries=0,
        recipients=choice.demand.recipients,
        domains=choice.demand.domains,
        message_id=answer.message_id,
        subject=submission.composed.subject,
        size=len(body),
        utf8=submission.composed.utf8,
        metadata=submission.metadata,
    )
    tx.add_message(message, _recipients(submission, tx.now_us), body)
    tell(tx, message, answer.state, slot_us=answer.slot_us, reason=message.reason)
    tx.touched.add(message.mailbox)
    if message.slot_us is None:
        tx.memory.hold(message)
    else:
        tx.memory.wait(message)
        tx.woken[message.mailbox] = max(0, message.slot_us - tx.now_us)
