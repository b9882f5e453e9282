"""The book of a running daemon: read, watched, compared, edited, put in force.

One lock stands around all of it, so that nobody reads the files while others are being written.
"""

from __future__ import annotations

import asyncio
import pwd
import tomllib
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from mailplane_wire.book import BookEdits
from mailplane_wire.resources import BookView
from mailplaned.book.edits import EditRefused, edited
from mailplaned.book.load import DAEMON_FILE, WORKSPACES, Files, Loaded, judge_here, read
from mailplaned.book.saving import NotSaved, Saver
from mailplaned.book.source import shown
from mailplaned.book.watch import changes
from mailplaned.domain.differences import Difference, differences
from mailplaned.domain.policy import Policy
from mailplaned.doors.http.times import show_time
from mailplaned.ports import Clock, Store, StoreFault
from mailplaned.runtime.place import EX_CONFIG, Refused
from mailplaned.services.book import Adoption, BookPlan, BookRefused, note_book, put_in_force

_AT_START: Final = {
    "socket_mode": "[operator] socket_mode",
    "socket_group": "[operator] group",
    "shim_host": "[shim] listen",
    "shim_port": "[shim] listen",
    "desktop_key": "[vault] key",
}
"""Settings that are looked at when the daemon starts, and what the file calls them."""

_log = structlog.get_logger("daemon")


@dataclass(frozen=True, slots=True)
class _Order:
    """How files were to be by command, and whose it was."""

    actor: str
    files: Mapping[str, bytes | None]


class Books:
    """The book in force, and every way to another one."""

    def __init__(self, folder: Path, pending: Path) -> None:
        self.lock = asyncio.Lock()
        self._folder = folder
        self._was_there = False
        self._saver = Saver(folder, pending)
        self._order: _Order | None = None  # until it is in force
        self._loaded = Loaded(policy=Policy(), problems=())
        self._view: BookView | None = None
        self._applied_us = 0

    @property
    def policy(self) -> Policy:
        """What is in force."""
        assert self._loaded.policy is not None
        return self._loaded.policy

    async def first(self) -> Policy:
        """The book that the daemon starts with. Raises Refused."""
        try:
            left = await asyncio.to_thread(self._saver.finish)
        except (OSError, msgspec.MsgspecError) as fault:
            raise Refused(f"an edit of the book can't be finished: {fault}", EX_CONFIG) from fault
        if left is not None:
            self._order = _Order(left.actor, left.contents)
        loaded = await asyncio.to_thread(lambda: judge_here(self._read()))
        if loaded.policy is None:
            words = "the book has problems:\n  " + "\n  ".join(loaded.problems)
            raise Refused(words, EX_CONFIG)
        self._loaded = loaded
        self._started = loaded.policy.settings
        return loaded.policy

    async def begin(
        self, store: Store, clock: Clock, told: Callable[[Policy, BookView], None]
    ) -> None:
        """Write down what has changed since the daemon last ran; `told` hears of what comes."""
        self._store, self._clock, self._told = store, clock, told
        self._applied_us = clock.wall_us()
        last = await store.read(lambda reader: reader.book_content())
        old = None if last is None else last[0]
        if old != self.policy.hash:
            before = {} if last is None else _unpacked(last[1])
            adoption = await asyncio.to_thread(self._adoption, self._loaded, before)
            if last is None:  # the first book is told as a whole
                adoption = replace(adoption, differences=(), authors={})
            await store.write(partial(note_book, adoption=adoption, old=old))
        self._done()
        self._tell()

    async def watch(self, stopping: asyncio.Event) -> None:
        """Take whatever is saved into the folder."""
        async for _ in changes(self._folder, stopping):
            async with self.lock:
                await self.catch_up()

    async def catch_up(self) -> list[str]:
        """Take what was saved into the folder; why it is not in force, if so."""
        return await self._take(await asyncio.to_thread(self._on_disk))

    async def plan(self, texts: Mapping[str, str] | None) -> BookPlan:
        """What files would change if they were the book; those on disk if none are given."""
        return await asyncio.to_thread(self._plan, texts)

    async def plan_edits(self, edits: BookEdits) -> BookPlan:
        """What edits would change. Raises BookRefused."""
        problems = await self.catch_up()  # what a person has saved just now is theirs
        if problems:
            words = f"the book on disk has problems; mend them first: {problems[0]}"
            raise BookRefused(words)
        return await asyncio.to_thread(self._plan_edits, edits)

    async def put(self, plan: BookPlan, actor: str) -> list[str]:
        """Write the files and have them in force; why they are not, if so. Raises BookRefused."""
        try:
            await asyncio.to_thread(self._save, plan, actor)
        except NotSaved as fault:
            raise BookRefused(str(fault)) from fault
        files = Files(contents={**plan.files})
        self._order = _Order(
            actor, {name: plan.files.get(name) for name in {**plan.base, **plan.files}}
        )
        return await self._take(
            Loaded(policy=plan.policy, problems=(), files=files, homes={**plan.homes})
        )

    # --- in threads -------------------------------------------------------------------------------

    def _read(self) -> Files:
        there = self._folder.is_dir()
        files = read(self._folder)
        there = there and self._folder.is_dir()
        if self._was_there and not there:  # a disk that is not mounted, and no order to forget all
            return Files(problems=[f"{self._folder}: file: the folder is gone; put it back"])
        self._was_there = there
        return files

    def _on_disk(self) -> Loaded:
        files = self._read()
        if files.contents == self._loaded.files.contents and not files.problems:
            return self._loaded
        return judge_here(files)

    def _plan(self, texts: Mapping[str, str] | None) -> BookPlan:
        if texts is None:
            loaded = self._on_disk()
            return self._planned(loaded, loaded.files.contents)
        disk, files = self._read(), _given(texts)
        files.problems += disk.problems
        return self._planned(judge_here(files), disk.contents)

    def _plan_edits(self, edits: BookEdits) -> BookPlan:
        base = self._loaded.files.contents
        contents = dict(base)
        name = self._file_of(edits)
        removed = [edit for edit in edits.edits if (edit.table, edit.op) == ("workspace", "remove")]
        if removed and (len(edits.edits) > 1 or removed[0].name != edits.workspace):
            raise BookRefused("a workspace is removed by an edit of its own")
        if removed:
            del contents[name]
        else:
            try:
                text = edited(name, contents.get(name, b"").decode(), edits.edits)
            except EditRefused as fault:
                raise BookRefused(str(fault)) from fault
            contents[name] = text.encode()
        return self._planned(judge_here(Files(contents=dict(sorted(contents.items())))), base)

    def _file_of(self, edits: BookEdits) -> str:
        if edits.workspace is None:
            return DAEMON_FILE
        if edits.workspace in self._loaded.homes:
            return self._loaded.homes[edits.workspace]
        if not any((edit.table, edit.op) == ("workspace", "add") for edit in edits.edits):
            raise BookRefused(f"there is no workspace {shown(edits.workspace)}")
        name = f"{WORKSPACES}/{edits.workspace}.toml"
        if name in self._loaded.files.contents:
            raise BookRefused(f"{name}: is another workspace's file; rename it")
        return name

    def _planned(self, loaded: Loaded, base: Mapping[str, bytes]) -> BookPlan:
        policy = loaded.policy
        contents = loaded.files.contents
        old = self._loaded.files.contents
        return BookPlan(
            policy=policy,
            problems=loaded.problems,
            notices=policy.notices if policy else (),
            differences=_differences(old, contents) if policy else (),
            files=contents,
            base=base,
            homes=loaded.homes,
        )

    def _save(self, plan: BookPlan, actor: str) -> None:
        """Write a plan's files, unless any file is not as it was. Raises NotSaved."""
        if self._read().contents != plan.base:
            raise NotSaved("the book was changed in the meantime; look at it and try again")
        if plan.files != plan.base:
            self._saver.save(plan.base, plan.files, actor)

    def _adoption(self, loaded: Loaded, before: Mapping[str, bytes]) -> Adoption:
        assert loaded.policy is not None
        contents, owners = loaded.files.contents, loaded.files.owners
        changed = {
            name for name in {**before, **contents} if before.get(name) != contents.get(name)
        }
        order = self._order
        commanded = {
            name
            for name in changed
            if order and name in order.files and order.files[name] == contents.get(name)
        }
        names = {member.uid: member.name for member in loaded.policy.members}
        authors = {
            name: names.get(owners[name]) or _user(owners[name]) if name in owners else "book"
            for name in changed
        }
        if order:
            authors |= dict.fromkeys(commanded, order.actor)
        return Adoption(
            policy=loaded.policy,
            differences=_differences(before, contents),
            authors=authors,
            commanded=commanded,
            content=zlib.compress(msgspec.msgpack.encode(contents)),
        )

    # --- on the loop ------------------------------------------------------------------------------

    async def _take(self, loaded: Loaded) -> list[str]:
        """Put a book in force, or keep the old one; why that is, if so."""
        problems = list(loaded.problems)
        if loaded.policy is not None and loaded.policy.hash != self.policy.hash:
            before = self._loaded.files.contents
            adoption = await asyncio.to_thread(self._adoption, loaded, before)
            try:
                await self._store.write(partial(put_in_force, adoption=adoption))
            except StoreFault as fault:
                problems = [f"the change could not be written down; save the file again: {fault}"]
            else:
                self._loaded = loaded
                self._applied_us = self._clock.wall_us()
                _log.info("book applied", action="book", hash=loaded.policy.hash)
        if problems:
            _log.error("book refused", action="book", problems=problems)
        else:
            self._done()
        self._tell(problems)
        return problems

    def _tell(self, problems: Sequence[str] = ()) -> None:
        view = BookView(
            hash=self.policy.hash,
            applied_at=show_time(self._applied_us),
            notices=[*self.policy.notices, *self._after_a_restart()],
            problems=list(problems),
        )
        if view != self._view:
            self._view = view
            self._told(self.policy, view)

    def _after_a_restart(self) -> list[str]:
        then, now = self._started, self.policy.settings
        keys = {key for name, key in _AT_START.items() if getattr(then, name) != getattr(now, name)}
        return [
            f"{DAEMON_FILE}: {key} acts when the daemon is started again" for key in sorted(keys)
        ]

    def _done(self) -> None:
        self._order = None
        self._saver.done()


def _differences(old: Mapping[str, bytes], new: Mapping[str, bytes]) -> list[Difference]:
    """What differs between the files of two valid books."""
    return [
        found
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
        for found in differences(name, _tree(old.get(name)), _tree(new.get(name)))
    ]


def _tree(content: bytes | None) -> dict[str, Any]:
    return {} if content is None else tomllib.loads(content.decode())


def _given(texts: Mapping[str, str]) -> Files:
    """Files that came from elsewhere, if their names are those of a book's files."""
    files = Files()
    for name, text in sorted(texts.items()):
        folder, _, base = name.rpartition("/")
        in_book = folder == WORKSPACES and base.endswith(".toml") and not base.startswith(".")
        if name == DAEMON_FILE or (in_book and name.isprintable()):
            files.contents[name] = text.encode()
        else:
            files.problems.append(f"{name!a}: file: not the name of a file of the book; rename it")
    return files


def _unpacked(content: bytes) -> dict[str, bytes]:
    return msgspec.msgpack.decode(zlib.decompress(content), type=dict[str, bytes])


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid:{uid}"
