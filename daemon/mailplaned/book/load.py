"""Reads the whole book: one consistent policy, or every problem at once.

It reads files and nothing else: whoever calls it decides what a book with problems means for the
one in force. With no `[[member]]` the policy's `members` are empty and the caller takes the uid
that runs the daemon for the owner.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from mailplaned.book import daemon, workspaces
from mailplaned.book.across import across, names
from mailplaned.book.daemon import UidOf
from mailplaned.book.daemon_schema import DaemonFile
from mailplaned.book.exposed import check_exposed
from mailplaned.book.isolation import check_isolation
from mailplaned.book.limits import check_ceilings, ramps_that_stop_short
from mailplaned.book.notices import notices
from mailplaned.book.schema import WorkspaceFile
from mailplaned.book.shape import shaped
from mailplaned.book.source import FILE_BYTES, Source, TooManyProblems, parse
from mailplaned.domain.policy import Member, Policy, Settings, Workspace

DAEMON_FILE = "mailplane.toml"
WORKSPACES = "workspaces"

_PLACE = re.compile(r"line (\d+), column (\d+): ")


@dataclass(slots=True, kw_only=True)
class Files:
    """The files of a book by name, in order, and the uid that each belongs to."""

    contents: dict[str, bytes] = field(default_factory=dict)
    owners: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    """Why there may be files that are not here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A policy, or the problems that keep the book from being one, and what it is made of."""

    policy: Policy | None
    problems: tuple[str, ...]
    files: Files = field(default_factory=Files)
    homes: dict[str, str] = field(default_factory=dict)
    """The file of each workspace."""


def load_here(folder: Path) -> Loaded:
    """The book in `folder` for this process and the users of this host."""
    return judge_here(read(folder))


def judge_here(files: Files) -> Loaded:
    """What these files are as a book for this process and the users of this host."""
    return judge(files, own_uid=os.getuid(), uid_of=_uid_of)


def load(folder: Path, *, own_uid: int, uid_of: UidOf) -> Loaded:
    """The book in `folder`; an empty or missing folder is a valid, empty book."""
    return judge(read(folder), own_uid=own_uid, uid_of=uid_of)


def judge(files: Files, *, own_uid: int, uid_of: UidOf) -> Loaded:
    """What these files are as a book.

    `own_uid` runs the daemon; it stays owner when the book's members leave this host without one.
    """
    contents = files.contents
    problems = list(files.problems)
    homes: dict[str, str] = {}
    sources: list[Source] = []
    said: list[str] = []
    described = _workspaces(_parsed(contents, sources, problems), homes, said)
    # A file that has problems may hold the workspace that a member refers to.
    unknown = contents.keys() - {DAEMON_FILE, *homes.values()}
    known = {*described, *(Path(name).stem for name in unknown)}
    settings, members = Settings(), tuple[Member, ...]()
    with suppress(TooManyProblems):
        settings, members = _daemon(sources, known, own_uid, uid_of, said)
    problems += [problem for source in sources for problem in source.problems]
    if problems:
        told = tuple(sorted(problems, key=_file_and_place))
        return Loaded(policy=None, problems=told, files=files, homes=homes)
    policy = Policy(
        hash=_hash(contents),
        settings=settings,
        members=members,
        workspaces=described,
        notices=tuple(said),
    )
    return Loaded(policy=policy, problems=(), files=files, homes=homes)


def read(folder: Path) -> Files:
    """The files in `folder` that make up a book; an editor's hidden files are none."""
    files = Files()
    problems = files.problems
    try:
        found = [path for path in [folder / DAEMON_FILE] if path.exists() or path.is_symlink()]
        found += sorted((folder / WORKSPACES).glob("[!.]*.toml"))
    except OSError as fault:
        problems.append(f"{folder}: file: can't be listed, {fault.strerror}; mend its permissions")
        return files
    for path in found:
        name = path.relative_to(folder).as_posix()
        if not name.isprintable():
            problems.append(f"{name!a}: file: a name that can't be shown; rename it")
            continue
        try:
            # Not Path.resolve: that raises for a link to itself.
            if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
                problems.append(f"{name}: file: a link out of the folder; put the file itself here")
                continue
            found_in = file_content(path)
        except OSError as fault:
            problems.append(f"{name}: file: can't be read, {fault.strerror}; mend its permissions")
            continue
        if found_in is None:
            problems.append(f"{name}: file: can't be read, it is no regular file; replace it")
            continue
        files.contents[name], files.owners[name] = found_in
    return files


def file_content(path: Path) -> tuple[bytes, int] | None:
    """A file as far as `parse` has to see it, and whose it is; None for a folder or a device.

    Nothing is waited for, and nothing without an end is read.
    """
    with suppress(IsADirectoryError), open(path, "rb", opener=_open_unwaited) as file:
        facts = os.fstat(file.fileno())
        if stat.S_ISREG(facts.st_mode):
            return file.read(FILE_BYTES + 1), facts.st_uid
    return None


def _open_unwaited(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _parsed(
    contents: dict[str, bytes], sources: list[Source], problems: list[str]
) -> Iterator[Source]:
    """The files that are TOML, one after the other; they are added to `sources`."""
    for name, content in contents.items():
        match parse(name, content):
            case Source() as source:
                sources.append(source)
                yield source
            case str() as problem:
                problems.append(problem)


def _workspaces(
    sources: Iterable[Source], homes: dict[str, str], said: list[str]
) -> dict[str, Workspace]:
    described = {}
    files = []
    for source in sources:
        if source.name == DAEMON_FILE:
            continue
        with suppress(TooManyProblems):
            check_exposed(source)
            file = shaped(source, WorkspaceFile)
            if file is not None:
                homes[file.workspace.name] = source.name
                described[file.workspace.name] = workspaces.workspace(source, file)
                said.extend(notices(source, file))
                said.extend(ramps_that_stop_short(source, file))
                said.extend(check_ceilings(source, file))
                said.extend(check_isolation(source, described[file.workspace.name]))
                files.append(names(source, file))
        source.let_go()
    with suppress(TooManyProblems):
        across(files)
    return described


def _daemon(
    sources: list[Source], known: set[str], own_uid: int, uid_of: UidOf, said: list[str]
) -> tuple[Settings, tuple[Member, ...]]:
    source = next((source for source in sources if source.name == DAEMON_FILE), None)
    if source is None:
        return Settings(), ()
    check_exposed(source)
    file = shaped(source, DaemonFile)
    if file is None:
        return Settings(), ()
    people = daemon.people(source, file, uid_of, known)
    said[:0] = daemon.notices(source, file, people.absent)
    members = people.members
    owned = any(member.role == "owner" and not member.workspaces for member in members)
    if members and not owned and all(member.uid != own_uid for member in members):
        members.append(Member(name="owner", uid=own_uid, role="owner", implied=True))
        said.append(
            f"{source.name}: no [[member]] on this host is owner of all; uid {own_uid} stays it"
        )
    return daemon.settings(source, file), tuple(members)


def _uid_of(name: str) -> int | None:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


def _hash(contents: dict[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name, content in sorted(contents.items()):
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:16]


def _file_and_place(problem: str) -> tuple[str, int, int]:
    name, _, rest = problem.partition(": ")
    place = _PLACE.match(rest)
    return (name, int(place[1]), int(place[2])) if place else (name, 0, 0)
