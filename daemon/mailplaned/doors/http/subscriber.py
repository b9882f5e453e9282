"""One reader of the stream: what it may see, and what waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from mailplane_wire import resources as wire
from mailplaned.domain.roles import Action, Caller

BACKLOG_BYTES = 8 * 2**20
"""How far a slow reader may be behind before it is let go."""


@dataclass(slots=True, eq=False)
class Subscriber:
    """A reader. `hang_up` closes its connection; `shown` is what it has on its screen."""

    id: str
    caller: Caller
    workspace: str | None
    hang_up: Callable[[], None]
    shown: list[str] = field(default_factory=list)
    frames: list[bytes] = field(default_factory=list)
    size: int = 0
    """Bytes that are queued, and those that the connection has not yet got rid of."""
    leaving: int = 0
    ended: bool = False
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    def wants(self, workspace: str | None) -> bool:
        """Whether something of that workspace is for it; None: of the whole daemon."""
        if workspace is None:
            return self.caller.seen is None
        if self.workspace is not None and workspace != self.workspace:
            return False
        return self.caller.sees(workspace)

    @property
    def audience(self) -> object:
        """What decides about what it may see."""
        caller = self.caller
        return caller.role, caller.workspaces, frozenset(caller.elsewhere.items()), self.workspace

    def may_audit(self, workspace: str | None) -> bool:
        """Whether it may see an audit entry of that workspace."""
        return self.wants(workspace) and self.caller.may(Action.READ_AUDIT, workspace)

    def book(self, book: wire.BookView) -> wire.BookView:
        """The book as this reader may know it: its words name mailboxes of every workspace."""
        if self.caller.seen is None:
            return book
        problems = ["the last change was refused"] if book.problems else []
        return msgspec.structs.replace(book, notices=[], problems=problems)

    def put(self, frame: bytes) -> None:
        """Queue a frame; on a reader too far behind the daemon hangs up."""
        if not self.ended and self.size + len(frame) > BACKLOG_BYTES:
            self.drop()
        if not self.ended:
            self.frames.append(frame)
            self.size += len(frame)
        self.wake.set()

    def drop(self) -> None:
        """Hang up, and forget what was queued."""
        self.frames.clear()
        self.size = 0
        self.ended = True
        self.hang_up()
        self.wake.set()

    def end(self) -> None:
        """Let the reader go once it has what is queued."""
        self.ended = True
        self.wake.set()

    async def take(self) -> bytes:
        """What is queued, all of it; nothing when the reader is to go."""
        self.size -= min(self.leaving, self.size)  # whoever takes more has sent the last
        self.leaving = 0
        while not self.frames and not self.ended:
            await self.wake.wait()
            self.wake.clear()
        taken = b"".join(self.frames)
        self.frames.clear()
        self.leaving = len(taken)
        return taken
