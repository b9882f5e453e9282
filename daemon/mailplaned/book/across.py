"""Checks between the files of `workspaces/`: what one workspace has, no other may have."""

from __future__ import annotations

from dataclasses import dataclass

from mailplaned.book.places import Key
from mailplaned.book.schema import WorkspaceFile
from mailplaned.book.source import Source
from mailplaned.book.words import canonical
from mailplaned.services.addresses import domain_of


@dataclass(slots=True)
class Names:
    """What one file calls its own."""

    source: Source
    workspace: str
    domains: list[str]
    mailboxes: list[str]


def names(source: Source, file: WorkspaceFile) -> Names:
    """What the file calls its own, each in its place."""
    return Names(
        source=source,
        workspace=file.workspace.name,
        domains=[domain.name.lower() for domain in file.domain],
        mailboxes=[canonical(box.address) for box in file.mailbox],
    )


def across(files: list[Names]) -> None:
    """Problems, at the later file, for names, domains and mailboxes that an earlier file has."""
    workspaces: dict[str, str] = {}
    domains: dict[str, str] = {}
    boxes: dict[str, str] = {}
    for file in files:
        source = file.source
        _claim(source, ("workspace", "name"), file.workspace, workspaces, source.name)
        for index, domain in enumerate(file.domains):
            _claim(source, ("domain", index, "name"), domain, domains, source.name)
    for file in files:
        source = file.source
        for index, address in enumerate(file.mailboxes):
            key: Key = ("mailbox", index, "address")
            if boxes.setdefault(address.lower(), source.name) != source.name:
                _claim(source, key, address.lower(), boxes, source.name)
            else:
                _claim(source, key, domain_of(address), domains, source.name)


def _claim(source: Source, key: Key, name: str, owners: dict[str, str], file: str) -> None:
    owner = owners.setdefault(name, file)
    if owner != file:
        wrong = f"belongs to {owner} already"
        source.problem(key, wrong, "keep it in one workspace", name)
