"""The routes for tokens."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from mailplane_wire import people
from mailplane_wire import resources as wire
from mailplaned.domain import ids
from mailplaned.domain.policy import Workspace
from mailplaned.domain.records import AuditEntry, Token
from mailplaned.domain.roles import Action, Caller, Scope
from mailplaned.domain.routing import BUILT_IN_WORKLOADS
from mailplaned.doors.http.change import body_of, clean_line, commit, permit
from mailplaned.doors.http.context import Context
from mailplaned.doors.http.guard import caller_of
from mailplaned.doors.http.replies import invalid, refuse, reply
from mailplaned.doors.http.resources import path_id, workspace_of
from mailplaned.doors.http.times import parse_duration, parse_time, show_time
from mailplaned.ports import Transaction


async def list_tokens(request: Request, context: Context) -> Response:
    """The tokens that are valid, without their values."""
    caller = caller_of(request)
    only = workspace_of(request, caller) if "workspace" in request.query_params else None
    found = await context.store.read(lambda reader: reader.tokens())
    now_us = context.clock.wall_us()
    return reply(
        wire.Page(
            items=[
                _token_view(token, context)
                for token in found
                if only in {None, token.workspace}
                and caller.may(Action.TOKENS, token.workspace)
                and (token.expires_us is None or token.expires_us > now_us)
            ],
            next=None,
        )
    )


async def add_token(request: Request, context: Context) -> Response:
    """A new token; this answer is the only place where it stands."""
    caller = caller_of(request)
    body = await body_of(request, people.TokenRequest)
    name = clean_line("name", body.name, 100)
    expires_us = _expiry(body.expires_at, context)
    secret, hash_ = _new_token(context)

    def change(tx: Transaction) -> Token:
        workspace = tx.memory.policy.workspaces.get(body.workspace)
        if workspace is None or not caller.sees(body.workspace):
            raise invalid(("workspace", f"there is no workspace {body.workspace!r}"))
        permit(caller, Action.TOKENS, body.workspace)
        token = Token(
            id=ids.make_id(tx.now_us, context.random.bits(ids.RANDOM_BITS)),
            name=name,
            workspace=body.workspace,
            scope=_scope(body, workspace),
            created_us=tx.now_us,
            expires_us=expires_us,
        )
        tx.add_token(token, hash_)
        _audit_token(tx, token, caller, "token create")
        return token

    token = await commit(context, change)
    context.tokens[hash_] = token
    return reply(msgspec.structs.replace(_token_view(token, context), token=secret), 201)


async def rotate_token(request: Request, context: Context) -> Response:
    """Another token with the same limits; both are valid for a while."""
    caller = caller_of(request)
    id_ = path_id(request, ids.TOKEN)
    body = await body_of(request, people.TokenRotation, people.TokenRotation())
    expires_us = _expiry(body.expires_at, context)
    try:
        overlap_us = parse_duration(body.overlap)
    except ValueError as fault:
        raise invalid(("overlap", str(fault))) from fault
    ends_us = context.clock.wall_us() + overlap_us
    secret, hash_ = _new_token(context)

    def change(tx: Transaction) -> tuple[Token, Token]:
        old = _find(tx, caller, id_)
        ending = replace(old, expires_us=min(ends_us, old.expires_us or ends_us))
        new = replace(
            old,
            id=ids.make_id(tx.now_us, context.random.bits(ids.RANDOM_BITS)),
            created_us=tx.now_us,
            expires_us=expires_us,
            used_us=None,
        )
        tx.expire_token(old.id, ending.expires_us or ends_us)
        tx.add_token(new, hash_)
        _audit_token(tx, new, caller, "token rotate", old=ids.show_id(ids.TOKEN, old.id))
        return ending, new

    ending, new = await commit(context, change)
    for known, token in context.tokens.items():
        if token.id == ending.id:
            context.tokens[known] = ending
    context.tokens[hash_] = new
    return reply(msgspec.structs.replace(_token_view(new, context), token=secret), 201)


async def revoke_token(request: Request, context: Context) -> Response:
    """Make a token invalid, from the next request on."""
    caller = caller_of(request)
    id_ = path_id(request, ids.TOKEN)

    def change(tx: Transaction) -> Token:
        token = _find(tx, caller, id_)
        tx.revoke_token(id_)
        _audit_token(tx, token, caller, "token revoke")
        return token

    token = await commit(context, change)
    for hash_, known in list(context.tokens.items()):
        if known.id == id_:
            del context.tokens[hash_]
    return reply(_token_view(token, context))


def _find(tx: Transaction, caller: Caller, id_: ids.Id) -> Token:
    """The token, if the caller may manage it."""
    token = next((known for known in tx.tokens() if known.id == id_), None)
    if token is None or not caller.sees(token.workspace):
        raise refuse("not-found", "there is no such token")
    permit(caller, Action.TOKENS, token.workspace)
    return token


def _scope(body: people.TokenRequest, workspace: Workspace) -> Scope:
    """The limits that a token is asked to have. Raises Refusal for one that names nothing."""
    known = {
        "mailboxes": set(workspace.mailboxes),
        "workloads": BUILT_IN_WORKLOADS | set(workspace.workloads),
    }
    wrong = [
        (field, f"{workspace.name} has no {name!r} among its {field}")
        for field, names in known.items()
        for name in getattr(body, field) or ()
        if name not in names
    ]
    wrong += [
        (field, "has to name at least one, or be left out")
        for field in ("mailboxes", "workloads", "actions")
        if getattr(body, field) == []
    ]
    if wrong:
        raise invalid(*wrong)
    return Scope(
        workloads=None if body.workloads is None else frozenset(body.workloads),
        mailboxes=None if body.mailboxes is None else frozenset(body.mailboxes),
        actions=None if body.actions is None else frozenset(map(Action, body.actions)),
    )


def _expiry(text: str | None, context: Context) -> int | None:
    if text is None:
        return None
    try:
        at_us = parse_time(text)
    except ValueError as fault:
        raise invalid(("expires_at", str(fault))) from fault
    if at_us <= context.clock.wall_us():
        raise invalid(("expires_at", "is in the past"))
    return at_us


def _new_token(context: Context) -> tuple[str, bytes]:
    """`mp_` and 43 characters of 256 random bits, and the hash that is kept of it."""
    value = context.random.bits(256).to_bytes(32, "big")
    token = "mp_" + base64.urlsafe_b64encode(value).rstrip(b"=").decode()
    return token, hashlib.sha256(token.encode()).digest()


def _token_view(token: Token, context: Context) -> people.TokenView:
    scope = token.scope
    return people.TokenView(
        id=ids.show_id(ids.TOKEN, token.id),
        name=token.name,
        workspace=token.workspace,
        workloads=_listed(scope.workloads),
        mailboxes=_listed(scope.mailboxes),
        actions=_listed(scope.actions),
        created_at=show_time(token.created_us),
        expires_at=show_time(token.expires_us),
        last_used_at=show_time(context.token_used_us.get(token.id, token.used_us)),
    )


def _listed(names: frozenset[str] | None) -> list[str] | None:
    return None if names is None else sorted(names)


def _audit_token(tx: Transaction, token: Token, caller: Caller, action: str, **about: str) -> None:
    limits = {
        name: _listed(getattr(token.scope, name)) for name in ("workloads", "mailboxes", "actions")
    }
    tx.add_audit(
        AuditEntry(
            at_us=tx.now_us,
            actor=caller.name,
            action=action,
            workspace=token.workspace,
            target=ids.show_id(ids.TOKEN, token.id),
            detail={
                "name": token.name,
                "expires_at": show_time(token.expires_us),
                **{name: only for name, only in limits.items() if only is not None},
                **about,
            },
        )
    )
