"""The routes about the daemon itself: how it is, what is wrong, its ledger, clock and backups."""

from __future__ import annotations

from typing import Literal

from starlette.requests import Request
from starlette.responses import Response

from mailplane_wire import resources as wire
from mailplane_wire.backup import BackupRequest
from mailplaned.domain.records import AuditEntry
from mailplaned.domain.roles import Action
from mailplaned.doors.http.change import body_of, clean_reason, commit, permit
from mailplaned.doors.http.context import VERSION, Context
from mailplaned.doors.http.guard import caller_of
from mailplaned.doors.http.replies import refuse, reply
from mailplaned.doors.http.times import show_time
from mailplaned.ports import Transaction
from mailplaned.services.recovery import rebuild


async def health(request: Request, context: Context) -> Response:
    """Whether the daemon does its work; without a caller only that."""
    findings = context.findings()
    status: Literal["ok", "degraded", "stopping"] = "degraded" if findings else "ok"
    if context.stopping.is_set():
        status = "stopping"
    now = show_time(context.clock.wall_us())
    caller = request.state.caller
    if caller is None or caller.seen is not None:
        return reply({"status": status, "version": VERSION, "now": now})

    def ask(tx: Transaction) -> tuple[int, int, int]:
        tracks = [
            tx.memory.governor.mailbox_track(mailbox)
            for workspace in tx.memory.policy.workspaces.values()
            for mailbox in workspace.mailboxes
        ]
        return (
            tx.memory.waiting,
            sum(track.open for track in tracks),
            sum(len(track.unknown) for track in tracks),
        )

    waiting, sending, unknown = await context.store.look(ask)
    return reply(
        wire.Health(
            status=status,
            version=VERSION,
            now=now,
            pid=context.pid,
            started_at=show_time(context.started_us),
            findings=findings,
            book=context.book,
            waiting=waiting,
            sending=sending,
            unknown=unknown,
            sqlite=context.sqlite_version,
        )
    )


async def doctor(request: Request, context: Context) -> Response:
    """Look the whole set-up over; every provider account is tried."""
    permit(caller_of(request), Action.READ, None)
    return reply(wire.Page(items=await context.examine(), next=None))


async def verify_ledger(request: Request, context: Context) -> Response:
    """Recompute the ledger from the tables and compare it with memory."""
    caller = caller_of(request)
    permit(caller, Action.READ, None)

    def ask(tx: Transaction) -> wire.LedgerReport:
        fresh = rebuild(tx, tx.memory.policy, tx.memory.time)
        charges = sum(1 for _ in tx.charges(0))
        return wire.LedgerReport(
            charges=charges,
            scopes=tx.memory.governor.scopes,
            differences=tx.memory.governor.differences(fresh.governor, tx.now_us),
        )

    return reply(await context.store.look(ask))


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
        wall_us = context.clock.wall_us()
        tx.memory.time.believe(wall_us)
        tx.memory.stalled = wall_us, "the clock had leapt ahead, until a person confirmed it"
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


async def back_up(request: Request, context: Context) -> Response:
    """Make a backup in the state folder."""
    caller = caller_of(request)
    permit(caller, Action.BACKUP, None)
    body = await body_of(request, BackupRequest, BackupRequest())
    async with context.vault_lock:  # no key changes under it
        try:
            made = await context.back_up(with_keys=body.keys)
        except OSError as fault:
            raise refuse("store-full", f"no backup was made: {fault}") from fault

    def note(tx: Transaction) -> None:
        tx.add_audit(
            AuditEntry(
                at_us=tx.now_us,
                actor=caller.name,
                action="backup create",
                workspace=None,
                target=made.path.rpartition("/")[2],
                detail={"keys": body.keys, "bytes": made.bytes},
            )
        )

    await context.store.write(note)
    return reply(made, 201)
