"""The routes for tokens, and for what only the owner may confirm."""

from __future__ import annotations

import base64
import hashlib

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from mailplane_wire import resources as wire
from mailplaned.domain import ids
from mailplaned.domain.records import AuditEntry, Token
from mailplaned.domain.roles import Action, Caller
from mailplaned.doors.http.change import body_of, clean_line, clean_reason, commit, permit
from mailplaned.doors.http.context import Context
from mailplaned.doors.http.guard import caller_of
from mailplaned.doors.http.replies import invalid, refuse, reply
from mailplaned.doors.http.resources import path_id
from mailplaned.doors.http.times import show_time
from mailplaned.ports import Transaction


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
    name = clean_line("name", body.name, 100)
    secret = new_token(context)
    hash_ = hashlib.sha256(secret.encode()).digest()

    def change(tx: Transaction) -> Token:
        if body.workspace not in tx.memory.policy.workspaces or not caller.sees(body.workspace):
            raise invalid(("workspace", f"there is no workspace {body.workspace!r}"))
        permit(caller, Action.TOKENS, body.workspace)
        token = Token(
            id=ids.make_id(tx.now_us, context.random.bits(ids.RANDOM_BITS)),
            name=name,
            workspace=body.workspace,
            created_us=tx.now_us,
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
        permit(caller, Action.TOKENS, token.workspace)
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


async def accept_clock(request: Request, context: Context) -> Response:
    """Believe a wall clock that has leapt forward, as a person confirms."""
    caller = caller_of(request)
    permit(caller, Action.CLOCK, None)
    body = await body_of(request, wire.ReasonRequest)

    def change(tx: Transaction) -> int:
        ahead_us = tx.memory.time.ahead_us
        if not ahead_us:
            raise refuse("conflict", "the clock is believed already")
        reason = clean_reason(body.reason)
        tx.memory.time.believe(context.clock.wall_us())
        for mailbox in tx.memory.mailboxes_in("everything", ""):
            tx.effects.wake(mailbox.address, 0)  # slots have come that no timer knows of
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
