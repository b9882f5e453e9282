"""The routes that only read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from mailplane_wire import resources as wire
from mailplaned.domain import ids
from mailplaned.domain.message import State
from mailplaned.domain.policy import Workspace
from mailplaned.domain.roles import Action, Caller
from mailplaned.doors.http import views
from mailplaned.doors.http.change import permit
from mailplaned.doors.http.context import Context
from mailplaned.doors.http.guard import caller_of
from mailplaned.doors.http.replies import invalid, refuse, reply
from mailplaned.ports import MessageFilter, Reader, Transaction
from mailplaned.services.messages import effective

PAGE_LIMIT = 1_000
"""The most items on a page."""

NAMED = ("workspaces", "mailboxes", "domains", "accounts", "paths")
"""What there is in the book under a name of its own."""

_STATES = frozenset(State)


# --- messages ------------------------------------------------------------------------------------


async def show_message(request: Request, context: Context) -> Response:
    """One message with its recipients, attempts and events."""
    caller = caller_of(request)
    id_ = path_id(request, ids.MESSAGE)

    def read(reader: Reader) -> wire.MessageView | None:
        message = reader.message(id_)
        if (
            message is None
            or not caller.may(Action.READ, message.workspace)
            or not caller.covers(message.mailbox, message.workload)
        ):
            return None
        shown = effective(message, paused.get(message.mailbox))
        return views.message_view(
            shown, reader.recipients(id_), reader.attempts(id_), reader.events_of(id_)
        )

    paused = await _paused(context)
    found = await context.store.read(read)
    if found is None:
        raise refuse("not-found", "there is no such message")
    return reply(found)


async def list_messages(request: Request, context: Context) -> Response:
    """Messages, oldest first, by state, mailbox, recipient."""
    caller = caller_of(request)
    state = request.query_params.get("state")
    if state is not None and state not in _STATES:
        raise invalid(("state", f"has to be one of {', '.join(sorted(_STATES))}"))
    after = request.query_params.get("after")
    cursor = ids.parse_id(ids.MESSAGE, after) if after else None
    if after and cursor is None:
        raise invalid(("after", "has to be the `next` of an earlier page"))
    limit = _limit(request)
    paused = await _paused(context)
    wanted = MessageFilter(
        workspace=workspace_of(request, caller),
        state=state,
        mailbox=request.query_params.get("mailbox"),
        recipient=request.query_params.get("recipient"),
        after=cursor,
        limit=limit,
        paused=tuple(paused),
    )
    found = await context.store.read(lambda reader: reader.messages(wanted))
    items = [
        views.message_view(effective(m, paused.get(m.mailbox)))
        for m in found
        if caller.covers(m.mailbox, m.workload)
    ]
    return reply(
        wire.Page(
            items=items,
            next=ids.show_id(ids.MESSAGE, found[-1].id) if len(found) == limit else None,
        )
    )


async def _paused(context: Context) -> dict[str, str]:
    """The mailboxes that are paused, with the first reason of each."""

    def ask(tx: Transaction) -> dict[str, str]:
        found: dict[str, str] = {}
        for (kind, name), pauses in tx.memory.pauses.items():
            if kind != "path":
                for mailbox in tx.memory.mailboxes_in(kind, name):
                    found.setdefault(mailbox.address, pauses[0].reason)
        return found

    return await context.store.look(ask)


# --- what there is -------------------------------------------------------------------------------


async def list_mailboxes(request: Request, context: Context) -> Response:
    """Mailboxes with headroom, state and pauses."""

    def ask(tx: Transaction, workspace: Workspace) -> list[Any]:
        return [
            views.mailbox_view(tx.memory, mailbox, tx.now_us)
            for mailbox in workspace.mailboxes.values()
            if caller.covers(mailbox.address)
        ]

    caller = caller_of(request)
    return await _list(request, context, ask)


async def show_mailbox(request: Request, context: Context) -> Response:
    """One mailbox."""
    caller = caller_of(request)
    address = request.path_params["address"]

    def ask(tx: Transaction) -> wire.MailboxView | None:
        mailbox = tx.memory.mailbox(address)
        if (
            mailbox is None
            or not caller.may(Action.READ, mailbox.workspace)
            or not caller.covers(address)
        ):
            return None
        return views.mailbox_view(tx.memory, mailbox, tx.now_us)

    found = await context.store.look(ask)
    if found is None:
        raise refuse("unknown-mailbox", f"there is no mailbox {address}", mailbox=address)
    return reply(found)


async def list_workspaces(request: Request, context: Context) -> Response:
    """Workspaces, their mailboxes counted by state."""

    def ask(tx: Transaction, workspace: Workspace) -> list[Any]:
        sums = views.Sums()
        for mailbox in workspace.mailboxes.values():
            sums.add(views.mailbox_view(tx.memory, mailbox, tx.now_us))
        return [views.workspace_view(tx.memory, workspace, sums)]

    return await _list(request, context, ask)


async def list_domains(request: Request, context: Context) -> Response:
    """Sending domains with their caps and pauses."""

    def ask(tx: Transaction, workspace: Workspace) -> list[Any]:
        found = []
        for domain in workspace.domains.values():
            own = [m for m in workspace.mailboxes.values() if m.domain == domain.name]
            pauses = tx.memory.pauses.get(("domain", domain.name), [])
            found.append(
                wire.DomainView(
                    name=domain.name,
                    workspace=workspace.name,
                    dkim_selector=domain.dkim_selector,
                    mailboxes=len(own),
                    caps=views.scope_caps(tx.memory, own, f"domain:{domain.name}", tx.now_us),
                    pauses=[views.pause_view(pause) for pause in pauses],
                )
            )
        return found

    return await _list(request, context, ask)


async def list_accounts(request: Request, context: Context) -> Response:
    """Provider accounts with their caps."""

    def ask(tx: Transaction, workspace: Workspace) -> list[Any]:
        found = []
        for account in workspace.accounts.values():
            own = [m for m in workspace.mailboxes.values() if m.account == account.name]
            found.append(
                wire.AccountView(
                    name=account.name,
                    workspace=workspace.name,
                    provider=account.provider,
                    supported=account.supported,
                    host=account.host,
                    port=account.port,
                    tls=account.tls,
                    username=account.username,
                    secret=account.secret,
                    mailboxes=len(own),
                    caps=views.scope_caps(tx.memory, own, f"account:{account.key}", tx.now_us),
                )
            )
        return found

    return await _list(request, context, ask)


async def list_paths(request: Request, context: Context) -> Response:
    """Paths, and the workloads that may use them."""

    def ask(tx: Transaction, workspace: Workspace) -> list[Any]:
        found = []
        for path in workspace.paths.values():
            pauses = tx.memory.pauses.get(("path", f"{workspace.name}/{path.name}"), [])
            found.append(
                wire.PathView(
                    name=path.name,
                    workspace=workspace.name,
                    tiers=[list(tier) for tier in path.tiers],
                    failover="next-tier" if path.next_tier else "never",
                    workloads=[
                        workload.name
                        for workload in workspace.workloads.values()
                        if path.name in workload.paths
                    ],
                    pauses=[views.pause_view(pause) for pause in pauses],
                )
            )
        return found

    return await _list(request, context, ask)


async def list_names(request: Request, context: Context) -> Response:
    """The names that begin with `prefix`, and nothing else of what they name: for completion."""
    caller = caller_of(request)
    only = workspace_of(request, caller) if "workspace" in request.query_params else None
    kind = request.query_params.get("of", "")
    prefix = request.query_params.get("prefix", "")
    if kind not in NAMED:
        raise invalid(("of", f"has to be one of {', '.join(NAMED)}"))

    def ask(tx: Transaction) -> list[str]:
        found = (
            name
            for workspace in tx.memory.policy.workspaces.values()
            if only in {None, workspace.name} and caller.may(Action.READ, workspace.name)
            for name in ([workspace.name] if kind == "workspaces" else getattr(workspace, kind))
            if name.startswith(prefix)
        )
        return list(dict.fromkeys(found))  # a path may have the name of another workspace's

    return reply(wire.Page(items=await context.store.look(ask), next=None))


async def _list(
    request: Request, context: Context, ask: Callable[[Transaction, Workspace], list[Any]]
) -> Response:
    """One page of what `ask` finds in each workspace that the caller sees."""
    caller = caller_of(request)
    only = workspace_of(request, caller)
    if only is not None and only not in context.policy.workspaces:
        raise invalid(("workspace", f"there is no workspace {only!r}"))

    def read(tx: Transaction) -> list[Any]:
        return [
            item
            for workspace in tx.memory.policy.workspaces.values()
            if (only is None or workspace.name == only) and caller.may(Action.READ, workspace.name)
            for item in ask(tx, workspace)
        ]

    return reply(wire.Page(items=await context.store.look(read), next=None))


# --- logs ----------------------------------------------------------------------------------------


async def list_events(request: Request, context: Context) -> Response:
    """The event log after a cursor, or its newest rows."""
    caller = caller_of(request)
    workspace = workspace_of(request, caller)
    if caller.scope.partial:
        raise refuse("not-permitted", f"{caller.name} covers a part of {workspace} only")
    after, limit = span_of(request)
    found = await context.store.read(lambda reader: reader.events(workspace, after, limit))
    more = after is not None and len(found) == limit
    items = [views.event_view(event) for event in found if caller.sees(event.workspace)]
    return reply(wire.Page(items=items, next=str(found[-1].cursor) if more else None))


# --- parameters ----------------------------------------------------------------------------------


def path_id(request: Request, prefix: str) -> ids.Id:
    """The id in the path; one that can't be is one that there is not."""
    found = ids.parse_id(prefix, request.path_params["id"])
    if found is None:
        raise refuse("not-found", f"there is no {request.path_params['id']!r}")
    return found


def workspace_of(request: Request, caller: Caller) -> str | None:
    """The workspace that a list is for: the parameter, else the caller's only one, else all."""
    asked = request.query_params.get("workspace")
    asked = asked or caller.only
    if asked is None and caller.seen is not None:
        raise invalid(("workspace", "say which of your workspaces"))
    if asked is not None:
        if not caller.sees(asked):
            raise invalid(("workspace", f"there is no workspace {asked!r}"))
        permit(caller, Action.READ, asked)
    return asked


def _after(request: Request) -> int:
    text = request.query_params.get("after", "0")
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise invalid(("after", "has to be a number"))
    return int(text)


def span_of(request: Request) -> tuple[int | None, int]:
    """After which row of a log, and how many; after None: the newest `last` ones."""
    if "last" not in request.query_params:
        return _after(request), _limit(request)
    if "after" in request.query_params or "limit" in request.query_params:
        raise invalid(("last", "goes with neither after nor limit"))
    return None, _limit(request, "last")


def _limit(request: Request, name: str = "limit") -> int:
    text = request.query_params.get(name, "100")
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 0 < int(text) <= PAGE_LIMIT):
        raise invalid((name, f"has to be 1 to {PAGE_LIMIT}"))
    return int(text)
