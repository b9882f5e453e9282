"""The routes that stop and resume."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from mailplane_wire import resources as wire
from mailplaned.domain import ids
from mailplaned.domain.memory import Memory
from mailplaned.domain.records import Pause, ScopeKind
from mailplaned.domain.roles import Action, Caller
from mailplaned.doors.http import views
from mailplaned.doors.http.change import body_of, clean_reason, commit, permit
from mailplaned.doors.http.context import Context
from mailplaned.doors.http.guard import caller_of
from mailplaned.doors.http.replies import invalid, refuse, reply
from mailplaned.doors.http.resources import path_id, workspace_of
from mailplaned.doors.http.times import parse_time
from mailplaned.ports import Transaction
from mailplaned.services import pauses


async def list_pauses(request: Request, context: Context) -> Response:
    """Pauses that concern a workspace, or all; with `lifted=true` those of the past too."""
    caller = caller_of(request)
    workspace = workspace_of(request, caller) if "workspace" in request.query_params else None
    lifted = request.query_params.get("lifted") == "true"
    found = await context.store.read(lambda reader: reader.pauses(lifted=lifted))
    return reply(
        wire.Page(
            items=[
                views.pause_view(pause)
                for pause in found
                if pause.workspace is None
                or (
                    workspace in {None, pause.workspace}
                    and caller.may(Action.READ, pause.workspace)
                )
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
        permit(caller, Action.PAUSE, workspace)
        if until_us is not None and until_us <= tx.now_us:
            raise invalid(("until", "is in the past"))
        made = pauses.pause(
            tx,
            kind=kind,
            name=scope,
            workspace=workspace,
            reason=clean_reason(reason),
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
            permit(caller, Action.RESUME, found.workspace)
            lifted = pauses.lift(
                tx,
                id_,
                actor=caller.name,
                reason=clean_reason(body.reason),
                acknowledge=body.acknowledge,
            )
            if isinstance(lifted, Pause):
                return lifted
            raise refuse(lifted.code, lifted.detail)
        raise refuse("not-found", "there is no such pause")

    lifted = await commit(context, change)
    return reply({"lifted": [ids.show_id(ids.PAUSE, lifted.id)]})


async def resume_named(request: Request, context: Context) -> Response:
    """Lift every pause on exactly the scope that the path of the request names."""
    caller = caller_of(request)
    body = await body_of(request, wire.ReasonRequest)
    kind, name = _named(request)

    def change(tx: Transaction) -> list[Pause]:
        scope, workspace = _scope(tx.memory, caller, kind, name)
        permit(caller, Action.RESUME, workspace)
        lifted = pauses.lift_all(
            tx,
            kind,
            scope,
            actor=caller.name,
            reason=clean_reason(body.reason),
            acknowledge=body.acknowledge,
        )
        if isinstance(lifted, list):
            return lifted
        raise refuse(lifted.code, lifted.detail)

    lifted = await commit(context, change)
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
    paths = []
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
            paths.append((f"{workspace.name}/{path}", workspace.name))
    if len(paths) > 1:
        names = " or ".join(name for name, _ in paths)
        raise refuse("conflict", f"several workspaces have a path {name!r}: say {names}")
    if paths:
        return paths[0]
    code = "unknown-mailbox" if kind == "mailbox" else "not-found"
    raise refuse(code, f"there is no {kind} {name!r}")


def _until(text: str | None) -> int | None:
    try:
        return parse_time(text) if text is not None else None
    except ValueError as fault:
        raise invalid(("until", str(fault))) from fault
