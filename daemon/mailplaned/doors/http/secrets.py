"""The routes of the vault: secrets come in, and never go out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response

from mailplane_wire import resources as wire
from mailplane_wire import vault as sealed_wire
from mailplaned.domain.records import AuditEntry, SealedSecret, SecretKey
from mailplaned.domain.roles import Action, Caller
from mailplaned.doors.http.change import body_of, clean_reason, commit, permit
from mailplaned.doors.http.context import Context
from mailplaned.doors.http.guard import caller_of
from mailplaned.doors.http.replies import invalid, refuse, reply
from mailplaned.doors.http.resources import workspace_of
from mailplaned.doors.http.times import parse_time, show_time
from mailplaned.ports import SecretMissing, Transaction
from mailplaned.services.credentials import SECRET_BYTES, SECRET_NAME, uses

NONCE_BITS = 96
KEY_BITS = 256


async def list_secrets(request: Request, context: Context) -> Response:
    """What secrets there are, how old they are, and who uses them; never their values."""
    caller = caller_of(request)
    only = workspace_of(request, caller) if "workspace" in request.query_params else None
    rows = {row.key: row for row in await context.store.read(lambda reader: reader.secrets())}
    named = {key: _seen(users, caller) for key, users in uses(context.policy, rows).items()}
    items = [
        _view(key, rows.get(key), named.get(key, {}), context)
        for key in sorted({*rows, *named}, key=lambda key: (key[0], key[1] or ""))
        if _may_list(caller, rows.get(key), named.get(key, {}))
        and _concerns(only, rows.get(key), named.get(key, {}))
    ]
    return reply(wire.Page(items=items, next=None))


async def add_secret(request: Request, context: Context) -> Response:
    """Seal a secret that there is not yet."""
    caller = caller_of(request)
    body = await body_of(request, sealed_wire.SecretRequest)
    expires_us = _expiry(body.expires_at)
    if not SECRET_NAME.fullmatch(body.name):
        raise invalid(("name", "has to be small letters, digits, . - _, at most 100"))
    _check_value(body.value)

    def change(tx: Transaction) -> SealedSecret:
        if body.workspace is not None and (
            body.workspace not in tx.memory.policy.workspaces or not caller.sees(body.workspace)
        ):
            raise invalid(("workspace", f"there is no workspace {body.workspace!r}"))
        permit(caller, Action.SECRETS, body.workspace)
        if any(row.key == (body.name, body.workspace) for row in tx.secrets()):
            owner = f" of {body.workspace}" if body.workspace else ""
            words = f"there is a secret {body.name}{owner}; rotate it instead"
            raise refuse("conflict", words)
        blank = SealedSecret(
            name=body.name,
            workspace=body.workspace,
            version=1,
            created_us=tx.now_us,
            changed_us=tx.now_us,
            expires_us=expires_us,
        )
        return _put(tx, blank, body.value, caller, "secret set", context)

    async with context.vault_lock:
        secret = await commit(context, change)
        context.vault.note(secret)
    return reply(_view(secret.key, secret, _users(context, caller, secret), context), 201)


async def rotate_secret(request: Request, context: Context) -> Response:
    """Another value under the same name."""
    caller = caller_of(request)
    body = await body_of(request, sealed_wire.RotateRequest)
    expires_us = _expiry(body.expires_at)
    _check_value(body.value)

    def change(tx: Transaction) -> SealedSecret:
        old = _find(tx, caller, request)
        permit(caller, Action.SECRETS, old.workspace)
        new = replace(old, version=old.version + 1, changed_us=tx.now_us, expires_us=expires_us)
        return _put(tx, new, body.value, caller, "secret rotate", context)

    async with context.vault_lock:
        secret = await commit(context, change)
        context.vault.note(secret)
    return reply(_view(secret.key, secret, _users(context, caller, secret), context))


async def remove_secret(request: Request, context: Context) -> Response:
    """Forget a secret that the book no longer names."""
    caller = caller_of(request)
    body = await body_of(request, wire.ReasonRequest)
    reason = clean_reason(body.reason)

    def change(tx: Transaction) -> SealedSecret:
        secret = _find(tx, caller, request)
        permit(caller, Action.SECRETS, secret.workspace)
        users = uses(tx.memory.policy, {row.key for row in tx.secrets()}).get(secret.key, {})
        if users:
            raise refuse(
                "conflict",
                f"the book names it: {', '.join(sorted(users))}; take it out there first",
            )
        tx.remove_secret(secret.key)
        _audit(tx, secret, caller, "secret remove", {"reason": reason})
        return secret

    async with context.vault_lock:
        secret = await commit(context, change)
        context.vault.forget(secret.key)
    return reply(_view(secret.key, secret, {}, context))


async def rekey(request: Request, context: Context) -> Response:
    """Seal every secret anew under a new key, which then takes the old one's place."""
    caller = caller_of(request)
    permit(caller, Action.SECRETS, None)

    def change(tx: Transaction) -> list[SealedSecret]:
        rows = [
            context.vault.reseal(row, _nonce(context)) for row in _openable(tx.secrets(), context)
        ]
        for row in rows:
            tx.put_secret(row)
        tx.add_audit(
            AuditEntry(
                at_us=tx.now_us,
                actor=caller.name,
                action="vault rekey",
                workspace=None,
                target="vault",
                detail={"secrets": len(rows), "key": context.vault.place},
            )
        )
        return rows

    async with context.vault_lock:
        try:
            context.vault.prepare_key(context.random.bits(KEY_BITS).to_bytes(KEY_BITS // 8))
        except SecretMissing as fault:
            raise refuse("conflict", str(fault)) from fault
        rows = await commit(context, change)
        context.vault.promote_key(rows)
    return reply({"secrets": len(rows)})


def _openable(rows: list[SealedSecret], context: Context) -> list[SealedSecret]:
    """All rows, or a refusal that names those that the present key does not open."""
    lost = [
        f"{row.name} of {row.workspace}" if row.workspace else row.name
        for row in rows
        if context.vault.problem(row.name, row.workspace or "")
    ]
    if lost:
        raise refuse(
            "conflict", f"the present key does not open {', '.join(lost)}; rotate or remove these"
        )
    return rows


def _put(
    tx: Transaction,
    secret: SealedSecret,
    value: str,
    caller: Caller,
    action: str,
    context: Context,
) -> SealedSecret:
    try:
        sealed = context.vault.seal(secret, value, _nonce(context))
    except SecretMissing as fault:
        raise refuse("conflict", str(fault)) from fault
    tx.put_secret(sealed)
    _audit(tx, sealed, caller, action, {"expires_at": show_time(sealed.expires_us)})
    return sealed


def _find(tx: Transaction, caller: Caller, request: Request) -> SealedSecret:
    """The secret of that name and `workspace`: without it the caller's only one, else for all.

    Never another's instead: what was meant for one and is repeated would take the next.
    """
    name = request.path_params["name"]
    asked = request.query_params.get("workspace") or caller.only
    named = {
        row.workspace: row
        for row in tx.secrets()
        if row.name == name and caller.role_in(row.workspace) is not None
    }
    if asked in named:
        return named[asked]
    if asked is None and named:
        owners = ", ".join(sorted(filter(None, named)))
        raise refuse("conflict", f"there is a secret {name!r} of {owners}; say whose you mean")
    where = f" of {asked!r}" if asked else ""
    raise refuse("not-found", f"there is no secret {name!r}{where} in the vault")


def _may_list(caller: Caller, row: SealedSecret | None, users: Mapping[str, str]) -> bool:
    """A secret is seen by who manages or audits its workspace, or one that names it."""
    owners = [row.workspace] if row else list(users.values())
    return any(
        caller.may(action, owner)
        for action in (Action.SECRETS, Action.READ_AUDIT)
        for owner in owners
    )


def _concerns(only: str | None, row: SealedSecret | None, users: Mapping[str, str]) -> bool:
    if only is None or only in users.values():
        return True
    return row is not None and row.workspace in {None, only}


def _view(
    key: SecretKey, row: SealedSecret | None, users: Mapping[str, str], context: Context
) -> sealed_wire.SecretView:
    owners = list(users.values()) or [row.workspace or "" if row else ""]
    name, _ = key
    problems = {context.vault.problem(name, owner) for owner in owners}
    return sealed_wire.SecretView(
        name=name,
        workspace=row.workspace if row else None,
        version=row.version if row else None,
        kept="sealed" if row else "file",
        created_at=show_time(row.created_us) if row else None,
        changed_at=show_time(row.changed_us) if row else None,
        expires_at=show_time(row.expires_us) if row else None,
        last_used_at=show_time(context.vault.used_us.get(key, row.used_us if row else None)),
        used_by=sorted(users),
        problem=next((problem for problem in sorted(filter(None, problems))), None),
    )


def _users(context: Context, caller: Caller, secret: SealedSecret) -> Mapping[str, str]:
    sealed = {row.key for row in context.vault.rows()}
    return _seen(uses(context.policy, sealed).get(secret.key, {}), caller)


def _seen(users: Mapping[str, str], caller: Caller) -> Mapping[str, str]:
    return {place: owner for place, owner in users.items() if caller.sees(owner)}


def _check_value(value: str) -> None:
    if not 0 < len(value.encode()) <= SECRET_BYTES or "\0" in value:
        raise invalid(("value", f"has to be 1 to {SECRET_BYTES} bytes of text"))


def _expiry(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return parse_time(text)
    except ValueError as fault:
        raise invalid(("expires_at", str(fault))) from fault


def _nonce(context: Context) -> bytes:
    return context.random.bits(NONCE_BITS).to_bytes(NONCE_BITS // 8)


def _audit(
    tx: Transaction, secret: SealedSecret, caller: Caller, action: str, about: dict[str, str | None]
) -> None:
    tx.add_audit(
        AuditEntry(
            at_us=tx.now_us,
            actor=caller.name,
            action=action,
            workspace=secret.workspace,
            target=f"secret:{secret.name}",
            detail={"version": secret.version, **about},
        )
    )
