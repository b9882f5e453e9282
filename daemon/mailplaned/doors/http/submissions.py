"""`POST /v1/messages` and `/v1/preflight`: JSON to submissions, decisions to JSON."""

from __future__ import annotations

import contextlib
import hashlib
import re
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from mailplane_wire import submissions as wire
from mailplane_wire.problems import FieldError, Problem, problem
from mailplaned.domain.policy import OnCap
from mailplaned.domain.roles import Caller
from mailplaned.doors.http.context import Context
from mailplaned.doors.http.guard import caller_of
from mailplaned.doors.http.replies import Refusal, invalid, refuse, reply, reply_problem
from mailplaned.doors.http.times import parse_duration, parse_time, show_time
from mailplaned.ports import Random, Transaction
from mailplaned.services import admission, answers
from mailplaned.services.attachments import AttachmentDraft
from mailplaned.services.compose import Draft, compose

BATCH_LIMIT = 1_000
BRACES = 10 * BATCH_LIMIT
"""So many objects may be made of one body before it is known how many messages it has."""

KEY_LENGTH = 255
METADATA_BYTES = 16_384
TURN_US = 1_000
"""How long a batch may keep the loop from others."""

ANSWERED_DEPTH = 32
"""How deep metadata may be nested: it has to be read again for every answer that shows it."""


_UNKNOWN_FIELD = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
"""msgspec's words."""

_FIELDS = {field.encode_name: field.type for field in msgspec.structs.fields(wire.Submission)}

Result = answers.Admitted | answers.Refused | Problem


@dataclass(frozen=True, slots=True)
class _Misshapen:
    """A submission of which some fields can't be read; `rest` is what can."""

    rest: wire.Submission
    errors: list[tuple[str, str]]


Body = wire.Submission | _Misshapen | Problem


async def submit(request: Request, context: Context) -> Response:
    """Accept one message, or each of up to 1,000."""
    caller = caller_of(request)
    bodies, batch = _bodies(await read_json(request))
    header_key = request.headers.get("idempotency-key")
    if header_key is not None and batch:
        raise invalid(("Idempotency-Key", "in a batch, give each message its idempotency_key"))
    parsed = await _parse_all(bodies, context, header_key)
    results = await context.store.write(
        partial(_submit_all, caller=caller, parsed=parsed, random=context.random)
    )
    for result in results:
        if isinstance(result, answers.Refused) and result.code == "not-permitted":
            refusal = Refusal(problem(result.code, result.detail), caller.only)
            await context.denials.note(context.store, caller.name, "POST /v1/messages", refusal)
    if batch:
        return reply(wire.Results(results=[_shown(result)[0] for result in results]), 202)
    return _single(results[0])


async def preflight(request: Request, context: Context) -> Response:
    """What `submit` would answer now; nothing is kept."""
    caller = caller_of(request)
    bodies, batch = _bodies(await read_json(request))
    parsed = await _parse_all(bodies, context, None)
    results = await context.store.look(
        lambda tx: [
            item if isinstance(item, Problem) else admission.preflight(tx, caller, item)
            for item in parsed
        ]
    )
    if batch:
        return reply(wire.Results(results=[_shown(result)[0] for result in results]))
    shown, _ = _shown(results[0])
    return reply_problem(shown) if isinstance(shown, Problem) else reply(shown)


async def read_json(request: Request) -> bytes:
    """The body of a request that has to be JSON."""
    if request.headers.get("content-type", "").split(";")[0].strip() != "application/json":
        raise refuse("unsupported-type", "send Content-Type: application/json")
    return await request.body()


def _submit_all(
    tx: Transaction,
    caller: Caller,
    parsed: list[answers.Submission | Problem],
    random: Random,
) -> list[Result]:
    return [
        item if isinstance(item, Problem) else admission.submit(tx, caller, item, random)
        for item in parsed
    ]


# --- in ------------------------------------------------------------------------------------------


def _bodies(content: bytes) -> tuple[list[Body], bool]:
    """The submissions of a request, each decoded or with its problem, and whether it is a batch.

    The messages of a batch are counted before any is made, unless there can't be many: empty ones
    are small to send only.
    """
    try:
        return [_decode(content, wire.Submission)], False
    except msgspec.ValidationError:
        pass  # a batch, or told of below
    if content.count(b"{") <= BRACES:
        with contextlib.suppress(msgspec.DecodeError, RecursionError):
            batch = msgspec.json.decode(content, type=wire.Batch)
            if 0 < len(batch.messages) <= BATCH_LIMIT:
                return list(batch.messages), True
    try:
        fields = _decode(content, dict[str, msgspec.Raw])
    except msgspec.ValidationError as fault:
        raise invalid(("body", "has to be a JSON object")) from fault
    if "messages" not in fields:
        return [_body(content)], False
    unknown = [(name, "is not a field of a batch") for name in fields if name != "messages"]
    if unknown:
        raise invalid(*unknown)
    try:
        messages = _decode(fields["messages"], list[msgspec.Raw])
    except msgspec.ValidationError as fault:
        raise invalid(("messages", "has to be a list")) from fault
    if not 0 < len(messages) <= BATCH_LIMIT:
        raise invalid(("messages", f"has to hold 1 to {BATCH_LIMIT} messages"))
    return [_body(message) for message in messages], True


def _body(content: bytes | msgspec.Raw) -> Body:
    try:
        submission: wire.Submission = _decode(content, wire.Submission)
    except msgspec.ValidationError:
        pass  # told in full below
    else:
        return submission
    try:
        return _convert(_decode(content))
    except msgspec.ValidationError as fault:  # a number that is none of ours
        return _invalid([told("", str(fault))])


def _decode(content: bytes | msgspec.Raw, type_: Any = Any) -> Any:
    """JSON as a type. Raises ValidationError for another type, Refusal for what is no JSON."""
    try:
        return msgspec.json.decode(content, type=type_)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise invalid(("body", f"is not valid JSON: {fault}")) from fault


def _convert(raw: Any) -> Body:
    """A submission, or what can be read of it and every field that can't."""
    if not isinstance(raw, dict):
        return _invalid([("body", "has to be an object")])
    errors = [(name, "is not a field of a submission") for name in raw if name not in _FIELDS]
    values = {}
    for name, type_ in _FIELDS.items():
        if name in raw:
            try:
                values[name] = msgspec.convert(raw[name], type_)
            except msgspec.ValidationError as fault:
                errors.append(told(name, str(fault)))
    submission = wire.Submission(**values)
    return _Misshapen(submission, errors) if errors else submission


def told(name: str, words: str) -> tuple[str, str]:
    """A decoder's words, with the place inside the field made part of the field's name."""
    reason, _, place = words.partition(" - at `$")
    name += place.rstrip("`")
    unknown = _UNKNOWN_FIELD.fullmatch(reason)
    if unknown is not None:
        return f"{name}.{unknown[1]}".lstrip("."), "is not a field here"
    return name.lstrip(".") or "body", reason[:1].lower() + reason[1:]


async def _parse_all(
    bodies: list[Body], context: Context, header_key: str | None
) -> list[answers.Submission | Problem]:
    """Each body checked and composed; others have their turn in between."""
    parsed = []
    since_us = context.clock.boot_us()
    for body in bodies:
        parsed.append(_parse(body, context, header_key))
        if context.clock.boot_us() - since_us > TURN_US and len(parsed) < len(bodies):
            await context.clock.sleep_us(0)
            since_us = context.clock.boot_us()
    return parsed


def _parse(body: Body, context: Context, header_key: str | None) -> answers.Submission | Problem:
    if isinstance(body, Problem):
        return body
    if isinstance(body, _Misshapen):
        known = {name.partition("[")[0].partition(".")[0] for name, _ in body.errors}
        more = _parse(body.rest, context, header_key)
        # A field that can't be read looks left out: what is said about that is no help.
        return _invalid(
            body.errors
            + [
                (error.field, error.reason)
                for error in (more.errors if isinstance(more, Problem) else ())
                if error.field.partition("[")[0].partition(".")[0] not in known
            ]
        )
    errors: list[tuple[str, str]] = []
    not_before_us = _read(errors, "not_before", body.not_before, parse_time)
    expires_in_us = _read(errors, "expires_in", body.expires_in, parse_duration)
    key = body.idempotency_key if body.idempotency_key is not None else header_key
    if header_key is not None and key != header_key:
        errors.append(("idempotency_key", "differs from the Idempotency-Key header"))
    if key is not None and not (0 < len(key) <= KEY_LENGTH and key.isprintable()):
        errors.append(("idempotency_key", f"has to be 1 to {KEY_LENGTH} printable characters"))
    fault = metadata_fault(body.metadata)
    metadata = b"" if fault else msgspec.json.encode(_metadata(body))
    if len(metadata) > METADATA_BYTES:
        fault = f"may have {METADATA_BYTES} bytes at most"
    if fault is not None:
        errors.append(("metadata", fault))
    composed = compose(
        _draft(body),
        token=f"{context.random.bits(96):024x}",
        limit_bytes=context.policy.settings.message_bytes,
    )
    if isinstance(composed, tuple):
        too_large = [fault for fault in composed if fault.reason.startswith("too large")]
        if too_large and not errors:
            return problem("too-large", f"{too_large[0].field}: {too_large[0].reason}")
        errors += [(fault.field, fault.reason) for fault in composed]
    if errors or isinstance(composed, tuple):
        return _invalid(errors)
    return answers.Submission(
        composed=composed,
        workspace=body.workspace,
        mailbox=body.mailbox.lower() if body.mailbox is not None else None,
        path=body.path,
        workload=body.workload,
        idempotency_key=key,
        fingerprint=_fingerprint(body) if key is not None else b"",
        not_before_us=not_before_us,
        expires_in_us=expires_in_us,
        on_cap=OnCap(body.on_cap) if body.on_cap is not None else None,
        metadata=metadata.decode(),
    )


def _read(errors: list[tuple[str, str]], name: str, text: str | None, parse: Any) -> int | None:
    if text is None:
        return None
    try:
        value: int = parse(text)
    except ValueError as fault:
        errors.append((name, str(fault)))
        return None
    return value


def metadata_fault(value: dict[str, Any]) -> str | None:
    """Why metadata is not taken: it is nested too deep. None when it is not."""
    if not value:
        return None
    level: list[Any] = [value]
    for _ in range(ANSWERED_DEPTH):
        level = [
            inner
            for item in level
            for inner in (item.values() if isinstance(item, dict) else item)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return None
    return f"may be nested {ANSWERED_DEPTH} deep at most"


def _metadata(body: wire.Submission) -> dict[str, Any]:
    if body.experiment is None:
        return body.metadata
    return {**body.metadata, "experiment": body.experiment}


def _draft(body: wire.Submission) -> Draft:
    return Draft(
        to=tuple(body.to),
        cc=tuple(body.cc),
        bcc=tuple(body.bcc),
        reply_to=body.reply_to,
        subject=body.subject,
        text=body.text,
        html=body.html,
        headers=tuple(body.headers.items()),
        attachments=tuple(
            AttachmentDraft(name=item.name, type=item.type, content=item.content)
            for item in body.attachments
        ),
        raw=body.raw,
    )


def _fingerprint(body: wire.Submission) -> bytes:
    same = msgspec.structs.replace(body, idempotency_key=None)
    return hashlib.sha256(msgspec.json.encode(same)).digest()


# --- out -----------------------------------------------------------------------------------------


def _single(result: Result) -> Response:
    shown, replayed = _shown(result)
    if isinstance(shown, Problem):
        return reply_problem(shown)
    if replayed:
        return reply(shown, 200, {"Idempotent-Replayed": "true"})
    return reply(shown, 202)


def _shown(result: Result) -> tuple[wire.Answer | Problem, bool]:
    if isinstance(result, Problem):
        return result, False
    if isinstance(result, answers.Refused):
        return _refused(result), False
    return wire.Answer(
        id=result.id,
        state=result.state,  # type: ignore[arg-type]
        mailbox=result.mailbox,
        workload=result.workload,
        path=result.path,
        message_id=result.message_id,
        slot_at=show_time(result.slot_us),
        decision=_decision(result.decision),
    ), result.replayed


def _refused(result: answers.Refused) -> Problem:
    wait_us = result.retry_after_us
    errors = []
    if result.field is not None and result.code == "invalid":
        errors = [FieldError(field=result.field, reason=result.detail)]
    return problem(
        result.code,
        result.detail,
        errors=errors,
        decision=_decision(result.decision) if result.decision is not None else None,
        mailbox=result.mailbox,
        recipient=result.recipient,
        retry_after_s=None if wait_us is None else max(1, -(-wait_us // 1_000_000)),
    )


def _decision(decision: answers.Decision) -> wire.Decision:
    return wire.Decision(
        verdict=decision.verdict,  # type: ignore[arg-type]
        scope=decision.scope,
        window=decision.window,  # type: ignore[arg-type]
        kind=decision.kind,  # type: ignore[arg-type]
        limit=decision.limit,
        used=decision.used,
        unknown=decision.unknown,
        waiting=decision.waiting,
        remaining=decision.remaining,
        resets_at=show_time(decision.resets_at_us),
        policy=decision.policy,
        reason=decision.reason,
    )


def _invalid(errors: list[tuple[str, str]]) -> Problem:
    return invalid(*errors).problem
