"""What is on screen, folded from the daemon's stream. Pure: no I/O, no clock of its own.

The model never guesses: a mailbox changes when the daemon says so, and an action that was asked
for is a pending mark until then.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final, Generic, TypeVar, assert_never

from mailplane_tui.fleet import Fleet
from mailplane_wire.resources import (
    AuditView,
    BookView,
    Change,
    EventView,
    Heartbeat,
    LogAudit,
    LogEvent,
    MailboxView,
    Snapshot,
    StreamMessage,
    WorkspaceView,
)

FRESH_S: Final = 1.5
"""Below this, every message is the newest there can be: an age would only flicker."""

LATE_AFTER_S: Final = 3.0
OFFLINE_AFTER_S: Final = 10.0
"""A heartbeat comes every second: three missed are worth a colour, ten are a lost link."""

ARRANGE_EVERY_S: Final = 2.0
ARRANGE_REST_S: Final = 1.5
"""Rows are sorted anew at most this often, and not this soon after a key."""

UNDO_FOR_S: Final = 30.0
PENDING_FOR_S: Final = 5.0
LOG_LENGTH: Final = 5_000

Entry = TypeVar("Entry")


class Link(Enum):
    """How fresh the numbers are."""

    NEVER = "no daemon yet"
    LIVE = "live"
    LATE = "late"
    OFFLINE = "offline"


class Log(Generic[Entry]):
    """The tail of a log: the last entries and how many there ever were."""

    def __init__(self, key: Callable[[Entry], Hashable], length: int = LOG_LENGTH) -> None:
        self.entries: deque[Entry] = deque(maxlen=length)
        self.total = 0
        self._key = key
        self._keys: set[Hashable] = set()

    def append(self, entry: Entry) -> None:
        """Add an entry, unless it is one of the tail already: a resumed stream may repeat."""
        key = self._key(entry)
        if key in self._keys:
            return
        if len(self.entries) == self.entries.maxlen:
            self._keys.discard(self._key(self.entries[0]))
        self._keys.add(key)
        self.entries.append(entry)
        self.total += 1

    def since(self, total: int) -> Iterator[Entry]:
        """The entries that came after the first `total`, as far as they are kept."""
        start = max(0, len(self.entries) - (self.total - total))
        return (self.entries[index] for index in range(start, len(self.entries)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """Sums over the mailboxes of some workspaces, as the daemon counted them."""

    mailboxes: int
    states: Counter[str]
    waiting: int
    unknown: int

    @classmethod
    def of(cls, workspaces: Collection[WorkspaceView]) -> Count:
        """The sums of these workspaces."""
        states: Counter[str] = Counter()
        for view in workspaces:
            states.update(view.states)
        return cls(
            mailboxes=sum(view.mailboxes for view in workspaces),
            states=states,
            waiting=sum(view.waiting for view in workspaces),
            unknown=sum(view.unknown for view in workspaces),
        )


@dataclass(slots=True, kw_only=True)
class Pending:
    """An action on a mailbox whose effect the daemon hasn't shown yet.

    Until the daemon answers nothing is known; then `present` pauses have to be seen on the mailbox
    and `absent` ones no longer.
    """

    what: str
    until: float
    answered: bool = False
    present: frozenset[str] = frozenset()
    absent: frozenset[str] = frozenset()

    def is_done(self, row: MailboxView) -> bool:
        """Whether the row shows the effect."""
        ids = {pause.id for pause in row.pauses}
        return self.answered and self.present <= ids and not self.absent & ids


@dataclass(frozen=True, slots=True, kw_only=True)
class Undo:
    """Pauses that may be lifted again with one key, until `until`."""

    pauses: tuple[str, ...]
    label: str
    until: float


class Model:
    """Everything the dashboard shows. `clock` gives seconds that only go forward."""

    def __init__(self, clock: Callable[[], float], *, workspace: str | None = None) -> None:
        self._clock = clock
        self.mailboxes: dict[str, MailboxView] = {}
        self.workspaces: dict[str, WorkspaceView] = {}
        self.book: BookView | None = None
        self.findings: list[str] = []
        self.now: datetime | None = None
        self.stream: str | None = None
        self.role = "viewer"
        self.actor = ""
        self.events: Log[EventView] = Log(lambda event: (event.cursor, event.at))
        self.audit: Log[AuditView] = Log(lambda entry: (entry.seq, entry.at))
        self.workspace = workspace
        self.last_workspace = workspace
        self.undo: Undo | None = None
        self.pending: dict[str, Pending] = {}
        self.dirty: set[str] = set()
        self.fault: str | None = None
        self.retry_at: float | None = None
        self._wants_workspace = workspace is None
        self._fleets: dict[str | None, Fleet] = {}
        self._heard_at: float | None = None
        self._touched_at = float("-inf")
        self._arranged_at = float("-inf")
        self._stale_order = False

    # --- what the daemon says --------------------------------------------------------------------

    def fold(self, message: StreamMessage, arrived_at: float) -> None:
        """Take in one message of the stream, which arrived at that reading of the clock."""
        self._heard_at = arrived_at
        self.fault = self.retry_at = None
        match message:
            case Snapshot():
                self._replace(message)
            case Change():
                self._change(message)
            case LogEvent():
                self.events.append(message.event)
            case LogAudit():
                self.audit.append(message.entry)
            case Heartbeat():
                self.now, self.findings = parse_time(message.now), message.findings
            case _:
                assert_never(message)

    def _replace(self, message: Snapshot) -> None:
        first = self.now is None
        self.now = parse_time(message.now)
        self.stream = message.stream
        self.actor, self.role, self.book = message.actor, message.role, message.book
        self.workspaces = {view.name: view for view in message.workspaces}
        self.dirty.update(self.mailboxes)
        self.mailboxes = {}
        self._put(message.mailboxes)
        if first and self._wants_workspace and len(self.workspaces) == 1:
            self.workspace = next(iter(self.workspaces))
        self.arrange()

    def _change(self, message: Change) -> None:
        self.now = parse_time(message.now)
        if message.workspaces is not None:
            self.workspaces = {view.name: view for view in message.workspaces}
        self.book = message.book or self.book
        known = len(self.mailboxes)
        self._put(message.mailboxes)
        for address in message.removed:
            self.mailboxes.pop(address, None)
        if message.removed or len(self.mailboxes) != known:
            self.arrange()

    def _put(self, rows: Iterable[MailboxView]) -> None:
        mailboxes, moves = self.mailboxes, self.fleet.moves
        for row in rows:
            before = mailboxes.get(row.address)
            mailboxes[row.address] = row
            self.dirty.add(row.address)
            if before and not self._stale_order:
                moved = row.workspace != before.workspace
                self._stale_order = moved or (self.shows(row.workspace) and moves(before, row))
            if (pending := self.pending.get(row.address)) and pending.is_done(row):
                del self.pending[row.address]

    def lost(self, fault: str, retry_at: float) -> None:
        """The link broke; the next try is at that reading of the clock."""
        self.fault, self.retry_at = fault, retry_at

    # --- freshness -------------------------------------------------------------------------------

    @property
    def age_s(self) -> float | None:
        """Seconds since the daemon was last heard; None when it never was."""
        return None if self._heard_at is None else max(0.0, self._clock() - self._heard_at)

    @property
    def retry_in_s(self) -> float | None:
        """Seconds until the next try to connect; None while connected."""
        return None if self.retry_at is None else max(0.0, self.retry_at - self._clock())

    @property
    def link(self) -> Link:
        """How fresh the numbers are; a broken link is never shown as live."""
        age = self.age_s
        if age is None or self.now is None:
            return Link.NEVER
        if self.fault is not None or age > OFFLINE_AFTER_S:
            return Link.OFFLINE
        return Link.LATE if age > LATE_AFTER_S else Link.LIVE

    # --- what is looked at -----------------------------------------------------------------------

    @property
    def fleet(self) -> Fleet:
        """The list of the workspace in view."""
        return self._fleets.setdefault(self.workspace, Fleet())

    @property
    def count(self) -> Count:
        """The sums of the workspace in view."""
        return Count.of([view for view in self.workspaces.values() if self.shows(view.name)])

    @property
    def cursor_row(self) -> MailboxView | None:
        """The mailbox under the cursor."""
        cursor = self.fleet.cursor
        return self.mailboxes.get(cursor) if cursor else None

    def shows(self, workspace: str | None) -> bool:
        """Whether something of that workspace belongs on screen now."""
        return self.workspace in (None, workspace)

    def switch(self, workspace: str | None) -> None:
        """Look at another workspace, None for all. Its filter and selection are as it was left."""
        if workspace != self.workspace:
            self.last_workspace, self.workspace = self.workspace, workspace
        self.arrange()

    def touch(self) -> None:
        """A key was pressed: rows keep their places for a moment."""
        self._touched_at = self._clock()

    def arrange(self) -> None:
        """Filter and sort the list in view now."""
        self.fleet.arrange(self.mailboxes, self.workspace)
        self._arranged_at = self._clock()
        self._stale_order = False

    def arrange_if_due(self) -> bool:
        """Sort anew if rows changed and nobody is in the middle of something; True if it did."""
        now = self._clock()
        rested = now - self._touched_at >= ARRANGE_REST_S
        if not (self._stale_order and rested and now - self._arranged_at >= ARRANGE_EVERY_S):
            return False
        before = self.fleet.order
        self.arrange()
        return self.fleet.order != before

    def take_dirty(self) -> set[str]:
        """The mailboxes that changed since the last call."""
        taken, self.dirty = self.dirty, set()
        return taken

    # --- what was asked for ----------------------------------------------------------------------

    def expect(self, addresses: Collection[str], what: str) -> None:
        """Mark mailboxes as waiting for the effect of an action."""
        until = self._clock() + PENDING_FOR_S
        for address in addresses:
            self.pending[address] = Pending(what=what, until=until)
        self.dirty.update(addresses)

    def answered(
        self, address: str, *, present: Iterable[str] = (), absent: Iterable[str] = ()
    ) -> None:
        """The daemon agreed: the mark stays until the row shows it."""
        if pending := self.pending.get(address):
            pending.answered = True
            pending.present, pending.absent = frozenset(present), frozenset(absent)
            row = self.mailboxes.get(address)
            if row is None or pending.is_done(row):
                self.forget(address)

    def forget(self, address: str) -> None:
        """The action didn't come to pass: no mark."""
        if self.pending.pop(address, None):
            self.dirty.add(address)

    def overdue(self) -> dict[str, str]:
        """Mailboxes whose action shows no effect in time, with what it was; they lose the mark."""
        now = self._clock()
        late = {a: p.what for a, p in self.pending.items() if now >= p.until}
        for address in late:
            self.forget(address)
        return late

    def remember_undo(self, pauses: Iterable[str], label: str) -> None:
        """These pauses can be undone for a while."""
        self.undo = Undo(pauses=tuple(pauses), label=label, until=self._clock() + UNDO_FOR_S)

    def take_undo(self) -> Undo | None:
        """What can be undone now; it is offered once."""
        undo, self.undo = self.undo, None
        return undo if undo and self._clock() < undo.until else None


def parse_time(text: str) -> datetime:
    """A time of the wire (RFC 3339)."""
    return datetime.fromisoformat(text)
