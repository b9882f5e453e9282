"""The one entrance: every submission, whatever the door, passes here, and in this order.

identify → idempotency → suppression → route → governor. A preflight takes the same way and leaves
no trace.
"""

from __future__ import annotations

import json

from mailplaned.domain.ids import MESSAGE, RANDOM_BITS, Id, make_id, show_id
from mailplaned.domain.message import RecipientState, State
from mailplaned.domain.policy import Workspace
from mailplaned.domain.records import KeptAnswer, Message
from mailplaned.domain.roles import Action, Caller
from mailplaned.domain.windows import DAY_US
from mailplaned.ports import Random, Transaction
from mailplaned.services.answers import Admitted, Decision, Refused, Submission
from mailplaned.services.choosing import Choice, choose, decision, recipients_of
from mailplaned.services.claiming import begin, begins_at_once
from mailplaned.services.compose import finish
from mailplaned.services.settling import tell

ANSWERS_KEPT_US = 7 * DAY_US
"""How much longer than its message can live an idempotency key is kept."""


def preflight(tx: Transaction, caller: Caller, submission: Submission) -> Admitted | Refused:
    """What `submit` would answer now, without a trace."""
    choice = _decide(tx, caller, submission)
    if not isinstance(choice, Choice):
        return choice
    return _admitted(tx, choice, submission, id_=None, message_id=None)


def submit(
    tx: Transaction, caller: Caller, submission: Submission, random: Random
) -> Admitted | Refused:
    """Accept a submission into the queue, or refuse it. What is accepted will have one end."""
    choice = _decide(tx, caller, submission)
    if not isinstance(choice, Choice):
        return choice
    id_ = make_id(tx.now_us, random.bits(RANDOM_BITS))
    shown = show_id(MESSAGE, id_)
    message_id = submission.composed.message_id or f"<{shown[4:].lower()}@{choice.mailbox.domain}>"
    answer = _admitted(tx, choice, submission, id_=shown, message_id=message_id)
    _record(tx, choice, submission, id_, answer)
    if submission.idempotency_key is not None:
        kept = KeptAnswer(fingerprint=submission.fingerprint, message=id_, answer=_kept(answer))
        until_us = choice.expires_us + ANSWERS_KEPT_US
        tx.keep_answer(choice.workspace.name, submission.idempotency_key, kept, until_us)
    return answer


def _decide(tx: Transaction, caller: Caller, submission: Submission) -> Choice | Admitted | Refused:
    """Where the submission goes; or its refusal; or what its key was answered before."""
    workspace = _identify(tx, caller, submission)
    if isinstance(workspace, Refused):
        return workspace
    return _replay(tx, workspace.name, submission) or choose(tx, workspace, caller, submission)


# --- identify ------------------------------------------------------------------------------------


def _identify(tx: Transaction, caller: Caller, submission: Submission) -> Workspace | Refused:
    """The workspace of a submission. One that the caller may not see does not exist for it."""
    policy = tx.memory.policy
    name = submission.workspace
    asked = submission.mailbox or submission.composed.sender
    if name is None:
        name = caller.only
    if name is None and asked is not None:
        found = policy.mailbox(asked)
        name = found.workspace if found is not None and caller.sees(found.workspace) else None
    if name is None and len(seen := [ws for ws in policy.workspaces if caller.sees(ws)]) == 1:
        (name,) = seen
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
    workloads = caller.scope.workloads
    if workloads is not None and submission.workload not in workloads:
        return Refused(
            code="not-permitted",
            detail=f"{caller.name} may not send {submission.workload} mail, "
            f"only {', '.join(sorted(workloads))}",
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
    return Admitted(**{**fields, "replayed": True})


def _kept(answer: Admitted) -> str:
    return json.dumps({**answer._asdict(), "decision": answer.decision._asdict()})


# --- answer and record ---------------------------------------------------------------------------


def _admitted(
    tx: Transaction,
    choice: Choice,
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
        decision=decision(tx, choice, verdict, counted=1),
    )


def _record(
    tx: Transaction, choice: Choice, submission: Submission, id_: Id, answer: Admitted
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
    at_once = (
        choice.plan is not None
        and choice.plan.slot_us <= tx.now_us
        and begins_at_once(tx, choice.mailbox)
    )
    message = Message(
        id=id_,
        workspace=choice.workspace.name,
        mailbox=choice.mailbox.address,
        workload=submission.workload,
        path=choice.path,
        state=State.SENDING if at_once else State(answer.state),
        reason=choice.pause.reason if choice.pause else None,
        slot_us=None if at_once else answer.slot_us,
        not_before_us=submission.not_before_us,
        expires_us=choice.expires_us,
        created_us=tx.now_us,
        updated_us=tx.now_us,
        tries=int(at_once),
        recipients=choice.demand.recipients,
        domains=choice.demand.domains,
        message_id=answer.message_id,
        subject=submission.composed.subject,
        size=len(body),
        utf8=submission.composed.utf8,
        metadata=submission.metadata,
    )
    state = RecipientState.SENDING if at_once else RecipientState.WAITING
    recipients = recipients_of(submission, state, tx.now_us)
    tx.add_message(message, recipients, body)
    tell(tx, message, answer.state, slot_us=answer.slot_us, reason=message.reason)
    tx.effects.touched.add(message.mailbox)
    if at_once:
        begin(tx, choice.mailbox, message, recipients, body)
    elif message.slot_us is None:
        tx.memory.hold(message)
    else:
        tx.memory.wait(message)
        tx.effects.wake(message.mailbox, max(0, message.slot_us - tx.now_us))
