"""`GET /v1/stream`: what the dashboard shows, live.

A snapshot first, then only what changed, at most four times a second, with the new rows of both
logs. The cursors of the logs are the event id, so a reader that comes back with `Last-Event-ID`
misses none of them; rows it gets anew by a snapshot. A reader that does not keep up is let go.

While nobody reads, nothing of this costs anything. While somebody does, it is `rounds` that bounds
what a tick costs the writer and the readers, and sums are kept by difference.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Collection
from functools import partial
from itertools import count

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from mailplane_wire import resources as wire
from mailplaned.domain.windows import SECOND_US
from mailplaned.doors.http import views
from mailplaned.doors.http.change import body_of
from mailplaned.doors.http.context import VERSION, Context
from mailplaned.doors.http.guard import caller_of
from mailplaned.doors.http.replies import invalid, refuse, reply
from mailplaned.doors.http.resources import workspace_of
from mailplaned.doors.http.rounds import Rounds
from mailplaned.doors.http.subscriber import Subscriber
from mailplaned.doors.http.times import show_time
from mailplaned.ports import Effects, Reader, StoreFault, Transaction

TICK_US = SECOND_US // 4
"""How often changes are told, at most."""

LOOK = 50
"""Mailboxes that are looked at in one go: some milliseconds of the writer's time."""

SHOWN = 500
"""Mailboxes that a reader may have on its screen."""

ALL_BACKLOG_BYTES = 8 * 2**20
"""How far all slow readers may be behind together before the slowest are let go."""

READERS = 64
PAGE = 1_000
"""Rows of each log that are read at a time."""

OPENING_ROWS = 200
"""Rows of each log that a new reader is told."""

Cursors = tuple[int, int]
"""Up to which row of the events and of the audit log."""

_encode = msgspec.json.Encoder().encode

_log = structlog.get_logger("stream")


class Stream:
    """Watches commits and tells the readers. `run` has to be running."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._subscribers: set[Subscriber] = set()
        self._readers = 0
        self._telling = asyncio.Lock()
        """Held while cursors and views move: a reader begins between two tellings."""
        self._numbers = count(1)
        self._views: dict[str, wire.MailboxView] = {}
        self._sums: defaultdict[str, views.Sums] = defaultdict(views.Sums)
        self._rounds = Rounds()
        self._all_dirty = False
        self._logs_dirty = False
        self._cursors = (0, 0)
        self._book: wire.BookView | None = None
        self._members = context.policy.members

    # --- what happens -----------------------------------------------------------------------------

    def note_commit(self, effects: Effects) -> None:
        """A commit changed some mailboxes and perhaps the logs."""
        if self._readers:
            self._rounds.note(effects.touched)
            self._logs_dirty = True

    def note_book(self) -> None:
        """Another book is in force, or one was refused."""
        self._all_dirty = True
        if self._members != self._context.policy.members:  # who may still read comes back
            self._members = self._context.policy.members
            for subscriber in self._subscribers:
                subscriber.drop()

    async def run(self) -> None:
        """Tell changes until the daemon stops."""
        beat_us = 0
        while not self._context.stopping.is_set():
            await self._context.clock.wait_us(self._context.stopping, TICK_US)
            if not self._readers:
                self._views.clear()
                self._sums.clear()
                continue
            try:
                async with self._telling:
                    behind = [reader for reader in self._subscribers if reader.size]
                    await self._tell_changes()
                    await self._tell_logs()
                    self._shed(behind)
            except StoreFault as fault:  # a disk that can't be read is no reason to stop sending
                _log.error("stream stalled", action="stream", why=str(fault))
                self._all_dirty = self._logs_dirty = True
            now_us = self._context.clock.boot_us()
            if now_us - beat_us >= SECOND_US:
                beat_us = now_us
                self._beat()
        for subscriber in self._subscribers:
            subscriber.put(b": the daemon stops\n\n")
            subscriber.end()

    # --- a reader ---------------------------------------------------------------------------------

    async def serve(self, request: Request) -> Response:
        """One reader's stream."""
        caller = caller_of(request)
        workspace = workspace_of(request, caller)
        if self._readers >= READERS:
            raise refuse("conflict", f"there are {READERS} readers already")
        cursors = _parse_cursors(request.headers.get("last-event-id"))
        subscriber = Subscriber(
            id=str(next(self._numbers)),
            caller=caller,
            workspace=workspace,
            hang_up=request.state.hang_up,
        )
        return StreamingResponse(self._follow(subscriber, cursors), media_type="text/event-stream")

    async def show(self, request: Request) -> Response:
        """A reader says what it has on its screen; that comes first from now on."""
        caller = caller_of(request)
        body = await body_of(request, wire.ShownRequest)
        if len(body.mailboxes) > SHOWN:
            raise invalid(("mailboxes", f"{SHOWN} at most"))
        id_ = request.path_params["id"]
        for subscriber in self._subscribers:
            if subscriber.id == id_ and subscriber.caller.name == caller.name:
                subscriber.shown = [
                    name
                    for name in body.mailboxes
                    if (view := self._views.get(name)) and subscriber.wants(view.workspace)
                ]
                return reply({})
        raise refuse("not-found", f"you read no stream {id_!r}")

    async def _follow(
        self, subscriber: Subscriber, cursors: Cursors | None
    ) -> AsyncIterator[bytes]:
        self._readers += 1
        try:
            async with self._telling:
                snapshot, ends = await self._open(subscriber)
            # A frame's id says which rows the reader has; with the snapshot it has no new ones yet.
            at = cursors or (max(0, ends[0] - OPENING_ROWS), max(0, ends[1] - OPENING_ROWS))
            yield _frame(snapshot, at)
            while at[0] < ends[0] or at[1] < ends[1]:
                events, entries, past = await self._logs(at, ends)
                yield _told(subscriber, events, entries, at)
                at = past
            while frames := await subscriber.take():
                yield frames
        finally:
            self._readers -= 1
            self._subscribers.discard(subscriber)

    async def _open(self, subscriber: Subscriber) -> tuple[wire.Snapshot, Cursors]:
        """The snapshot and the ends of the logs; what comes after these is queued."""
        if not self._subscribers:
            self._rounds = Rounds()
            self._logs_dirty = self._all_dirty = False
            self._views.clear()
            self._sums.clear()
            self._keep(await self._look(await self._addresses()))
            self._cursors = await self._context.store.read(lambda reader: reader.log_ends())
        else:
            await self._tell_changes()
            await self._tell_logs()
        self._subscribers.add(subscriber)
        if self._context.stopping.is_set():
            subscriber.end()
        ends = self._cursors
        mailboxes = [view for view in self._views.values() if subscriber.wants(view.workspace)]
        workspaces = await self._workspaces()
        snapshot = wire.Snapshot(
            stream=subscriber.id,
            now=show_time(self._context.clock.wall_us()),
            version=VERSION,
            actor=subscriber.caller.name,
            role=subscriber.caller.role.value,
            workspaces=[view for view in workspaces if subscriber.wants(view.name)],
            mailboxes=mailboxes,
            totals=self._totals(subscriber),
            book=subscriber.book(self._context.book),
        )
        return snapshot, ends

    # --- telling ----------------------------------------------------------------------------------

    async def _tell_changes(self) -> None:
        removed: list[str] = []
        if self._all_dirty:
            self._all_dirty = False
            present = await self._addresses()
            removed = list(self._views.keys() - set(present))
            self._rounds.note(sorted(present, key=self._views.__contains__))
        shown = {name: None for reader in self._subscribers for name in reader.shown}
        fresh = await self._look(self._rounds.take(shown, self._views))
        before = {view.address: self._views.get(view.address) for view in fresh}
        changed = [view for view in fresh if before[view.address] != view]
        book = self._context.book if self._context.book != self._book else None
        if not changed and not removed and book is None:
            return
        self._book = self._context.book
        left: list[tuple[str, str, str | None]] = [
            (view.address, was.workspace, view.workspace)
            for view in changed
            if (was := before[view.address]) and was.workspace != view.workspace
        ]
        self._keep(changed)
        left += [(address, self._drop(address).workspace, None) for address in removed]
        workspaces = await self._workspaces()
        for subscriber in list(self._subscribers):
            mine = [view for view in changed if subscriber.wants(view.workspace)]
            mine_gone = [
                address
                for address, was, now in left
                if subscriber.wants(was) and not (now and subscriber.wants(now))
            ]
            if not mine and not mine_gone and book is None:
                continue
            change = wire.Change(
                now=show_time(self._context.clock.wall_us()),
                mailboxes=mine,
                removed=mine_gone,
                workspaces=[view for view in workspaces if subscriber.wants(view.name)],
                totals=self._totals(subscriber),
                book=subscriber.book(book) if book is not None else None,
            )
            subscriber.put(_frame(change, self._cursors))

    def _keep(self, fresh: list[wire.MailboxView]) -> None:
        for view in fresh:
            if (before := self._views.get(view.address)) is not None:
                self._sums[before.workspace].add(before, -1)
            self._views[view.address] = view
            self._sums[view.workspace].add(view)

    def _drop(self, address: str) -> wire.MailboxView:
        view = self._views.pop(address)
        self._sums[view.workspace].add(view, -1)
        return view

    def _totals(self, subscriber: Subscriber) -> wire.Totals:
        return views.totals([sums for name, sums in self._sums.items() if subscriber.wants(name)])

    async def _tell_logs(self) -> None:
        if not self._logs_dirty:
            return
        self._logs_dirty = False
        ends = await self._context.store.read(lambda reader: reader.log_ends())
        before = self._cursors
        events, entries, self._cursors = await self._logs(before, ends)
        if self._cursors != ends:  # more than a tick can tell: the rest comes with the next one
            self._logs_dirty = True
        told: dict[object, bytes] = {}  # the same bytes for all who may see the same
        for subscriber in list(self._subscribers):
            audience = subscriber.audience
            if audience not in told:
                told[audience] = _told(subscriber, events, entries, before)
            if told[audience]:
                subscriber.put(told[audience])

    async def _logs(
        self, after: Cursors, ends: Cursors
    ) -> tuple[list[wire.LogEvent], list[wire.LogAudit], Cursors]:
        """A page of both logs up to `ends`, and the cursors after it."""

        def read(reader: Reader) -> tuple[list[wire.LogEvent], list[wire.LogAudit], Cursors]:
            events = reader.events(None, after[0], PAGE) if after[0] < ends[0] else []
            entries = reader.audit(None, after[1], PAGE) if after[1] < ends[1] else []
            return (
                [wire.LogEvent(event=views.event_view(e)) for e in events if e.cursor <= ends[0]],
                [wire.LogAudit(entry=views.audit_view(e)) for e in entries if e.seq <= ends[1]],
                (
                    min(events[-1].cursor, ends[0]) if len(events) == PAGE else ends[0],
                    min(entries[-1].seq, ends[1]) if len(entries) == PAGE else ends[1],
                ),
            )

        return await self._context.store.read(read)

    def _shed(self, behind: list[Subscriber]) -> None:
        """Hang up on the slowest of those who were behind before this tick, if all hold too much.

        Who keeps up is never among them, however much one tick has told.
        """
        total = sum(reader.size for reader in self._subscribers)
        for reader in sorted(behind, key=lambda reader: reader.size, reverse=True):
            if total <= ALL_BACKLOG_BYTES:
                return
            total -= reader.size
            reader.drop()

    def _beat(self) -> None:
        now = show_time(self._context.clock.wall_us())
        short = _frame(wire.Heartbeat(now=now), self._cursors)
        findings = wire.Heartbeat(now=now, findings=self._context.findings())
        whole = _frame(findings, self._cursors)
        for subscriber in list(self._subscribers):
            subscriber.put(whole if subscriber.wants(None) else short)

    async def _addresses(self) -> list[str]:
        return await self._context.store.look(
            lambda tx: [m.address for m in tx.memory.mailboxes_in("everything", "")]
        )

    async def _look(self, addresses: Collection[str]) -> list[wire.MailboxView]:
        """These mailboxes as they are now. The writer does other work between two goes."""
        found: list[wire.MailboxView] = []
        waiting = list(addresses)
        for at in range(0, len(waiting), LOOK):
            part = waiting[at : at + LOOK]
            found += await self._context.store.look(partial(_views_of, addresses=part))
        return found

    async def _workspaces(self) -> list[wire.WorkspaceView]:
        return await self._context.store.look(
            lambda tx: [
                views.workspace_view(
                    tx.memory, workspace, self._sums.get(workspace.name) or views.Sums()
                )
                for workspace in tx.memory.policy.workspaces.values()
            ]
        )


def _views_of(tx: Transaction, addresses: list[str]) -> list[wire.MailboxView]:
    found = (tx.memory.mailbox(address) for address in addresses)
    return [views.mailbox_view(tx.memory, mailbox, tx.now_us) for mailbox in found if mailbox]


def _told(
    subscriber: Subscriber,
    events: list[wire.LogEvent],
    entries: list[wire.LogAudit],
    after: Cursors,
) -> bytes:
    """The rows that a reader may see; the id of each says that it has all rows up to this one."""
    frames = []
    for event in events:
        after = (event.event.cursor, after[1])
        if subscriber.wants(event.event.workspace):
            frames.append(_frame(event, after))
    for entry in entries:
        after = (after[0], entry.entry.seq)
        if subscriber.may_audit(entry.entry.workspace):
            frames.append(_frame(entry, after))
    return b"".join(frames)


def _frame(message: wire.StreamMessage, cursors: Cursors) -> bytes:
    """One server-sent event. JSON holds no line break, so one `data:` line is enough."""
    name = type(message).__struct_config__.tag
    head = f"id: {cursors[0]}.{cursors[1]}\nevent: {name}\ndata: "
    return head.encode() + _encode(message) + b"\n\n"


def _parse_cursors(text: str | None) -> Cursors | None:
    parts = (text or "").split(".")
    if len(parts) == 2 and all(p.isascii() and p.isdigit() and len(p) < 19 for p in parts):
        return int(parts[0]), int(parts[1])
    return None
