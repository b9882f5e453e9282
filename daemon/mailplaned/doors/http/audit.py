"""The routes of the audit log: read, search, sign, redact. The export is in `audit_export`."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from mailplane_wire import resources as wire
from mailplane_wire.audit.lines import IDENTITY_ACTIONS, AuditKey, Redacted, RedactRequest
from mailplaned.audit_ports import AuditFilter
from mailplaned.domain.roles import Action
from mailplaned.doors.http import views
from mailplaned.doors.http.change import body_of, clean_line, clean_reason, permit
from mailplaned.doors.http.context import Context
from mailplaned.doors.http.guard import caller_of
from mailplaned.doors.http.replies import invalid, refuse, reply
from mailplaned.doors.http.resources import span_of, workspace_of
from mailplaned.doors.http.times import parse_time

_TEXTS = ("actor", "action", "target")
_TIMES = ("since", "until")
_TEXT_LENGTH = 320


async def list_audit(request: Request, context: Context) -> Response:
    """The audit log after a number, or its newest rows; or what a search finds."""
    caller = caller_of(request)
    workspace = workspace_of(request, caller)
    permit(caller, Action.READ_AUDIT, workspace)
    after, limit = span_of(request)
    wanted = _filter(request, workspace, after, limit)
    if wanted is not None:
        found, then = await context.store.read(lambda reader: reader.search_audit(wanted))
    else:
        found = await context.store.read(lambda reader: reader.audit(workspace, after, limit))
        then = found[-1].seq if after is not None and len(found) == limit else None
    items = [
        views.audit_view(entry) for entry in found if caller.may(Action.READ_AUDIT, entry.workspace)
    ]
    return reply(wire.Page(items=items, next=None if then is None else str(then)))


async def sign(request: Request, context: Context) -> Response:
    """The newest checkpoint; it is made now if there are entries behind the last one."""
    caller = caller_of(request)
    permit(caller, Action.READ_AUDIT, workspace_of(request, caller))
    found = await context.audit.checkpoint()
    if found is None:
        raise refuse("conflict", "the audit log has no entry yet")
    return reply(views.checkpoint_view(found))


async def show_key(request: Request, context: Context) -> Response:
    """The public key that signs the audit log's checkpoints."""
    caller = caller_of(request)
    permit(caller, Action.READ_AUDIT, workspace_of(request, caller))
    origin, _ = await context.store.read(lambda reader: reader.audit_log())
    return reply(AuditKey(key=context.audit.key, origin=origin))


async def redact(request: Request, context: Context) -> Response:
    """Take the values with an address in them out of the log; the chain stays whole."""
    caller = caller_of(request)
    body = await body_of(request, RedactRequest)
    permit(caller, Action.REDACT, body.workspace)
    address = clean_line("address", body.address, _TEXT_LENGTH)
    if not ("@" in address and len(address) > len("@b.c")):
        raise invalid(("address", "has to be a mail address, or @domain"))
    reason = clean_reason(body.reason)
    count = await context.audit.redact(address, body.workspace, caller.name, reason)
    return reply(Redacted(values=count))


def _filter(
    request: Request, workspace: str | None, after: int | None, limit: int
) -> AuditFilter | None:
    """What is searched for; None: nothing, all rows are wanted."""
    given = request.query_params
    if not any(name in given for name in ("about", *_TEXTS, *_TIMES)):
        return None
    if after is None:
        raise invalid(("last", "does not go with a search"))
    texts = {name: clean_line(name, given[name], _TEXT_LENGTH) for name in _TEXTS if name in given}
    about = given.get("about", "identities")
    if about != "identities":
        raise invalid(("about", 'has to be "identities"'))
    actions = IDENTITY_ACTIONS if "about" in given else None
    if "action" in texts:
        actions = frozenset({texts["action"]} & (actions or {texts["action"]}))
    times: dict[str, int] = {}
    for name in _TIMES:
        if name in given:
            try:
                times[name] = parse_time(given[name])
            except ValueError as fault:
                raise invalid((name, str(fault))) from fault
    return AuditFilter(
        workspace=workspace,
        actor=texts.get("actor"),
        actions=actions,
        target=texts.get("target"),
        since_us=times.get("since"),
        until_us=times.get("until"),
        after=after,
        limit=limit,
    )
