"""One file of `workspaces/` as a workspace: what its words mean, and whether they agree."""

from __future__ import annotations

from collections.abc import Iterable
from zoneinfo import ZoneInfo, available_timezones

from mailplaned.book.mailboxes import mailboxes
from mailplaned.book.parts import caps, one_each
from mailplaned.book.places import Key
from mailplaned.book.schema import AccountTable, WorkloadTable, WorkspaceFile
from mailplaned.book.source import Source, nearest
from mailplaned.book.words import canonical, duration_us, is_loopback, keeping_us
from mailplaned.domain.policy import (
    Account,
    Cap,
    Delivery,
    Path,
    SendingDomain,
    Tls,
    Workload,
    Workspace,
)
from mailplaned.domain.windows import DAY_US

BUILT_IN_WORKLOADS = ("cold", "warmup", "transactional", "manual")
"""Workloads that every workspace has without a table; a table adds to them or changes them."""

_LONGEST_WAIT_US = 366 * DAY_US
_USUAL_PORT = {Tls.STARTTLS: 587, Tls.IMPLICIT: 465, Tls.NONE: 25}


def workspace(source: Source, file: WorkspaceFile) -> Workspace:
    """The workspace that the file describes; problems go to `source`."""
    table = file.workspace
    name = table.name
    expires_in_us = duration_us(table.expires_in)
    if not 0 < expires_in_us <= _LONGEST_WAIT_US:
        key = ("workspace", "expires_in")
        source.problem(
            key, "must be more than 0 and at most a year", "shorten it", table.expires_in
        )
    kept = file.retention.audit if file.retention else None
    known = {*BUILT_IN_WORKLOADS, *file.workload}
    boxes = mailboxes(source, file, known)
    domains = {found.name: found for found in _domains(source, file)}
    for box in boxes:
        domains.setdefault(box.domain, SendingDomain(name=box.domain, workspace=name))
    return Workspace(
        name=name,
        title=table.title or name,
        zone=_zone(source, table.timezone),
        colour=table.colour,
        postal_address=table.postal_address,
        on_cap=table.on_cap,
        expires_in_us=expires_in_us,
        keep_audit_us=keeping_us(kept) if kept is not None else None,
        caps=caps(source, ("workspace", "caps"), table.caps),
        accounts={found.name: found for found in _accounts(source, file)},
        domains=domains,
        mailboxes={box.address: box for box in boxes},
        paths={found.name: found for found in _paths(source, file)},
        workloads={found.name: found for found in _workloads(source, file)},
    )


def _zone(source: Source, name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError):  # not found; a folder; a path out of the database
        advice = nearest(name, available_timezones())
        source.problem(("workspace", "timezone"), "no such time zone", advice, name)
        return ZoneInfo("UTC")


def _accounts(source: Source, file: WorkspaceFile) -> Iterable[Account]:
    one_each(source, "account", "name", [table.name for table in file.account])
    for index, table in enumerate(file.account):
        key: Key = ("account", index)
        if table.provider == "smtp":
            _check_relay(source, key, table)
        yield Account(
            name=table.name,
            workspace=file.workspace.name,
            provider=table.provider,
            caps=caps(source, (*key, "caps"), table.caps),
            host=table.host or "",
            port=table.port or _USUAL_PORT[table.tls],
            tls=table.tls,
            username=table.username,
            secret=table.secret,
            connections=table.connections,
            supported=table.provider == "smtp",
        )


def _check_relay(source: Source, key: Key, table: AccountTable) -> None:
    if not source.has((*key, "host")):
        source.problem(key, '"host" is missing', "an smtp account needs the relay's host")
    elif table.host and table.tls is Tls.NONE and not is_loopback(table.host):
        wrong = "mail and password would leave this host in clear"
        source.problem((*key, "tls"), wrong, 'use "starttls" or "implicit"', table.tls.value)
    if source.has((*key, "username")) != source.has((*key, "secret")):
        advice = "give both, or neither to send without a log-in"
        source.problem(key, "username and secret go together", advice)


def _domains(source: Source, file: WorkspaceFile) -> Iterable[SendingDomain]:
    one_each(source, "domain", "name", [table.name.lower() for table in file.domain])
    for index, table in enumerate(file.domain):
        yield SendingDomain(
            name=table.name.lower(),
            workspace=file.workspace.name,
            caps=caps(source, ("domain", index, "caps"), table.caps),
            dkim_selector=table.dkim.selector if table.dkim else None,
            dkim_secret=table.dkim.secret if table.dkim else None,
        )


def _paths(source: Source, file: WorkspaceFile) -> Iterable[Path]:
    known = {canonical(name) for name in source.names("mailbox", "address")}
    one_each(source, "path", "name", [table.name for table in file.path])
    for index, table in enumerate(file.path):
        key: Key = ("path", index, "tiers")
        tiers = tuple(tuple(canonical(address) for address in tier) for tier in table.tiers)
        used: set[str] = set()
        for address in (address for tier in tiers for address in tier):
            if address not in known:
                source.problem(key, "unknown mailbox", nearest(address, known), address)
            elif address in used:
                source.problem(key, "twice in this path", "name it once", address)
            used.add(address)
        if not all(tiers) or not tiers:
            source.problem(key, "an empty tier", "name at least one mailbox in each tier")
        yield Path(
            name=table.name,
            workspace=file.workspace.name,
            tiers=tiers,
            next_tier=table.failover == "next-tier",
        )


def _workloads(source: Source, file: WorkspaceFile) -> Iterable[Workload]:
    known = source.names("path", "name")
    tables = {name: WorkloadTable() for name in BUILT_IN_WORKLOADS} | file.workload
    for name, table in tables.items():
        for path in table.paths:
            if path not in known:
                key = ("workload", name, "paths")
                source.problem(key, "unknown path", nearest(path, known), path)
        if name == "cold" and table.delivery is Delivery.AT_LEAST_ONCE:
            wrong = "cold mail is never sent at least once"
            source.problem(("workload", name, "delivery"), wrong, "leave it out")
        limit = table.pace_recipient_domain
        yield Workload(
            name=name,
            workspace=file.workspace.name,
            paths=tuple(table.paths),
            isolated=table.isolated,
            delivery=table.delivery,
            recipient_domain=Cap(limit=limit.limit, per=limit.per) if limit else None,
        )
