"""The routes that change something: pauses, cancel and resolve, suppressions, tokens, the clock."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from mailplane_wire import resources as wire
from mailplaned.domain import ids
from mailplaned.domain.memory import Memory
from mailplaned.domain.records import AuditEntry, Pause, ScopeKind, Token
from mailplaned.domain.roles import Action, Caller
from mailplaned.doors.http import views
from mailplaned.doors.http.context import Context
from mailplaned.doors.http.guard import caller_of
from mailplaned.doors.http.replies import Refusal, invalid, refuse, reply
from mailplaned.doors.http.resources import path_id, workspace_of
from mailplaned.doors.http.submissions import read_json
from mailplaned.doors.http.times import parse_time, show_time
from mailplaned.ports import Transaction
from mailplaned.services import messages, pauses, suppressions
from mailplaned.services.addresses import BadAddress, parse_address

T = TypeVar("T")

REASON_LENGTH = 500
_RESUMED = "the pause was lifted"


async def commit(context: Context, change: Callable[[Transaction], T]) -> T:
    """Run a change that may refuse, by raising Refusal before it has had any effect.

    A refusal is an ordinary answer and not a fault: it must not undo what shares its commit.
    """

    def guarded(tx: Transaction) -> T | Refusal:
        try:
            return change(tx)
        except Refusal as refusal:
            return refusal

    done = await context.store.write(guarded)
    if isinstance(done, Refusal):
        raise done
    return done


async def body_of(request: Request, type_: type[T]) -> T:
    """The body as a wire type. Raises Refusal that names the field."""
    content = await read_json(request)
    try:
        return msgspec.json.decode(content, type=type_)
    except msgspec.ValidationError as fault:
        words, _, place = str(fault).partition(" - at `$.")
        raise invalid((place.rstrip("`") or "body", words)) from fault
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise invalid(("body", f"is not valid JSON: {fault}")) from fault


# --- pauses --------------------------------------------------------------------------------------


async def list_pauses(request: Request, context: Context) -> Response:
    """Pauses; with `lifted=true` those of the past too."""
    caller = caller_of(request)
    lifted = request.query_params.get("lifted") == "true"
    found = await context.store.read(lambda reader: reader.pauses(lifted=lifted))
    return reply(
        wire.Page(
            items=[
                views.pause_view(pause)
                for pause in found
                if pause.workspace is None or caller.may(Action.READ, pause.workspace)
            ],
            next=None,
        )
    )


async def add_pause(request: Request, context: Context) -> Response:
    """Pause what the body names."""
    body = await body_of(request, wire.PauseRequest)
    given = {
        name: value
        for name in ("mailbox", "domain", "path", "workspace", "everything")
        if (value := getattr(body.scope, name)) is not None
    }
    if len(given) != 1 or given.get("everything") is False:
        raise invalid(("scope", "has to name one of mailbox, domain, path, workspace, everything"))
    ((kind, name),) = given.items()
    return await _pause(request, context, kind, str(name), body.reason, body.until)


async def pause_named(request: Request, context: Context) -> Response:
    """Pause what the path of the request names."""
    body = await body_of(request, wire.ReasonRequest)
    kind, name = _named(request)
    return await _pause(request, context, kind, name, body.reason, body.until)


async def _pause(
    request: Request, context: Context, kind: Any, name: str, reason: str, until: str | None
) -> Response:
    caller = caller_of(request)
    until_us = _until(until)

    def change(tx: Transaction) -> wire.PauseView:
        scope, workspace = _scope(tx.memory, caller, kind, name)
        _permit(caller, Action.PAUSE, workspace)
        if until_us is not None and until_us <= tx.now_us:
            raise invalid(("until", "is in the past"))
        made = pauses.pause(
            tx,
            kind=kind,
            name=scope,
            workspace=workspace,
            reason=_reason(reason),
            actor=caller.name,
            until_us=until_us,
            random=context.random,
        )
        return views.pause_view(made)

    return reply(await commit(context, change), 201)


async def lift_pause(request: Request, context: Context) -> Response:
    """Lift one pause."""
    caller = caller_of(request)
    id_ = path_id(request, ids.PAUSE)
    body = await body_of(request, wire.ReasonRequest)

    def change(tx: Transaction) -> Pause:
        found = tx.pause(id_)
        if found is not None and (found.workspace is None or caller.sees(found.workspace)):
            _permit(caller, Action.RESUME, found.workspace)
            lifted = pauses.lift(
                tx,
                id_,
                actor=caller.name,
                reason=_reason(body.reason),
                acknowledge=body.acknowledge,
            )
            if isinstance(lifted, Pause):
                return lifted
            raise refuse(lifted.code, lifted.detail)
        raise refuse("not-found", "there is no such pause")

    lifted = await commit(context, change)
    await context.upkeep.replan_scope(lifted, cause=_RESUMED)
    return reply({"lifted": [ids.show_id(ids.PAUSE, lifted.id)]})


async def resume_named(request: Request, context: Context) -> Response:
    """Lift every pause on exactly the scope that the path of the request names."""
    caller = caller_of(request)
    body = await body_of(request, wire.ReasonRequest)
    kind, name = _named(request)

    def change(tx: Transaction) -> list[Pause]:
        scope, workspace = _scope(tx.memory, caller, kind, name)
        _permit(caller, Action.RESUME, workspace)
        lifted = pauses.lift_all(
            tx,
            kind,
            scope,
            actor=caller.name,
            reason=_reason(body.reason),
            acknowledge=body.acknowledge,
        )
        if isinstance(lifted, list):
            return lifted
        raise refuse(lifted.code, lifted.detail)

    lifted = await commit(context, change)
    await context.upkeep.replan_scope(lifted[0], cause=_RESUMED)
    return reply({"lifted": [ids.show_id(ids.PAUSE, pause.id) for pause in lifted]})


def _named(request: Request) -> tuple[ScopeKind, str]:
    segment = request.url.path.split("/")[2]
    kinds: dict[str, ScopeKind] = {
        "mailboxes": "mailbox",
        "domains": "domain",
        "workspaces": "workspace",
        "everything": "everything",
    }
    return kinds[segment], request.path_params.get("name", "")


def _scope(memory: Memory, caller: Caller, kind: ScopeKind, name: str) -> tuple[str, str | None]:
    """The name under which a scope is kept, and its workspace. What can't be seen is not there."""
    if kind == "everything":
        return "", None
    for workspace in memory.policy.workspaces.values():
        if not caller.sees(workspace.name):
            continue
        if kind == "workspace" and workspace.name == name:
            return name, name
        if kind == "mailbox" and name in workspace.mailboxes:
            return name, workspace.name
        if kind == "domain" and name in workspace.domains:
            return name, workspace.name
        path = name.removeprefix(f"{workspace.name}/")
        if kind == "path" and path in workspace.paths:
            return f"{workspace.name}/{path}", workspace.name
    code = "unknown-mailbox" if kind == "mailbox" else "not-found"
    raise refuse(code, f"there is no {kind} {name!r}")


def _until(text: str | None) -> int | None:
    try:
        return parse_time(text) if text is not None else None
    except ValueError as fault:
        raise invalid(("until", str(fault))) from fault


# --- messages ------------------------------------------------------------------------------------


async def cancel_message(request: Request, context: Context) -> Response:
    """Take a message out of the queue."""
    body = await body_of(request, wire.ReasonRequest)
    return await _change_message(
        request,
        context,
        Action.CANCEL,
        lambda tx, id_, actor: messages.cancel(tx, id_, actor=actor, reason=_reason(body.reason)),
    )


async def resolve_message(request: Request, context: Context) -> Response:
    """Say what became of a message whose outcome is unknown."""
    body = await body_of(request, wire.ResolveRequest)
    return await _change_message(
        request,
        context,
        Action.RESOLVE,
        lambda tx, id_, actor: messages.resolve(
            tx, id_, sent=body.outcome == "sent", actor=actor, reason=_reason(body.reason)
        ),
    )


async def _change_message(
    request: Request,
    context: Context,
    action: Action,
    do: Callable[[Transaction, ids.Id, str], Any],
) -> Response:
    caller = caller_of(request)
    id_ = path_id(request, ids.MESSAGE)

    def change(tx: Transaction) -> wire.MessageView:
        message = tx.message(id_)
        if message is None or not caller.sees(message.workspace):
            raise refuse("not-found", "there is no such message")
        _permit(caller, action, message.workspace)
        done = do(tx, id_, caller.name)
        if isinstance(done, messages.NotDone):
            raise refuse(done.code, done.detail)
        return views.message_view(done, tx.recipients(id_), tx.attempts(id_), tx.events_of(id_))

    return reply(await commit(context, change))


# --- suppressions --------------------------------------------------------------------------------


async def list_suppressions(request: Request, context: Context) -> Response:
    """Suppressions, oldest first."""
    caller = caller_of(request)
    workspace = workspace_of(request, caller)
    after = request.query_params.get("after")
    cursor = ids.parse_id(ids.SUPPRESSION, after) if after else None
    found = await context.store.read(lambda reader: reader.suppressions(workspace, cursor, 1000))
    return reply(
        wire.Page(
            items=[views.suppression_view(item) for item in found],
            next=ids.show_id(ids.SUPPRESSION, found[-1].id) if len(found) == 1000 else None,
        )
    )


async def add_suppression(request: Request, context: Context) -> Response:
    """Suppress a recipient or a domain, in a workspace or in all."""
    caller = caller_of(request)
    body = await body_of(request, wire.SuppressionRequest)
    _permit(caller, Action.SUPPRESS, body.workspace)
    address = _address(body.address)

    def change(tx: Transaction) -> wire.SuppressionView:
        if body.workspace is not None and body.workspace not in tx.memory.policy.workspaces:
            raise invalid(("workspace", f"there is no workspace {body.workspace!r}"))
        made, in_flight = suppressions.suppress(
            tx,
            address=address,
            workspace=body.workspace,
            origin=body.origin,
            ground=body.ground,
            actor=caller.name,
            random=context.random,
        )
        return views.suppression_view(made, in_flight)

    return reply(await commit(context, change), 201)


async def remove_suppression(request: Request, context: Context) -> Response:
    """Lift a suppression."""
    caller = caller_of(request)
    id_ = path_id(request, ids.SUPPRESSION)
    body = await body_of(request, wire.ReasonRequest)

    def change(tx: Transaction) -> wire.SuppressionView:
        found = tx.suppression(id_)
        if found is None or not (found.workspace is None or caller.sees(found.workspace)):
            raise refuse("not-found", "there is no such suppression")
        _permit(caller, Action.UNSUPPRESS, found.workspace)
        suppressions.unsuppress(tx, found, actor=caller.name, reason=_reason(body.reason))
        return views.suppression_view(found)

    return reply(await commit(context, change))


async def check_suppressions(request: Request, context: Context) -> Response:
    """Which of these addresses are suppressed."""
    caller = caller_of(request)
    body = await body_of(request, wire.SuppressionCheck)
    workspace = body.workspace
    if workspace is None and caller.workspaces is not None and len(caller.workspaces) == 1:
        (workspace,) = caller.workspaces
    if workspace is None or not caller.may(Action.READ, workspace):
        raise invalid(("workspace", "say which workspace"))
    if len(body.addresses) > 1000:
        raise invalid(("addresses", "may hold 1,000 at most"))
    addresses = [_address(text) for text in body.addresses]
    found = await context.store.read(lambda reader: reader.suppressed(workspace, addresses))
    return reply(wire.Page(items=[views.suppression_view(item) for item in found], next=None))


def _address(text: str) -> str:
    try:
        if text.startswith("@"):
            return "@" + parse_address(f"postmaster{text}").address.rpartition("@")[2]
        return parse_address(text).address
    except BadAddress as fault:
        raise invalid(("address", str(fault))) from fault


# --- tokens --------------------------------------------------------------------------------------


async def list_tokens(request: Request, context: Context) -> Response:
    """The tokens that are valid, without their values."""
    caller = caller_of(request)
    found = await context.store.read(lambda reader: reader.tokens())
    return reply(
        wire.Page(
            items=[
                _token_view(token, context)
                for token in found
                if caller.may(Action.TOKENS, token.workspace)
            ],
            next=None,
        )
    )


async def add_token(request: Request, context: Context) -> Response:
    """A new token; this answer is the only place where it stands."""
    caller = caller_of(request)
    body = await body_of(request, wire.TokenRequest)
    if not 0 < len(body.name) <= 100:
        raise invalid(("name", "has to be 1 to 100 characters"))
    secret = new_token(context)
    hash_ = hashlib.sha256(secret.encode()).digest()

    def change(tx: Transaction) -> Token:
        if body.workspace not in tx.memory.policy.workspaces or not caller.sees(body.workspace):
            raise invalid(("workspace", f"there is no workspace {body.workspace!r}"))
        _permit(caller, Action.TOKENS, body.workspace)
        token = Token(
            id=ids.make_id(tx.now_us, context.random.bits(ids.RANDOM_BITS)),
            name=body.name,
            workspace=body.workspace,
            created_us=tx.now_us,
            last_used_us=None,
        )
        tx.add_token(token, hash_)
        _audit_token(tx, token, caller, "token create")
        return token

    token = await commit(context, change)
    context.tokens[hash_] = token
    return reply(msgspec.structs.replace(_token_view(token, context), token=secret), 201)


async def revoke_token(request: Request, context: Context) -> Response:
    """Make a token invalid, from the next request on."""
    caller = caller_of(request)
    id_ = path_id(request, ids.TOKEN)

    def change(tx: Transaction) -> Token:
        token = next((known for known in tx.tokens() if known.id == id_), None)
        if token is None or not caller.sees(token.workspace):
            raise refuse("not-found", "there is no such token")
        _permit(caller, Action.TOKENS, token.workspace)
        tx.revoke_token(id_)
        _audit_token(tx, token, caller, "token revoke")
        return token

    token = await commit(context, change)
    for hash_, known in list(context.tokens.items()):
        if known.id == id_:
            del context.tokens[hash_]
    return reply(_token_view(token, context))


def new_token(context: Context) -> str:
    """`mp_` and 43 characters of 256 random bits."""
    value = context.random.bits(256).to_bytes(32, "big")
    return "mp_" + base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _token_view(token: Token, context: Context) -> wire.TokenView:
    return wire.TokenView(
        id=ids.show_id(ids.TOKEN, token.id),
        name=token.name,
        workspace=token.workspace,
        created_at=show_time(token.created_us),
        last_used_at=show_time(context.token_used_us.get(token.id)),
    )


def _audit_token(tx: Transaction, token: Token, caller: Caller, action: str) -> None:
    tx.add_audit(
        AuditEntry(
            at_us=tx.now_us,
            actor=caller.name,
            action=action,
            workspace=token.workspace,
            target=ids.show_id(ids.TOKEN, token.id),
            detail={"name": token.name},
        )
    )


# --- the clock -----------------------------------------------------------------------------------


async def accept_clock(request: Request, context: Context) -> Response:
    """Believe a wall clock that has leapt forward, as a person confirms."""
    caller = caller_of(request)
    _permit(caller, Action.CLOCK, None)
    body = await body_of(request, wire.ReasonRequest)

    def change(tx: Transaction) -> int:
        ahead_us = tx.memory.time.ahead_us
        if not ahead_us:
            raise refuse("conflict", "the clock is believed already")
        reason = _reason(body.reason)
        tx.memory.time.believe(context.clock.wall_us())
        tx.add_audit(
            AuditEntry(
                at_us=tx.now_us,
                actor=caller.name,
                action="clock accepted",
                workspace=None,
                target="clock",
                detail={"ahead_s": ahead_us // 1_000_000, "reason": reason},
            )
        )
        return ahead_us

    ahead_us = await commit(context, change)
    return reply({"ahead_s": ahead_us // 1_000_000})


def _permit(caller: Caller, action: Action, workspace: str | None) -> None:
    if not caller.may(action, workspace):
        where = f"in {workspace}" if workspace else "for the whole daemon"
        raise refuse("not-permitted", f"{caller.name} ({caller.role}) may not {action} {where}")


def _reason(text: str) -> str:
    reason = " ".join(text.split())
    if not 0 < len(reason) <= REASON_LENGTH or not reason.isprintable():
        raise invalid(("reason", f"has to be 1 to {REASON_LENGTH} printable characters"))
    return reason
