"""`mailplane.toml` as settings and members."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mailplaned.book.daemon_schema import DaemonFile, MemberTable
from mailplaned.book.places import Key
from mailplaned.book.source import Source, nearest, shown
from mailplaned.book.words import duration_us, host_and_port, is_loopback, resolver
from mailplaned.domain.policy import Member, Settings

UidOf = Callable[[str], int | None]
"""The uid of a Unix user name on this host; None when there is no such user."""


@dataclass(slots=True)
class People:
    """Who is known on this host; `absent` are the Unix users that this host does not have."""

    members: list[Member]
    absent: list[str]


def settings(source: Source, file: DaemonFile) -> Settings:
    """The daemon's settings; problems go to `source`."""
    host, port = host_and_port(file.shim.listen)
    if port > 65535:
        source.problem(("shim", "listen"), "no such port", "use 0 to 65535", file.shim.listen)
    return Settings(
        socket_mode=int(file.operator.socket_mode, 8),
        socket_group=file.operator.group,
        shim_host=host,
        shim_port=port,
        allowed_hosts=tuple(file.shim.allowed_hosts),
        desktop_key=file.vault.key == "keyring",
        message_bytes=file.limits.message_bytes,
        waiting_messages=file.limits.waiting_messages,
        retry_us=tuple(duration_us(wait) for wait in file.dispatch.retry),
        resolvers=tuple(dict.fromkeys(_resolvers(source, file))),
    )


def people(source: Source, file: DaemonFile, uid_of: UidOf, workspaces: set[str]) -> People:
    """The members that this host knows; `workspaces` are the names they may refer to."""
    found = People([], [])
    named: set[tuple[str, str]] = set()
    uids: dict[int, str] = {}
    for index, table in enumerate(file.member):
        key: Key = ("member", index)
        for workspace in table.workspaces or ("",):
            if (table.name, workspace) in named:
                where = f"in {workspace}" if workspace else "for the whole daemon"
                source.problem((*key, "name"), f"named twice {where}", "rename one", table.name)
            named.add((table.name, workspace))
        for name in table.workspaces:
            if name not in workspaces:
                advice = nearest(name, workspaces)
                source.problem((*key, "workspaces"), "unknown workspace", advice, name)
        uid = _uid(source, key, table, uid_of)
        if uid is None:
            found.absent.append(table.unix_user or table.name)
            continue
        if uids.get(uid, table.name) != table.name:
            wrong = f'the same Unix user as member "{uids[uid]}"'
            source.problem(key, wrong, "give each person one name", uid)
        uids[uid] = table.name
        found.members.append(
            Member(name=table.name, uid=uid, role=table.role, workspaces=tuple(table.workspaces))
        )
    return found


def notices(source: Source, file: DaemonFile, absent: list[str]) -> list[str]:
    """What of `mailplane.toml` this version or this host can't act on."""
    idle = [f"[{name}]" for name in ("submission", "edge") if source.raw.get(name)]
    said = [f"{source.name}: {part} is read but not acted on by this version" for part in idle]
    said += [
        f"{source.name}: [[member]] unix_user {shown(user)} is no user of this host; left out"
        for user in absent
    ]
    if not is_loopback(file.shim.listen.rpartition(":")[0]):
        said.append(f"{source.name}: [shim] listens beyond this host; tokens travel in clear")
    return said


def _resolvers(source: Source, file: DaemonFile) -> Iterator[tuple[str, int]]:
    for text in file.dns.resolvers:
        found = resolver(text)
        if found is not None:
            yield found
            continue
        advice = 'write it as "9.9.9.9", "127.0.0.1:5353" or "[::1]:53"'
        source.problem(("dns", "resolvers"), "no IP address, or no such port", advice, text)


def _uid(source: Source, key: Key, table: MemberTable, uid_of: UidOf) -> int | None:
    if source.has((*key, "uid")) == source.has((*key, "unix_user")):
        source.problem(key, "needs either unix_user or uid", "give one of the two")
        return table.uid
    if table.unix_user is None:
        return table.uid
    return uid_of(table.unix_user)
