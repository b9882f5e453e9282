"""The routes that change what becomes of a message, or of all messages to a recipient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from mailplane_wire import resources as wire
from mailplaned.domain import ids
from mailplaned.domain.roles import Action
from mailplaned.doors.http import views
from mailplaned.doors.http.change import (
    REASON_LENGTH,
    body_of,
    clean_line,
    clean_reason,
    commit,
    permit,
)
from mailplaned.doors.http.context import Context
from mailplaned.doors.http.guard import caller_of
from mailplaned.doors.http.replies import invalid, refuse, reply
from mailplaned.doors.http.resources import path_id, workspace_of
from mailplaned.ports import Transaction
from mailplaned.services import messages, suppressions
from mailplaned.services.addresses import BadAddress, parse_address

ORIGIN_LENGTH = 50
"""Characters of the word that says where a suppression comes from."""


async def cancel_message(request: Request, context: Context) -> Response:
    """Take a message out of the queue."""
    body = await body_of(request, wire.ReasonRequest, wire.ReasonRequest(reason="canceled"))
    return await _change_message(
        request,
        context,
        Action.CANCEL,
        lambda tx, id_, actor: messages.cancel(
            tx, id_, actor=actor, reason=clean_reason(body.reason)
        ),
    )


async def resolve_message(request: Request, context: Context) -> Response:
    """Say what became of a message whose outcome is unknown."""
    body = await body_of(request, wire.ResolveRequest)
    return await _change_message(
        request,
        context,
        Action.RESOLVE,
        lambda tx, id_, actor: messages.resolve(
            tx, id_, sent=body.outcome == "sent", actor=actor, reason=clean_reason(body.reason)
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
        if (
            message is None
            or not caller.sees(message.workspace)
            or not caller.covers(message.mailbox, message.workload)
        ):
            raise refuse("not-found", "there is no such message")
        permit(caller, action, message.workspace)
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
    if after and cursor is None:
        raise invalid(("after", "has to be the `next` of an earlier page"))
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
    permit(caller, Action.SUPPRESS, body.workspace)
    address = _address(body.address)
    origin = clean_line("origin", body.origin, ORIGIN_LENGTH)
    ground = clean_line("ground", body.ground, REASON_LENGTH)

    def change(tx: Transaction) -> wire.SuppressionView:
        if body.workspace is not None and body.workspace not in tx.memory.policy.workspaces:
            raise invalid(("workspace", f"there is no workspace {body.workspace!r}"))
        made, in_flight = suppressions.suppress(
            tx,
            address=address,
            workspace=body.workspace,
            origin=origin,
            ground=ground,
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
        permit(caller, Action.UNSUPPRESS, found.workspace)
        suppressions.unsuppress(tx, found, actor=caller.name, reason=clean_reason(body.reason))
        return views.suppression_view(found)

    return reply(await commit(context, change))


async def check_suppressions(request: Request, context: Context) -> Response:
    """Which of these addresses are suppressed."""
    caller = caller_of(request)
    body = await body_of(request, wire.SuppressionCheck)
    workspace = body.workspace
    workspace = workspace or caller.only
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
