"""The mailboxes of a workspace: their caps, shares, ramps and pace."""

from __future__ import annotations

from mailplaned.book.parts import caps, one_each
from mailplaned.book.places import Key
from mailplaned.book.schema import MailboxTable, PaceTable, RampTable, WorkspaceFile
from mailplaned.book.source import Source, nearest
from mailplaned.book.words import canonical, duration_us, fault_of
from mailplaned.domain.header_values import value_fault
from mailplaned.domain.policy import Cap, Mailbox, Pace, Ramp
from mailplaned.domain.windows import DAY_US, MINUTE_US, Per
from mailplaned.services.addresses import DISPLAY_CHARACTERS, domain_of


def mailboxes(source: Source, file: WorkspaceFile, workloads: set[str]) -> list[Mailbox]:
    """The mailboxes of the file; shares may name only `workloads`. Problems go to `source`."""
    accounts = source.names("account", "name")
    one_each(source, "mailbox", "address", [table.address for table in file.mailbox])
    found = []
    for index, table in enumerate(file.mailbox):
        key: Key = ("mailbox", index)
        address = canonical(table.address)
        fault = fault_of(table.address)
        if fault is not None:
            advice = "write an address such as ana@acme.example"
            source.problem((*key, "address"), fault, advice, table.address)
        if table.account not in accounts:
            advice = nearest(table.account, accounts)
            source.problem((*key, "account"), "unknown account", advice, table.account)
        fault = value_fault(table.name, limit=DISPLAY_CHARACTERS)
        if fault is not None:
            wrong = f"can't stand in From, since it {fault}"
            source.problem((*key, "name"), wrong, "write a plain name", table.name)
        own = caps(source, (*key, "caps"), table.caps)
        ramp = _ramp(source, (*key, "ramp"), table.ramp) if table.ramp else None
        _check_shares(source, key, table, own, workloads)
        found.append(
            Mailbox(
                address=address,
                workspace=file.workspace.name,
                domain=source.shared(domain_of(address)),
                account=source.shared(table.account),
                name=table.name,
                caps=own,
                shares=dict(table.share),
                ramp=source.shared(ramp),
                pace=source.shared(_pace(table.pace)),
            )
        )
    return found


def _check_shares(
    source: Source, key: Key, table: MailboxTable, own: tuple[Cap, ...], workloads: set[str]
) -> None:
    key = (*key, "share")
    for name in table.share:
        if name not in workloads:
            source.problem((*key, name), "unknown workload", nearest(name, workloads))
    total = sum(table.share.values())
    limits = [cap.limit for cap in own if cap.per is Per.DAY]
    if table.share and not limits:
        source.problem(key, "a share of no day cap", 'add a cap with per = "day"')
    elif limits and total > min(limits):
        wrong = f"the shares exceed the day's cap of {min(limits)}"
        source.problem(key, wrong, "lower them or raise the cap", total)


def _ramp(source: Source, key: Key, table: RampTable) -> Ramp:
    steps = source.has((*key, "start")) and source.has((*key, "step"))
    stepped = (table.start, table.step, table.every, table.until)
    if table.table is not None:
        if any(value is not None for value in stepped):
            source.problem(key, "both a table and steps", "use table alone, or start and step")
        if not table.table:
            source.problem((*key, "table"), "an empty table", "list the ceiling of each day")
        if any(
            later < earlier for earlier, later in zip(table.table, table.table[1:], strict=False)
        ):
            wrong = "a ramp never falls"
            source.problem((*key, "table"), wrong, "put the ceilings in order", table.table)
    elif not steps:
        source.problem(key, "start or step is missing", "add start and step, or a table")
    every_us = duration_us(table.every or "1d")
    if every_us < DAY_US or every_us % DAY_US:
        source.problem((*key, "every"), "must be whole days", 'such as "2d"', table.every)
    if table.until is not None and table.until < (table.start or 0):
        source.problem((*key, "until"), "lower than start", "raise it", table.until)
    return Ramp(
        first_day=table.first_day,
        start=table.start or 0,
        step=table.step or 0,
        every_days=max(1, every_us // DAY_US),
        until=table.until,
        table=tuple(table.table or ()),
    )


def _pace(table: PaceTable) -> Pace:
    per_minute_us = MINUTE_US // table.per_minute if table.per_minute else 0
    return Pace(
        min_gap_us=max(duration_us(table.min_gap), per_minute_us),
        jitter_us=duration_us(table.jitter),
    )
