"""`GET /v1/stream`: what the dashboard shows, live.

A snapshot first, then only what changed, at most four times a second, with the new rows of both
logs. The cursors of the logs are the event id, so a reader that comes back with `Last-Event-ID`
misses none of them; rows it gets anew by a snapshot. A reader that does not keep up is let go.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from mailplane_wire import resources as wire
from mailplaned.domain.roles import Action, Caller
from mailplaned.domain.windows import SECOND_US
from mailplaned.doors.http import views
from mailplaned.doors.http.context import VERSION, Context
from mailplaned.doors.http.guard import caller_of
from mailplaned.doors.http.replies import refuse
from mailplaned.doors.http.resources import workspace_of
from mailplaned.doors.http.times import show_time
from mailplaned.ports import Effects, Reader, Transaction

TICK_US = SECOND_US // 4
"""How often changes are told, at most."""

SWEEP_TICKS = 20
"""In how many ticks every mailbox is looked at again: windows roll on without any change."""

BACKLOG = 256
"""Messages that a slow reader may be behind before it is let go."""

READERS = 64
REPLAY = 1_000
"""Rows of each log that a reader who comes back is told at most."""

_encode = msgspec.json.Encoder().encode


@dataclass(slots=True, eq=False)
class _Subscriber:
    caller: Caller
    workspace: str | None
    queue: asyncio.Queue[bytes | None] = field(default_factory=lambda: asyncio.Queue(BACKLOG))

    def wants(self, workspace: str | None) -> bool:
        if workspace is None:
            return self.caller.workspaces is None
        if self.workspace is not None and workspace != self.workspace:
            return False
        return self.caller.sees(workspace)

    def put(self, frame: bytes) -> None:
        """Queue a frame; a reader too far behind is let go by an end mark."""
        if self.queue.qsize() >= BACKLOG - 1:
            while not self.queue.empty():
                self.queue.get_nowait()
            self.queue.put_nowait(None)
        else:
            self.queue.put_nowait(frame)


class Stream:
    """Watches commits and tells the readers. `run` has to be running."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._subscribers: set[_Subscriber] = set()
        self._views: dict[str, wire.MailboxView] = {}
        self._dirty: set[str] = set()
        self._all_dirty = False
        self._logs_dirty = False
        self._cursors = (0, 0)
        self._book: wire.BookView | None = None
        self._sweep: list[str] = []

    # --- what happens -----------------------------------------------------------------------------

    def note_commit(self, effects: Effects) -> None:
        """A commit changed some mailboxes and perhaps the logs."""
        if self._subscribers:
            self._dirty |= effects.touched
            self._logs_dirty = True

    def note_book(self) -> None:
        """Another book is in force, or one was refused."""
        self._all_dirty = True

    async def run(self) -> None:
        """Tell changes until the daemon stops."""
        beat_us = 0
        while not self._context.stopping.is_set():
            await self._context.clock.wait_us(self._context.stopping, TICK_US)
            if not self._subscribers:
                self._views.clear()
                continue
            await self._tell_changes()
            await self._tell_logs()
            now_us = self._context.clock.boot_us()
            if now_us - beat_us >= SECOND_US:
                beat_us = now_us
                self._send_all(wire.Heartbeat(now=show_time(self._context.clock.wall_us())))
        for subscriber in self._subscribers:
            subscriber.put(b": the daemon stops\n\n")
            subscriber.queue.put_nowait(None)

    # --- a reader ---------------------------------------------------------------------------------

    async def serve(self, request: Request) -> Response:
        """One reader's stream."""
        caller = caller_of(request)
        workspace = workspace_of(request, caller)
        if len(self._subscribers) >= READERS:
            raise refuse("conflict", f"there are {READERS} readers already")
        cursors = _parse_cursors(request.headers.get("last-event-id"))
        subscriber = _Subscriber(caller=caller, workspace=workspace)
        return StreamingResponse(self._follow(subscriber, cursors), media_type="text/event-stream")

    async def _follow(
        self, subscriber: _Subscriber, cursors: tuple[int, int] | None
    ) -> AsyncIterator[bytes]:
        try:
            for frame in await self._opening(subscriber, cursors):
                yield frame
            while True:
                next_frame = await subscriber.queue.get()
                if next_frame is None:
                    return
                yield next_frame
        finally:
            self._subscribers.discard(subscriber)

    async def _opening(
        self, subscriber: _Subscriber, cursors: tuple[int, int] | None
    ) -> list[bytes]:
        """The snapshot and the logs' rows since `cursors`; from then on changes are queued."""
        if not self._subscribers:
            self._views = {view.address: view for view in await self._all_views()}
            self._cursors = await self._context.store.read(lambda reader: reader.log_ends())
        else:
            await self._tell_changes()
            await self._tell_logs()
        self._subscribers.add(subscriber)
        ends = self._cursors
        mailboxes = [view for view in self._views.values() if subscriber.wants(view.workspace)]
        workspaces = await self._workspaces()
        snapshot = wire.Snapshot(
            now=show_time(self._context.clock.wall_us()),
            version=VERSION,
            actor=subscriber.caller.name,
            role=subscriber.caller.role.value,
            workspaces=[view for view in workspaces if subscriber.wants(view.name)],
            mailboxes=mailboxes,
            totals=_totals(mailboxes),
            book=self._context.book,
        )
        frames = [_frame(snapshot, ends)]
        if cursors is None:
            cursors = (max(0, ends[0] - 200), max(0, ends[1] - 200))
        events, entries = await self._logs(cursors, ends)
        told: list[wire.LogEvent | wire.LogAudit] = [
            *(e for e in events if subscriber.wants(e.event.workspace)),
            *(a for a in entries if _may_audit(subscriber, a.entry.workspace)),
        ]
        return frames + [_frame(message, ends) for message in told]

    # --- telling ----------------------------------------------------------------------------------

    async def _tell_changes(self) -> None:
        if self._all_dirty:
            self._all_dirty = False
            fresh = await self._all_views()
            removed = list(self._views.keys() - {view.address for view in fresh})
        else:
            names = self._dirty | self._next_sweep()
            self._dirty = set()
            fresh = await self._context.store.write(lambda tx: _views_of(tx, names))
            removed = []
        changed = [view for view in fresh if self._views.get(view.address) != view]
        book = self._context.book if self._context.book != self._book else None
        if not changed and not removed and book is None:
            return
        self._book = self._context.book
        gone = {address: self._views.pop(address).workspace for address in removed}
        self._views.update((view.address, view) for view in changed)
        workspaces = await self._workspaces()
        for subscriber in list(self._subscribers):
            mine = [view for view in changed if subscriber.wants(view.workspace)]
            mine_gone = [address for address, name in gone.items() if subscriber.wants(name)]
            if not mine and not mine_gone and book is None:
                continue
            visible = [view for view in self._views.values() if subscriber.wants(view.workspace)]
            change = wire.Change(
                now=show_time(self._context.clock.wall_us()),
                mailboxes=mine,
                removed=mine_gone,
                workspaces=[view for view in workspaces if subscriber.wants(view.name)],
                totals=_totals(visible),
                book=book,
            )
            subscriber.put(_frame(change, self._cursors))

    async def _tell_logs(self) -> None:
        if not self._logs_dirty:
            return
        self._logs_dirty = False
        ends = await self._context.store.read(lambda reader: reader.log_ends())
        events, entries = await self._logs(self._cursors, ends)
        if len(events) == REPLAY:  # more than a tick can tell: the rest comes with the next one
            ends = (events[-1].event.cursor, ends[1])
            self._logs_dirty = True
        self._cursors = ends
        for subscriber in list(self._subscribers):
            for event in events:
                if subscriber.wants(event.event.workspace):
                    subscriber.put(_frame(event, ends))
            for entry in entries:
                if _may_audit(subscriber, entry.entry.workspace):
                    subscriber.put(_frame(entry, ends))

    async def _logs(
        self, after: tuple[int, int], ends: tuple[int, int]
    ) -> tuple[list[wire.LogEvent], list[wire.LogAudit]]:
        def read(reader: Reader) -> tuple[list[wire.LogEvent], list[wire.LogAudit]]:
            events = reader.events(None, after[0], REPLAY) if after[0] < ends[0] else []
            entries = reader.audit(None, after[1], REPLAY) if after[1] < ends[1] else []
            return (
                [
                    wire.LogEvent(event=views.event_view(event))
                    for event in events
                    if event.cursor <= ends[0]
                ],
                [
                    wire.LogAudit(entry=views.audit_view(entry))
                    for entry in entries
                    if entry.seq <= ends[1]
                ],
            )

        return await self._context.store.read(read)

    def _send_all(self, message: wire.StreamMessage) -> None:
        frame = _frame(message, self._cursors)
        for subscriber in list(self._subscribers):
            subscriber.put(frame)

    async def _all_views(self) -> list[wire.MailboxView]:
        def ask(tx: Transaction) -> list[wire.MailboxView]:
            return _views_of(tx, {m.address for m in tx.memory.mailboxes_in("everything", "")})

        return await self._context.store.write(ask)

    async def _workspaces(self) -> list[wire.WorkspaceView]:
        by_workspace: dict[str, list[wire.MailboxView]] = {}
        for view in self._views.values():
            by_workspace.setdefault(view.workspace, []).append(view)
        return await self._context.store.write(
            lambda tx: [
                views.workspace_view(tx.memory, workspace, by_workspace.get(workspace.name, []))
                for workspace in tx.memory.policy.workspaces.values()
            ]
        )

    def _next_sweep(self) -> set[str]:
        """The mailboxes whose turn it is to be looked at again."""
        if not self._sweep:
            self._sweep = list(self._views)
        size = -(-len(self._views) // SWEEP_TICKS)
        names, self._sweep = self._sweep[:size], self._sweep[size:]
        return set(names)


def _views_of(tx: Transaction, addresses: set[str]) -> list[wire.MailboxView]:
    found = (tx.memory.mailbox(address) for address in sorted(addresses))
    return [views.mailbox_view(tx.memory, mailbox, tx.now_us) for mailbox in found if mailbox]


def _totals(mailboxes: list[wire.MailboxView]) -> wire.Totals:
    return wire.Totals(
        waiting=sum(view.waiting for view in mailboxes),
        sending=sum(view.sending for view in mailboxes),
        unknown=sum(view.unknown for view in mailboxes),
        sent_24h=sum(view.sent_24h for view in mailboxes),
        bounced_24h=sum(view.bounced_24h for view in mailboxes),
    )


def _may_audit(subscriber: _Subscriber, workspace: str | None) -> bool:
    return subscriber.wants(workspace) and subscriber.caller.may(Action.READ_AUDIT, workspace)


def _frame(message: wire.StreamMessage, cursors: tuple[int, int]) -> bytes:
    """One server-sent event. JSON holds no line break, so one `data:` line is enough."""
    name = type(message).__struct_config__.tag
    head = f"id: {cursors[0]}.{cursors[1]}\nevent: {name}\ndata: "
    return head.encode() + _encode(message) + b"\n\n"


def _parse_cursors(text: str | None) -> tuple[int, int] | None:
    parts = (text or "").split(".")
    if len(parts) == 2 and all(p.isascii() and p.isdigit() and len(p) < 19 for p in parts):
        return int(parts[0]), int(parts[1])
    return None
