"""Names what a workspace's file says and this version does not act on yet."""

from __future__ import annotations

from collections.abc import Iterable

from mailplaned.book.schema import WorkspaceFile
from mailplaned.book.source import Source


def notices(source: Source, file: WorkspaceFile) -> list[str]:
    """One line for each part that is read and not acted on, and for mailboxes without a cap."""
    said = [
        f"{source.name}: {part} is read but not acted on by this version" for part in _idle(file)
    ]
    said += [
        f"{source.name}: [[mailbox]] {table.address} has no cap of its own"
        for table in file.mailbox
        if not table.caps
    ]
    return said


def _idle(file: WorkspaceFile) -> Iterable[str]:
    if file.workspace.postal_address is not None:
        yield "[workspace] postal_address"
    for account in file.account:
        if account.provider != "smtp":
            yield f'[[account]] {account.name}: provider = "{account.provider}"'
        if account.feed is not None:
            yield f"[[account]] {account.name}: feed"
    for name, workload in file.workload.items():
        if workload.consent is not None:
            yield f"[workload.{name}] consent"
        if workload.content is not None:
            yield f"[workload.{name}] content"
    yield from (f"[[rule]] {rule.name}" for rule in file.rule)
    yield from (f"[[webhook]] {webhook.name}" for webhook in file.webhook)
    yield from (f"[[export]] {export.name}" for export in file.export)
    if file.retention is not None:
        for part in ("bodies", "events"):
            if getattr(file.retention, part) is not None:
                yield f"[retention] {part}"
